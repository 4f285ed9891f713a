"""What the service manager is told, over a real socket, and when the daemon is given up."""

from __future__ import annotations

import queue
import socket
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from feedsvc.runtime import supervisor as module
from feedsvc.runtime.supervisor import Summary, Supervisor, describe
from feedsvc.runtime.systemd import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE = 30.0
DAY = 86400.0


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (Summary(3, 1204, 0, -125.0), "3 feeds, 1,204 entries, last dump 2 min ago"),
        (Summary(1, 1, 0, 0.0), "1 feed, 1 entry, last dump just now"),
        (Summary(1, 0, 0, None), "1 feed, 0 entries, no dump since the start"),
        (Summary(2, 5, 1, -59.0), "2 feeds, 5 entries, last dump just now, 1 problem (see feedsvc status)"),
        (Summary(2, 5, 12, -3600.0), "2 feeds, 5 entries, last dump 1 h ago, 12 problems (see feedsvc status)"),
        (Summary(2, 5, 0, -2 * DAY), "2 feeds, 5 entries, last dump 2 days ago"),
        (Summary(2, 5, 0, -47.9 * 3600), "2 feeds, 5 entries, last dump 47 h ago"),
    ],
)
def test_status_line(summary: Summary, line: str) -> None:
    assert describe(summary, 0.0) == line


class Served:
    """A service that is as it is told."""

    def __init__(self) -> None:
        self.ready = True
        self.parts: dict[str, str | None] = {"watcher": None, "store": None}
        self.ended: tuple[str, ...] = ()
        self.summary = Summary(3, 1204, 0, None)
        self.reports: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def check(self) -> Mapping[str, str | None]:
        return dict(self.parts)

    def dead(self) -> tuple[str, ...]:
        return self.ended

    def summarise(self) -> Summary:
        return self.summary

    def keep_time(self) -> None:
        """The clock is right."""

    def report(self, key: str, message: str | None) -> None:
        self.reports.put((key, message))


