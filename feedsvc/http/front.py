"""What every request passes first: trusted proxies, the rate limit, who may read, and what needs no work."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from feedsvc.http.answer import Answer
from feedsvc.http.paths import feed_at
from feedsvc.http.published import CORS
from feedsvc.http.respond import join_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from feedsvc.http.access import Account, Guard
    from feedsvc.http.proxies import Proxies
    from feedsvc.http.published import Published, Publishing
    from feedsvc.http.rate import RateLimit
    from feedsvc.http.tally import Tally

__all__ = ["ALLOWED", "Access", "Front"]

ALLOWED = "GET, HEAD, OPTIONS"
_OPEN = ("/healthz", "/readyz")  # for whoever watches over the service
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="feedsvc", charset="UTF-8"'}
_PREFLIGHT = {  # Fetch standard, section 3.3.3
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "A-IM, If-None-Match, If-Modified-Since",
    "Access-Control-Max-Age": "86400",
}


class Access:
    """Who may read what."""

    def __init__(self, account: Account | None, guards: Mapping[str, Guard]) -> None:
        """Let in everybody, unless said otherwise.

        Args:
            account: Who may read anything at all; None for everybody.
            guards: What keeps single feeds from the public, by the feed's name.
        """
        self._account = account
        self._guards = guards

    def is_private(self, path: str) -> bool:
        """Whether an address is not for everybody."""
        return self._account is not None or self._guard(path) is not None

    def account(self, path: str) -> Account | None:
        """Who may read this address; None for everybody who knows it."""
        if path in _OPEN:
            return None
        guard = self._guard(path)
        return guard.account if guard and guard.account else self._account

    def _guard(self, path: str) -> Guard | None:
        if not self._guards:
            return None
        feed = feed_at(path)
        return self._guards.get(feed.name) if feed else None


class Front:
    """An ASGI application before the one that routes."""

    def __init__(
        self,
        app: Starlette,
        publisher: Publishing,
        published: Published,
        *,
        access: Access,
        proxies: Proxies,
        rate: RateLimit | None,
        refusal: Callable[[str, HTTPStatus, Mapping[str, str]], Answer],
        tally: Tally | None = None,
    ) -> None:
        """Stand before an application.

        Args:
            app: Answers what is not answered here.
            publisher: Knows which addresses there are.
            published: Answers what is published.
            access: Who may read what.
            proxies: Whose word on the client counts.
            rate: How often a client may ask; None for as often as it likes.
            refusal: Makes an error page of a method, a status and fields.
            tally: Counts what is answered; None for nobody.
        """
        self._app = app
        self._publisher = publisher
        self._published = published
        self._access = access
        self._proxies = proxies
        self._rate = rate
        self._refusal = refusal
        self._tally = tally

    @property
    def routes(self) -> list[BaseRoute]:
        """What is answered beside what is published."""
        return self._app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        await self.dispatch(scope)(scope, receive, send)

    def dispatch(self, scope: Scope) -> ASGIApp:
        """Choose what answers a request, to be called once: an Answer, where none has to be waited for."""
        chosen = self._decide(scope)
        return self._tally.take(scope, chosen) if self._tally else chosen

    def _decide(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._app
        refused = self._limit(scope)
        if refused is not None:
            return refused
        account = None if scope["method"] == "OPTIONS" else self._access.account(scope["path"])  # no credentials there
        if account is None:
            return self._choose(scope)
        authorization = join_fields(scope["headers"]).get("authorization")
        if authorization is None:
            return self._refusal(scope["method"], HTTPStatus.UNAUTHORIZED, _CHALLENGE)
        if account.knows(authorization):
            return self._choose(scope)
        return partial(self._authenticate, account, authorization)

    def _choose(self, scope: Scope) -> ASGIApp:
        answer = None
        if scope["method"] in {"GET", "HEAD"}:
            answer = self._published.quick(scope)
        elif scope["method"] == "OPTIONS":
            answer = self._options(scope)
        return answer or self._app

    def _limit(self, scope: Scope) -> Answer | None:
        """Find out who asks; refuse who asks too often."""
        address = scope["client"][0] if scope.get("client") else ""
        if self._proxies:
            address = self._believe(scope, address)
        if self._rate is None or _is_loopback(address):
            return None
        seconds = self._rate.take(address, time.monotonic())
        if not seconds:
            return None
        return self._refusal(scope["method"], HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})

    def _believe(self, scope: Scope, peer: str) -> str:
        """Take over what a trusted proxy says; answers the client's address."""
        client = self._proxies.resolve(peer, join_fields(scope["headers"]))
        if client.scheme:
            scope["scheme"] = client.scheme
        if client.host:
            others = [line for line in scope["headers"] if line[0] != b"host"]
            scope["headers"] = [(b"host", client.host.encode("latin-1", "replace")), *others]
        return client.address

    async def _authenticate(
        self, account: Account, authorization: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        admitted = await run_in_threadpool(account.admits, authorization)
        refusal = self._refusal(scope["method"], HTTPStatus.UNAUTHORIZED, _CHALLENGE)
        await (self._choose(scope) if admitted else refusal)(scope, receive, send)

    def _options(self, scope: Scope) -> Answer | None:
        path = scope["path"]
        if self._publisher.has(path):
            more = {} if self._access.is_private(path) else _PREFLIGHT
        elif path == "/*" or any(route.matches(scope)[0] is not Match.NONE for route in self._app.routes):
            more = {}
        else:
            return None
        return Answer("OPTIONS", HTTPStatus.NO_CONTENT, {"Allow": ALLOWED, **more})


def _is_loopback(address: str) -> bool:
    if address in {"127.0.0.1", "::1"}:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
