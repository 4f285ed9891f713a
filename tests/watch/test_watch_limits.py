"""Many changes at once, and limits of the system that are reached."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from places import TESTS

from feedsvc.watch import FileState
from feedsvc.watch import files as files_module
from watch.place import LONG, Place, kernel_setting, linux_only, run, write

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


def test_files_in_folders_that_are_made_at_that_moment_all_arrive(place: Place) -> None:
    script = f"""
        import os
        for number in range(300):
            os.makedirs(f"{place.a}/{{number}}/s/t")
            for folder in ("", "s/", "s/t/"):
                with open(f"{place.a}/{{number}}/{{folder}}x.txt", "w") as file:
                    file.write("x")
    """
    with place.watch():
        run(sys.executable, "-c", textwrap.dedent(script))
        place.consumer.until(lambda: len(place.consumer.known) == 900)
        place.fence(place.a)
        assert set(place.log().values()) == {1}


def test_a_burst_is_told_once_each(place: Place) -> None:
    script = f"for number in range(3000): open(f'{place.a}/{{number}}.txt', 'w').write('x')"
    write(place.outside / "last.txt")
    with place.watch(settle=LONG):  # else a writer that is held up before it closes has its file read twice
        run(sys.executable, "-W", "ignore", "-c", script)
        (place.outside / "last.txt").rename(place.a / "last.txt")
        place.until(read="a/last.txt")
        place.consumer.until(lambda: len(place.consumer.known) == 3001)
        names = [*range(3000), "last"]
        assert place.log() == Counter(("read", f"a/{name}.txt") for name in names)


@linux_only
@pytest.mark.alone  # the length of the queue is the whole machine's
def test_an_overflow_of_the_queue_loses_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for folder in range(50):
        (place.a / str(folder)).mkdir()
    script = f"""
        import os
        for number in range(3000):
            folder = f"{place.a}/{{number % 100}}"
            os.makedirs(folder, exist_ok=True)
            with open(f"{{folder}}/{{number}}.txt", "w") as file:
                file.write("x")
        for number in range(0, 3000, 3):
            os.unlink(f"{place.a}/{{number % 100}}/{{number}}.txt")
    """
    with kernel_setting("fs/inotify/max_queued_events", 16):
        # The limit is taken when the queue is made.
        watching = place.watch()
        watcher = watching.__enter__()
    try:
        run(sys.executable, "-c", textwrap.dedent(script))
        left = {str(place.a / str(n % 100) / f"{n}.txt") for n in range(3000) if n % 3}
        place.consumer.until(lambda: set(place.consumer.known) == left)
        assert watcher.overflows > 0
        assert str(place.a) in {record.__dict__.get("path") for record in caplog.records}
        # The watches of the folders are whole again, those of the folders made meanwhile too.
        for folder in (0, 99):
            write(place.a / str(folder) / "late.txt")
            place.until(read=f"a/{folder}/late.txt")
    finally:
        watching.__exit__(None, None, None)
    assert place.consumer.reports == []


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_folders_too_deep_for_a_path_stop_nothing(place: Place, *, polling: bool) -> None:
    before = Path.cwd()
    os.chdir(place.a)
    try:
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        write(Path("x.txt"))
        os.chdir(before)
        with place.watch(polling=polling):
            (path,) = place.consumer.listings[0].unreadable
            assert len(path) > 4096 - 201
            write(place.a / "y.txt")
            place.until(read="a/y.txt")
    finally:
        os.chdir(before)
        run("rm", "-rf", place.a / ("d" * 200))


def test_folders_too_deep_to_be_polled_stop_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    deep = place.a.joinpath(*["d"] * 250)
    deep.mkdir(parents=True)
    with place.watch(polling=True) as watcher:
        assert "too deep to be polled" in caplog.messages
        write(place.a / "x.txt")
        place.until(read="a/x.txt")
        write(deep / "y.txt")
        os.utime(deep / "y.txt", (1, 1))
        watcher.rescan()
        place.consumer.until(lambda: str(deep / "y.txt") in place.consumer.known)


LIMITED = """
    import sys
    from pathlib import Path
    from feedsvc.watch import Listing, Watcher
    from waiting import wait_for

    # Limits of a user namespace of its own: those of the machine stay.
    limit, folder = Path("/proc/sys/user", sys.argv[1]), Path(sys.argv[2])
    limit.write_text(sys.argv[3])
    reports, known = [], set()

    def deliver(told):
        known.update(told.files if isinstance(told, Listing) else [told.path])

    watcher = Watcher([folder], recursive=True, polling=False, settle=0.1, deliver=deliver,
        report=lambda key, message: reports.append(message))
    watcher.start()

    wait_for(lambda: reports)
    assert sys.argv[4] in reports[0], reports
    (folder / "s" / "t" / "x.txt").write_text("x")
    watcher.rescan()
    wait_for(lambda: str(folder / "s" / "t" / "x.txt") in known)
    assert watcher.alive
    assert len(reports) == 1, reports
    limit.write_text("1000")
    watcher.rescan()
    wait_for(lambda: reports[-1] is None)
    (folder / "s" / "t" / "y.txt").write_text("x")
    wait_for(lambda: str(folder / "s" / "t" / "y.txt") in known)
    watcher.stop()