class Systemd:
    """Hears what is sent, and has the supervisor's clock in its hands."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0)
        self.address = str(path)
        self.now = 1000.0
        monkeypatch.setattr(module, "time", self)
        self.given_up: list[str] = []
        self.left: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)

    def supervise(self, watchdog: float | None = 30.0) -> Supervisor:
        manager = ServiceManager(self.address, watchdog)
        return Supervisor(manager, self.given_up.append, leave=self.left.append)

    def heard(self) -> list[str]:
        """All that came since the last call."""
        said = []
        while True:
            try:
                said.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return said

    def pass_time(self, supervisor: Supervisor, seconds: float, *, step: float = 1.0) -> list[str]:
        """Have it look every second; what came meanwhile."""
        self.heard()
        said = []
        until = self.now + seconds
        while self.now < until:
            self.now += step
            supervisor.look()
            said += self.heard()  # or the socket would be full (unix(7), max_dgram_qlen)
        return said


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    made = Systemd(tmp_path / "notify", monkeypatch)
    yield made
    made.socket.close()


@pytest.fixture
def serving(systemd: Systemd) -> tuple[Supervisor, Served]:
    supervisor, served = systemd.supervise(), Served()
    supervisor.serving(served)
    assert systemd.heard() == ["READY=1\nSTATUS=3 feeds, 1,204 entries, no dump since the start", "WATCHDOG=1"]
    return supervisor, served


def test_a_long_start_is_given_time_but_not_for_ever(systemd: Systemd) -> None:
    supervisor = systemd.supervise()
    supervisor.starting("opening the store")
    assert systemd.heard() == ["STATUS=Starting: opening the store"]
    said = systemd.pass_time(supervisor, 120)
    assert set(said) == {"EXTEND_TIMEOUT_USEC=60000000\nSTATUS=Starting: opening the store"}
    assert 6 <= len(said) <= 10
    systemd.pass_time(supervisor, module.STAGE_SECONDS, step=10)
    assert systemd.pass_time(supervisor, 120) == []
    supervisor.starting("rendering the feeds")
    assert len(systemd.pass_time(supervisor, 60)) > 2


def test_ready_is_said_once_the_feed_can_be_served(systemd: Systemd) -> None:
    supervisor, served = systemd.supervise(), Served()
    served.ready = False
    supervisor.serving(served)
    assert "READY=1" not in "\n".join([*systemd.heard(), *systemd.pass_time(supervisor, 20)])
    served.ready = True
    said = "\n".join(systemd.pass_time(supervisor, 20))
    assert said.count("READY=1") == 1


def test_pings_come_at_half_the_time(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    assert systemd.pass_time(serving[0], 150).count("WATCHDOG=1") == 10


@pytest.mark.parametrize("watchdog", [0.1, 2.0, 30.0])
def test_it_looks_again_in_time_to_ping(systemd: Systemd, watchdog: float) -> None:
    supervisor, served = systemd.supervise(watchdog), Served()
    supervisor.serving(served)
    came = [systemd.now]
    for _ in range(200):
        systemd.now += supervisor.look()
        supervisor.look()
        if "WATCHDOG=1" in systemd.heard():
            came.append(systemd.now)
    gaps = [later - earlier for earlier, later in pairwise(came)]
    assert max(gaps) <= watchdog / 2 + 0.02
    assert len(gaps) > 3


def test_no_pings_where_nobody_waits_for_them(systemd: Systemd) -> None:
    supervisor = systemd.supervise(None)
    supervisor.serving(Served())
    assert systemd.pass_time(supervisor, 60) == []


def test_a_part_that_does_not_answer_ends_the_pings(
    systemd: Systemd, serving: tuple[Supervisor, Served], caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, served = serving
    supervisor.start()  # for the reports
    supervisor.close()
    served.parts["watcher"] = "has not answered for 16 s"
    said = systemd.pass_time(supervisor, 100)
    assert set(said) == {"STATUS=Failing: watcher has not answered for 16 s"}
    assert [record.message for record in caplog.records] == ["part does not answer"]
    assert served.reports.get(timeout=PATIENCE) == ("part:watcher", "watcher has not answered for 16 s")
    assert systemd.given_up == []  # it may come back
    served.parts["watcher"] = None
    said = systemd.pass_time(supervisor, 10)
    assert said == ["STATUS=3 feeds, 1,204 entries, no dump since the start", "WATCHDOG=1"]
    assert served.reports.get(timeout=PATIENCE) == ("part:watcher", None)


def test_what_is_said_changes_every_few_seconds_at_most(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    supervisor, served = serving
    said = []
    for number in range(60):
        served.summary = Summary(3, 1204 + number, 0, systemd.now)
        said += systemd.pass_time(supervisor, 1)
    assert 10 <= len([line for line in said if line.startswith("STATUS=")]) <= 12


def test_the_last_dump_is_remembered_over_a_reload(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    supervisor, served = serving
    served.summary = Summary(3, 1204, 0, systemd.now)
    systemd.pass_time(supervisor, 130)
    supervisor.reloading()
    supervisor.serving(Served())
    assert systemd.heard()[-1] == "STATUS=3 feeds, 1,204 entries, last dump 2 min ago"
    said = [line for line in systemd.pass_time(supervisor, 120) if line.startswith("STATUS=")]
    assert said[-1].endswith("last dump 4 min ago")


def test_a_part_that_ended_ends_the_daemon(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    supervisor, served = serving
    served.parts["intake"], served.ended = "has ended", ("intake",)
    systemd.pass_time(supervisor, 3)
    served.parts["intake"], served.ended = None, ()  # mended
    systemd.pass_time(supervisor, 3)
    served.parts["intake"], served.ended = "has ended", ("intake",)
    systemd.pass_time(supervisor, 4)
    assert systemd.given_up == []
    systemd.pass_time(supervisor, 60)
    assert systemd.given_up == ["intake ended by itself, so the daemon ends as well; the log says why"]


def test_a_reload_is_told_and_may_take_its_time(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    supervisor, served = serving
    systemd.now += 20
    supervisor.reloading()
    assert systemd.heard() == ["RELOADING=1\nMONOTONIC_USEC=1020000000\nSTATUS=Reloading"]
    served.parts["watcher"] = "has ended"  # it was stopped
    assert set(systemd.pass_time(supervisor, 60)) == {"WATCHDOG=1"}
    served.parts["watcher"] = None
    supervisor.serving(served)
    assert systemd.heard() == ["READY=1", "STATUS=3 feeds, 1,204 entries, no dump since the start"]


def test_a_reload_that_hangs_ends_the_pings(systemd: Systemd, serving: tuple[Supervisor, Served]) -> None:
    supervisor, _ = serving
    supervisor.reloading()
    systemd.pass_time(supervisor, module.RELOAD_SECONDS)
    assert systemd.pass_time(supervisor, 60) == []


@pytest.mark.parametrize("when", ["starting", "serving", "reloading", "stopping"])
def test_a_stop_that_hangs_is_cut_short(systemd: Systemd, when: str) -> None:
    supervisor = systemd.supervise()
    supervisor.starting("opening the store")
    if when != "starting":
        supervisor.serving(Served())
    if when == "reloading":
        supervisor.reloading()
    supervisor.ending()
    if when == "stopping":
        systemd.now += 10
        supervisor.stopping()  # the time runs since it was asked for
        assert systemd.heard()[-1] == "STOPPING=1\nSTATUS=Stopping: answering what is in flight"
        systemd.now -= 10
    systemd.pass_time(supervisor, module.STOP_SECONDS)
    assert systemd.left == []
    systemd.pass_time(supervisor, 1)
    (reason,) = systemd.left
    assert reason.startswith("it was to stop within 30 s and has not; these threads run: ")
    assert "MainThread" in reason


@pytest.mark.slow
def test_it_looks_by_itself(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(PATIENCE)
        given_up: queue.SimpleQueue[str] = queue.SimpleQueue()
        supervisor = Supervisor(ServiceManager(str(tmp_path / "notify"), 0.2), given_up.put)
        supervisor.start()
        assert heard.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")
        supervisor.serving(Served())
        assert heard.recv(4096).startswith(b"READY=1")
        begun = time.monotonic()
        for _ in range(5):
            assert heard.recv(4096) == b"WATCHDOG=1"
        assert time.monotonic() - begun >= 0.3
        supervisor.close()
