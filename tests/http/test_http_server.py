from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from feedsvc.errors import ServerError
from feedsvc.http import Server, bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

BODY = "x" * 1_000_000


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


class Slow:
    """A server whose /slow waits until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()
        sock = bind("127.0.0.1:0")
        self.address: tuple[str, int] = sock.getsockname()
        routes = [Route("/slow", self.slow), Route("/fast", self.fast)]
        self.server = Server(sock)
        self.server.start(Starlette(routes=routes))

    def slow(self, request: Request) -> Response:  # noqa: ARG002 - an endpoint's signature
        self.entered.set()
        assert self.leave.wait(30)
        return PlainTextResponse(BODY)

    async def fast(self, request: Request) -> Response:  # noqa: ARG002 - an endpoint's signature
        return PlainTextResponse("fast")

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def refuses(self) -> bool:
        try:
            self.connect().close()
        except ConnectionError:  # reset, where the listener closed during the handshake
            return True
        return False


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.leave.set()
    made.server.stop(5)


def get(connection: socket.socket, target: str) -> None:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.slow
def test_start_returns_when_it_accepts(slow: Slow) -> None:
    with slow.connect() as connection:
        get(connection, "/fast")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
def test_stop_answers_what_is_in_flight(slow: Slow) -> None:
    with slow.connect() as connection:
        get(connection, "/slow")
        assert slow.entered.wait(10)
        stopping = threading.Thread(target=slow.server.stop, args=(30,))
        stopping.start()
        while not slow.refuses():  # it no longer accepts, while the answer is still being made
            pass
        assert stopping.is_alive()
        slow.leave.set()
        answer = read_all(connection)
    stopping.join(10)
    assert not stopping.is_alive()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(BODY.encode())


@pytest.mark.slow
def test_stop_waits_for_those_who_have_just_connected(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.http.server._LAST_CALL", 0.001)
    monkeypatch.setattr("feedsvc.http.server._LAST_CALL_MOST", 30)
    uvicorn = slow.server._uvicorn  # noqa: SLF001 - it alone knows when a connection is accepted
    assert uvicorn is not None
    with slow.connect() as connection:
        while not uvicorn.server_state.connections:
            pass
        stopping = threading.Thread(target=slow.server.stop, args=(30,))
        stopping.start()
        while not slow.refuses():
            pass
        get(connection, "/fast")
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")
    stopping.join(10)
    assert not stopping.is_alive()


@pytest.mark.slow
def test_stop_ends_connections_that_are_kept_alive_or_silent(slow: Slow) -> None:
    with slow.connect() as idle, slow.connect() as silent, slow.connect() as half:
        get(idle, "/fast")
        answer = b""
        while not answer.endswith(b"fast"):
            answer += idle.recv(65536)
        half.sendall(b"GET /fast HTTP/1.1\r\nHo")
        slow.server.stop(30)
        assert [connection.recv(65536) for connection in (idle, silent, half)] == [b""] * 3
    assert slow.refuses()


@pytest.mark.slow
def test_stop_cuts_off_what_does_not_end(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    with slow.connect() as connection:
        get(connection, "/slow")
        assert slow.entered.wait(10)
        slow.server.stop(0)
        assert not read_all(connection).startswith(b"HTTP/1.1 200")
    assert not slow.leave.is_set()
    assert "timeout graceful shutdown exceeded" in caplog.text


@pytest.mark.slow
def test_stop_twice(slow: Slow) -> None:
    slow.server.stop(5)
    slow.server.stop(5)


def test_start_that_fails() -> None:
    sock = bind("127.0.0.1:0")
    port = sock.getsockname()[1]
    server = Server(sock)
    sock.close()
    with pytest.raises(ServerError, match=f"cannot serve on .*{port}"):
        server.start(Starlette())


@pytest.mark.parametrize(
    ("listen", "family", "host"),
    [
        ("127.0.0.1:0", socket.AF_INET, "127.0.0.1"),
        ("localhost:0", socket.AF_INET, "127.0.0.1"),
        ("0.0.0.0:0", socket.AF_INET, "0.0.0.0"),  # noqa: S104 - the operator's choice, tested as such
        pytest.param("[::1]:0", socket.AF_INET6, "::1", marks=needs_ipv6),
    ],
)
def test_bind(listen: str, family: int, host: str) -> None:
    with bind(listen) as sock:
        assert sock.family == family
        assert sock.getsockname()[0] == host
        socket.create_connection(sock.getsockname()[:2], timeout=10).close()


@pytest.mark.parametrize(
    "listen",
    ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "::1:8080", "[::1]", "[]:80", "[::1]8080",
     "a:b:80", "127.0.0.1:123456", "127.0.0.1:65536", "127.0.0.1:٨٠", "unix:/run/feedsvc", "http://127.0.0.1:80"],
)  # fmt: skip
def test_bind_of_what_is_no_address(listen: str) -> None:
    with pytest.raises(ServerError, match="write HOST:PORT") as caught:
        bind(listen)
    assert repr(listen) in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        ("192.0.2.1:0", "no such address"),
        ("host.invalid:80", "not known|resolution"),
        ("[zz]:80", "not known|resolution"),
        (f"{'a' * 70}.example:80", "too long"),
    ],
)
def test_bind_of_what_cannot_be_bound(listen: str, reason: str) -> None:
    with pytest.raises(ServerError, match=reason) as caught:
        bind(listen)
    assert repr(listen) in str(caught.value)


def test_bind_of_what_is_taken() -> None:
    with bind("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}.*another program listens there"):
            bind(f"127.0.0.1:{port}")
