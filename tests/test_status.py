"""What `feedsvc status` knows: from the store, and from whoever answers at the address."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from articles import NOW, make_article, make_file, save_dump

from feedsvc.assemble import FeedSettings, Plan
from feedsvc.errors import DaemonUnreachable
from feedsvc.model import Outcome
from feedsvc.status import ask_ready, collect_status
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
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer to everything, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
        assert ask_ready(address) is ready
    assert asked == ["/readyz"]


def test_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with answering(200, b'{"ready": true}') as (address, _):
        assert ask_ready(address)


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"", b"{}", b"[]", b"null", b"1", b'"ready"', b"\xff\xfe"])
def test_somebody_else_answers(body: bytes) -> None:
    with (
        answering(200, body) as (address, _),
        pytest.raises(DaemonUnreachable, match=f"no feedsvc answers at {address}: "),
    ):
        ask_ready(address)


def test_nobody_answers() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, but not listening
        address = "http://{}:{}".format(*sock.getsockname())
        with pytest.raises(DaemonUnreachable, match="refused"):
            ask_ready(address)


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
        ask_ready(address)
