"""What is counted of answers: routes, not paths."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from feedsvc.http.answer import Answer
from feedsvc.http.counter import AnswerCounter

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/feed.atom", "headers": []}

ROUTES = [Route(path, lambda _: None) for path in ("/entries/{key}", "/metrics", "/problems.atom", "/style.css")]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/feed.atom", "/feed.atom"),
        ("/feeds/asia.json", "/feeds/{name}.json"),
        ("/feeds/asia-0123456789abcdef.atom", "/feeds/{name}.atom"),
        ("/feeds/asia", "/feeds/{name}"),
        ("/feeds/asia/archive/3.atom", "/feeds/{name}/archive/{number}.atom"),
        ("/feeds.opml", "/feeds.opml"),
        ("/entries/abc", "/entries/{key}"),
        ("/metrics", "/metrics"),
        ("/problems.atom", "/problems.atom"),
        ("/wp-login.php", "other"),
        ("/feeds/asia.exe", "other"),
        ("/feeds/../../etc/passwd", "other"),
        ("//", "other"),
        ("", "other"),
    ],
)
def test_route(path: str, route: str) -> None:
    assert Seen().counter.route_of(path) == route


@given(st.text())
def test_nobody_can_invent_routes(path: str) -> None:
    route_of = Seen().counter.route_of
    assert route_of(f"/{path}/") == "other"  # no address ends so
    assert route_of(f"/feeds/{path}") in {"other", "/feeds/{name}", *(f"/feeds/{{name}}.{e}" for e in FORMATS)}


FORMATS = ("atom", "rss", "json")


class Seen:
    """What was counted."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str, int], list[int]] = {}
        self.timed: list[str] = []
        self.counter = AnswerCounter(
            lambda *what: self.counted.setdefault(what, [0]),
            lambda route, _: self.timed.append(route),
            ROUTES,
        )


def test_an_answer_that_is_ready_is_counted_and_stays_what_it_is() -> None:
    seen, answer = Seen(), Answer("GET", 304, {})
    assert seen.counter.take(SCOPE, answer) is answer
    assert seen.counter.take(SCOPE, answer) is answer
    assert seen.counter.take(SCOPE, Answer("GET", 304, {})) is not answer
    assert seen.counted == {("/feed.atom", "GET", 304): [3]}
    assert seen.timed == []


def test_another_is_counted_and_timed_when_it_begins() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    sent: list[str] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message["type"])

    seen = Seen()
    asyncio.run(seen.counter.take(SCOPE, app)(SCOPE, receive, send))  # type: ignore[arg-type]
    assert seen.counted == {("/feed.atom", "GET", 503): [1]}
    assert seen.timed == ["/feed.atom"]
    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(("method", "counted"), [("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("BREW", "other")])
def test_methods_are_few(method: str, counted: str) -> None:
    seen = Seen()
    seen.counter.take({**SCOPE, "method": method}, Answer(method, 200, {}))
    assert seen.counted == {("/feed.atom", counted, 200): [1]}
