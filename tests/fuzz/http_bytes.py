"""Bytes from a client to the bytes that it is answered with, by the real protocol class without a socket."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import uvicorn
from feed_documents import Shelf, everything, make_document, make_entry
from lxml import etree
from uvicorn.server import ServerState

from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.pages.found import Found
from feedsvc.feeds.pages.pages import MEDIA_TYPE, render_front
from feedsvc.http import make_app
from feedsvc.http.protocol import Connection

if TYPE_CHECKING:
    from feedsvc.feeds.pages.found import Query
    from feedsvc.model import Entry, FeedDocument, Removal

__all__ = ["PIECES", "check"]

PIECES = (
    *(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ",
        b"HEAD ",
        b"OPTIONS ",
        b"POST ",
        b"PUT ",
        b"get ",
        b"PRI * HTTP/2.0",
    ),
    *(b"/", b"/feed.atom", b"/feed.rss", b"/feed.json", b"/entries/k0", b"/entries/", b"/search?q=", b"/style.css"),
    *(b"/healthz", b"/readyz", b"/../", b"/%2e%2e/etc/passwd", b"//evil.example/", b"http://h.example/feed.atom", b"*"),
    *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/0.9\r\n", b" HTTP/1.2\r\n", b" HTTP/11.1\r\n", b"\r\n\r\n", b"\r\n"),
    *(b"\n", b"\r", b"Host: a\r\n", b"Host: ", b"host:h.example:80\r\n", b"HOST : a\r\n", b"\r\n folded", b"\0", b":"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 5, 5\r\n", b"Content-Length: 0\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
    ),
    *(b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"0;x=y\r\nA: b\r\n\r\n", b"ffffffffffffffff\r\n", b"hello"),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    *(
        b"Expect: 100-continue\r\n",
        b"Range: bytes=0-1\r\n",
        b'If-None-Match: "x", W/"y", *\r\n',
        b"If-None-Match: *\r\n",
    ),
    *(
        b"If-Modified-Since: Wed, 03 Apr 2024 10:00:00 GMT\r\n",
        b"If-Match: *\r\n",
        b"Accept-Encoding: br;q=1, *;q=0\r\n",
    ),
    *(
        b"Accept-Encoding: gzip\r\n",
        b"A-IM: feed\r\n",
        b"Accept: */*\r\n",
        b"Authorization: Basic YTpi\r\n",
        b"Cookie: a=b\r\n",
    ),
    *(b"X-Forwarded-For: 192.0.2.1\r\n", b"X-Forwarded-Host: e.example\r\n", b"X-Forwarded-Proto: https\r\n"),
    *(
        b'Forwarded: for=_x;host="e\\"<script>";proto=javascript\r\n',
        b"<script>",
        b"&amp;",
        b"%0d%0aX: y",
        b"\xff",
        b"\xc3\xa9",
    ),
    *(
        b"q=%22a%20b%22",
        b"&page=99999999999999999999",
        b"?",
        b"#",
        b"%",
        b"%00",
        b"\\",
        b"@",
        b"[::1]",
        b";",
        b"x" * 300,
    ),
)

_HEAD = re.compile(
    rb"HTTP/1\.1 (?P<status>[1-5][0-9]{2}) [A-Za-z -]+\r\n(?P<fields>(?:[!-9;-~]+: [^\r\n\0]*\r\n)*)\r\n"
)
_ONCE = (b"content-length", b"content-type", b"etag", b"last-modified", b"date", b"cache-control", b"location")
_WITHOUT_CONTENT = (b"204", b"304")
_BASE = "https://feeds.example.org"


def _load_entry(key: str) -> tuple[Entry, tuple[Removal, ...]] | None:
    return (make_entry(), ()) if key == "k0" else None


def _search(query: Query) -> Found:
    return Found((make_entry(),), 1) if query.phrases else Found((), 0)


def _render_front(document: FeedDocument, base_url: str) -> bytes:
    return render_front({"feed": document}, base_url)


def _make_config() -> uvicorn.Config:
    formats = {f"/feed.{name}": (each.media_type, each.render) for name, each in FORMATS.items()}
    shelf = Shelf(everything({**formats, "/": (MEDIA_TYPE, _render_front)}))
    shelf.publish(make_document())
    app = make_app(
        publisher=shelf.publisher,
        load_entry=_load_entry,
        search=_search,
        status=lambda: {"ready": True},
        base_url=None,
        trusted_proxies=("192.0.2.0/24",),
    )
    config = uvicorn.Config(
        app, http=Connection, lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    return config


_CONFIG = _make_config()
_LOOP = asyncio.new_event_loop()


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        return {"peername": ("192.0.2.7", 5), "sockname": ("192.0.2.1", 80)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written after the end"
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Nobody reads."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


class _Counted(Connection):
    """Counts the requests that the parser sees."""

    begun = 0

    def on_message_begin(self) -> None:
        self.begun += 1
        super().on_message_begin()


def check(data: bytes) -> None:
    """Every request has one answer at most, in one form, and no exception."""
    failures: list[dict[str, Any]] = []
    _LOOP.set_exception_handler(lambda _, context: failures.append(context))
    written, begun, closed = _LOOP.run_until_complete(_converse(data))
    assert not failures, failures
    answers = _read(b"".join(written))
    assert len(answers) <= begun + 1, (answers, begun)  # one more says that what came is no request
    assert b"500" not in answers
    assert closed or len(answers) <= begun


async def _converse(data: bytes) -> tuple[list[bytes], int, bool]:
    """Send the bytes in pieces of a size that their first byte says, then end."""
    state = ServerState()
    state.default_headers = [(b"date", b"Wed, 03 Apr 2024 10:00:00 GMT")]
    connection = _Counted(config=_CONFIG, server_state=state, app_state={}, _loop=_LOOP)
    transport = _Transport()
    connection.connection_made(transport)
    size = (data[0] % 64) * 7 + 1 if data and data[0] > 127 else len(data) or 1
    for start in range(0, len(data), size):
        if transport.closed:
            break
        connection.data_received(data[start : start + size])
    if state.tasks:
        done, waiting = await asyncio.wait(state.tasks, timeout=10)
        assert not waiting, "no answer"
        for task in done:
            task.result()
    if not transport.closed:
        connection.eof_received()
    connection.connection_lost(None)
    closed = transport.closed
    transport.closed = False  # what is still to come says nothing
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=10)
    return transport.written, connection.begun, closed


def _read(answers: bytes) -> list[bytes]:
    """The status codes."""
    found = []
    at = 0
    while at < len(answers):
        head = _HEAD.match(answers, at)
        assert head, answers[at : at + 300]
        at = head.end()
        status = head["status"]
        if status == b"100":
            continue
        lines = [line.split(b": ", 1) for line in head["fields"].split(b"\r\n")[:-1]]
        names = [name.lower() for name, _ in lines]
        fields = {name.lower(): value for name, value in lines}
        assert not [name for name in _ONCE if names.count(name) > 1], head[0]
        assert fields[b"x-content-type-options"] == b"nosniff"
        found.append(status)
        if status in _WITHOUT_CONTENT:
            assert b"content-type" not in fields or status == b"304"
            continue
        size = int(fields[b"content-length"])
        if size and not answers.startswith(b"HTTP/1.1 ", at) and at < len(answers):  # that would be HEAD's
            body = answers[at : at + size]
            assert len(body) == size
            _check_body(fields, body)
            at += size
    return found


def _check_body(fields: dict[bytes, bytes], body: bytes) -> None:
    if b"content-encoding" in fields or b"im" in fields:
        return
    assert b"<script" not in body
    assert b"javascript:" not in body
    if b"xml" in fields.get(b"content-type", b""):
        etree.fromstring(body)
