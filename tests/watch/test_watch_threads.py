"""Threads that end, consumers that raise, and stopping."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

from feedsvc.watch import Change, Listing, Watcher, watches
from feedsvc.watch.folder import Folder, Identity
from watch.place import BOUND, SHORT, Place, linux_only, tree, write

if sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyEvent, Mask, WatchDescriptor

    from feedsvc.watch.inotify import InotifyReader, TreeEmitter, TreeObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.observers.api import BaseObserver

pytestmark = pytest.mark.slow


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


@linux_only
def test_other_systems_get_watchdogs_own_observer(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    # Linux's own stands for it here: its events are the ones that all of them send.
    monkeypatch.setattr(watches, "NativeObserver", Observer)
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

    monkeypatch.setattr(InotifyReader, "start", have_no_thread)
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
