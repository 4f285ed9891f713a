"""Which address answers what. Holds no state: the publisher and the store do."""

from __future__ import annotations

import json
import logging
import re
from functools import partial
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from feedsvc.errors import FeedsvcError
from feedsvc.feeds.formats.addresses import PROBLEMS_PATH
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.pages.found import Found, Query, parse_query
from feedsvc.feeds.pages.pages import MEDIA_TYPE, render_entry, render_error, render_search
from feedsvc.feeds.represent import represent
from feedsvc.http.answer import Answer
from feedsvc.http.front import ALLOWED, Access, Front
from feedsvc.http.operators import Operators
from feedsvc.http.proxies import Proxies
from feedsvc.http.published import RETRY, Published, Publishing
from feedsvc.http.rate import RateLimit
from feedsvc.http.respond import Audience, join_fields, respond, respond_uncached
from feedsvc.http.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from feedsvc.http.access import Account, Guard
    from feedsvc.http.operators import Operations
    from feedsvc.model import Entry, Removal, Representation

__all__ = ["make_app"]

_log = logging.getLogger(__name__)

_KEY = re.compile(r"[a-z0-9]{1,64}")
_PAGE_MAX_AGE = 60
_SEARCHES = 2  # at once; others wait
_SEARCH_WAIT = 2.0  # seconds


