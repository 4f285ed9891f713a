"""What systemd is told, over real sockets."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from feedsvc.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        yield sock


@pytest.mark.parametrize("state", ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12", "STATUS=北约"])
def test_socket_in_the_file_system(listener: socket.socket, tmp_path: Path, state: str) -> None:
    address = str(tmp_path / "notify")
    listener.bind(address)
    notify(address, state)
    assert listener.recv(1000) == state.encode()


def test_socket_in_the_abstract_namespace(listener: socket.socket) -> None:
    name = f"feedsvc-test-{os.getpid()}"
    listener.bind(f"\0{name}")
    notify(f"@{name}", "READY=1")
    assert listener.recv(1000) == b"READY=1"


@pytest.mark.parametrize("address", [None, ""])
def test_without_systemd_nothing_is_sent(address: str | None) -> None:
    notify(address, "READY=1")


def test_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        notify(str(tmp_path / "none"), "READY=1")
