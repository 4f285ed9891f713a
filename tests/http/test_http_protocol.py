"""Connections: requests one after the other, heads that do not end, clients that do not read."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from feed_documents import Shelf, everything, make_document

from feedsvc.http import Server, bind, make_app
from feedsvc.http.limits import MOST_CONNECTIONS
from feedsvc.http.protocol import MOST_HEAD_BYTES, Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.model import FeedDocument

LARGE = b"x" * 20_000_000  # more than the buffers of both ends hold
GET = b"GET /feed.atom HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /entries/slow HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /feed.atom HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def render_large(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
    return LARGE


def render_small(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
    return b"<feed/>"


class Site:
    """A server whose entries take until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        renderers = {"/feed.atom": ("application/atom+xml", render_small), "/large": ("text/plain", render_large)}
        shelf = Shelf(everything(renderers), "http://a")
        shelf.publish(make_document())
        app = make_app(publisher=shelf.publisher, load_entry=self.load_entry, status=dict, base_url=None)
        sock = bind("127.0.0.1:0")
        self.port: int = sock.getsockname()[1]
        self.app = app
        self.server = Server(sock)

    def load_entry(self, key: str) -> None:  # noqa: ARG002 - none is there
        self.entered.set()
        assert self.leave.wait(30)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextmanager
