"""The daemon under a service manager: the watchdog, a socket that outlives it, reloads that are answered."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.freeze import frozen
from e2e.harness import FEEDSVC, Client, Daemon, environment, feedsvc, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons

# What systemd does: the socket becomes file descriptor 3 of the process that it is meant for.
HAND_OVER = """
import os, sys
fd, *command = sys.argv[1:]
os.dup2(int(fd), 3)
os.execve(command[0], command, os.environ | {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
"""


class Systemd:
    """Hears what a daemon says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.said: list[str] = []
        self.pings = 0
        self._ended = Event()
        self.socket.settimeout(0.05)
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                continue
            self.said.append(message)
            self.pings += "WATCHDOG=1" in message.splitlines()

    def heard(self, part: str) -> bool:
        return self.count(part) > 0

    def count(self, part: str) -> int:
        return sum(part in message for message in self.said)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path / "notify")
    yield made
    made.close()


class Activated(Daemon):
    """A daemon whose socket was there before it, and stays when it ends."""

    def __init__(self, home: Path, **more: str) -> None:
        super().__init__(home, {}, **more)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.configure({})

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        fd = self.listener.fileno()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(fd), FEEDSVC, "run", "--config", self.config],
                cwd=self.home,
                env=environment(**self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[fd],
            )


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[Activated]:
    home = tmp_path / "home"
    home.mkdir()
    daemon = Activated(home)
    yield daemon
    daemon.kill()
    daemon.listener.close()


@contextmanager
def load(port: int) -> Iterator[list[str]]:
    """Requests from four clients, each on a new connection; what became of each."""
    done = Event()
    outcomes: list[str] = []

    def ask() -> None:
        while not done.is_set():
            client = Client(port)
            try:
                outcomes.append(str(client.get("/feed.atom").status))
            except (OSError, http.client.HTTPException) as error:
                outcomes.append(type(error).__name__)
            finally:
                client.close()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_stops_and_starts_refuse_nobody_on_a_socket_that_stays(activated: Activated) -> None:
    activated.drop("a.txt", make_dump("an article"))
    activated.start()
    wait_for(lambda: "an article" in activated.feed().titles)
    with load(activated.port) as outcomes:
        for _ in range(3):
            answered = len(outcomes)
            wait_for(lambda answered=answered: len(outcomes) > answered + 20)  # type: ignore[misc]
            activated.stop(within=GENEROUS)
            activated.start()
    print({outcome: outcomes.count(outcome) for outcome in set(outcomes)})  # noqa: T201 - for who reads the test's output
    assert set(outcomes) == {"200"}


def test_a_kill_refuses_nobody_on_a_socket_that_stays(activated: Activated) -> None:
    activated.drop("a.txt", make_dump("an article"))
    activated.start()
    with load(activated.port) as outcomes:
        wait_for(lambda: len(outcomes) > 20)
        activated.kill()
        activated.start()
    assert "ConnectionRefusedError" not in outcomes
    assert set(outcomes) <= {"200", "ConnectionResetError", "RemoteDisconnected", "IncompleteRead"}
    assert len([outcome for outcome in outcomes if outcome != "200"]) <= 4  # what was in flight, one a client


def test_the_address_of_the_configuration_is_not_used_beside_a_socket(activated: Activated) -> None:
    activated.config.write_text('[watch]\ndirectories = ["dumps"]\n[server]\nlisten = "127.0.0.1:1"\n', "utf-8")
    activated.start()
    activated.wait_for_log("listen = '127.0.0.1:1' is not used", f"127.0.0.1:{activated.port}")
    done = feedsvc("reload", "--config", activated.config, cwd=activated.home)
    assert done.returncode == 0
    assert f"systemd listens on 127.0.0.1:{activated.port}" in done.stdout


