"""Slow clients by the thousand, in one thread."""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time

REQUEST = b"GET /feed.atom HTTP/1.1\r\nHost: localhost\r\n"
_RECEIVED = 2048  # bytes that the system takes for a client that reads slowly
_ASKED = 16  # times that it asks: more than the buffers of both ends hold


def take_files() -> int:
    """Let this process open as many files as it may; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Crowd(threading.Thread):
    """Clients that are slow in one way, each on a connection of its own. Whoever is cut off connects again.

    `full` is set when all are connected, `cut` counts those that were cut off; set `ended` to end them.
    """

    def __init__(self, kind: str, port: int, number: int) -> None:
        """Make so many clients of a kind: "sending" or "reading" a byte a second, or "silent"."""
        super().__init__(name=kind, daemon=True)
        self._kind, self._address, self._number = kind, ("127.0.0.1", port), number
        self.ended = threading.Event()
        self.full = threading.Event()
        self.cut = 0

    def run(self) -> None:
        """Hold the connections; each sends or reads a byte a second."""
        with selectors.EpollSelector() as chooser:
            held: dict[socket.socket, int] = {}
            try:
                self._hold(chooser, held)
            finally:
                for sock in held:
                    sock.close()

    def _hold(self, chooser: selectors.BaseSelector, held: dict[socket.socket, int]) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            while len(held) < self._number and time.monotonic() - began < 1:
                sock = self._connect()
                held[sock] = 0
                if self._kind != "reading":
                    chooser.register(sock, selectors.EVENT_READ)
            if len(held) == self._number:
                self.full.set()
            for key, _ in chooser.select(0):
                self._look(key.fileobj, chooser, held)
            for sock, sent in list(held.items()):
                if not self._act(sock, sent):
                    self._drop(sock, chooser, held)
                else:
                    held[sock] += 1
            self.ended.wait(max(0.0, 1 - (time.monotonic() - began)))

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        if self._kind == "reading":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
        sock.connect(self._address)
        if self._kind == "reading":
            sock.sendall((REQUEST + b"\r\n") * _ASKED)
        sock.settimeout(0)
        return sock

    def _act(self, sock: socket.socket, sent: int) -> bool:
        try:
            if self._kind == "sending":
                head = REQUEST + b"X-A: " + b"a" * 1000
                sock.send(head[sent : sent + 1])
            elif self._kind == "reading" and not sock.recv(1):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _look(self, sock: object, chooser: selectors.BaseSelector, held: dict[socket.socket, int]) -> None:
        """Something came where nothing was asked for: mostly the end."""
        assert isinstance(sock, socket.socket)
        try:
            if sock.recv(4096):
                return
        except OSError:
            pass
        self._drop(sock, chooser, held)

    def _drop(self, sock: socket.socket, chooser: selectors.BaseSelector, held: dict[socket.socket, int]) -> None:
        self.cut += 1
        if self._kind != "reading":
            chooser.unregister(sock)
        del held[sock]
        sock.close()
