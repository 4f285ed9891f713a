"""What systemd is told, over real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from feedsvc.errors import ServerError
from feedsvc.runtime.systemd import ServiceManager, inherited_socket, meet, notify, watchdog_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


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


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_the_watchdog_waits(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ, 7) == seconds


def test_what_is_read_is_not_left_to_child_processes() -> None:
    environ = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "2000000",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "A": "b",
    }
    manager = meet(environ, 7)
    assert (manager.notify_socket, manager.watchdog, manager.listener) == ("/run/notify", 2.0, None)
    assert environ == {"A": "b"}


def test_a_manager_that_does_not_hear_is_no_reason_not_to_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager(str(tmp_path / "none")).tell("READY=1")
    assert "systemd cannot be told" in caplog.text


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": "{pid}", "LISTEN_FDS": "0"}],
)
def test_no_socket_is_passed(environ: dict[str, str]) -> None:
    assert (
        inherited_socket({name: value.format(pid=os.getpid()) for name, value in environ.items()}, os.getpid()) is None
    )


# File descriptors are passed to a process of its own: in that of the tests, 3 is somebody else's.
ADOPT = """
import os, socket, sys
kind, number = sys.argv[1:]
sockets = {
    "tcp": lambda: socket.create_server(("127.0.0.1", 0)),
    "tcp6": lambda: socket.create_server(("::1", 0), family=socket.AF_INET6),
    "unconnected": socket.socket,
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "file": lambda: open("/dev/null"),
}
made = sockets[kind]()
name = made.getsockname()[:2] if kind.startswith("tcp") else None
for fd in range(3, 3 + int(number)):
    if fd != made.fileno():
        os.dup2(made.fileno(), fd)
    os.set_inheritable(fd, True)
if made.fileno() == 3:
    made.detach() if kind != "file" else None
from feedsvc.errors import ServerError
from feedsvc.runtime.systemd import inherited_socket
environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": number, "LISTEN_FDNAMES": "feedsvc.socket:b"}
try:
    adopted = inherited_socket(environ, os.getpid())
except ServerError as error:
    print("refused:", error)
else:
    assert adopted.fileno() == 3 and not adopted.get_inheritable() and adopted.gettimeout() == 0
    assert adopted.getsockname()[:2] == name
    adopted.close()
    print("adopted")
"""


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [
        ("tcp", 1, "adopted"),
        ("tcp6", 1, "adopted"),
        ("tcp", 2, "refused: systemd passes 2 sockets (feedsvc.socket, b), and feedsvc serves one"),
        (
            "udp",
            1,
            "refused: the socket that was passed (feedsvc.socket) is not for TCP; in feedsvc.socket, write Listen",
        ),
        ("unix", 1, "refused: the socket that was passed (feedsvc.socket) is not for TCP"),
        ("unconnected", 1, "refused: the socket that was passed (feedsvc.socket) does not listen"),
        ("file", 1, "refused: file descriptor 3 (feedsvc.socket) was passed to be served on, and is no socket"),
    ],
)
def test_a_listening_socket_is_taken_over(kind: str, number: int, said: str) -> None:
    if kind == "tcp6" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", ADOPT, kind, str(number)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(said), done.stdout


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"LISTEN_PID": "{pid}", "LISTEN_FDS": "some"}, "LISTEN_PID or LISTEN_FDS is no number"),
        ({"LISTEN_PID": "{pid}", "LISTEN_FDS": "100000"}, "file descriptor [0-9]+ was not passed"),
    ],
)
def test_a_socket_that_is_announced_and_not_passed(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], reason: str
) -> None:
    monkeypatch.setattr("feedsvc.runtime.systemd.FIRST_FD", 900_000)  # none is open there
    said = {name: value.format(pid=os.getpid()) for name, value in environ.items()}
    with pytest.raises(ServerError, match=reason):
        inherited_socket(said, os.getpid())