def make_app(
    *,
    publisher: Publishing,
    load_entry: Callable[[str], tuple[Entry, tuple[Removal, ...]] | None],
    status: Callable[[], dict[str, object]],
    base_url: str | None,
    search: Callable[[Query], Found] = lambda _query: Found((), 0),
    health: Callable[[], Mapping[str, str | None]] = dict,
    trusted_proxies: Sequence[str] = (),
    rate: int | None = None,
    account: Account | None = None,
    guards: Mapping[str, Guard] | None = None,
    operations: Operations | None = None,
) -> Front:
    """Make the ASGI application.

    Args:
        publisher: Answers whatever address it has, "/feed.atom" and "/" among them.
        load_entry: The entry of a key with its removals, or None; called in a thread.
        status: What /readyz shows as JSON; its "ready" decides between 200 and 503. Called in a thread.
        base_url: What subscribers see, without a slash at its end; None to take it from each request.
        search: What answers a query that has phrases; called in a thread, few at a time.
        health: The parts that /healthz shows, and why each does not answer, in a few words that anybody may read; None
            for one that does. 200 where all do, else 503. Called in the event loop: it must not wait.
        trusted_proxies: Networks whose Forwarded and X-Forwarded-* fields are believed.
        rate: Requests a minute that a client address may make; None for no limit. This machine has none.
        account: Who may read anything at all; None for everybody.
        guards: What keeps single feeds from the public, by the feed's name.
        operations: What operators are shown at /metrics and /problems.atom; None for nothing.

    Raises:
        ValueError: One of the proxies, or of the operators' networks, is no network.
    """
    access = Access(account, guards or {})
    published = Published(publisher, base_url, access.is_private)
    site = _Site(
        publisher,
        published,
        access=access,
        load_entry=load_entry,
        search=search,
        status=status,
        health=health,
        base_url=base_url,
    )
    app = Starlette(
        routes=[
            Route("/entries/{key}", site.entry),
            Route("/search", site.search),
            Route("/healthz", site.healthz),
            Route("/readyz", site.readyz),
            *(_operators_routes(operations, published, trusted_proxies) if operations else ()),
            *(Route(address, partial(_static, representation)) for address, representation in static_files().items()),
        ],
        exception_handlers={
            HTTPException: site.refuse,
            FeedsvcError: site.unavailable,
            Exception: site.fail,
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat an unchecked Host field
    app.router.default = site.published  # feeds come and go: the publisher knows which there are
    return Front(
        app,
        publisher,
        published,
        access=access,
        proxies=Proxies(trusted_proxies),
        rate=RateLimit(rate) if rate else None,
        refusal=site.refusal,
        tally=Tally(operations.counter, operations.observe) if operations else None,
    )


def _operators_routes(operations: Operations, published: Published, trusted_proxies: Sequence[str]) -> list[Route]:
    """What only operators may see; to others it is not there."""
    operators = Operators(operations.networks, trusted_proxies)

    def metrics(request: Request) -> Answer:
        if not operators.admit(request.scope):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        asked = join_fields(request.scope["headers"])
        return respond_uncached(request, HTTPStatus.OK, *operations.metrics(asked.get("accept", "")))

    def problems(request: Request) -> Answer:
        if not operators.admit(request.scope):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        base = published.base(request.scope, request.headers)
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        return respond(request, operations.problems(base), Audience(fields={"Cache-Control": "private, no-cache"}))

    return [Route("/metrics", metrics), Route(PROBLEMS_PATH, problems)]


async def _static(representation: Representation, request: Request) -> Answer:
    return respond(request, representation)


def _as_json(request: Request, shown: Mapping[str, object], *, well: bool) -> Answer:
    code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(shown, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"
    return respond_uncached(request, code, "application/json", body)


class _Site:
    """The endpoints, with what they read from."""

    def __init__(
        self,
        publisher: Publishing,
        published: Published,
        *,
        access: Access,
        load_entry: Callable[[str], tuple[Entry, tuple[Removal, ...]] | None],
        status: Callable[[], dict[str, object]],
        base_url: str | None,
        search: Callable[[Query], Found],
        health: Callable[[], Mapping[str, str | None]],
    ) -> None:
        self._publisher = publisher
        self._published = published
        self._access = access
        self._load_entry = load_entry
        self._status = status
        self._health = health
        self._base_url = base_url
        self._search = search
        self._searching = BoundedSemaphore(_SEARCHES)

    async def published(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route does: a published address, or none."""
        if not self._publisher.has(scope["path"]):
            if self._publisher.ready:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)  # nobody knows yet
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
        answer = await self._published.slow(Request(scope, receive))
        await answer(scope, receive, send)

    def entry(self, request: Request) -> Answer:
        key, document = request.path_params["key"], self._publisher.document
        base = self._published.base(request.scope, request.headers)
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        if document is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
        found = self._load_entry(key) if _KEY.fullmatch(key) else None
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        body = render_entry(*found, base, document.title)
        return self._respond(request, body)

    def search(self, request: Request) -> Answer:
        document, query = self._publisher.document, parse_query(request.query_params)
        base = self._published.base(request.scope, request.headers)
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        if document is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
        found = None
        if query.phrases:
            if not self._searching.acquire(timeout=_SEARCH_WAIT):
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
            try:
                found = self._search(query)
            finally:
                self._searching.release()
        page = render_search(query, found, base, document.title)
        return self._respond(request, page)

    async def healthz(self, request: Request) -> Answer:
        parts = self._health()
        alive = not any(parts.values())
        shown = {"alive": alive, "parts": {name: reason or "ok" for name, reason in parts.items()}}
        return _as_json(request, shown, well=alive)

    def readyz(self, request: Request) -> Answer:
        status = self._status()
        return _as_json(request, status, well=bool(status["ready"]))

    def _respond(self, request: Request, page: bytes) -> Answer:
        # No Last-Modified: `updated` tells when the article changed, not when the page did.
        made = represent(page, MEDIA_TYPE, last_modified=None, max_age=_PAGE_MAX_AGE)
        return respond(request, made, Audience(private=self._access.is_private(request.scope["path"])))

    def refusal(self, method: str, status: HTTPStatus, fields: Mapping[str, str]) -> Answer:
        """Make the page that says why a request is not answered."""
        page = (MEDIA_TYPE, render_error(status, self._base_url or ""))
        return Answer(method, status, {"Cache-Control": "no-store", **fields}, page)

    async def refuse(self, request: Request, error: Exception) -> Response:
        refused = cast("HTTPException", error)  # starlette passes the kind it was told to
        allowed = {"Allow": ALLOWED} if refused.status_code == HTTPStatus.METHOD_NOT_ALLOWED else refused.headers
        return self._error(request, refused.status_code, allowed)

    async def unavailable(self, request: Request, error: Exception) -> Response:
        _log.error("request not answered: %s", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.SERVICE_UNAVAILABLE, RETRY)

    async def fail(self, request: Request, error: Exception) -> Response:
        # uvicorn logs the traceback, but not what was asked for.
        _log.error("request failed: %r", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, request: Request, status: int, fields: Mapping[str, str] | None = None) -> Response:
        # starlette only calls what it is given, which an Answer is for as well.
        return cast("Response", self.refusal(request.method, HTTPStatus(status), fields or {}))
