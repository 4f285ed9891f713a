"""The ASGI application: its routes and endpoints. It holds no state: the publisher and the store do."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
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
from feedsvc.http.access import Access
from feedsvc.http.answer import Answer
from feedsvc.http.counter import AnswerCounter
from feedsvc.http.front import ALLOWED_METHODS, Front
from feedsvc.http.limits import RateLimit
from feedsvc.http.operators import Operators
from feedsvc.http.proxies import Proxies
from feedsvc.http.published import RETRY, Published, Publishing
from feedsvc.http.respond import Audience, join_fields, respond, respond_uncached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from feedsvc.http.access import Credentials, Restriction
    from feedsvc.http.operators import Operations
    from feedsvc.model import Entry, Removal, Representation

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
    credentials: Credentials | None = None,
    restrictions: Mapping[str, Restriction] | None = None,
    operations: Operations | None = None,
) -> Front:
    """Make the ASGI application.

    Args:
        publisher: Answers for its addresses, "/feed.atom" and "/" among them.
        load_entry: The entry of a key with its removals, or None; called in a thread.
        status: The content of /readyz as JSON; its "ready" decides between 200 and 503. Called in a thread.
        base_url: Of subscribers, without a slash at its end; None to take it from each request.
        search: Answers a query that has phrases; called in a thread, few at a time.
        health: The parts that /healthz shows, each with None if it answers, else a public reason in a few words.
            200 if all answer, else 503. Called in the event loop: it must not wait.
        trusted_proxies: Networks of proxies with Forwarded and X-Forwarded-* fields that are believed.
        rate: Requests a minute for each client address; None for no limit. This machine has none.
        credentials: To read anything at all; None for everybody.
        restrictions: Of private feeds, by the feed's name.
        operations: For operators at /metrics and /problems.atom; None for neither.

    Raises:
        ValueError: One of the proxies, or of the operators' networks, is no network.
    """
    access = Access(credentials, restrictions or {})
    published = Published(publisher, base_url, access.is_private)
    site = _Site(publisher, published, access, load_entry, status, base_url, search, health)
    app = Starlette(
        routes=[
            Route("/entries/{key}", site.entry),
            Route("/search", site.search),
            Route("/healthz", site.healthz),
            Route("/readyz", site.readyz),
            *(_operators_routes(operations, site, trusted_proxies) if operations else ()),
            *(Route(address, partial(_static, representation)) for address, representation in static_files().items()),
        ],
        exception_handlers={
            HTTPException: site.refuse,
            FeedsvcError: site.unavailable,
            Exception: site.fail,
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat an unchecked Host field
    app.router.default = site.answer_published  # feeds come and go: the publisher knows them
    return Front(
        app=app,
        publisher=publisher,
        published=published,
        access=access,
        proxies=Proxies(trusted_proxies),
        rate=RateLimit(rate) if rate else None,
        refusal=site.refusal,
        counter=AnswerCounter(operations.counter, operations.observe, app.routes) if operations else None,
    )


def _operators_routes(operations: Operations, site: _Site, trusted_proxies: Sequence[str]) -> list[Route]:
    """Routes that are not there for others than operators."""
    operators = Operators(operations.networks, trusted_proxies)

    def metrics(request: Request) -> Answer:
        if not operators.admit(request.scope):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        accept = join_fields(request.scope["headers"]).get("accept", "")
        return respond_uncached(request, HTTPStatus.OK, *operations.metrics(accept))

    def problems(request: Request) -> Answer:
        if not operators.admit(request.scope):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        made = operations.problems(site.base(request))
        return respond(request, made, Audience(fields={"Cache-Control": "private, no-cache"}))

    return [Route("/metrics", metrics), Route(PROBLEMS_PATH, problems)]


async def _static(representation: Representation, request: Request) -> Answer:
    return respond(request, representation)


def _as_json(request: Request, shown: Mapping[str, object], *, well: bool) -> Answer:
    code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(shown, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"
    return respond_uncached(request, code, "application/json", body)


@dataclass(frozen=True)
class _Site:
    """The endpoints; see `make_app` for the attributes."""

    publisher: Publishing
    published: Published
    access: Access
    load_entry: Callable[[str], tuple[Entry, tuple[Removal, ...]] | None]
    status: Callable[[], dict[str, object]]
    base_url: str | None
    find: Callable[[Query], Found]
    health: Callable[[], Mapping[str, str | None]]
    searching: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(_SEARCHES))

    def base(self, request: Request) -> str:
        """The base URL of a request; HTTPException 400 if its Host field is not valid."""
        base = self.published.base(request.scope, request.headers)
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        return base

    async def answer_published(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for an address without a route: it is published, or there is none."""
        if not self.publisher.has(scope["path"]):
            if self.publisher.ready:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)  # nobody knows yet
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
        answer = await self.published.slow(Request(scope, receive))
        await answer(scope, receive, send)

    def entry(self, request: Request) -> Answer:
        key, base, title = request.path_params["key"], self.base(request), self._title()
        found = self.load_entry(key) if _KEY.fullmatch(key) else None
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._respond(request, render_entry(*found, base, title))

    def search(self, request: Request) -> Answer:
        query, base, title = parse_query(request.query_params), self.base(request), self._title()
        found = None
        if query.phrases:
            if not self.searching.acquire(timeout=_SEARCH_WAIT):
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
            try:
                found = self.find(query)
            finally:
                self.searching.release()
        return self._respond(request, render_search(query, found, base, title))

    async def healthz(self, request: Request) -> Answer:
        parts = self.health()
        alive = not any(parts.values())
        shown = {"alive": alive, "parts": {name: reason or "ok" for name, reason in parts.items()}}
        return _as_json(request, shown, well=alive)

    def readyz(self, request: Request) -> Answer:
        status = self.status()
        return _as_json(request, status, well=bool(status["ready"]))

    def _title(self) -> str:
        document = self.publisher.document
        if document is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
        return document.title

    def _respond(self, request: Request, page: bytes) -> Answer:
        # No Last-Modified: `updated` tells when the article changed, not when the page did.
        made = represent(page, MEDIA_TYPE, last_modified=None, max_age=_PAGE_MAX_AGE)
        return respond(request, made, Audience(private=self.access.is_private(request.scope["path"])))

    def refusal(self, method: str, status: HTTPStatus, fields: Mapping[str, str]) -> Answer:
        """Make an error page."""
        page = (MEDIA_TYPE, render_error(status, self.base_url or ""))
        return Answer(method, status, {"Cache-Control": "no-store", **fields}, page)

    async def refuse(self, request: Request, error: Exception) -> Response:
        refused = cast("HTTPException", error)  # starlette passes the kind it was told to
        allowed = (
            {"Allow": ALLOWED_METHODS} if refused.status_code == HTTPStatus.METHOD_NOT_ALLOWED else refused.headers
        )
        return self._error(request, refused.status_code, allowed)

    async def unavailable(self, request: Request, error: Exception) -> Response:
        _log.error("request not answered: %s", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.SERVICE_UNAVAILABLE, RETRY)

    async def fail(self, request: Request, error: Exception) -> Response:
        # uvicorn logs the traceback, but not the path.
        _log.error("request failed: %r", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, request: Request, status: int, fields: Mapping[str, str] | None = None) -> Response:
        # starlette only calls it, and an Answer can be called too.
        return cast("Response", self.refusal(request.method, HTTPStatus(status), fields or {}))
