"""The answer to a GET or HEAD of a published feed or page, mostly without any work."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from feedsvc.http.addresses import base_of, feed_at
from feedsvc.http.answer import Answer
from feedsvc.http.conditional import core_of, evaluate, named_tags
from feedsvc.http.negotiate import wants_delta, wants_page
from feedsvc.http.respond import Audience, join_fields, respond, respond_delta, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.types import Scope

    from feedsvc.model import FeedDocument, Representation

RETRY = {"Retry-After": "5"}
# Feeds are for everybody's programs, those in other sites' pages among them.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, IM, Delta-Base",
}
# Stands in the Accept field of feedparser only. That asks for deltas for programs that do not know 226:
# rss2email takes it for an error, and would never see anything new.
_FEEDPARSER = "application/x-netcdf"
_VARY = "Accept, Accept-Encoding, A-IM"
_MEMO = 256  # requests remembered with their answers; the representations stay in memory too
_MEMO_BYTES = 2048  # of fields: a larger request is answered, but not remembered

_Key = tuple[str, str, str, tuple[tuple[bytes, bytes], ...]]


class Publishing(Protocol):
    """The publisher's side that is read here."""

    @property
    def ready(self) -> bool:
        """True once anything has been published."""

    @property
    def document(self) -> FeedDocument | None:
        """The feed of everything; None before the first publication."""

    def has(self, address: str) -> bool:
        """True if something is published there."""

    def prepared(self, address: str, base_url: str) -> Representation | None:
        """The representation if it is rendered already; never waits."""

    def representation(self, address: str, base_url: str) -> Representation | None:
        """The representation that is served; may render."""

    def delta(self, address: str, base_url: str, etags: Iterable[str]) -> tuple[str, Representation] | None:
        """The entries newer than one of these, and its tag; may render."""


class Published:
    """Answers requests for published addresses."""

    def __init__(self, publisher: Publishing, base_url: str | None, is_private: Callable[[str], bool]) -> None:
        """Answer from a publisher. `base_url` is that of subscribers; None to take it from each request."""
        self._publisher = publisher
        self._base_url = base_url
        self._is_private = is_private
        self._memo: dict[_Key, tuple[str, Representation, Answer]] = {}
        self._newest: dict[tuple[str, str], Representation] = {}  # of those in the memo, by path and base

    def base(self, scope: Scope, asked: Mapping[str, str]) -> str | None:
        """The base URL of a request; None if its Host field is not valid."""
        return self._base_url or base_of(scope["scheme"], asked.get("host"))

    def quick(self, scope: Scope) -> Answer | None:
        """The answer if it needs neither a thread nor an error page.

        A feed is polled with the same fields again and again: the answer is kept until the representation changes.
        """
        path = scope["path"]
        key = (scope["method"], path, scope["scheme"], tuple(scope["headers"]))
        known = self._memo.get(key)
        if known is not None:
            base, representation, answer = known
            if self._publisher.prepared(path, base) is representation:
                return answer
        asked = join_fields(scope["headers"])
        made = self._answer(scope["method"], path, self.base(scope, asked), asked)
        if made is not None and sum(len(name) + len(value) for name, value in key[3]) <= _MEMO_BYTES:
            self._remember(key, made)
        return made[2] if made else None

    def _remember(self, key: _Key, made: tuple[str, Representation, Answer]) -> None:
        """Keep an answer; let those go that hold a representation no longer served."""
        base, representation, _ = made
        if len(self._memo) >= _MEMO:
            self._memo.clear()
            self._newest.clear()
        older = self._newest.get((key[1], base))
        if older is not None and older is not representation:
            self._memo = {other: known for other, known in self._memo.items() if known[1] is not older}
        self._newest[key[1], base] = representation
        self._memo[key] = made

    async def slow(self, request: Request) -> Answer:
        """Answer a request that `quick` does not; HTTPException 400, 404, 412 or 503."""
        path, asked = request.scope["path"], join_fields(request.scope["headers"])
        base = self.base(request.scope, asked)
        if base is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        found = self._publisher.prepared(path, base)
        if found is None:  # in memory it is answered from the event loop: a feed must not wait for threads
            found = await run_in_threadpool(self._publisher.representation, path, base)
        if found is None:
            if self._publisher.ready:  # it has no such page, or not any more
                raise HTTPException(HTTPStatus.NOT_FOUND)
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=RETRY)
        if page := self._page(path, asked):
            return _see_other(request.method, base + page)
        audience = self._audience(path, found)
        tags = _held(request.method, path, found, asked)
        if tags:
            newer = await run_in_threadpool(self._publisher.delta, path, base, list(tags))
            if newer is not None:
                return respond_delta(request, tags[newer[0]], newer[1], audience)
        return respond(request, found, audience)

    def _answer(
        self, method: str, path: str, base: str | None, asked: Mapping[str, str]
    ) -> tuple[str, Representation, Answer] | None:
        found = self._publisher.prepared(path, base) if base else None
        if base is None or found is None or _held(method, path, found, asked):
            return None
        if page := self._page(path, asked):
            return base, found, _see_other(method, base + page)
        answer = select(method, found, asked, self._audience(path, found))
        return (base, found, answer) if answer else None

    def _page(self, path: str, asked: Mapping[str, str]) -> str | None:
        """The path of the page for somebody who opened a feed's address in a browser."""
        feed = feed_at(path)
        if feed is None or feed.page is None or not wants_page(asked.get("accept")):
            return None
        return feed.page if self._publisher.has(feed.page) else None

    def _audience(self, path: str, representation: Representation) -> Audience:
        feed = feed_at(path)
        private = self._is_private(path)
        return Audience(
            _VARY if feed and feed.page else "Accept-Encoding",
            private=private,
            fields={} if private or representation.media_type.startswith("text/html") else CORS,
        )


def _held(method: str, path: str, representation: Representation, asked: Mapping[str, str]) -> dict[str, str]:
    """The tags of a client that asks for newer entries only: as they were sent, by their opaque part."""
    feed = feed_at(path)
    if method != "GET" or feed is None or feed.page is None or not wants_delta(asked.get("a-im")):
        return {}
    if _FEEDPARSER in asked.get("accept", "") or evaluate(method, representation, asked) is not HTTPStatus.OK:
        return {}
    return {core_of(tag): tag for tag in named_tags(asked.get("if-none-match", ""))}


def _see_other(method: str, address: str) -> Answer:
    # Not to be stored: a cache that overlooks Vary would lead readers away from the feed.
    return Answer(method, HTTPStatus.SEE_OTHER, {"Location": address, "Vary": _VARY, "Cache-Control": "no-store"})
