"""What `feedsvc status` knows: from the store, and from whoever answers at the address."""

from __future__ import annotations

import io
import json
import socket
import threading
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from articles import NOW, make_article, make_file, save_dump
from rich.console import Console

from feedsvc.app.cli.show import show_status
from feedsvc.errors import DaemonUnreachable
from feedsvc.feeds.plan import FeedSettings, Plan
from feedsvc.model import Outcome
from feedsvc.ops.status import Answered, ask_daemon, collect_status
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN = Plan(FeedSettings(title="News", subtitle=None, author="x", language=None, entries=2, max_bytes=None))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield store


def test_empty_store(store: Store) -> None:
    assert collect_status(store, PLAN, NOW) == {
        "entries": 0,
        "feeds": {"feed": 0},
        "dumps": {"published": 0, "unchanged": 0, "ignored": 0, "quarantined": 0},
        "problems": [],
        "ignored": [],
    }


def test_full_store(store: Store) -> None:
    save_dump(store, *(make_article(number) for number in range(3)))
    with store.writing() as writer:
        for file in [
            make_file("/dumps/b\udcff", outcome=Outcome.QUARANTINED, reason="the marker is not closed", line=3),
            make_file("/dumps/a", outcome=Outcome.QUARANTINED, reason="too large"),
            make_file("/dumps/README", outcome=Outcome.IGNORED, reason="about a project"),
            make_file("/dumps/c", outcome=Outcome.UNCHANGED),
        ]:
            writer.save_dump(writer.open_dump(file.path, NOW), file, NOW)
        writer.save_problem("job:rescan", "rescan failed: no", NOW + timedelta(seconds=1))
        writer.save_problem("store", "disk is full", NOW)
    found = collect_status(store, PLAN, NOW)
    assert json.loads(json.dumps(found)) == {
        "entries": 3,
        "feeds": {"feed": 2, "example-news": 2},
        "dumps": {"published": 1, "unchanged": 1, "ignored": 1, "quarantined": 2},
        "problems": [
            {"about": "store", "message": "disk is full", "since": "2024-05-01T12:00:00+00:00"},
            {"about": "job:rescan", "message": "rescan failed: no", "since": "2024-05-01T12:00:01+00:00"},
            {"about": "/dumps/a", "line": None, "message": "too large"},
            {"about": "/dumps/b\udcff", "line": 3, "message": "the marker is not closed"},
        ],
        "ignored": [{"about": "/dumps/README", "message": "about a project"}],
    }


@contextmanager
def answering(status: int, body: bytes, health: bytes = b"ok\n") -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer to everything but /healthz, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = health if self.path == "/healthz" else body
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [(200, b'{"ready": true, "feeds": {"feed": 3}}', True), (503, b'{"ready": false, "feeds": {}}', False)],
)
def test_daemon_answers(status: int, body: bytes, ready: bool) -> None:
    with answering(status, body) as (address, asked):
        assert ask_daemon(address) == Answered(ready)
    assert asked == ["/readyz", "/healthz"]


@pytest.mark.parametrize(
    ("health", "parts", "well"),
    [
        (b'{"alive": true, "parts": {"watcher": "ok", "store": "ok"}}', {"watcher": "ok", "store": "ok"}, True),
        (b'{"alive": false, "parts": {"watcher": "hangs"}}', {"watcher": "hangs"}, False),
        (b'{"alive": true, "parts": []}', {}, True),
        (b'{"alive": true}', {}, True),
        (b"null", {}, True),
    ],
)
def test_daemon_tells_of_its_parts(health: bytes, parts: dict[str, str], well: bool) -> None:
    with answering(200, b'{"ready": true}', health) as (address, _):
        answered = ask_daemon(address)
    assert answered == Answered(ready=True, parts=parts)
    assert answered.well is well


def test_daemon_that_is_not_ready_is_not_well() -> None:
    assert not Answered(ready=False, parts={"watcher": "ok"}).well


def test_parts_are_shown() -> None:
    parts = {"watcher": "ok", "intake": "ok", "store": "cannot [be] read"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(show_status({"ready": False, "parts": parts, "entries": 0, "feeds": {}, "dumps": {}, "problems": []}))
    shown = " ".join(console.export_text().split())
    assert shown == "ready no working watcher, intake not working store: cannot [be] read entries 0"


def test_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(200, b'{"ready": true}') as (address, _):
        assert ask_daemon(address).ready


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"", b"{}", b"[]", b"null", b"1", b'"ready"', b"\xff\xfe"])
def test_somebody_else_answers(body: bytes) -> None:
    with (
        answering(200, body) as (address, _),
        pytest.raises(DaemonUnreachable, match=f"no feedsvc answers at {address}: "),
    ):
        ask_daemon(address)


def test_nobody_answers() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, but not listening
        address = "http://{}:{}".format(*sock.getsockname())
        with pytest.raises(DaemonUnreachable, match="refused"):
            ask_daemon(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999",
        "http://",
        "http://:8080",
        "http://[::1",
        "http://a b",
        "http://x:y",
        "nonsense",
        f"http://{'a' * 300}.invalid",
        "http://xn--\udcff",
        "http://127.0.0.1:0",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(DaemonUnreachable):
        ask_daemon(address)
