"""A TCP relay on loopback that remembers what a feed reader asked for, and how it was answered."""

from __future__ import annotations

import re
import socket
import socketserver
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS_LINE = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
_CONDITION = re.compile(rb"^(if-none-match|if-modified-since): *(.+?)\r$", re.MULTILINE | re.IGNORECASE)


class Recorder(socketserver.ThreadingTCPServer):
    """Relays each connection to a port of this machine.

    Attributes:
        sent: What readers sent since the last `forget`.
        answered: What they got.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.target = target
        self.sent = bytearray()
        self.answered = bytearray()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS_LINE.findall(self.answered)]

    @property
    def conditions(self) -> dict[str, str]:
        """The precondition fields that were sent, by lower-case name."""
        return {name.decode().lower(): value.decode() for name, value in _CONDITION.findall(self.sent)}

    def forget(self) -> None:
        self.sent.clear()
        self.answered.clear()


class _Relay(socketserver.BaseRequestHandler):
    server: Recorder
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            back = Thread(target=_pump, args=(upstream, self.request, self.server.answered), daemon=True)
            back.start()
            _pump(self.request, upstream, self.server.sent)
            back.join()


def _pump(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    try:
        while data := source.recv(65536):
            seen += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()  # either side went away; the other one learns it


@contextmanager
def recording(target: int) -> Iterator[Recorder]:
    """Relay to a port until the block ends."""
    with Recorder(target) as recorder:
        thread = Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()
