"""Messages between systemd and the daemon: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)."""

from __future__ import annotations

import logging
import os
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

logger = logging.getLogger(__name__)

FIRST_FD = 3  # SD_LISTEN_FDS_START
VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)
_SEND_SECONDS = 2.0  # that a message may wait until systemd takes it


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Systemd, or another manager that speaks like it; without a manager all fields are None.

    Attributes:
        notify_socket: The address for notifications.
        watchdog: It must hear "WATCHDOG=1" again within these seconds.
        listener: The socket to serve on; None if the daemon is to bind its own.
    """

    notify_socket: str | None = None
    watchdog: float | None = None
    listener: socket.socket | None = None

    def tell(self, *assignments: str) -> None:
        """Send assignments such as "READY=1"; a failure is only logged, for it is no reason not to serve."""
        try:
            notify(self.notify_socket, "\n".join(assignments))
        except OSError as error:
            logger.warning("systemd cannot be told", extra={"socket": self.notify_socket, "reason": str(error)})


def meet(environ: MutableMapping[str, str], pid: int) -> ServiceManager:
    """Read the service manager's variables, and take them out of the environment: they are not for child processes.

    Raises:
        ServerError: See `inherited_socket`.
    """
    said = {name: environ.pop(name) for name in VARIABLES if name in environ}
    return ServiceManager(said.get("NOTIFY_SOCKET"), watchdog_seconds(said, pid), inherited_socket(said, pid))


def notify(address: str | None, state: str) -> None:
    """Send `state`, assignments one a line such as "READY=1", to the socket of NOTIFY_SOCKET, if there is one.

    Raises:
        OSError: The socket is not there, or nobody reads what is sent to it.
    """
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_SEND_SECONDS)
        sock.sendto(state.encode(), address)


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds within which systemd must hear that all is well, or None (sd_watchdog_enabled(3))."""
    try:
        meant = int(environ.get("WATCHDOG_PID", pid))
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        logger.warning("WATCHDOG_USEC or WATCHDOG_PID is no number, there are no watchdog messages")
        return None
    return microseconds / 1e6 if meant == pid and microseconds > 0 else None


def inherited_socket(environ: Mapping[str, str], pid: int) -> socket.socket | None:
    """Take over the listening socket that systemd passed to process `pid` (sd_listen_fds(3)), or return None.

    The socket does not block, and is closed on exec.

    Raises:
        ServerError: Something else was passed, or more than one socket.
    """
    try:
        meant, number = int(environ.get("LISTEN_PID", "0")), int(environ.get("LISTEN_FDS", "0"))
    except ValueError as error:
        raise ServerError(f"LISTEN_PID or LISTEN_FDS is no number: {error}") from error
    if meant != pid or number <= 0:
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for fd in range(FIRST_FD, FIRST_FD + number):
        try:
            os.set_inheritable(fd, False)  # noqa: FBT003 - it takes no keywords
        except OSError as error:
            raise ServerError(f"LISTEN_FDS={number}, but file descriptor {fd} was not passed: {error}") from error
    if number > 1:
        raise ServerError(
            f"systemd passes {number} sockets ({', '.join(names)}), and feedsvc serves one:"
            " leave one ListenStream= in feedsvc.socket; [::]:PORT listens for IPv4 as well"
        )
    return _adopt(FIRST_FD, names[0] or "unnamed")


def _adopt(fd: int, name: str) -> socket.socket:
    advice = "in feedsvc.socket, write ListenStream=HOST:PORT and Accept=no"
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        raise ServerError(f"file descriptor {fd} ({name}) was passed to be served on, and is no socket; {advice}")
    sock = socket.socket(fileno=fd)
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise ServerError(f"the socket that was passed ({name}) is not for TCP; {advice}")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise ServerError(f"the socket that was passed ({name}) does not listen; {advice}")
    sock.settimeout(0)
    return sock
