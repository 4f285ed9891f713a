"""Each way in which a file can come, change and go, told by a real Watcher about real files."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

from feedsvc.errors import WatchError
from feedsvc.watch import Change, FileState, Listing, Watcher
from feedsvc.watch import files as files_module
from feedsvc.watch import observer as observer_module
from feedsvc.watch.files import observe, scan
from feedsvc.watch.folder import Folder, Identity, distinct

if sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyEvent, Mask, WatchDescriptor

    from feedsvc.watch.inotify import Reader, TreeEmitter, TreeObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watchdog.observers.api import BaseObserver

BOUND = 20.0  # seconds; no test needs them unless it fails
LONG = 60.0  # a settle time that no test survives: what arrives did not wait for it
SHORT = 0.2

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Consumer:
    """Does with Changes and Listings what the pipeline does, and keeps a log of it."""

    def __init__(self) -> None:
        self.log: Counter[tuple[str, str]] = Counter()
        self.known: dict[str, FileState] = {}
        self.content: dict[str, bytes] = {}
        self.listings: list[Listing] = []
        self.reports: list[tuple[str, str | None]] = []
        self.cond = threading.Condition()

    def deliver(self, told: Change | Listing) -> None:
        with self.cond:
            if isinstance(told, Change):
                if told.gone:
                    self._forget(told.path)
                else:
                    self._read(told.path)
            else:
                self.listings.append(told)
                for path, state in told.files.items():
                    if path not in told.unsettled and self.known.get(path) != state:
                        self._read(path)
                below = f"{told.directory}/"
                hidden = tuple(f"{path}/" for path in told.unreadable)
                there = {*told.files, *told.unsettled, *told.unreadable}
                for path in [path for path in self.known if path.startswith(below)]:
                    if path not in there and not path.startswith(hidden):
                        self._forget(path)
            self.cond.notify_all()

    def _read(self, path: str) -> None:
        state = observe(path)
        if state is not None:
            self.known[path] = state
            self.content[path] = Path(path).read_bytes()
        self.log["read", path] += 1

    def _forget(self, path: str) -> None:
        self.known.pop(path, None)
        self.log["gone", path] += 1

    def report(self, key: str, message: str | None) -> None:
        with self.cond:
            self.reports.append((key, message))
            self.cond.notify_all()

    def problem(self, folder: Path) -> str | None:
        return next((message for key, message in reversed(self.reports) if key == f"watch:{folder}"), None)

    def until(self, condition: Callable[[], bool]) -> None:
        with self.cond:
            assert self.cond.wait_for(condition, BOUND), (self.log, self.reports, self.listings[-1:])


@dataclass
class Place:
    """Two watched folders, one that is not watched on the same file system, and a consumer."""

    a: Path
    b: Path
    outside: Path
    consumer: Consumer = field(default_factory=Consumer)
    fences: int = 0

    @contextmanager
    def watch(
        self, *directories: Path, settle: float = SHORT, polling: bool = False, recursive: bool = True
    ) -> Iterator[Watcher]:
        watcher = Watcher(
            directories or (self.a, self.b),
            recursive=recursive,
            polling=polling,
            settle=settle,
            deliver=self.consumer.deliver,
            report=self.consumer.report,
            poll_interval=0.05,
        )
        try:
            watcher.start()
            yield watcher
        finally:
            watcher.stop()

    def fence(self, *folders: Path) -> None:
        """Wait until all that was done before has settled: a linked file has no writer and waits its full time."""
        self.fences += 1
        paths = [folder / f".fence-{self.fences}" for folder in folders]
        source = self.outside / f".fence-{self.fences}"
        write(source)
        for path in paths:
            path.hardlink_to(source)
        self.consumer.until(lambda: all(self.consumer.log["read", str(path)] for path in paths))

    def log(self) -> Counter[tuple[str, str]]:
        """What was done, by path relative to all folders, without the fences."""
        with self.consumer.cond:
            return Counter(
                {
                    (what, os.path.relpath(path, self.a.parent)): count
                    for (what, path), count in self.consumer.log.items()
                    if ".fence-" not in path
                }
            )

    def until_ended(self, folder: Path, problems: int) -> None:
        ended = (f"watch:{folder}", None)
        self.consumer.until(lambda: self.consumer.reports.count(ended) == problems)

    def until(self, **paths: str) -> None:
        wanted = {(what, str(self.a.parent / path)) for what, path in paths.items()}
        self.consumer.until(lambda: all(self.consumer.log[pair] for pair in wanted))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "a", tmp_path / "b", tmp_path / "outside")
    for folder in (place.a, place.b, place.outside):
        folder.mkdir()
    return place


def write(path: Path, text: str = "text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=BOUND)


def from_another_file_system(place: Place) -> None:
    shared = Path("/dev/shm")  # noqa: S108 - the point is that it is another file system
    if not shared.is_dir() or shared.stat().st_dev == place.a.stat().st_dev:
        pytest.skip("shared memory is no file system of its own here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        source = Path(folder, "x.txt")
        write(source)
        run("mv", source, place.a / "x.txt")


def in_two_steps(place: Place) -> None:
    (place.a / "x.txt").unlink()
    write(place.a / "x.txt", "new")


def fifo(place: Place) -> None:
    os.mkfifo(place.a / "fifo")
    with os.fdopen(os.open(place.a / "fifo", os.O_RDWR), "wb", buffering=0) as pipe:
        pipe.write(b"closing it after a write must not look like a file")


def unix_socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.a / "socket"))


def linked_folder(place: Place) -> None:
    write(place.outside / "deep" / "x.txt")
    (place.a / "link").symlink_to(place.outside / "deep")
    write(place.outside / "deep" / "y.txt")


def linked_loop(place: Place) -> None:
    (place.a / "sub").mkdir()
    (place.a / "sub" / "loop").symlink_to(place.a)
    write(place.a / "sub" / "x.txt")


def swapped_for_link(place: Place) -> None:
    (place.outside / "link").symlink_to(place.outside / "secret.txt")
    write(place.outside / "secret.txt")
    (place.outside / "link").rename(place.a / "x.txt")


def read_only(place: Place) -> None:
    (place.a / "x.txt").read_bytes()
    list(place.a.iterdir())


@dataclass(frozen=True)
class Row:
    """What is done, and what the consumer must do then: each exactly once, and nothing else."""

    act: Callable[[Place], object]
    read: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    at_once: bool = False  # not even the settle time is waited for


def tree(*paths: str) -> Callable[[Place], None]:
    def build(place: Place) -> None:
        for path in paths:
            write(place.a.parent / path)

    return build


ROWS = {
    "created": Row(tree("a/x.txt"), read=("a/x.txt",), at_once=True),
    "created empty": Row(lambda p: (p.a / "x.txt").touch(), read=("a/x.txt",), at_once=True),
    "created in both folders": Row(tree("a/x.txt", "b/x.txt"), read=("a/x.txt", "b/x.txt"), at_once=True),
    "linked": Row(
        lambda p: (p.a / "x.txt").hardlink_to(p.outside / "x.txt"), before=("outside/x.txt",), read=("a/x.txt",)
    ),
    "renamed into place": Row(
        lambda p: (p.a / ".x.part").rename(p.a / "x.txt"),
        before=("a/.x.part",),
        read=("a/x.txt",),
        gone=("a/.x.part",),
    ),
    "moved in": Row(
        lambda p: (p.outside / "x.txt").rename(p.a / "x.txt"),
        before=("outside/x.txt",),
        read=("a/x.txt",),
        at_once=True,
    ),
    "moved in from another file system": Row(from_another_file_system, read=("a/x.txt",), at_once=True),
    "replaced by a rename": Row(
        lambda p: (p.outside / "new.txt").rename(p.a / "x.txt"),
        before=("a/x.txt", "outside/new.txt"),
        read=("a/x.txt",),
        at_once=True,
    ),
    "replaced in two steps": Row(in_two_steps, before=("a/x.txt",), read=("a/x.txt",), at_once=True),
    "written anew": Row(
        lambda p: write(p.a / "x.txt", "longer than before"), before=("a/x.txt",), read=("a/x.txt",), at_once=True
    ),
    "touched": Row(lambda p: os.utime(p.a / "x.txt", (1, 1)), before=("a/x.txt",), read=("a/x.txt",)),
    "touched by a command": Row(
        lambda p: run("touch", p.a / "x.txt"), before=("a/x.txt",), read=("a/x.txt",), at_once=True
    ),
    "mode changed": Row(lambda p: (p.a / "x.txt").chmod(0o640), before=("a/x.txt",), read=("a/x.txt",)),
    "only read": Row(read_only, before=("a/x.txt",)),
    "deleted": Row(lambda p: (p.a / "x.txt").unlink(), before=("a/x.txt",), gone=("a/x.txt",)),
    "moved out": Row(lambda p: (p.a / "x.txt").rename(p.outside / "x.txt"), before=("a/x.txt",), gone=("a/x.txt",)),
    "moved between watched folders": Row(
        lambda p: (p.a / "x.txt").rename(p.b / "x.txt"), before=("a/x.txt",), read=("b/x.txt",), gone=("a/x.txt",)
    ),
    "folder made and filled": Row(tree("a/s/t/u/x.txt", "a/s/y.txt"), read=("a/s/t/u/x.txt", "a/s/y.txt")),
    "folder copied in": Row(
        lambda p: run("cp", "-r", p.outside / "s", p.a),
        before=("outside/s/t/x.txt", "outside/s/y.txt"),
        read=("a/s/t/x.txt", "a/s/y.txt"),
    ),
    "folder moved in": Row(
        lambda p: (p.outside / "s").rename(p.a / "s"),
        before=("outside/s/t/x.txt", "outside/s/y.txt"),
        read=("a/s/t/x.txt", "a/s/y.txt"),
    ),
    "folder renamed": Row(
        lambda p: (p.a / "s").rename(p.a / "r"),
        before=("a/s/t/x.txt", "a/y.txt"),
        read=("a/r/t/x.txt",),
        gone=("a/s/t/x.txt",),
    ),
    "folder moved between watched folders": Row(
        lambda p: (p.a / "s").rename(p.b / "s"),
        before=("a/s/t/x.txt", "a/y.txt"),
        read=("b/s/t/x.txt",),
        gone=("a/s/t/x.txt",),
    ),
    "folder moved out": Row(
        lambda p: (p.a / "s").rename(p.outside / "s"),
        before=("a/s/t/x.txt", "a/s/z.txt", "a/y.txt"),
        gone=("a/s/t/x.txt", "a/s/z.txt"),
    ),
    "folder deleted": Row(
        lambda p: shutil.rmtree(p.a / "s"),
        before=("a/s/t/x.txt", "a/s/z.txt", "a/y.txt"),
        gone=("a/s/t/x.txt", "a/s/z.txt"),
    ),
    "folder shown": Row(lambda p: (p.a / ".s").rename(p.a / "s"), before=("a/.s/x.txt",), read=("a/s/x.txt",)),
    "folder hidden": Row(lambda p: (p.a / "s").rename(p.a / ".s"), before=("a/s/x.txt",), gone=("a/s/x.txt",)),
    "hidden folder": Row(tree("a/.git/x.txt", "a/.git/objects/y.txt")),
    "hidden file": Row(tree("a/.x.txt"), read=("a/.x.txt",), at_once=True),
    "link to a file outside": Row(lambda p: (p.a / "x.txt").symlink_to(p.outside / "x.txt"), before=("outside/x.txt",)),
    "link to a file inside": Row(lambda p: (p.a / "x.txt").symlink_to(p.a / "y.txt"), before=("a/y.txt",)),
    "link to a folder outside": Row(linked_folder),
    "loop of links": Row(linked_loop, read=("a/sub/x.txt",)),
    "swapped for a link": Row(swapped_for_link, before=("a/x.txt",), gone=("a/x.txt",)),
    "dangling link": Row(lambda p: (p.a / "x.txt").symlink_to(p.outside / "nothing")),
    "FIFO": Row(fifo),
    "socket": Row(unix_socket),
    "folder with the name of a dump": Row(lambda p: (p.a / "x.txt").mkdir()),
    "name with newlines": Row(tree("a/x\ny\n.txt"), read=("a/x\ny\n.txt",), at_once=True),
    "name that is not UTF-8": Row(tree("a/\udcff\udc80.txt"), read=("a/\udcff\udc80.txt",), at_once=True),
    "Chinese name in a folder": Row(tree("a/法广/文章.txt"), read=("a/法广/文章.txt",)),
}


def wanted(row: Row) -> Counter[tuple[str, str]]:
    return Counter([("read", path) for path in row.read] + [("gone", path) for path in row.gone])


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_each_event_reaches_the_consumer_exactly_once(row: Row, place: Place, *, polling: bool) -> None:
    tree(*row.before)(place)
    for path in row.before:  # files of long ago
        os.utime(place.a.parent / path, (1_000_000_000, 1_000_000_000))
    with place.watch(polling=polling):
        known = set(place.consumer.known)
        assert known == {str(place.a.parent / path) for path in row.before if path[0] != "o" and "/." not in path} | {
            str(place.a.parent / path) for path in row.before if path == "a/.x.part"
        }
        place.consumer.log.clear()
        row.act(place)
        expected = wanted(row)
        place.consumer.until(lambda: place.log() >= expected)
        for _ in range(2 if polling else 1):  # one poll has no order
            place.fence(place.a, place.b)
        assert place.log() == expected
    assert place.consumer.reports == []


@linux_only
@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.at_once], ids=[n for n in ROWS if ROWS[n].at_once])
def test_what_is_complete_does_not_wait(row: Row, place: Place) -> None:
    tree(*row.before)(place)
    for path in row.before:
        os.utime(place.a.parent / path, (1_000_000_000, 1_000_000_000))
    with place.watch(settle=LONG):
        place.consumer.log.clear()
        row.act(place)
        place.consumer.until(lambda: place.log() >= wanted(row))
        assert place.log() == wanted(row)


# How a file settles.


def test_a_file_written_slowly_is_read_once_when_it_is_closed(place: Place) -> None:
    path = place.a / "x.txt"
    with place.watch(settle=LONG):
        with path.open("w", encoding="utf-8") as file:
            for line in range(50):
                file.write(f"line {line}\n")
                file.flush()
                write(place.b / f"{line}.txt")
                place.until(read=f"b/{line}.txt")
                assert ("read", "a/x.txt") not in place.log()
        place.until(read="a/x.txt")
        assert place.consumer.content[str(path)] == path.read_bytes()
        assert place.log()["read", "a/x.txt"] == 1


@pytest.mark.parametrize("polling", [False, True])
def test_a_file_that_is_never_closed_is_read_when_it_rests(place: Place, *, polling: bool) -> None:
    with place.watch(polling=polling), (place.a / "x.txt").open("w", encoding="utf-8") as file:
        file.write("first")
        file.flush()
        place.until(read="a/x.txt")
        file.write(" and second")
        file.flush()
        place.consumer.until(lambda: place.consumer.content[str(place.a / "x.txt")] == b"first and second")


def test_files_that_are_there_at_start_are_listed_when_start_returns(place: Place) -> None:
    tree("a/x.txt", "a/s/y.txt", "b/z.txt", "a/.git/config")(place)
    for path in (place.a / "x.txt", place.a / "s" / "y.txt", place.b / "z.txt"):
        os.utime(path, (1, 1))
    with place.watch(settle=LONG):
        first, second = place.consumer.listings
    assert first.directory == str(place.a)
    assert first.files[str(place.a / "x.txt")] == FileState(4, 10**9, (place.a / "x.txt").stat().st_ino)
    assert set(first.files) == {str(place.a / "x.txt"), str(place.a / "s" / "y.txt")}
    assert set(second.files) == {str(place.b / "z.txt")}
    assert first.unsettled == first.unreadable == frozenset()


def test_a_file_that_may_be_being_written_at_start_comes_later_and_once(place: Place) -> None:
    write(place.a / "x.txt")
    with place.watch(settle=2.0):  # longer than a slow machine takes to start it
        assert place.consumer.listings[0].unsettled == {str(place.a / "x.txt")}
        place.until(read="a/x.txt")
        place.fence(place.a)
        assert place.log() == {("read", "a/x.txt"): 1}


def test_a_file_of_the_future_does_not_wait(place: Place) -> None:
    write(place.a / "x.txt")
    os.utime(place.a / "x.txt", (2**32, 2**32))
    with place.watch(settle=LONG):
        assert place.log() == {("read", "a/x.txt"): 1}


def test_it_beats_while_nothing_happens(place: Place) -> None:
    with place.watch() as watcher:
        watcher.pulse.last -= 1000
        deadline = time.monotonic() + 30
        while watcher.pulse.age() >= 1000:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_rescan_tells_nothing_twice(place: Place) -> None:
    with place.watch(settle=1.0) as watcher:
        write(place.a / "x.txt")
        place.until(read="a/x.txt")
        watcher.rescan()
        place.consumer.until(lambda: len(place.consumer.listings) == 4)
        assert place.consumer.listings[2].files.keys() == {str(place.a / "x.txt")}
        assert place.consumer.listings[2].unsettled == frozenset()
        place.fence(place.a)
        assert place.log() == {("read", "a/x.txt"): 1}


def test_a_listing_names_what_has_just_vanished_as_unsettled(place: Place) -> None:
    write(place.a / "x.txt")
    os.utime(place.a / "x.txt", (1, 1))
    with place.watch(settle=LONG) as watcher:
        (place.a / "x.txt").unlink()
        write(place.a / "y.txt")
        place.until(read="a/y.txt")
        watcher.rescan()
        place.consumer.until(lambda: len(place.consumer.listings) == 4)
        assert place.consumer.listings[2].unsettled == {str(place.a / "x.txt")}
        assert place.log()["gone", "a/x.txt"] == 0


# Many at once.


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


@contextmanager
def kernel_setting(name: str, value: int) -> Iterator[None]:
    path = Path("/proc/sys", name)
    try:
        before = path.read_text(encoding="ascii")
        path.write_text(str(value), encoding="ascii")
    except OSError as error:
        pytest.skip(f"{path} cannot be set: {error.strerror}")
    try:
        yield
    finally:
        path.write_text(before, encoding="ascii")


@linux_only
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


# The watched folder itself.


def shortly_gone(place: Place) -> None:
    shutil.rmtree(place.a)
    place.a.mkdir()


def remade_later(place: Place) -> None:
    shutil.rmtree(place.a)
    place.consumer.until(lambda: place.consumer.problem(place.a) is not None)
    place.a.mkdir()


def moved_and_remade(place: Place) -> None:
    place.a.rename(place.outside / "a")
    place.a.mkdir()


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
@pytest.mark.parametrize("act", [shortly_gone, remade_later, moved_and_remade])
def test_a_folder_that_was_made_anew_is_watched_on(
    act: Callable[[Place], None], place: Place, *, polling: bool
) -> None:
    write(place.a / "s" / "x.txt")
    os.utime(place.a / "s" / "x.txt", (1, 1))
    with place.watch(polling=polling) as watcher:
        act(place)
        place.until(gone="a/s/x.txt")
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
        write(place.a / "s" / "y.txt")
        place.until(read="a/s/y.txt")
        assert watcher.alive
    assert place.log()["gone", "a/s/x.txt"] == 1


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_a_folder_that_was_moved_away_is_missed_and_nothing_in_it_is_called_gone(
    place: Place, *, polling: bool
) -> None:
    write(place.a / "x.txt")
    os.utime(place.a / "x.txt", (1, 1))
    with place.watch(polling=polling) as watcher:
        listings = len(place.consumer.listings)
        place.a.rename(place.outside / "away")
        place.consumer.until(lambda: place.consumer.problem(place.a) is not None)
        assert str(place.a) in (place.consumer.problem(place.a) or "")
        watcher.rescan()
        place.consumer.until(lambda: len(place.consumer.listings) > listings)  # that of b
        write(place.outside / "away" / "y.txt")
        place.fence(place.b)
        assert {listing.directory for listing in place.consumer.listings[listings:]} == {str(place.b)}
        (place.outside / "away").rename(place.a)
        place.until(read="a/y.txt")
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
        write(place.a / "z.txt")
        place.until(read="a/z.txt")
        assert place.log() == {("read", "a/x.txt"): 1, ("read", "a/y.txt"): 1, ("read", "a/z.txt"): 1}


def test_a_file_that_is_absent_with_its_whole_folder_is_not_gone(place: Place) -> None:
    parent = place.outside / "parent"
    tree("outside/parent/a/x.txt", "outside/y.txt")(place)

    def move_away(told: Change | Listing) -> None:
        if isinstance(told, Change) and told.path.endswith("y.txt"):
            parent.rename(place.outside / "away")  # no event tells of it
        place.consumer.deliver(told)

    watcher = Watcher(
        [parent / "a"],
        recursive=True,
        polling=False,
        settle=SHORT,
        deliver=move_away,
        report=place.consumer.report,
    )
    watcher.start()
    try:
        place.until(read="outside/parent/a/x.txt")
        (parent / "a" / "y.txt").hardlink_to(place.outside / "y.txt")
        (parent / "a" / "x.txt").unlink()
        place.consumer.until(lambda: place.consumer.problem(parent / "a") is not None)
        assert ("gone", "outside/parent/a/x.txt") not in place.log()
        (place.outside / "away").rename(parent)
        place.until(gone="outside/parent/a/x.txt")
    finally:
        watcher.stop()


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_a_folder_that_is_missing_at_start_is_waited_for(place: Place, *, polling: bool) -> None:
    missing = place.outside / "later"
    with place.watch(place.b, missing, polling=polling):
        assert f"{missing} is not there" in (place.consumer.problem(missing) or "")
        assert [listing.directory for listing in place.consumer.listings] == [str(place.b)]
        write(place.b / "x.txt")
        place.until(read="b/x.txt")
        write(missing / "s" / "x.txt")
        place.until(read="outside/later/s/x.txt")
        place.consumer.until(lambda: place.consumer.problem(missing) is None)


def test_a_file_where_the_folder_should_be_is_reported(place: Place) -> None:
    place.a.rmdir()
    write(place.a)
    with place.watch():
        assert "is no folder" in (place.consumer.problem(place.a) or "")
        place.a.unlink()
        write(place.a / "x.txt")
        place.until(read="a/x.txt")


def test_a_folder_behind_a_loop_of_links_is_reported(place: Place) -> None:
    place.a.rmdir()
    place.a.symlink_to(place.a)
    with place.watch():
        assert "cannot be looked at (Too many levels" in (place.consumer.problem(place.a) or "")


def test_a_folder_that_is_a_link_is_followed_under_its_name_and_to_where_it_leads_next(place: Place) -> None:
    link = place.outside / "link"
    link.symlink_to(place.a)
    with place.watch(link):
        write(place.a / "s" / "x.txt")
        place.until(read="outside/link/s/x.txt")
        write(place.b / "y.txt")
        (place.outside / "next").symlink_to(place.b)
        (place.outside / "next").rename(link)
        place.until(read="outside/link/y.txt", gone="outside/link/s/x.txt")
        write(place.b / "z.txt")
        place.until(read="outside/link/z.txt")


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "feedsvc-test", folder], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        run("umount", "--lazy", folder)


@linux_only
@root_only
@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_a_mount_over_the_folder_is_read_and_its_unmount_is_no_deletion(place: Place, *, polling: bool) -> None:
    with place.watch(polling=polling):
        with mounted(place.a):
            write(place.a / "s" / "x.txt")
            place.until(read="a/s/x.txt")
            write(place.a / "y.txt")
            place.until(read="a/y.txt")
        place.consumer.until(lambda: "unmounted" in (place.consumer.problem(place.a) or ""))
        place.fence(place.b)
        assert ("gone", "a/y.txt") not in place.log()
        # Whoever puts a file there means it.
        write(place.a / "z.txt")
        place.until(read="a/z.txt", gone="a/y.txt")
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)


@linux_only
@root_only
def test_a_file_system_that_is_mounted_again_is_read_on(place: Place) -> None:
    source = place.outside / "source"
    source.mkdir()
    with mounted(source), place.watch():
        for number in (1, 2):
            run("mount", "--bind", source, place.a)
            try:
                write(source / f"{number}.txt")
                place.until(read=f"a/{number}.txt")
                place.consumer.until(lambda: place.consumer.problem(place.a) is None)
            finally:
                run("umount", place.a)
            place.consumer.until(lambda: place.consumer.problem(place.a) is not None)
        assert place.log() == {("read", "a/1.txt"): 1, ("read", "a/2.txt"): 1}


# Which folders.

FOLDERS = {
    "two": (["/d/a", "/d/b"], True, ["/d/a", "/d/b"]),
    "the same twice": (["/d/a", "/d/a/", "/d/x/../a"], True, ["/d/a"]),
    "one inside another": (["/d/a/b", "/d/a"], True, ["/d/a"]),
    "three inside each other": (["/d/a/b/c", "/d/a/b", "/d/a"], True, ["/d/a"]),
    "inside, not recursive": (["/d/a", "/d/a/b", "/d/a"], False, ["/d/a", "/d/a/b"]),
    "inside a hidden folder": (["/d/a", "/d/a/.b/c"], True, ["/d/a", "/d/a/.b/c"]),
    "hidden inside another": (["/d/a", "/d/a/.b", "/d/a/.b/c"], True, ["/d/a", "/d/a/.b"]),
    "only the same beginning": (["/d/a", "/d/ab"], True, ["/d/a", "/d/ab"]),
    "the root": (["/d/a", "/"], True, ["/"]),
}


@pytest.mark.parametrize(("given", "recursive", "kept"), FOLDERS.values(), ids=FOLDERS)
def test_folders_without_those_inside_others(given: list[str], kept: list[str], *, recursive: bool) -> None:
    assert [folder.name for folder in distinct(given, recursive=recursive)] == kept


def test_a_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.chdir(place.a.parent)
    with place.watch(Path("a")):
        write(place.a / "x.txt")
        place.until(read="a/x.txt")


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_nested_folders_give_each_file_one_path(place: Place, *, polling: bool) -> None:
    (place.a / "s").mkdir()
    with place.watch(place.a / "s", place.a, place.a, polling=polling):
        write(place.a / "s" / "x.txt")
        place.until(read="a/s/x.txt")
        place.fence(place.a)
        assert place.log() == {("read", "a/s/x.txt"): 1}


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_only_the_top_level_counts_where_it_is_not_recursive(place: Place, *, polling: bool) -> None:
    write(place.a / "s" / "old.txt")
    with place.watch(place.a, place.a / "s" / "t", recursive=False, polling=polling):
        write(place.a / "s" / "x.txt")
        write(place.a / "u" / "x.txt")
        write(place.a / "x.txt")
        write(place.a / "s" / "t" / "y.txt")
        place.until(read="a/x.txt")
        place.until(read="a/s/t/y.txt")
        place.fence(place.a)
        assert place.log() == {("read", "a/x.txt"): 1, ("read", "a/s/t/y.txt"): 1}


@linux_only
def test_a_folder_that_left_is_not_listened_to_until_it_is_back(place: Place) -> None:
    (place.a / "s" / "t").mkdir(parents=True)
    with place.watch():
        (place.a / "s").rename(place.outside / "s")
        write(place.outside / "s" / "t" / "x.txt")
        (place.a / "s" / "t").mkdir(parents=True)
        write(place.outside / "s" / "t" / "y.txt")
        place.fence(place.a)
        assert place.log() == {}
        (place.outside / "s").rename(place.a / "back")
        place.until(read="a/back/t/x.txt")
        write(place.a / "back" / "t" / "z.txt")
        place.until(read="a/back/t/z.txt")


@linux_only
def test_a_folder_that_left_does_not_speak_for_the_one_in_its_place(place: Place) -> None:
    (place.a / "s" / "t").mkdir(parents=True)
    with place.watch():
        (place.a / "s").rename(place.outside / "s")
        write(place.a / "s" / "t" / "x.txt")
        place.until(read="a/s/t/x.txt")
        place.fence(place.a)
        write(place.outside / "s" / "t" / "x.txt")
        place.fence(place.a)
        assert place.log() == {("read", "a/s/t/x.txt"): 1}


@linux_only
def test_a_file_is_read_under_its_new_name_before_the_old_one_is_gone(place: Place) -> None:
    write(place.a / "s" / "t" / "x.txt")
    os.utime(place.a / "s" / "t" / "x.txt", (1, 1))
    with place.watch():
        place.consumer.log.clear()
        (place.a / "s").rename(place.b / "r")
        place.until(gone="a/s/t/x.txt")
        assert list(place.log()) == [("read", "b/r/t/x.txt"), ("gone", "a/s/t/x.txt")]


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_a_watch_that_ended_is_set_again(place: Place, *, polling: bool) -> None:
    # As when the folder was made anew so soon that it got the same inode.
    with place.watch(polling=polling) as watcher:
        listings = len(place.consumer.listings)
        (emitter,) = (folder.emitter for folder in watcher._folders if folder.name == str(place.a))  # noqa: SLF001
        assert emitter is not None
        emitter.stop()
        place.consumer.until(lambda: len(place.consumer.listings) > listings)
        assert watcher.alive
        write(place.a / "x.txt")
        place.until(read="a/x.txt")


# What goes wrong.


@pytest.fixture
def unprivileged(place: Place) -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    # The way there stays open afterwards: another process that runs tests may be nobody there just now.
    for way in place.a.parents:
        way.chmod(way.stat().st_mode | 0o055)
    try:
        for folder in (place.a, place.b, place.outside):
            os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_an_unreadable_folder_inside_stops_nothing_and_takes_nothing_for_gone(
    place: Place, caplog: pytest.LogCaptureFixture, *, polling: bool
) -> None:
    locked = place.a / "locked"
    tree("a/locked/x.txt", "a/s/y.txt")(place)
    for path in (locked / "x.txt", place.a / "s" / "y.txt"):
        os.utime(path, (1, 1))
    with place.watch(polling=polling) as watcher:
        assert len(place.consumer.known) == 2
        try:
            locked.chmod(0)
            watcher.rescan()
            place.consumer.until(lambda: len(place.consumer.listings) >= 4)
            assert place.consumer.listings[2].unreadable == {str(locked)}
            assert str(locked) in {record.__dict__.get("path") for record in caplog.records}
            write(place.a / "s" / "z.txt")
            place.until(read="a/s/z.txt")
            place.fence(place.a)
        finally:
            locked.chmod(0o755)
        write(locked / "z.txt")
        place.until(read="a/locked/z.txt")
        assert ("gone", "a/locked/x.txt") not in place.log()


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_inside_that_becomes_readable_is_watched(place: Place) -> None:
    locked = place.a / "locked"
    write(locked / "x.txt")
    locked.chmod(0)
    with place.watch():
        locked.chmod(0o755)
        place.until(read="a/locked/x.txt")
        write(locked / "y.txt")
        place.until(read="a/locked/y.txt")


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_an_unreadable_watched_folder_is_reported_and_read_when_it_can_be(place: Place, *, polling: bool) -> None:
    write(place.a / "x.txt")
    place.a.chmod(0)
    try:
        with place.watch(polling=polling):
            assert "Permission denied" in (place.consumer.problem(place.a) or "")
            assert [listing.directory for listing in place.consumer.listings] == [str(place.b)]
            place.a.chmod(0o755)
            place.until(read="a/x.txt")
            place.consumer.until(lambda: place.consumer.problem(place.a) is None)
            write(place.a / "y.txt")
            place.until(read="a/y.txt")
    finally:
        place.a.chmod(0o755)


@pytest.mark.usefixtures("unprivileged")
def test_a_listing_that_fails_is_tried_again(place: Place) -> None:
    with place.watch() as watcher:
        place.a.chmod(0)
        try:
            watcher.rescan()
            place.consumer.until(lambda: "cannot be read" in (place.consumer.problem(place.a) or ""))
        finally:
            place.a.chmod(0o755)
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
        assert [listing.directory for listing in place.consumer.listings].count(str(place.a)) == 2


@pytest.mark.usefixtures("unprivileged")
def test_files_that_cannot_be_looked_at_are_not_gone(place: Place) -> None:
    # A folder that can be read but not searched: its names are seen, its files are not.
    write(place.a / "s" / "x.txt")
    os.utime(place.a / "s" / "x.txt", (1, 1))
    with place.watch() as watcher:
        (place.a / "s").chmod(0o644)
        try:
            watcher.rescan()
            place.consumer.until(lambda: len(place.consumer.listings) >= 4)
            assert str(place.a / "s" / "x.txt") in place.consumer.listings[2].unreadable
        finally:
            (place.a / "s").chmod(0o755)
        place.fence(place.a)
        assert place.log()["gone", "a/s/x.txt"] == 0


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

    # Limits of a user namespace of its own: those of the machine stay.
    limit, folder = Path("/proc/sys/user", sys.argv[1]), Path(sys.argv[2])
    limit.write_text(sys.argv[3])
    reports, known = [], set()

    def deliver(told):
        known.update(told.files if isinstance(told, Listing) else [told.path])

    watcher = Watcher([folder], recursive=True, polling=False, settle=0.1, deliver=deliver,
        report=lambda key, message: reports.append(message))
    watcher.start()

    def until(condition):
        import time
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, (reports, known)
            time.sleep(0.01)

    until(lambda: reports)
    assert sys.argv[4] in reports[0], reports
    (folder / "s" / "t" / "x.txt").write_text("x")
    watcher.rescan()
    until(lambda: str(folder / "s" / "t" / "x.txt") in known)
    assert watcher.alive
    assert len(reports) == 1, reports
    limit.write_text("1000")
    watcher.rescan()
    until(lambda: reports[-1] is None)
    (folder / "s" / "t" / "y.txt").write_text("x")
    until(lambda: str(folder / "s" / "t" / "y.txt") in known)
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
        *("unshare", "--user", "--map-root-user", sys.executable, "-c", script),
        *(limit, place.a, str(value), advice),
    )


def test_a_consumer_that_raises_stops_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    def raise_once(told: Change | Listing) -> None:
        if isinstance(told, Change) and told.path.endswith("bad.txt"):
            raise RuntimeError("no")
        place.consumer.deliver(told)

    def refuse(key: str, message: str | None) -> None:
        raise RuntimeError(key, message)

    missing = place.outside / "missing"
    watcher = Watcher(
        [place.a, missing], recursive=True, polling=False, settle=SHORT, deliver=raise_once, report=refuse
    )
    watcher.start()
    try:
        write(place.a / "bad.txt")
        write(place.a / "good.txt")
        place.until(read="a/good.txt")
        assert watcher.alive
    finally:
        watcher.stop()
    failures = [record.__dict__["path"] for record in caplog.records if record.levelno == logging.ERROR]
    assert failures == [str(missing), str(place.a / "bad.txt")]


@pytest.mark.parametrize("directories", [[], [Path("a\0b")]])
def test_what_can_never_be_watched_is_an_error(place: Place, directories: list[Path]) -> None:
    watcher = Watcher(
        directories,
        recursive=True,
        polling=False,
        settle=SHORT,
        deliver=place.consumer.deliver,
        report=place.consumer.report,
    )
    with pytest.raises(WatchError):
        watcher.start()
    watcher.stop()
    assert not watcher.alive


# Threads.


@pytest.mark.parametrize("polling", [False, True], ids=["native", "polling"])
def test_stop_ends_all_threads_and_closes_all_files_and_can_be_called_again(place: Place, *, polling: bool) -> None:
    threads = set(threading.enumerate())
    files = Path("/proc/self/fd")
    open_files = len(list(files.iterdir())) if files.is_dir() else 0
    with place.watch(polling=polling) as watcher:
        alive = [watcher.alive]
        watcher.stop()
        assert [*alive, watcher.alive] == [True, False]
        assert set(threading.enumerate()) == threads
        if open_files:
            assert len(list(files.iterdir())) == open_files


def test_a_stop_in_the_midst_of_many_changes_is_heard(place: Place) -> None:
    told_so_far: list[Change | Listing] = []
    reached = threading.Event()

    def stop_soon(told: Change | Listing) -> None:
        told_so_far.append(told)
        if isinstance(told, Change):
            reached.set()
            watcher._stopping.set()  # noqa: SLF001 - what stop() does first; it cannot be called from here

    tree(*(f"a/{number}.txt" for number in range(100)))(place)
    watcher = Watcher(
        [place.a], recursive=True, polling=False, settle=SHORT, deliver=stop_soon, report=place.consumer.report
    )
    watcher.start()
    assert reached.wait(BOUND)
    watcher.stop()
    assert len(told_so_far) == 2


def test_a_folder_that_vanishes_while_it_is_scanned_is_not_known_to_be_empty(place: Place) -> None:
    write(place.a / "s" / "x.txt")
    write(place.a / "y.txt")

    def vanish() -> bool:  # asked once before each folder
        if asked:
            (place.a / "s").rename(place.outside / "s")
        asked.append(True)
        return False

    asked: list[bool] = []
    files, unreadable = scan(str(place.a), recursive=True, interrupted=vanish)
    assert set(files) == {str(place.a / "y.txt")}
    assert unreadable == {str(place.a / "s")}


def test_an_interrupted_scan_ends(place: Place) -> None:
    write(place.a / "x.txt")
    assert scan(str(place.a), recursive=True, interrupted=lambda: True) == ({}, frozenset())


@linux_only
def test_other_systems_get_watchdogs_own_observer(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    # Linux's own stands for it here: its events are the ones that all of them send.
    monkeypatch.setattr(observer_module, "NativeObserver", Observer)
    write(place.outside / "s" / "y.txt")
    write(place.outside / "z.txt")
    with place.watch() as watcher:
        write(place.a / "x.txt")
        place.until(read="a/x.txt")
        (place.outside / "s").rename(place.a / "s")
        place.until(read="a/s/y.txt")
        (place.outside / "z.txt").rename(place.a / "z.txt")
        place.until(read="a/z.txt")
        (place.a / "z.txt").rename(place.a / "w.txt")
        place.until(read="a/w.txt", gone="a/z.txt")
        (place.a / "s").rename(place.a / "t")
        place.until(read="a/t/y.txt", gone="a/s/y.txt")
        (place.a / "x.txt").unlink()
        place.until(gone="a/x.txt")
        write(place.a / ".git" / "x.txt")
        place.fence(place.a)
        assert not any(".git" in path for _, path in place.log())
        assert watcher.alive
        assert watcher.overflows == 0


def observer_of(watcher: Watcher) -> BaseObserver:
    observer = watcher._watches._observer  # noqa: SLF001 - nothing from outside can end its threads
    assert observer is not None
    return observer


def stop_the_reader(observer: BaseObserver) -> None:
    assert isinstance(observer, TreeObserver)
    observer._inotify_fd.stop()  # noqa: SLF001


def break_the_reader(observer: BaseObserver) -> None:
    assert isinstance(observer, TreeObserver)

    def fail(event: object) -> None:
        raise RuntimeError(event)

    for emitter in observer.emitters:
        assert isinstance(emitter, TreeEmitter)
        emitter.on_event = fail  # type: ignore[method-assign]


def break_the_dispatcher(observer: BaseObserver) -> None:
    observer.event_queue.put(("no event", "no watch"))  # no handler takes it


@linux_only
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # watchdog's dispatcher just ends
@pytest.mark.parametrize("end", [stop_the_reader, break_the_reader, break_the_dispatcher])
def test_an_observer_whose_threads_ended_is_replaced(end: Callable[[BaseObserver], None], place: Place) -> None:
    for folder in (place.a, place.b):
        (folder / "s").mkdir()
    files = Path("/proc/self/fd")
    with place.watch() as watcher:
        open_files, threads = len(list(files.iterdir())), threading.active_count()
        for number in (1, 2):  # and again, after a while
            first = observer_of(watcher)
            end(first)
            write(place.a / "s" / f"{number}.txt")
            for folder in (place.a, place.b):
                place.until_ended(folder, number)
            place.until(read=f"a/s/{number}.txt")
            assert watcher.alive
            assert observer_of(watcher) is not first
            write(place.b / "s" / f"{number}.txt")
            place.until(read=f"b/s/{number}.txt")
        assert len(list(files.iterdir())) <= open_files
        assert threading.active_count() <= threads
    told = [message for key, message in place.consumer.reports if key == f"watch:{place.a}"]
    assert told[-1] is None
    assert all("ended" in message for message in told if message)
    assert set(place.log().values()) == {1}


@linux_only
def test_a_reader_that_cannot_be_made_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir()))

    def refuse() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", refuse)  # the last file that may be opened is inotify's own
        with pytest.raises(OSError, match="Too many open files"):
            TreeObserver()
    assert len(list(files.iterdir())) == before

    def have_no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Reader, "start", have_no_thread)
    with pytest.raises(RuntimeError):
        TreeObserver()
    assert len(list(files.iterdir())) == before


def test_whatever_goes_wrong_in_watching_is_said_and_ends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = threading.Event()
    failing.set()
    look = Folder.look

    def fail(folder: Folder) -> Identity | None:
        if failing.is_set() and threading.current_thread().name == "watch":
            raise RuntimeError("no \n idea")
        return look(folder)

    monkeypatch.setattr(Folder, "look", fail)
    with place.watch() as watcher:
        place.consumer.until(
            lambda: ("watch", "watching failed, it goes on: RuntimeError: no \\n idea") in place.consumer.reports
        )
        write(place.a / "x.txt")
        failing.clear()
        place.until(read="a/x.txt")
        place.consumer.until(lambda: place.consumer.reports[-1] == ("watch", None))
        assert watcher.alive


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


@pytest.mark.usefixtures("unprivileged")
def test_what_cannot_be_read_in_a_folder_is_said_until_it_can(place: Place) -> None:
    for name in "stuv":
        write(place.a / name / "x.txt")
        (place.a / name).chmod(0)
    with place.watch():
        assert place.consumer.problem(place.a) == (
            f"folder {place.a} has what cannot be read; its entries stay:"
            f" {place.a}/s, {place.a}/t, {place.a}/u and 1 more"
        )
        for name in "stuv":
            (place.a / name).chmod(0o755)
        place.consumer.until(lambda: place.consumer.problem(place.a) is None)
        place.fence(place.a)
        assert {path for _, path in place.log()} == {f"a/{name}/x.txt" for name in "stuv"}


@linux_only
def test_an_emitter_whose_folder_is_out_of_reach_after_an_overflow_ends(place: Place) -> None:
    folder = place.outside / "parent" / "a"
    folder.mkdir(parents=True)
    observer = TreeObserver()
    observer.start()
    try:
        observer.schedule(FileSystemEventHandler(), str(folder), recursive=True)
        (emitter,) = observer.emitters
        assert isinstance(emitter, TreeEmitter)
        emitter.on_event(InotifyEvent(WatchDescriptor(10**6), Mask(2), 0, b"x"))  # of a watch removed just now
        (place.outside / "parent").rename(place.outside / "elsewhere")  # no event tells of it
        emitter.on_queue_overflow()
        emitter.join(BOUND)
        assert not emitter.is_alive()
        emitter.on_queue_overflow()
        assert emitter.overflows == 1
    finally:
        observer.stop()
        observer.join()
