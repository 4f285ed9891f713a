"""Folders and files that may not be read for a while."""

from __future__ import annotations

import os

import pytest

from watch.place import Place, tree, write

pytestmark = pytest.mark.slow


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