"""


@linux_only
@pytest.mark.parametrize(
    ("limit", "value", "advice"),
    [
        ("max_inotify_watches", 0, "raise fs.inotify.max_user_watches or set polling = true"),
        ("max_inotify_watches", 2, "raise fs.inotify.max_user_watches or set polling = true"),
        ("max_inotify_instances", 0, "raise fs.inotify.max_user_instances"),
    ],
)
def test_used_up_limits_are_reported_with_what_to_do_and_rescans_go_on(
    place: Place, limit: str, value: int, advice: str
) -> None:
    (place.a / "s" / "t").mkdir(parents=True)
    try:
        run("unshare", "--user", "--map-root-user", "test", "-w", f"/proc/sys/user/{limit}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespace can be made here")
    script = textwrap.dedent(LIMITED)
    run(
        *("env", f"PYTHONPATH={TESTS}", "unshare", "--user", "--map-root-user", sys.executable, "-c", script),
        *(limit, place.a, str(value), advice),
    )


@linux_only
def test_folders_that_could_not_be_watched_for_a_shortage_are_watched_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, scandir = threading.Event(), os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if short.is_set() and path.endswith("/s"):
            raise OSError(errno.EMFILE, "Too many open files", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with place.watch():
        short.set()
        write(place.a / "s" / "t" / "x.txt")
        place.consumer.until(lambda: "limit of open files" in (place.consumer.problem(place.a) or ""))
        write(place.b / "y.txt")
        place.until(read="b/y.txt")
        short.clear()
        place.until(read="a/s/t/x.txt")
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
        write(place.a / "s" / "t" / "z.txt")
        place.until(read="a/s/t/z.txt")


def test_changes_are_told_while_a_large_folder_is_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        (place.a / f"{number}.txt").touch()
        os.utime(place.a / f"{number}.txt", (1, 1))
    look, slow = files_module._look, threading.Event()  # noqa: SLF001

    def look_slowly(entry: os.DirEntry[str], unreadable: set[str]) -> FileState | None:
        if slow.is_set():
            time.sleep(0.001)  # a slow disk
        return look(entry, unreadable)

    monkeypatch.setattr(files_module, "_look", look_slowly)
    with place.watch() as watcher:
        listings = len(place.consumer.listings)
        slow.set()
        watcher.rescan()
        write(place.a / "new.txt")
        (place.a / "1999.txt").unlink()
        place.until(read="a/new.txt", gone="a/1999.txt")
        assert len(place.consumer.listings) == listings
        place.consumer.until(lambda: len(place.consumer.listings) > listings)
        place.fence(place.a)
    told = place.log()
    assert (told["read", "a/new.txt"], told["gone", "a/1999.txt"]) == (1, 1)
    assert {path for what, path in told if what == "gone"} == {"a/1999.txt"}


def test_a_file_that_never_rests_is_said_and_read_once_it_does(place: Place) -> None:
    with place.watch(settle=0.02), (place.a / "x\n.txt").open("a") as file:
        while not place.consumer.problem(place.a):
            file.write("more\n")
            file.flush()
        assert place.consumer.problem(place.a) == (
            f"folder {place.a} has files that are written to without a pause; each is read once it rests:"
            f" {place.a}/x\\n.txt"
        )
        place.until(read="a/x\n.txt")
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