def running() -> Iterator[Site]:
    site = Site()
    site.server.start(site.app)
    try:
        yield site
    finally:
        site.leave.set()
        site.server.stop(5)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that waits half a second where it waits long."""
    monkeypatch.setattr(Connection, "limits", (0.5, 0.5))
    with running() as made:
        yield made


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def read_some(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        part = connection.recv(65536)
        assert part, found
        found += part
    return found


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)


# Keep-alive and pipelining (RFC 9112, section 9.3)


def test_requests_one_after_the_other(site: Site) -> None:
    with site.connect() as connection:
        for _ in range(3):
            connection.sendall(GET)
            assert read_some(connection, b"<feed/>").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.slow
def test_pipelined_requests_are_answered_in_their_order() -> None:
    with running() as site, site.connect() as connection:
        connection.sendall(GET + SLOW + GET + b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
        assert site.entered.wait(10)
        site.leave.set()
        assert statuses(read_all(connection)) == [b"200", b"404", b"200", b"404", b"200"]


@pytest.mark.slow
def test_a_fault_waits_its_turn() -> None:
    with running() as site, site.connect() as connection:
        connection.sendall(SLOW + b"GET / HTTP/1.1\r\n\r\n" + GET)  # the second has no Host
        assert site.entered.wait(10)
        site.leave.set()
        assert statuses(read_all(connection)) == [b"404", b"400"]


@pytest.mark.slow
def test_a_parse_error_does_not_overtake() -> None:
    with running() as site, site.connect() as connection:
        connection.sendall(SLOW)
        assert site.entered.wait(10)
        connection.sendall(b"nonsense\r\n\r\n")
        site.leave.set()
        assert statuses(read_all(connection)) == [b"404"]


def test_a_request_in_small_pieces(site: Site) -> None:
    with site.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            connection.sendall(bytes([byte]))
        assert statuses(read_all(connection)) == [b"200"]


def test_content_ends_the_connection(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(b"GET /feed.atom HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nsome")
        answer = read_all(connection)
        assert statuses(answer) == [b"200"]
        assert b"connection: close" in answer.lower()


def test_an_offer_to_upgrade_is_answered_as_it_is(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(b"GET /feed.atom HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert read_some(connection, b"<feed/>").startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_date_is_that_of_now(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(GET)
        head = read_some(connection, b"<feed/>").decode()
        date = next(line for line in head.split("\r\n") if line.startswith("date: "))
        sent = datetime.strptime(date, "date: %a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - sent).total_seconds()) < 5
        assert head.count("date: ") == 1


# Limits


@pytest.mark.parametrize(
    "head",
    [
        b"GET /feed.atom HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MOST_HEAD_BYTES,
        b"GET /feed.atom HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MOST_HEAD_BYTES,
        b"GET /" + b"x" * 3 * MOST_HEAD_BYTES,
        b"GET /feed.atom HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n",
    ],
    ids=["one field", "many fields", "the target", "a whole head"],
)
def test_a_large_head(site: Site, head: bytes) -> None:
    with site.connect() as connection:
        connection.sendall(head)
        assert statuses(read_all(connection)) == [b"431"]


def test_a_head_just_not_too_large(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(LAST[:-2] + b"X: " + b"x" * (MOST_HEAD_BYTES - 100) + b"\r\n\r\n")
        assert statuses(read_all(connection)) == [b"200"]


def test_many_small_requests_are_no_large_head(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(GET * 1000 + LAST)
        assert statuses(read_all(connection)) == [b"200"] * 1001


@pytest.mark.slow
def test_silence_is_ended(impatient: Site) -> None:
    with impatient.connect() as connection:
        assert read_all(connection) == b""


@pytest.mark.slow
def test_a_head_that_does_not_end_is_ended(impatient: Site) -> None:
    with impatient.connect() as connection:
        connection.sendall(GET[:-2])
        assert statuses(read_all(connection)) == [b"408"]


@pytest.mark.slow
def test_a_head_that_trickles_is_ended(impatient: Site) -> None:
    with impatient.connect() as connection:
        connection.settimeout(0.05)
        connection.sendall(GET[:-2])
        deadline = time.monotonic() + 30
        answer = b""
        while not answer and time.monotonic() < deadline:
            connection.sendall(b"X: y\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_an_idle_connection_is_ended(impatient: Site) -> None:
    with impatient.connect() as connection:
        connection.sendall(GET)
        assert statuses(read_all(connection)) == [b"200"]


@pytest.mark.slow
def test_a_slow_answer_is_waited_for(impatient: Site) -> None:
    with impatient.connect() as connection, impatient.connect() as silent:
        connection.sendall(SLOW + GET[:-2])
        assert impatient.entered.wait(10)
        assert read_all(silent) == b""  # its time is over meanwhile
        impatient.leave.set()
        assert statuses(read_all(connection)) == [b"404", b"408"]


@pytest.mark.slow
def test_a_client_that_does_not_read_is_cut_off(impatient: Site) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(3):  # each takes the server's patience once
            with impatient.connect() as silent:
                assert read_all(silent) == b""
        assert 0 < len(read_all(connection)) < len(LARGE)


def test_a_client_that_reads_gets_all(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
        answers = read_all(connection)
        assert answers.endswith(b"<feed/>")
        assert len(answers) > len(LARGE)


@pytest.mark.slow
def test_few_requests_wait_behind_another() -> None:
    """Those that are too many are dropped with the connection: whoever sent them may send them again."""
    with running() as site, site.connect() as connection:
        connection.sendall(SLOW + GET * 1000)
        assert site.entered.wait(10)
        site.leave.set()
        found = statuses(read_all(connection))
        assert found == [b"404"] + [b"200"] * (len(found) - 1)
        assert 10 < len(found) < 100


@pytest.mark.slow
def test_a_client_that_goes_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is the log told of it, however many requests it left behind."""
    with running() as site:
        with site.connect() as connection:
            connection.sendall(SLOW + GET * 10)
            assert site.entered.wait(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
        with site.connect() as other:
            other.sendall(LAST)
            assert statuses(read_all(other)) == [b"200"]
        site.leave.set()
        with site.connect() as other:
            other.sendall(SLOW + LAST)
            assert statuses(read_all(other)) == [b"404", b"200"]
    assert not caplog.records


@pytest.mark.parametrize(("version", "status"), [("0.9", b"505"), ("2.0", b"505"), ("1.0", b"200")])
def test_versions(site: Site, version: str, status: bytes) -> None:
    with site.connect() as connection:
        connection.sendall(f"GET /feed.atom HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert statuses(read_all(connection)) == [status]


# Room


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that has room for four connections."""
    monkeypatch.setattr("feedsvc.http.server.count_room", lambda: 4)
    monkeypatch.setattr(Connection, "limits", (120, 120))  # however slow this machine is
    with running() as made:
        yield made
    Connection.most = MOST_CONNECTIONS


def pass_a_tick() -> None:
    """The server's event loop counts whole milliseconds: what comes next is later."""
    until = time.monotonic() + 0.002
    while time.monotonic() < until:
        pass


@pytest.mark.slow
def test_the_longest_waiting_make_room(narrow: Site) -> None:
    held = [narrow.connect() for _ in range(4)]
    try:
        for connection in held:
            connection.sendall(GET)
            read_some(connection, b"<feed/>")
            pass_a_tick()
        held[0].sendall(GET)  # the second has waited longest now
        read_some(held[0], b"<feed/>")
        with narrow.connect() as another:
            another.sendall(LAST)
            assert statuses(read_all(another)) == [b"200"]
        assert held[1].recv(1) == b""
        for connection in (held[0], *held[2:]):
            connection.sendall(GET)
            read_some(connection, b"<feed/>")
    finally:
        for connection in held:
            connection.close()


@pytest.mark.slow
def test_whoever_is_being_answered_keeps_its_place(narrow: Site) -> None:
    held = [narrow.connect() for _ in range(4)]
    try:
        for connection in held:
            connection.sendall(SLOW)
            assert narrow.entered.wait(10)
            narrow.entered.clear()
        with narrow.connect() as another:
            assert statuses(read_all(another)) == [b"503"]
        narrow.leave.set()
        for connection in held:
            assert read_some(connection, b"</html>").startswith(b"HTTP/1.1 404 ")
    finally:
        for connection in held:
            connection.close()
