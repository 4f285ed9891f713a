"""Tells systemd how the service is (sd_notify(3))."""

from __future__ import annotations

import socket

__all__ = ["notify"]


def notify(address: str | None, state: str) -> None:
    """Send `state`, such as "READY=1", to the socket that systemd named in NOTIFY_SOCKET.

    Args:
        address: The value of NOTIFY_SOCKET; None where systemd does not listen, and nothing is sent.
        state: Assignments, one a line.

    Raises:
        OSError: The socket is not there.
    """
    if not address:
        return
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), address)
