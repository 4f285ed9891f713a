"""The application as clients see it: over a socket."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPMessage
from typing import TYPE_CHECKING, NamedTuple

import feedparser
import pytest
from feed_documents import Shelf, everything, make_document, make_entry

from feedsvc.errors import RenderError, StoreError
from feedsvc.feeds.formats import atom
from feedsvc.feeds.pages import pages
from feedsvc.http import Server, bind, make_app
from feedsvc.model import Removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from feedsvc.feeds.formats import Renderer
    from feedsvc.model import Entry, FeedDocument

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)


def _front(document: FeedDocument, base_url: str) -> bytes:
    return pages.render_front({document.name: document}, base_url)


RENDERERS = {"/feed.atom": (atom.MEDIA_TYPE, atom.render_atom), "/": (pages.MEDIA_TYPE, _front)}
REMOVALS = (Removal("share", "share buttons", "Share this", "<p>Share this</p>"),)


class Answer(NamedTuple):
    status: int
    fields: HTTPMessage
    body: bytes


class Site:
    """A server, and what it reads from."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        published: bool = True,
        renderers: Mapping[str, tuple[str, Renderer]] = RENDERERS,
        health: Callable[[], Mapping[str, str | None]] = dict,
    ) -> None:
        self.entries = {f"k{number}": (make_entry(number), REMOVALS) for number in range(3)}
        self.asked: list[str] = []
        self.status: dict[str, object] = {"ready": True, "entries": 3, "problems": ["坏"]}
        self.failure: Exception | None = None
        self.shelf = Shelf(everything(renderers), base_url)
        self.publisher = self.shelf.publisher
        if published:
            self.shelf.publish(make_document(), at=NOW)
        app = make_app(
            publisher=self.publisher,
            load_entry=self.load_entry,
            status=self.load_status,
            health=health,
            base_url=base_url,
        )
        sock = bind("127.0.0.1:0")
        self.port: int = sock.getsockname()[1]
        self.app = app
        self.server = Server(sock)

    def load_entry(self, key: str) -> tuple[Entry, tuple[Removal, ...]] | None:
        self.asked.append(key)
        if self.failure:
            raise self.failure
        return self.entries.get(key)

    def load_status(self) -> dict[str, object]:
        if self.failure:
            raise self.failure
        return self.status

    def ask(self, target: str, method: str = "GET", **fields: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in fields.items()})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def send(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def running(site: Site) -> Iterator[Site]:
    site.server.start(site.app)
    try:
        yield site
    finally:
        site.server.stop(5)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


@pytest.mark.parametrize(
    ("target", "media_type", "cache_control"),
    [
        ("/", "text/html; charset=utf-8", "public, max-age=60, stale-while-revalidate=600"),
        ("/feed.atom", "application/atom+xml; charset=utf-8", "public, max-age=60, stale-while-revalidate=600"),
        (
            "/feed.atom?from=reader",
            "application/atom+xml; charset=utf-8",
            "public, max-age=60, stale-while-revalidate=600",
        ),
        ("/feed%2Eatom", "application/atom+xml; charset=utf-8", "public, max-age=60, stale-while-revalidate=600"),
        ("/entries/k1", "text/html; charset=utf-8", "public, max-age=60, stale-while-revalidate=600"),
        ("/style.css", "text/css; charset=utf-8", "public, max-age=3600, stale-while-revalidate=36000"),
        ("/icon.png", "image/png", "public, max-age=3600, stale-while-revalidate=36000"),
        ("/favicon.ico", "image/png", "public, max-age=3600, stale-while-revalidate=36000"),
    ],
)
def test_addresses(shared: Site, target: str, media_type: str, cache_control: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 200
    assert answer.fields["Content-Type"] == media_type
    assert answer.fields["Cache-Control"] == cache_control
    assert answer.fields["Content-Length"] == str(len(answer.body))
    negotiated = "Accept, Accept-Encoding, A-IM" if "feed" in target else "Accept-Encoding"
    assert answer.fields["Vary"] == negotiated
    unchanged = shared.ask(target, if_none_match=answer.fields["ETag"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.fields["ETag"] == answer.fields["ETag"]
    smaller = shared.ask(target, accept_encoding="gzip")
    assert len(smaller.body) <= len(answer.body)


@pytest.mark.parametrize(
    "target",
    ["/", "/feed.atom", "/entries/k1", "/style.css", "/icon.png", "/healthz", "/readyz", "/nothing", "/entries/none"],
)
def test_head_answers_as_get_without_a_body(shared: Site, target: str) -> None:
    get, head = shared.ask(target), shared.ask(target, "HEAD")
    assert head.body == b""
    assert head.status == get.status
    ours = [[(name, value) for name, value in answer.fields.items() if name != "date"] for answer in (get, head)]
    assert ours[0] == ours[1]


@pytest.mark.parametrize("target", ["/", "/feed.atom", "/entries/k1", "/style.css", "/healthz", "/readyz", "/nothing"])
def test_fields_of_every_response(shared: Site, target: str) -> None:
    answer = shared.ask(target)
    assert answer.fields["X-Content-Type-Options"] == "nosniff"
    assert answer.fields["Referrer-Policy"] == "no-referrer"
    assert answer.fields["Date"]
    assert answer.fields["Server"] is None
    policy = answer.fields["Content-Security-Policy"]
    if answer.fields["Content-Type"].startswith("text/html"):
        assert policy.startswith("default-src 'none';")
        assert "script" not in policy
        assert "unsafe" not in policy
    else:
        assert policy is None


def test_feed_and_entry_hold_what_was_published(shared: Site) -> None:
    feed = shared.ask("/feed.atom")
    assert feed.fields["Last-Modified"] == "Thu, 04 Apr 2024 12:00:00 GMT"
    assert [entry.id for entry in feedparser.parse(feed.body).entries] == [
        f"tag:example.org,2024:{number}" for number in (2, 1, 0)
    ]
    page = shared.ask("/entries/k1")
    assert page.fields["Last-Modified"] is None
    assert "<p>正文 1</p>" in page.body.decode()
    assert "Share this" in page.body.decode()


@pytest.mark.parametrize(
    "target",
    ["/nothing", "/feed.rss", "/feed.atom/", "//feed.atom", "/entries", "/entries/", "/entries/none", "/entries/k1/",
     "/entries/K1", "/entries/..", "/entries/k1%00", "/entries/%E5%9D%8F", "/entries/" + "k" * 65, "/static/style.css"],
)  # fmt: skip
def test_not_found(shared: Site, target: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 404
    assert answer.fields["Cache-Control"] == "no-store"
    assert answer.fields["Location"] is None
    assert b"<h1>Not Found</h1>" in answer.body


def test_only_what_can_be_a_key_reaches_the_store(shared: Site) -> None:
    shared.asked.clear()
    for key in ("K1", "..%2Fk1", "k1%00", "k" * 65, "none"):
        shared.ask(f"/entries/{key}")
    assert shared.asked == ["none"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("target", ["/", "/feed.atom", "/entries/k1", "/style.css", "/healthz"])
def test_method_not_allowed(shared: Site, method: str, target: str) -> None:
    answer = shared.ask(target, method)
    assert answer.status == 405
    assert answer.fields["Allow"] == "GET, HEAD, OPTIONS"
    assert b"<h1>Method Not Allowed</h1>" in answer.body


def test_method_of_nothing_is_not_found(shared: Site) -> None:
    assert shared.ask("/nothing", "POST").status == shared.ask("/nothing", "OPTIONS").status == 404


@pytest.mark.parametrize("target", ["/", "/feed.atom", "/entries/k1", "/style.css", "/healthz", "*"])
def test_options(shared: Site, target: str) -> None:
    answer = shared.ask(target, "OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.fields["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.fields["Content-Length"] is None


def test_precondition_failed_is_a_page(shared: Site) -> None:
    answer = shared.ask("/feed.atom", if_match='"other"')
    assert answer.status == 412
    assert b"<h1>Precondition Failed</h1>" in answer.body


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "expected", "alive"),
    [
        ({}, 200, True),
        ({"watcher": None, "store": None}, 200, True),
        ({"watcher": "has not answered for 17 s", "store": None}, 503, False),
    ],
)
def test_health(parts: dict[str, str | None], expected: int, alive: bool) -> None:
    with running(Site(health=lambda: parts)) as site:
        answer = site.ask("/healthz")
        assert answer.status == expected
        assert answer.fields["Content-Type"] == "application/json"
        assert answer.fields["Cache-Control"] == "no-store"
        shown = {name: reason or "ok" for name, reason in parts.items()}
        assert json.loads(answer.body) == {"alive": alive, "parts": shown}


@pytest.mark.slow
@pytest.mark.parametrize(("ready", "expected"), [(True, 200), (False, 503)])
def test_readiness(ready: bool, expected: int) -> None:
    with running(Site()) as site:
        site.status["ready"] = ready
        answer = site.ask("/readyz")
        assert answer.status == expected
        assert answer.fields["Content-Type"] == "application/json"
        assert answer.fields["Cache-Control"] == "no-store"
        assert json.loads(answer.body) == site.status


@pytest.mark.slow
def test_before_the_first_publication() -> None:
    with running(Site(published=False)) as site:
        for target in ("/", "/feed.atom", "/entries/k1"):
            answer = site.ask(target)
            assert answer.status == 503
            assert int(answer.fields["Retry-After"]) > 0
            assert answer.fields["Cache-Control"] == "no-store"
            assert b"<h1>Service Unavailable</h1>" in answer.body
        assert site.ask("/healthz").status == 200
        assert site.ask("/nothing").status == 503  # feeds come and go: nobody knows yet
        site.shelf.publish(make_document(), at=NOW)
        assert site.ask("/feed.atom").status == 200


def test_base_url_from_the_request(shared: Site) -> None:
    for host, base in (("feeds.example:8080", "http://feeds.example:8080"), ("[::1]", "http://[::1]")):
        feed = feedparser.parse(shared.ask("/feed.atom", host=host).body)
        assert {link.rel: link.href for link in feed.feed.links} == {
            "self": f"{base}/feed.atom",
            "alternate": f"{base}/",
        }
        assert f'value="{base}/feed.atom"' in shared.ask("/", host=host).body.decode()


@pytest.mark.parametrize("host", ["evil/path", "a b", "user@host", "host:99999", ""])
@pytest.mark.parametrize("target", ["/", "/feed.atom", "/entries/k1"])
def test_host_that_cannot_be_a_base_url(shared: Site, host: str, target: str) -> None:
    answer = shared.ask(target, host=host)
    assert answer.status == 400
    assert b"<h1>Bad Request</h1>" in answer.body


def test_http_1_0_without_host(shared: Site) -> None:
    assert shared.send(b"GET /feed.atom HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert shared.send(b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_forwarded_fields_of_anybody_are_not_believed(shared: Site) -> None:
    answer = shared.ask("/feed.atom", host="h", x_forwarded_proto="https", x_forwarded_host="evil", forwarded="host=e")
    assert feedparser.parse(answer.body).feed.id
    assert b"https://h/" not in answer.body
    assert b"evil" not in answer.body


@pytest.mark.slow
def test_configured_base_url_wins() -> None:
    with running(Site(base_url="https://feeds.example.org/news")) as site:
        for host in ("other.example", "not a host"):
            assert b'href="https://feeds.example.org/news/feed.atom"' in site.ask("/feed.atom", host=host).body
            front = site.ask("/", host=host).body.decode()
            assert 'value="https://feeds.example.org/news/feed.atom"' in front
            assert 'href="/news/style.css"' in front
            assert 'href="/news/style.css"' in site.ask("/entries/k1", host=host).body.decode()
            assert 'href="/news/style.css"' in site.ask("/nothing", host=host).body.decode()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["/entries/k1", "/readyz"])
def test_store_out_of_reach(target: str, caplog: pytest.LogCaptureFixture) -> None:
    with running(Site()) as site:
        site.failure = StoreError("sqlite:///x: locked")
        answer = site.ask(target)
        assert answer.status == 503
        assert int(answer.fields["Retry-After"]) > 0
        assert b"locked" not in answer.body
        assert site.ask("/feed.atom").status == 200
    record = next(record for record in caplog.records if record.name == "feedsvc.http.app")
    assert record.levelno == logging.ERROR
    assert "locked" in record.getMessage()
    assert vars(record)["path"] == target


@pytest.mark.slow
def test_feed_that_cannot_be_rendered_for_a_base() -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:
        if base_url == "http://bad.example":
            raise RenderError(f"feed {document.name}: no")
        return base_url.encode()

    with running(Site(renderers={"/feed.atom": ("text/plain", render)})) as site:
        assert site.ask("/feed.atom", host="bad.example").status == 503
        assert site.ask("/feed.atom", host="good.example").body == b"http://good.example"


@pytest.mark.slow
def test_fault_of_ours_is_a_page_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with running(Site()) as site:
        site.failure = RuntimeError("secret")
        answer = site.ask("/entries/k1")
        assert answer.status == 500
        assert b"<h1>Internal Server Error</h1>" in answer.body
        assert b"secret" not in answer.body
    record = next(record for record in caplog.records if record.name == "feedsvc.http.app")
    assert vars(record)["path"] == "/entries/k1"
    assert "secret" in record.getMessage()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 17_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", 431),
    ],
    ids=["no request", "no host", "two hosts", "space before colon", "head too large", "whole head too large"],
)
def test_malformed_requests(shared: Site, request_head: bytes, status: int) -> None:
    answer = shared.send(request_head)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.slow
def test_pipelined_requests_on_one_connection(shared: Site) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert shared.send(one * 3 + last).count(b"HTTP/1.1 200 OK") == 4
