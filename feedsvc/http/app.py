"""Which address answers what. Holds no state: the publisher and the store do."""

from __future__ import annotations

import json
import logging
import re
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Route

from feedsvc.errors import FeedsvcError
from feedsvc.http.base import base_of
from feedsvc.http.pages import MEDIA_TYPE, render_entry, render_error, render_search
from feedsvc.http.respond import respond, respond_uncached
from feedsvc.http.search import Found, Query, parse_query
from feedsvc.represent import represent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from feedsvc.model import Entry, Removal, Representation
    from feedsvc.publish import Publisher

__all__ = ["make_app", "static_files"]

_log = logging.getLogger(__name__)

_KEY = re.compile(r"[a-z0-9]{1,64}")
_PAGE_MAX_AGE = 60
_STATIC_MAX_AGE = 3600
_SEARCHES = 2  # at once; others wait
_SEARCH_WAIT = 2.0  # seconds
_RETRY = {"Retry-After": "5"}
_STATIC = {
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.png": ("icon.png", "image/png"),
    "/favicon.ico": ("icon.png", "image/png"),  # browsers ask for it beside a feed, which cannot name an icon to them
}


def make_app(
    *,
    publisher: Publisher,
    load_entry: Callable[[str], tuple[Entry, tuple[Removal, ...]] | None],
    status: Callable[[], dict[str, object]],
    base_url: str | None,
    search: Callable[[Query], Found] = lambda _query: Found((), 0),
) -> Starlette:
    """Make the ASGI application.

    Args:
        publisher: Answers its own addresses, "/feed.atom" and "/" among them.
        load_entry: The entry of a key with its removals, or None; called in a thread.
        status: What /readyz shows as JSON; its "ready" decides between 200 and 503. Called in a thread.
        base_url: What subscribers see, without a slash at its end; None to take it from each request.
        search: What answers a query that has phrases; called in a thread, few at a time.
    """
    site = _Site(publisher, load_entry, status, base_url, search)
    app = Starlette(
        routes=[
            *(Route(address, site.published) for address in publisher.addresses),
            Route("/entries/{key}", site.entry),
            Route("/search", site.search),
            Route("/healthz", site.healthz),
            Route("/readyz", site.readyz),
            *(Route(address, partial(_static, representation)) for address, representation in static_files().items()),
        ],
        exception_handlers={
            HTTPException: site.refuse,
            FeedsvcError: site.unavailable,
            Exception: site.fail,
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat an unchecked Host field
    return app


def static_files() -> dict[str, Representation]:
    """Load what never changes while the program runs: style sheet and icon.

    Returns:
        Representations by address.
    """
    folder = files("feedsvc.http") / "static"
    return {
        address: represent((folder / name).read_bytes(), media_type, last_modified=None, max_age=_STATIC_MAX_AGE)
        for address, (name, media_type) in _STATIC.items()
    }


async def _static(representation: Representation, request: Request) -> Response:
    return respond(request, representation)


class _Site:
    """The endpoints, with what they read from."""

    def __init__(
        self,
        publisher: Publisher,
        load_entry: Callable[[str], tuple[Entry, tuple[Removal, ...]] | None],
        status: Callable[[], dict[str, object]],
        base_url: str | None,
        search: Callable[[Query], Found],
    ) -> None:
        self._publisher = publisher
        self._load_entry = load_entry
        self._status = status
        self._base_url = base_url
        self._search = search
        self._searching = BoundedSemaphore(_SEARCHES)

    async def published(self, request: Request) -> Response:
        """Answer from memory in the event loop: the feed must not wait for threads that wait for the store."""
        address, base = request.scope["path"], self._base(request)
        found = self._publisher.prepared(address, base)
        if found is None:
            found = await run_in_threadpool(self._publisher.representation, address, base)
        if found is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=_RETRY)
        return respond(request, found)

    def entry(self, request: Request) -> Response:
        key, base, document = request.path_params["key"], self._base(request), self._publisher.document
        if document is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=_RETRY)
        found = self._load_entry(key) if _KEY.fullmatch(key) else None
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        body = render_entry(*found, base, document.title)
        # No Last-Modified: `updated` tells when the article changed, not when the page did.
        return respond(request, represent(body, MEDIA_TYPE, last_modified=None, max_age=_PAGE_MAX_AGE))

    def search(self, request: Request) -> Response:
        base, document, query = self._base(request), self._publisher.document, parse_query(request.query_params)
        if document is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=_RETRY)
        found = None
        if query.phrases:
            if not self._searching.acquire(timeout=_SEARCH_WAIT):
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=_RETRY)
            try:
                found = self._search(query)
            finally:
                self._searching.release()
        body = render_search(query, found, base, document.title)
        return respond(request, represent(body, MEDIA_TYPE, last_modified=None, max_age=_PAGE_MAX_AGE))

    async def healthz(self, request: Request) -> Response:
        return respond_uncached(request, HTTPStatus.OK, "text/plain; charset=utf-8", b"ok\n")

    def readyz(self, request: Request) -> Response:
        status = self._status()
        code = HTTPStatus.OK if status["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps(status, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"
        return respond_uncached(request, code, "application/json", body)

    async def refuse(self, request: Request, error: Exception) -> Response:
        refusal = cast("HTTPException", error)  # starlette passes the kind it was told to
        fields = {"Allow": "GET, HEAD"} if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED else refusal.headers
        return self._error(request, refusal.status_code, fields)

    async def unavailable(self, request: Request, error: Exception) -> Response:
        _log.error("request not answered: %s", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.SERVICE_UNAVAILABLE, _RETRY)

    async def fail(self, request: Request, error: Exception) -> Response:
        # uvicorn logs the traceback, but not what was asked for.
        _log.error("request failed: %r", error, extra={"path": request.scope["path"]})
        return self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, request: Request, status: int, fields: Mapping[str, str] | None = None) -> Response:
        return respond_uncached(request, status, MEDIA_TYPE, render_error(status, self._base_url or ""), fields)

    def _base(self, request: Request) -> str:
        base = self._base_url or base_of(request.scope["scheme"], request.headers.get("host"))
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        return base
