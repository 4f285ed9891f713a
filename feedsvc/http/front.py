"""Each request passes here first: trusted proxies, the rate limit, credentials, and answers that need no work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from feedsvc.http.answer import Answer
from feedsvc.http.published import CORS
from feedsvc.http.respond import join_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from feedsvc.http.access import Access, Credentials
    from feedsvc.http.counter import AnswerCounter
    from feedsvc.http.limits import RateLimit
    from feedsvc.http.proxies import Proxies
    from feedsvc.http.published import Published, Publishing

ALLOWED_METHODS = "GET, HEAD, OPTIONS"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="feedsvc", charset="UTF-8"'}
_PREFLIGHT = {  # Fetch standard, section 3.3.3
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "A-IM, If-None-Match, If-Modified-Since",
    "Access-Control-Max-Age": "86400",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """An ASGI application before `app`, the one that routes; `refusal` makes error pages."""

    app: Starlette
    publisher: Publishing
    published: Published
    access: Access
    proxies: Proxies
    rate: RateLimit | None
    refusal: Callable[[str, HTTPStatus, Mapping[str, str]], Answer]
    counter: AnswerCounter | None

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes besides the published addresses."""
        return self.app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        await self.dispatch(scope)(scope, receive, send)

    def dispatch(self, scope: Scope) -> ASGIApp:
        """Choose the application that answers a request, to be called once: an Answer if it is ready."""
        chosen = self._decide(scope)
        return self.counter.take(scope, chosen) if self.counter else chosen

    def _decide(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self.app
        refused = self._limit(scope)
        if refused is not None:
            return refused
        is_preflight = scope["method"] == "OPTIONS"  # browsers send no credentials with it
        credentials = None if is_preflight else self.access.credentials(scope["path"])
        if credentials is None:
            return self._choose(scope)
        authorization = join_fields(scope["headers"]).get("authorization")
        if authorization is None:
            return self.refusal(scope["method"], HTTPStatus.UNAUTHORIZED, _CHALLENGE)
        if credentials.knows(authorization):
            return self._choose(scope)
        return partial(self._authenticate, credentials, authorization)

    def _choose(self, scope: Scope) -> ASGIApp:
        answer = None
        if scope["method"] in {"GET", "HEAD"}:
            answer = self.published.quick(scope)
        elif scope["method"] == "OPTIONS":
            answer = self._options(scope)
        return answer or self.app

    def _limit(self, scope: Scope) -> Answer | None:
        """Find out the client's address; refuse a client that asks too often."""
        address = scope["client"][0] if scope.get("client") else ""
        if self.proxies:
            address = self._believe(scope, address)
        if self.rate is None or _is_loopback(address):
            return None
        seconds = self.rate.take(address, time.monotonic())
        if not seconds:
            return None
        return self.refusal(scope["method"], HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})

    def _believe(self, scope: Scope, peer: str) -> str:
        """Take over scheme and host from a trusted proxy; returns the client's address."""
        client = self.proxies.resolve(peer, join_fields(scope["headers"]))
        if client.scheme:
            scope["scheme"] = client.scheme
        if client.host:
            others = [line for line in scope["headers"] if line[0] != b"host"]
            scope["headers"] = [(b"host", client.host.encode("latin-1", "replace")), *others]
        return client.address

    async def _authenticate(
        self, credentials: Credentials, authorization: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        admitted = await run_in_threadpool(credentials.admits, authorization)
        refusal = self.refusal(scope["method"], HTTPStatus.UNAUTHORIZED, _CHALLENGE)
        await (self._choose(scope) if admitted else refusal)(scope, receive, send)

    def _options(self, scope: Scope) -> Answer | None:
        path = scope["path"]
        if self.publisher.has(path):
            more = {} if self.access.is_private(path) else _PREFLIGHT
        elif path == "/*" or any(route.matches(scope)[0] is not Match.NONE for route in self.app.routes):
            more = {}
        else:
            return None
        return Answer("OPTIONS", HTTPStatus.NO_CONTENT, {"Allow": ALLOWED_METHODS, **more})


def _is_loopback(address: str) -> bool:
    if address in {"127.0.0.1", "::1"}:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
