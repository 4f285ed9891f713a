"""Looks after the folders and delivers their changes and listings."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from feedsvc.errors import WatchError
from feedsvc.runtime.backoff import LONGEST_RETRY, RETRY_SECONDS, Backoff
from feedsvc.runtime.health import Pulse, show_thread
from feedsvc.text import printable
from feedsvc.watch.agenda import Agenda
from feedsvc.watch.files import Listing, is_gone, scan
from feedsvc.watch.folder import distinct
from feedsvc.watch.watches import Watches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from feedsvc.watch.files import Change
    from feedsvc.watch.folder import Folder

logger = logging.getLogger(__name__)

_CHECK_INTERVAL = 0.25  # seconds between two looks at the folders themselves
_SHOWN = 3  # paths of many that a message names
_SHARE = 10  # listings after lost events take at most this part of the time


class Watcher:
    """Watches folders and delivers their changes, until it is stopped. It can be started once.

    A path is delivered once its file was closed by its writer or renamed into place, else once its size and time have
    not changed for `settle` seconds; as gone once it was absent for that long. A Listing comes for each folder at the
    start, at each rescan, when a folder is back or another one stands in its place, when a folder inside was moved
    away or deleted, and when events were lost. A missing folder is reported and waited for; no Listing comes of it.
    The same goes for a folder that is empty after its file system was changed (an unmount leaves an empty one).
    Failures are reported, and tried again; threads that end by themselves are replaced.

    Attributes:
        overflows: How often a folder lost events because the kernel's queue was full.
        pulse: Beats while the folders are looked after: at each look, folder read and path delivered.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        *,
        recursive: bool,
        polling: bool,
        settle: float,
        deliver: Callable[[Change | Listing], None],
        report: Callable[[str, str | None], None],
        poll_interval: float = 1.0,
    ) -> None:
        """Take the folders; nothing is read yet.

        Args:
            directories: Those inside others, or the same, are dropped.
            recursive: Whether folders inside are watched.
            polling: Whether to poll, for network file systems.
            settle: Seconds that a file must not change.
            deliver: Called by one thread at a time: in `start` by the caller's, later by the watcher's own. Returns
                fast; an exception is logged.
            report: Takes a key and the message of a problem that stands from now on, or None if it ended. Called like
                `deliver`.
            poll_interval: Seconds between two polls.
        """
        self.overflows = 0
        self.pulse = Pulse()
        self._directories = [os.fspath(directory) for directory in directories]
        self._recursive = recursive
        self._settle = settle
        self._deliver = deliver
        self._report = report
        self._folders: list[Folder] = []
        self._stopping = threading.Event()
        self._agenda = Agenda(settle, _CHECK_INTERVAL)
        self._watches = Watches(self._agenda, recursive=recursive, polling=polling, poll_interval=poll_interval)
        self._told: dict[str, str | None] = {}  # the problems that were last reported, by key
        self._mending = Backoff()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Arm the watches, then list each folder, then go on in threads of its own.

        The Listings have been delivered when this returns.

        Raises:
            WatchError: There is nothing that could ever be watched.
        """
        if not self._directories:
            raise WatchError("no folder to watch is given")
        for directory in self._directories:
            if "\0" in directory:
                raise WatchError(f"{directory!r} can be no folder's name")
        self._folders = distinct(self._directories, recursive=self._recursive)
        self._check_folders()  # all are armed before the first is listed
        self._list_folders()
        self._thread.start()

    def rescan(self) -> None:
        """Have each folder listed again, and watched again if it is not wholly watched. Returns at once."""
        for folder in self._folders:
            folder.rearm = folder.unwatched is not None
            self._agenda.list_at_once(folder)
        self._agenda.check_at_once()

    def stop(self) -> None:
        """End all threads and wait for them. Does nothing the second time."""
        self._stopping.set()
        self._agenda.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._watches.stop()

    @property
    def alive(self) -> bool:
        """True if all threads that must run do run."""
        return self._thread.is_alive() and self._watches.alive

    def _run(self) -> None:
        show_thread("watch")
        while self._agenda.wait():
            self.pulse.beat()
            try:
                self._check_folders()
                self._list_folders()
                self._collect()
            except Exception as error:  # watching goes on
                logger.exception("watching failed", extra={"folders": len(self._folders)})
                self._tell("watch", f"watching failed, it goes on: {type(error).__name__}: {printable(str(error))}")
                self._stopping.wait(RETRY_SECONDS)
                for folder in self._folders:  # changes in hand are lost
                    self._agenda.request_listing(folder)
            else:
                self._tell("watch", None)

    def _check_folders(self) -> None:
        if self._agenda.take_check():
            self._mend()
            for folder in self._folders:
                self._check(folder)
                self._tell_folder(folder)

    def _mend(self) -> None:
        """Start another observer if this one has ended."""
        now = time.monotonic()
        if self._watches.alive:
            if self._mending.due(now - LONGEST_RETRY):  # it lives on
                self._mending.succeed()
            return
        if self._mending.failing and not self._mending.due(now):
            return
        self._mending.fail(now)
        self._watches.mend(self._folders)
        for folder in self._folders:
            folder.unlisted = f"folder {folder.name} was not watched: a thread had ended; it is watched and read again"

    def _check(self, folder: Folder) -> None:
        identity = folder.look()
        appeared = identity is not None and identity != folder.identity
        emitter = folder.emitter
        folder.rearm |= folder.watching.due(time.monotonic())
        # An emitter ends by itself when its folder is deleted, even where a new one has got the same inode by now.
        if emitter is not None and (appeared or identity is None or folder.rearm or not emitter.is_alive()):
            self._watches.remove(folder)
        folder.rearm = False
        if identity != folder.identity:
            folder.identity = identity
            # The next listing tells of pending files: they may be there still, out of sight.
            self._agenda.discard(folder)
        if identity is None:
            folder.unwatched = folder.unlisted = folder.partly = folder.restless = None
            return
        if folder.emitter is None:
            armed = self._watches.set(folder)
            if armed or appeared:
                self._agenda.list_at_once(folder)
            if folder.watching.failing and armed:
                folder.watching.fail(time.monotonic())
        self._ask_emitter(folder)
        self._see_restless(folder)

    def _ask_emitter(self, folder: Folder) -> None:
        lost = self._watches.ask(folder)
        if lost:
            self.overflows += lost
            logger.warning("events were lost, the folder is listed again", extra={"path": folder.name})
            self._agenda.request_listing(folder, after=max(self._settle, _SHARE * folder.seconds))
        if folder.unwatched is None:
            folder.watching.succeed()
        elif not folder.watching.failing:
            folder.watching.fail(time.monotonic())

    def _see_restless(self, folder: Folder) -> None:
        paths = self._agenda.restless(folder)
        if paths:
            folder.restless = (
                f"folder {folder.name} has files that are written to without a pause; each is read once it rests:"
                f" {_some(paths)}"
            )
        else:
            folder.restless = None

    def _list_folders(self) -> None:
        for folder in self._folders:
            if self._agenda.take_listing(folder):
                self._list(folder)
                self._tell_folder(folder)

    def _list(self, folder: Folder) -> None:
        if folder.identity is None:
            return
        started, meanwhile = time.monotonic(), set[str]()

        def go_on_meanwhile() -> bool:
            meanwhile.update(self._collect())  # a large folder delays nobody
            return self._interrupted()

        try:
            files, unreadable = scan(folder.name, recursive=self._recursive, interrupted=go_on_meanwhile)
        except OSError as error:
            folder.unlisted = f"folder {folder.name} cannot be read: {error.strerror}"
            self._agenda.request_listing(folder, after=RETRY_SECONDS)
            return
        if self._stopping.is_set():
            return
        if folder.look() != folder.identity:  # not the folder that was scanned, or not all of it
            self._agenda.request_listing(folder, after=RETRY_SECONDS)
            return
        if files:
            folder.device = folder.identity.device
        elif folder.device not in {None, folder.identity.device}:
            folder.unlisted = (
                f"folder {folder.name} is empty since its file system was changed (unmounted?);"
                " its entries stay until there are files again"
            )
            self._agenda.request_listing(folder, after=RETRY_SECONDS)
            return
        folder.unlisted = folder.partly = None
        if stuck := sorted(path for path in unreadable if not is_gone(path)):
            folder.partly = f"folder {folder.name} has what cannot be read; its entries stay: {_some(stuck)}"
            self._agenda.request_listing(folder, after=folder.listing.fail(time.monotonic()))
        else:
            folder.listing.succeed()
        for path in meanwhile:  # told already, as it was after the scan saw it
            files.pop(path, None)
        unsettled = self._agenda.unsettled(folder, files.items())
        unsettled |= {path for path in meanwhile if path.startswith(folder.prefix)}
        folder.seconds = time.monotonic() - started
        self._hand_over(Listing(folder.name, files, unsettled, unreadable), folder.name)

    def _interrupted(self) -> bool:
        self.pulse.beat()
        return self._stopping.is_set()

    def _collect(self) -> list[str]:
        """Hand over the changes that have settled; give their paths."""
        intact: dict[str, bool] = {}
        told: list[str] = []
        for change in self._agenda.collect():
            if self._interrupted():
                break  # the listing at the next start has the rest
            folder = max(
                (folder for folder in self._folders if change.path.startswith(folder.prefix)),
                key=lambda folder: len(folder.prefix),
            )
            if not change.gone:
                folder.device = folder.identity and folder.identity.device
            elif not intact.setdefault(folder.name, folder.look() == folder.identity):
                self._agenda.request_listing(folder)  # the whole folder is gone: if not for long, this makes up for it
                continue
            self._hand_over(change, change.path)
            told.append(change.path)
        return told

    def _hand_over(self, told: Change | Listing, path: str) -> None:
        try:
            self._deliver(told)
        except Exception:  # watching goes on
            logger.exception("was not taken in", extra={"path": path})

    def _tell_folder(self, folder: Folder) -> None:
        self._tell(f"watch:{folder.name}", folder.problem)

    def _tell(self, key: str, problem: str | None) -> None:
        if self._told.get(key) == problem:
            return
        self._told[key] = problem
        try:
            self._report(key, problem)
        except Exception:  # as above
            logger.exception("problem was not taken in", extra={"path": key.removeprefix("watch:")})


def _some(paths: Sequence[str]) -> str:
    """Name the first of some paths, for people."""
    more = len(paths) - _SHOWN
    return ", ".join(map(printable, paths[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