def test_a_watcher_that_hangs_is_not_covered_up(daemons: Daemons, systemd: Systemd) -> None:
    daemon = daemons.prepare(NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="4000000")
    daemon.drop("a.txt", make_dump("an article"))
    daemon.start()
    wait_for(lambda: systemd.pings > 1)
    assert json.loads(daemon.get("/healthz").body) == {
        "alive": True,
        "parts": {"watcher": "ok", "intake": "ok", "schedule": "ok", "store": "ok", "server": "ok"},
    }
    with frozen(daemon.process.pid, "watch"):
        wait_for(lambda: systemd.heard("STATUS=Failing: watcher has not answered for"))
        pings = systemd.pings
        answer = daemon.get("/healthz")
        assert answer.status == 503
        assert json.loads(answer.body)["parts"]["watcher"].startswith("has not answered for ")
        assert daemon.get("/readyz").status == 503
        assert daemon.get("/feed.atom").status == 200  # the last good one
        assert "part:watcher" in {problem["about"] for problem in wait_for(lambda: daemon.status()["problems"])}
        failing = systemd.count("STATUS=Failing")
        wait_for(lambda: systemd.count("STATUS=Failing") > failing + 1)  # one every 5 s; the watchdog waits for 4 s
        assert systemd.pings == pings
    wait_for(lambda: systemd.pings > pings)
    assert daemon.get("/healthz").status == 200
    daemon.serve("an article afterwards")


def test_status_says_something(daemons: Daemons, systemd: Systemd) -> None:
    daemon = daemons.prepare(NOTIFY_SOCKET=str(systemd.path))
    daemon.drop("a.txt", make_dump("an article"))
    daemon.launch()
    wait_for(lambda: systemd.heard("READY=1"))
    ready = next(number for number, message in enumerate(systemd.said) if "READY=1" in message)
    assert {message.split("STATUS=")[1].split(":")[0] for message in systemd.said[:ready]} == {"Starting"}
    wait_for(lambda: systemd.heard("STATUS=1 feed, 1 entry, last dump just now"))


def test_a_part_that_ends_ends_the_daemon(daemons: Daemons) -> None:
    """A thread cannot be ended from outside, so the daemon runs in a process in which one of them is made to fail."""
    daemon = daemons.prepare()
    failing = (
        "import sys; from feedsvc.intake.queue import Intake; from feedsvc.app.cli import main\n"
        "def run(self): raise RuntimeError('nobody expected this')\n"
        "Intake._run = run; sys.argv[0] = 'feedsvc'; main()"
    )
    command: list[str | Path] = [sys.executable, "-c", failing, "run", "--config", daemon.config]
    done = subprocess.run(
        command, cwd=daemon.home, env=environment(), capture_output=True, text=True, check=False, timeout=GENEROUS
    )
    assert done.returncode == 3
    assert 'event="thread ended"' in done.stderr
    assert "nobody expected this" in done.stderr
    assert "intake ended by itself, so the daemon ends as well" in done.stderr


def test_a_reload_is_answered(daemons: Daemons) -> None:
    daemon = daemons.start()
    good = daemon.config.read_text("utf-8")

    def reload(*more: str) -> tuple[int, str]:
        done = feedsvc("reload", "--config", daemon.config, *more, cwd=daemon.home)
        return done.returncode, done.stdout + done.stderr

    daemon.configure({"feed": {"title": "Another title"}})
    assert reload("--pid", str(daemon.process.pid)) == (0, "the new configuration is live\n")
    assert b"<title>Another title</title>" in daemon.get("/feed.atom").body
    daemon.configure({"feed": {"titel": "Wrong"}})
    code, said = reload()
    assert code == 1
    assert "feedsvc: refused: " in said
    assert "feed.titel: no such key; the nearest known one is title" in said
    assert b"<title>Another title</title>" in daemon.get("/feed.atom").body
    daemon.config.write_text(good, "utf-8")
    code, said = reload("--pid", str(os.getpid()))
    assert code == 3
    assert f"process {daemon.process.pid} runs with this configuration, not {os.getpid()}" in said
    assert b"<title>Another title</title>" in daemon.get("/feed.atom").body
    daemon.stop(within=GENEROUS)
    code, said = reload()
    assert (code, said) == (3, "feedsvc: no feedsvc runs with this configuration; start it, or name its file\n")


def test_a_second_signal_and_a_stop_during_the_start_do_no_harm(daemons: Daemons) -> None:
    daemon = daemons.prepare()
    for index in range(200):
        daemon.drop(f"{index}.txt", make_dump(f"article {index}"))
    for _ in range(2):  # into an empty store, then into one that is filled
        daemon.launch()
        daemon.wait_for_log("entry added")
        for _ in range(5):
            daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(GENEROUS) == 0
        daemon.kill()
        daemon.log_file.write_text(daemon.log.replace("entry added", "entry was added"), "utf-8")
    assert "Traceback" not in daemon.log
