"""Counts answers by route, method and status; routes are templates, so that nobody can invent new ones."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from feedsvc.http.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Tally", "route_of"]

_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PLAIN = frozenset(
    {
        "/",
        "/favicon.ico",
        "/feed.atom",
        "/feed.json",
        "/feed.rss",
        "/feeds.opml",
        "/healthz",
        "/icon.png",
        "/metrics",
        "/problems.atom",
        "/readyz",
        "/search",
        "/style.css",
    }
)
_TEMPLATES = tuple(
    (re.compile(pattern), template)
    for pattern, template in (
        (r"/feeds/[^/.]+(\.atom|\.rss|\.json|)", "/feeds/{{name}}{0}"),
        (r"/feeds/[^/]+/archive/[0-9]+(\.atom)", "/feeds/{{name}}/archive/{{number}}{0}"),
        (r"/entries/[^/]+()", "/entries/{{key}}{0}"),
    )
)


@lru_cache(maxsize=1024)
def route_of(path: str) -> str:
    """The route that a path belongs to, such as "/entries/{key}"; "other" where it belongs to none."""
    if path in _PLAIN:
        return path
    for pattern, template in _TEMPLATES:
        if match := pattern.fullmatch(path):
            return template.format(match[1])
    return "other"


class Tally:
    """Counts what one application answers."""

    def __init__(self, counter: Callable[[str, str, int], list[int]], observe: Callable[[str, float], None]) -> None:
        """Count through these; see `feedsvc.http.operators.Operations`."""
        self._counter = counter
        self._observe = observe

    def take(self, scope: Scope, chosen: ASGIApp) -> ASGIApp:
        """Count an answer that is ready now, or have another one counted when it is."""
        if isinstance(chosen, Answer):  # one that is sent again has the same route and method
            if chosen.counted is None:
                chosen.counted = self._counter(route_of(scope["path"]), _method(scope), chosen.status)
            chosen.counted[0] += 1
            return chosen
        if scope["type"] != "http":
            return chosen
        return self._timed(chosen, route_of(scope["path"]), _method(scope))

    def _timed(self, chosen: ASGIApp, route: str, method: str) -> ASGIApp:
        started = time.monotonic()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._counter(route, method, message["status"])[0] += 1
                    self._observe(route, time.monotonic() - started)
                await send(message)

            await chosen(scope, receive, watch)

        return answer


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"
