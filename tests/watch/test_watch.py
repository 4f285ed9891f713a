"""Each way in which a file can come, change and go."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from feedsvc.errors import WatchError
from feedsvc.watch import FileState, Watcher
from watch.place import LONG, SHORT, Place, linux_only, run, tree, write

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


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
        wait_for(lambda: watcher.pulse.age() < 1000)


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
def test_a_file_is_read_under_its_new_name_before_the_old_one_is_gone(place: Place) -> None:
    write(place.a / "s" / "t" / "x.txt")
    os.utime(place.a / "s" / "t" / "x.txt", (1, 1))
    with place.watch():
        place.consumer.log.clear()
        (place.a / "s").rename(place.b / "r")
        place.until(gone="a/s/t/x.txt")
        assert list(place.log()) == [("read", "b/r/t/x.txt"), ("gone", "a/s/t/x.txt")]


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
