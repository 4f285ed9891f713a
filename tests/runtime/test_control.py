"""A reload is asked for and answered, over real sockets."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from feedsvc.errors import DaemonUnreachable
from feedsvc.runtime.control import Control, Reply, Request, ask_reload, control_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' abstract sockets")


@contextmanager
def listening(name: str) -> Iterator[tuple[Control, queue.SimpleQueue[Request]]]:
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    control = Control(name, requests.put)
    try:
        yield control, requests
    finally:
        control.close()


class Asking(threading.Thread):
    """Asks in a thread, and keeps what came of it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.asked = name
        self.result: Reply | DaemonUnreachable | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = ask_reload(self.asked, seconds=PATIENCE)
        except DaemonUnreachable as error:
            self.result = error


@pytest.fixture
def name(tmp_path: Path) -> str:
    return control_name(tmp_path / "config.toml")


def test_a_name_is_that_of_the_file_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    written = [tmp_path / "config.toml", tmp_path / "link" / "config.toml", type(tmp_path)("./config.toml")]
    assert len({control_name(path) for path in written}) == 1
    assert control_name(tmp_path / "other.toml") != control_name(written[0])
    assert len(control_name(written[0])) < 100  # sun_path


@pytest.mark.parametrize(
    "reply", [Reply(done=True, message="live"), Reply(done=False, message="config.toml: 坏\n" + "x" * 500_000)]
)
def test_what_came_of_it_comes_back(name: str, reply: Reply) -> None:
    with listening(name) as (_, requests):
        asking = Asking(name)
        requests.get(timeout=PATIENCE).answer(reply)
        asking.join()
    assert asking.result == reply


def test_two_at_once_are_answered_one_after_the_other(name: str) -> None:
    with listening(name) as (_, requests):
        both = [Asking(name), Asking(name)]
        requests.get(timeout=PATIENCE).answer(Reply(done=True, message="1"))
        requests.get(timeout=PATIENCE).answer(Reply(done=True, message="2"))
        for asking in both:
            asking.join()
    assert {asking.result.message for asking in both if isinstance(asking.result, Reply)} == {"1", "2"}


def test_nobody_runs(name: str) -> None:
    with pytest.raises(DaemonUnreachable, match="no feedsvc runs with this configuration"):
        ask_reload(name, seconds=PATIENCE)


def test_the_daemon_ends_meanwhile(name: str) -> None:
    with listening(name) as (control, requests):
        asking = Asking(name)
        requests.get(timeout=PATIENCE)
        control.close()
        asking.join()
    assert isinstance(asking.result, DaemonUnreachable)
    assert "ended" in str(asking.result)
    with pytest.raises(DaemonUnreachable):
        ask_reload(name, seconds=PATIENCE)


def test_it_takes_too_long(name: str) -> None:
    late = r"not answered within 0\.01 s; its log says more"
    with listening(name), pytest.raises(DaemonUnreachable, match=late):
        ask_reload(name, seconds=0.01)


def test_who_went_away_holds_up_nobody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.runtime.control._ASK_SECONDS", 0.01)
    with listening(name) as (_, requests):
        for said in (b"", b"nonsense", b"reload\n"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(f"\0{name}")
                sock.sendall(said)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(f"\0{name}")
            asking = Asking(name)
            for _ in range(2):
                requests.get(timeout=PATIENCE).answer(Reply(done=True, message="live"))
            asking.join()
    assert asking.result == Reply(done=True, message="live")


def test_another_process_is_meant(name: str) -> None:
    with listening(name), pytest.raises(DaemonUnreachable, match=f"process {os.getpid()} runs .*, not 1$"):
        ask_reload(name, seconds=PATIENCE, pid=1)


def test_a_name_that_is_taken_is_no_reason_not_to_run(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with listening(name) as (_, requests):
        Control(name, requests.put).close()
        assert "feedsvc reload will not reach this daemon" in caplog.text
        asking = Asking(name)
        requests.get(timeout=PATIENCE).answer(Reply(done=True, message="live"))
        asking.join()
    assert asking.result == Reply(done=True, message="live")


ASK_AS_NOBODY = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect("\\0" + sys.argv[1])
    assert sock.recv(1) == b""
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with listening(name) as (_, requests):
        subprocess.run([sys.executable, "-c", ASK_AS_NOBODY, name], check=True)
        wait_for(lambda: "another user" in caplog.text)
        assert requests.empty()
