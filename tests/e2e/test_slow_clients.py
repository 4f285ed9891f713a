"""Slow clients by the thousand take nobody's place, and nobody's time."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.crowd import Crowd, take_files
from e2e.harness import Client, lack

if TYPE_CHECKING:
    from e2e.conftest import Daemons
    from e2e.harness import Daemon

pytestmark = pytest.mark.alone

CLIENTS = 2000
POLLS = 100
PROMISED = 0.1  # seconds in which others are answered; more than half of them, on a machine that others use as well
FILES = 600  # that a daemon may open where there are few


def poll(daemon: Daemon) -> float:
    """Ask on a new connection; the seconds that it took."""
    began = time.monotonic()
    client = Client(daemon.port)
    try:
        answer = client.get("/feed.atom")
    finally:
        client.close()
    assert answer.status == 200
    assert b"</feed>" in answer.body[-20:]
    return time.monotonic() - began


def is_full(daemon: Daemon, crowd: Crowd) -> bool:
    """Whether the daemon has accepted most of a crowd, or ended some of it already."""
    return crowd.cut > 0 or connected(daemon) > CLIENTS // 2


def connected(daemon: Daemon) -> int:
    """How many files the daemon has open."""
    return sum(1 for _ in Path(f"/proc/{daemon.process.pid}/fd").iterdir())


def test_others_are_answered_beside_slow_clients(daemons: Daemons) -> None:
    if take_files() < 2 * CLIENTS:
        lack(f"no process may open {2 * CLIENTS} files here (ulimit -Hn)")
    daemon = daemons.start()
    daemon.serve("an article")
    medians = {}
    for kind in ("sending", "reading", "silent"):
        crowd = Crowd(kind, daemon.port, CLIENTS)
        crowd.start()
        try:
            assert crowd.full.wait(GENEROUS)
            wait_for(partial(is_full, daemon, crowd))
            times = sorted(poll(daemon) for _ in range(POLLS))
        finally:
            crowd.ended.set()
            crowd.join()
        medians[kind] = statistics.median(times)
        print(f"{kind}: median {1000 * medians[kind]:.1f} ms, p99 {1000 * times[-2]:.1f} ms")  # noqa: T201
    assert max(medians.values()) < PROMISED, medians


def test_where_files_are_few_the_slow_make_place(daemons: Daemons) -> None:
    limit = [sys.executable, "-c", "import resource, sys; n = int(sys.argv[2]); resource.prlimit(int(sys.argv[1]), "]
    limit[-1] += "resource.RLIMIT_NOFILE, (n, n))"
    daemon = daemons.prepare()
    daemon.launch()
    subprocess.run([*limit, str(daemon.process.pid), str(FILES)], check=True)
    wait_for(lambda: daemon.log and "serving" in daemon.log)
    daemon.serve("an article")
    crowd = Crowd("silent", daemon.port, FILES)
    crowd.start()
    try:
        assert crowd.full.wait(GENEROUS)
        for _ in range(POLLS):
            poll(daemon)
        wait_for(lambda: crowd.cut > 0)
        daemon.serve("another article")
    finally:
        crowd.ended.set()
        crowd.join()
