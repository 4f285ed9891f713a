"""The control socket: `feedsvc reload` asks the running daemon, and hears the result.

The socket lies in Linux' abstract namespace (unix(7)), under a name made from the configuration's path. It is no file:
a killed daemon leaves nothing stale, and a full disk does not matter. Only root and the daemon's own user are answered
and believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import queue
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from feedsvc.errors import DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

_RELOAD = b"reload\n"
_ASK_SECONDS = 5.0  # for a client to send its request
_MOST_BYTES = 65_536  # at a time
_UCRED = struct.Struct("=iII")  # pid, uid, gid (unix(7), SO_PEERCRED)


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a reload: `done` if the new configuration is live; `message` says so, or why it was refused."""

    done: bool
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """A reload that somebody waits for."""

    _reply: queue.SimpleQueue[Reply | None] = field(default_factory=queue.SimpleQueue)

    def answer(self, reply: Reply | None) -> None:
        """Pass on the result; None if there will be none."""
        self._reply.put(reply)

    def wait(self) -> Reply | None:
        """Wait for the result, and return it."""
        return self._reply.get()


def control_name(config: Path) -> str:
    """Return the name of the socket of the daemon that runs with this configuration."""
    return f"feedsvc/{hashlib.sha256(os.fsencode(config.resolve())).hexdigest()[:32]}"


class Control:
    """The daemon's side: hands requests on, one after the other, and sends the results back."""

    def __init__(self, name: str, receive: Callable[[Request], None]) -> None:
        """Listen under a name from `control_name`; if that fails, the log says so, and SIGHUP is left.

        `receive` is called with each request, and the request is answered later.
        """
        self._receive = receive
        self._waiting: Request | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(f"\0{name}")
            self._socket.listen()
        except OSError as error:
            logger.warning("feedsvc reload will not reach this daemon", extra={"socket": name, "reason": str(error)})
            self._socket.close()
            return
        threading.Thread(target=self._run, name="control", daemon=True).start()

    def close(self) -> None:
        """Take no more requests; a client that waits hears that there is no result."""
        waiting = self._waiting
        if waiting is not None:
            waiting.answer(None)
        with contextlib.suppress(OSError):  # it does not listen
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection:
                try:
                    self._serve(connection)
                except OSError as error:  # it went away
                    logger.warning("whoever asked for a reload was not answered", extra={"reason": str(error)})

    def _serve(self, connection: socket.socket) -> None:
        _, user = _peer(connection)
        if user not in {0, os.geteuid()}:
            logger.warning("a reload was asked for by another user, and refused", extra={"user": user})
            return
        connection.settimeout(_ASK_SECONDS)
        if connection.recv(len(_RELOAD)) != _RELOAD:
            return
        self._waiting = request = Request()
        self._receive(request)
        reply = request.wait()
        self._waiting = None
        if reply is not None:
            connection.sendall(json.dumps({"done": reply.done, "message": reply.message}).encode())


def ask_reload(name: str, *, seconds: float, pid: int | None = None) -> Reply:
    """Have the daemon load its configuration again; wait at most `seconds` until that is done or refused.

    `name` comes from `control_name`. If `pid` is given, that process must answer.

    Raises:
        DaemonUnreachable: None runs, it belongs to somebody else, it ended meanwhile, or it takes too long.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        try:
            sock.connect(f"\0{name}")
        except OSError as error:
            raise DaemonUnreachable("no feedsvc runs with this configuration; start it, or name its file") from error
        process, user = _peer(sock)
        if os.geteuid() not in {0, user} and user != 0:
            raise DaemonUnreachable(f"the daemon runs as user {user}: reload it as that user or as root")
        if pid is not None and process != pid:
            raise DaemonUnreachable(f"process {process} runs with this configuration, not {pid}")
        try:
            sock.sendall(_RELOAD)
            answer = b"".join(iter(lambda: sock.recv(_MOST_BYTES), b""))
        except TimeoutError as error:
            raise DaemonUnreachable(f"the daemon has not answered within {seconds:g} s; its log says more") from error
        except OSError as error:
            raise DaemonUnreachable(f"the daemon ended meanwhile; its log says why ({error.strerror})") from error
    if not answer:
        raise DaemonUnreachable("the daemon did not answer: it ended, or it refuses you; its log says why")
    said = json.loads(answer)
    return Reply(bool(said["done"]), str(said["message"]))


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end."""
    process, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return process, user
