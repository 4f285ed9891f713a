"""Limits of the system: what is used up is said, the feed is served on, and nothing is lost when there is more."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.faults import messages, once, settled, until_once, wrap, write
from e2e.harness import environment, lack, make_dump, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

pytestmark = pytest.mark.alone

# How many files are dropped at once, and how many names a folder has: CI takes fewer of the former.
FILES = int(os.environ.get("FEEDSVC_FILES", "3000"))
NAMES = int(os.environ.get("FEEDSVC_NAMES", "100000"))
EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("max_inotify_instances", 0, "inotify instances or open files are used up"),
        ("max_inotify_watches", 0, "the limit of inotify watches is used up"),
        ("max_inotify_watches", 2, "the limit of inotify watches is used up"),
    ],
)
def test_used_up_inotify(limit: str, value: int, said: str, daemons: Daemons, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = daemons.prepare({"schedule": {"rescan": "1 s"}})
    # Limits of a user namespace of its own (user_namespaces(7)): those of the machine stay.
    allow = f"echo {value} > /proc/sys/user/{limit} && exec "
    script = daemon.home / "limited"
    wrap(script, need("unshare"), "--user", "--map-root-user", "sh", "-c", allow + '"$0" "$@"')
    tried = [need("unshare"), "--user", "--map-root-user", "test", "-w", f"/proc/sys/user/{limit}"]
    if subprocess.run(tried, check=False, capture_output=True).returncode:
        lack("no user namespace can be made here")
    inside = daemon.folder / "a" / "b"
    inside.mkdir(parents=True)
    write(inside, "there before")
    with monkeypatch.context() as patch:
        patch.setattr("e2e.harness.FEEDSVC", script)
        daemon.start()
    line = daemon.wait_for_log("level=error", "cannot be watched wholly, it is read at each rescan")
    assert said in line
    write(inside, "found by the rescan")
    until_once(daemon, "there before", "found by the rescan")
    (message,) = messages(daemon)
    assert said in message
    raised = ["nsenter", "--user", "--preserve-credentials", f"--target={daemon.process.pid}"]
    subprocess.run([*raised, "sh", "-c", f"echo 1000 > /proc/sys/user/{limit}"], check=True, env=environment())
    daemon.wait_for_log("problem ended", f"problem=watch:{daemon.folder}")
    write(inside, "told by an event")
    settled(daemon, "there before", "found by the rescan", "told by an event")


@contextmanager
def without_files(daemon: Daemon) -> Iterator[None]:
    """The daemon can open nothing more; what it has open stays so."""
    pid = daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_without_a_file_descriptor_left_what_is_open_serves_on(daemons: Daemons) -> None:
    daemon = daemons.prepare({"schedule": {"rescan": "1 s"}})
    write(daemon.folder, "there before")
    daemon.start()
    until_once(daemon, "there before")
    before = daemon.get("/feed.atom").body
    new = daemon.folder / "new" / "inside"
    with without_files(daemon):
        write(daemon.folder, "dropped meanwhile")
        assert "Too many open files" in daemon.wait_for_log("level=error", "problem=intake")
        new.mkdir(parents=True)
        write(new, "in a new folder")
        assert "open files are used up" in daemon.wait_for_log("level=error", f"problem=watch:{daemon.folder}")
        assert daemon.get("/feed.atom").body == before  # on the connection that is open
    daemon.disconnect()
    until_once(daemon, "there before", "dropped meanwhile", "in a new folder")
    daemon.wait_for_log("problem ended", "problem=intake")
    daemon.wait_for_log("problem ended", f"problem=watch:{daemon.folder}")
    write(new, "told by an event")
    settled(daemon, "there before", "dropped meanwhile", "in a new folder", "told by an event")
    assert "dump quarantined" not in daemon.log
    assert "Traceback" not in daemon.log


def memory(daemon: Daemon, name: str) -> int:
    """Of the daemon, in KiB: VmRSS is what it takes now, VmHWM the most that it took (proc(5))."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii").splitlines()
    (size,) = (int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return size


def test_many_files_at_once_all_arrive_though_the_queue_overflows(daemons: Daemons, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(FILES):
        text = make_dump(f"article {number}", seconds=1712180702 + number, body=f"<p>What number {number} says.</p>")
        (outside / f"{number}.txt").write_text(text, "utf-8")
    daemon = daemons.prepare()
    events = EVENTS.read_text() if EVENTS.exists() else ""
    try:
        EVENTS.write_text("16")
    except OSError as error:
        lack(f"the length of inotify's queue cannot be set here: {error.strerror}")
    try:
        daemon.start()  # the limit is taken when the queue is made
    finally:
        EVENTS.write_text(events)
    write(daemon.folder, "the first article")
    until_once(daemon, "the first article")
    before, started = memory(daemon, "VmHWM"), time.monotonic()
    for path in outside.iterdir():
        path.rename(daemon.folder / path.name)
    dropped = time.monotonic() - started
    wait_for(lambda: len(daemon.titles_stored()) > FILES, within=GENEROUS + FILES / 10)
    seconds, most = time.monotonic() - started, memory(daemon, "VmHWM")
    assert sorted(daemon.titles_stored()) == sorted(["the first article", *(f"article {n}" for n in range(FILES))])
    newest = [f"article {number}" for number in range(FILES - 1, FILES - 101, -1)]
    wait_for(lambda: daemon.feed().titles == newest)
    lost = daemon.log.count("events were lost")
    print(  # noqa: T201 - for the record
        f"{FILES} files dropped in {dropped:.1f} s were stored after {seconds:.1f} s; events were lost {lost} times;"
        f" memory at most {before / 1024:.0f} MiB before and {most / 1024:.0f} MiB then"
    )
    assert lost
    assert most - before < 64 * 1024 + 2 * FILES  # KiB: two of each file, and what publishing takes
    status = daemon.status()
    assert status["dumps"]["published"] == FILES + 1
    assert status["problems"] == []


def test_a_folder_of_very_many_names_delays_nobody(daemons: Daemons) -> None:
    daemon = daemons.prepare({"schedule": {"rescan": "1 s"}})
    crowd = daemon.folder / "crowd"
    crowd.mkdir()
    for number in range(NAMES):  # what is no file is looked at as well, and leaves nothing behind in the store
        (crowd / f"{number:07}.txt").symlink_to("nowhere")
    daemon.start()
    before = memory(daemon, "VmRSS")
    waits = []
    for number in range(10):
        started = time.monotonic()
        write(daemon.folder, f"article {number}")
        wait_for(lambda number=number: once(daemon, f"article {number}"))  # type: ignore[misc]  # bound early
        waits.append(time.monotonic() - started)
    write(crowd, "in the crowd")
    until_once(daemon, "in the crowd", "article 9")
    after = memory(daemon, "VmRSS")
    print(  # noqa: T201 - for the record
        f"beside {NAMES} names: served after {sorted(waits)[5]:.2f} s, at most {max(waits):.2f} s;"
        f" memory {before / 1024:.0f} MiB, later {after / 1024:.0f} MiB"
    )
    assert after - before < 64 * 1024
