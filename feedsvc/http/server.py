"""uvicorn in a thread of its own: bind, start, and a stop that answers requests in flight."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import re
import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

from feedsvc.errors import ServerError
from feedsvc.http.limits import count_room
from feedsvc.http.protocol import Connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_BACKLOG = 4096  # that may wait to be accepted, if the system lets as many (listen(2))
_HIGHEST_PORT = 65535
_SWITCH_SECONDS = 0.0001  # another thread may keep the interpreter so long; the usual is 0.005
_TICKS = 10  # of uvicorn, a second
_LAST_CALL = 0.1  # seconds in which those who have just connected may send their request
_LAST_CALL_MOST = 1.0  # seconds, if some have not: a busy machine may be slow to give them a turn
_LISTEN = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_ADVICE = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port",
    errno.EACCES: "not permitted; choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def bind(listen: str) -> socket.socket:
    """Bind and listen, so that a wrong address is known before anything else starts.

    `listen` is such as "127.0.0.1:8080", "[::1]:8080" or "localhost:0"; port 0 takes any free one. Of the addresses
    of a name the first that can be bound is taken, IPv4 before IPv6.

    Raises:
        ServerError: Names the address and a remedy.
    """
    match = _LISTEN.fullmatch(listen)
    if match is None or int(match["port"]) > _HIGHEST_PORT:  # getaddrinfo would take it modulo 65536
        raise ServerError(f"cannot listen on {listen!r}: write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    try:
        found = socket.getaddrinfo(match["v6"] or match["host"], int(match["port"]), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(f"cannot listen on {listen!r}: {error}") from error
    failure: OSError | None = None
    for family, kind, protocol, _, address in sorted(found, key=lambda info: info[0] is not socket.AF_INET):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            failure = failure or error
        else:
            sock.settimeout(0)  # or a dup of it would make the others block: they share the flag
            return sock
    advice = _ADVICE.get(failure.errno or 0) if failure else None
    raise ServerError(f"cannot listen on {listen!r}: {advice or failure}") from failure


class _Uvicorn(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()  # it accepts, or has given up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        # A part of them each time: to end thousands at once would keep others waiting.
        for connection in tuple(self.server_state.connections)[counter % _TICKS :: _TICKS]:
            if isinstance(connection, Connection):
                connection.end_if_overdue(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + _LAST_CALL_MOST
        await asyncio.sleep(_LAST_CALL)  # uvicorn ends connections on which no request has come yet
        while loop.time() < until and any(  # noqa: ASYNC110 - no connection tells when it has its request
            isinstance(connection, Connection) and connection.is_new for connection in self.server_state.connections
        ):
            await asyncio.sleep(_LAST_CALL)
        await super().shutdown(sockets)


class Server:
    """An HTTP/1.1 server in a thread. Signals stay with the main thread."""

    def __init__(self, sock: socket.socket) -> None:
        """Prepare a server on a socket that `bind` made; it closes the socket when it stops."""
        self._sock = sock
        self._address = sock.getsockname()
        self._uvicorn: _Uvicorn | None = None
        # A daemon, and so are its worker threads: a read that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._failure: Exception | None = None

    def start(self, app: ASGIApp) -> None:
        """Start the thread; return when connections are accepted.

        Raises:
            ServerError: The server could not start; names the address.
        """
        Connection.most = count_room()
        sys.setswitchinterval(_SWITCH_SECONDS)  # of the whole process: dumps are taken in beside it
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.ERROR,  # its warnings are of clients' faults, as often as they like
                access_log=False,
                proxy_headers=False,  # anybody can send X-Forwarded-For
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=15,
            )
        )
        self._thread.start()
        self._uvicorn.settled.wait()
        if not self._uvicorn.started:
            self._thread.join()
            raise ServerError(f"cannot serve on {self._address}: {self._failure}") from self._failure

    @property
    def answered(self) -> int:
        """The number of requests that it has answered so far."""
        return self._uvicorn.server_state.total_requests if self._uvicorn else 0

    @property
    def alive(self) -> bool:
        """True while its thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Accept nothing more, answer requests in flight, end kept-alive connections, and join the thread.

        Requests that still run after `timeout` seconds, rounded up, are cut off.
        """
        if self._uvicorn is None:  # something else failed before it was started
            self._sock.close()
            return
        self._uvicorn.config.timeout_graceful_shutdown = math.ceil(timeout)
        self._uvicorn.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        assert self._uvicorn is not None  # noqa: S101 - `start` made it
        try:
            self._uvicorn.run(sockets=[self._sock])
        except Exception as error:  # noqa: BLE001 - `start` raises it where it can be handled
            self._failure = error
        finally:
            self._uvicorn.settled.set()
