"""Counts of answers by route, method and status. A route is a template, so that clients cannot invent new ones."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.routing import Route

from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.formats.addresses import EVERYTHING, OPML_PATH, archive_path, feed_path, page_path
from feedsvc.http.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLISHED = (
    OPML_PATH,
    archive_path("{name}", 0).replace("0", "{number}"),
    *(page_path(name) for name in (EVERYTHING, "{name}")),
    *(feed_path(name, extension) for name in (EVERYTHING, "{name}") for extension in FORMATS),
)


class AnswerCounter:
    """Counts the answers of one application."""

    def __init__(
        self,
        counter: Callable[[str, str, int], list[int]],
        observe: Callable[[str, float], None],
        routes: Iterable[BaseRoute],
    ) -> None:
        """Count through `counter` and `observe` of `Operations`; `routes` are those besides the published addresses."""
        self._counter = counter
        self._observe = observe
        self._routes = [(_pattern(template), template) for template in _PUBLISHED]
        self._routes += [(route.path_regex, route.path) for route in routes if isinstance(route, Route)]
        self.route_of = lru_cache(maxsize=1024)(self._find_route)

    def take(self, scope: Scope, chosen: ASGIApp) -> ASGIApp:
        """Count an answer that is ready now, or have another one counted once it begins."""
        if isinstance(chosen, Answer):  # one that is sent again has the same route and method
            if chosen.counted is None:
                chosen.counted = self._counter(self.route_of(scope["path"]), _method(scope), chosen.status)
            chosen.counted[0] += 1
            return chosen
        if scope["type"] != "http":
            return chosen
        return self._timed(chosen, self.route_of(scope["path"]), _method(scope))

    def _find_route(self, path: str) -> str:
        """The route that a path belongs to, such as "/entries/{key}"; "other" if it belongs to none."""
        return next((template for pattern, template in self._routes if pattern.fullmatch(path)), "other")

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


def _pattern(template: str) -> re.Pattern[str]:
    fixed = re.split(r"\{\w+\}", template)
    return re.compile("[^/.]+".join(map(re.escape, fixed)))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"
