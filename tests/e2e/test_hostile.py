"""Dumps that are made to do harm: the daemon quarantines them, and serves the others meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.harness import Daemon, make_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeDaemon = Callable[..., Daemon]

# A pattern that takes twice the time for each more "x", until "y" comes.
RULES = '[[rule]]\nname = "for-ever"\nreason = "test"\ntext = ["(?:x+)+y"]\n'
ENDLESS = f"<p>{'x' * 60}</p>"
GOOD = 50


def children(pid: int) -> set[int]:
    """The processes that a daemon started and that run."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text("ascii").split()}
    return found


def runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.toml").write_text(RULES, "utf-8")
    daemon = Daemon(tmp_path, sections(30))
    yield daemon
    daemon.kill()


def sections(seconds: float) -> dict[str, object]:
    return {"clean": {"rules": ["rules"], "seconds": seconds}, "feed": {"entries": 2 * GOOD}}


def quarantined(daemon: Daemon) -> int:
    count: int = daemon.status()["dumps"]["quarantined"]
    return count


def test_dump_that_takes_for_ever_holds_up_nobody(daemon: Daemon) -> None:
    daemon.start()
    daemon.serve("first")  # the processes that clean are ready
    names = [f"good {number}" for number in range(GOOD)]
    daemon.drop("bad.txt", make_dump("bad", body=ENDLESS))
    for name in names:
        daemon.drop(f"{name}.txt", make_dump(name))
    wait_for(lambda: {*names} <= {*daemon.feed().titles})
    found = daemon.status()
    assert found["dumps"]["quarantined"] == 0  # it is still being cleaned
    assert found["ready"]
    daemon.wait_for_log("takes long", "bad.txt")
    daemon.drop("bad.txt", make_dump("bad", body="<p>Mended.</p>"))
    wait_for(lambda: "bad" in daemon.feed().titles)
    daemon.stop()


def test_quarantine_has_a_reason_and_is_tried_again_with_other_bounds(daemon: Daemon) -> None:
    daemon.configure(sections(0.5))
    daemon.start()
    bad = daemon.drop("bad.txt", make_dump("bad", body=ENDLESS))
    wait_for(lambda: quarantined(daemon) == 1)
    (problem,) = daemon.status()["problems"]
    assert problem["about"] == str(bad)
    assert "took more than 0.5 s to clean; mend or remove it, or raise [clean] seconds" in problem["message"]
    daemon.serve("second")
    daemon.stop()

    daemon.start()  # as it is, it is not tried again
    daemon.serve("third")
    assert daemon.log.count("dump quarantined") == 1
    daemon.configure(sections(1.0))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("dump quarantined", "took more than 1 s")
    (daemon.home / "rules" / "rules.toml").write_text(RULES.replace("(?:x+)+y", "z"), "utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "bad" in daemon.feed().titles)
    daemon.stop()


def test_no_process_outlives_the_daemon(daemon: Daemon) -> None:
    daemon.start()
    daemon.drop("bad.txt", make_dump("bad", body=ENDLESS))
    daemon.wait_for_log("takes long", "bad.txt")
    workers = children(daemon.process.pid)
    assert len(workers) == 2
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(GENEROUS)
    wait_for(lambda: not any(map(runs, workers)))


def test_stop_does_not_wait_for_a_dump(daemon: Daemon) -> None:
    daemon.start()
    daemon.drop("bad.txt", make_dump("bad", body=ENDLESS))
    daemon.wait_for_log("takes long", "bad.txt")
    workers = children(daemon.process.pid)
    started = time.monotonic()
    daemon.stop(within=GENEROUS)
    assert time.monotonic() - started < 20  # of the 30 s of processor time that the dump might take
    assert not any(map(runs, workers))


def test_process_that_is_killed_is_started_anew(daemon: Daemon) -> None:
    daemon.start()
    daemon.serve("first")
    before = children(daemon.process.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    daemon.serve("second")
    assert not before & {pid for pid in children(daemon.process.pid) if runs(pid)}
    assert quarantined(daemon) == 0
    daemon.stop()
