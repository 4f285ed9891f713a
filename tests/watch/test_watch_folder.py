"""Watched folders that go, come back, are replaced or mounted over."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from feedsvc.watch import Change, Listing, Watcher
from feedsvc.watch.files import scan
from feedsvc.watch.folder import distinct
from watch.place import SHORT, Place, linux_only, root_only, run, tree, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


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
