"""Looks after the folders and delivers what is due."""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import TYPE_CHECKING

from feedsvc.errors import WatchError
from feedsvc.health import Pulse, show_thread
from feedsvc.watch.agenda import Agenda
from feedsvc.watch.files import Listing, scan
from feedsvc.watch.folder import distinct
from feedsvc.watch.handler import FolderHandler
from feedsvc.watch.observer import open_observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from watchdog.observers.api import BaseObserver

    from feedsvc.watch.files import Change
    from feedsvc.watch.folder import Folder

__all__ = ["Watcher"]

logger = logging.getLogger(__name__)

_CHECK_INTERVAL = 0.25  # seconds between two looks at the folders themselves
_RETRY = 1.0  # seconds after which a listing that failed is tried again
_LIMITS = {
    errno.ENOSPC: "the limit of inotify watches is used up: raise fs.inotify.max_user_watches or set polling = true",
    errno.EMFILE: "inotify instances or open files are used up: raise fs.inotify.max_user_instances or the limit of"
    " open files, or set polling = true",
}


class Watcher:
    """Watches folders and delivers what happens in them, until it is stopped. It can be started once.

    A path is delivered once its file was closed by its writer or renamed into place, else once its size and time have
    not changed for `settle` seconds; as gone once it was absent for that long. A Listing comes for each folder at the
    start, at each rescan, when a folder is back or another one stands in its place, when a folder inside was moved
    away or deleted, and when events were lost. A missing folder is reported and waited for; no Listing comes of it.
    The same goes for a folder that is empty after its file system was changed (an unmount leaves an empty one).

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
            directories: The folders. Those inside others, or the same, are dropped.
            recursive: Whether folders inside are watched.
            polling: Whether to poll, for network file systems.
            settle: Seconds for which a file must not change.
            deliver: Takes what is delivered. Called by one thread at a time: in `start` by the caller's, later by the
                watcher's own. Returns fast; what it raises is logged.
            report: Takes a key and the message of a problem that stands from now on, or None where it ended. Called
                like `deliver`.
            poll_interval: Seconds between two polls.
        """
        self.overflows = 0
        self.pulse = Pulse()
        self._directories = [os.fspath(directory) for directory in directories]
        self._recursive = recursive
        self._polling = polling
        self._poll_interval = poll_interval
        self._deliver = deliver
        self._report = report
        self._folders: list[Folder] = []
        self._observer: BaseObserver | None = None
        self._stopping = threading.Event()
        self._agenda = Agenda(settle, _CHECK_INTERVAL)
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
        """Have each folder listed again, and armed again where it is not wholly watched. Returns at once."""
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
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    @property
    def alive(self) -> bool:
        """Whether all threads that must run do run."""
        observer = self._observer
        return self._thread.is_alive() and (observer is None or observer.is_alive())

    def _run(self) -> None:
        show_thread("watch")
        while self._agenda.wait():
            self.pulse.beat()
            self._check_folders()
            self._list_folders()
            self._collect()

    def _check_folders(self) -> None:
        if self._agenda.take_check():
            for folder in self._folders:
                self._check(folder)
                self._tell(folder)

    def _check(self, folder: Folder) -> None:
        identity = folder.look()
        appeared = identity is not None and identity != folder.identity
        emitter = folder.emitter
        # An emitter ends by itself when its folder is deleted, even where a new one has got the same inode by now.
        if emitter is not None and (appeared or identity is None or folder.rearm or not emitter.is_alive()):
            self._disarm(folder)
        folder.rearm = False
        if identity != folder.identity:
            folder.identity = identity
            # What was pending is told by the next listing: the files may be there still, out of sight.
            self._agenda.discard(folder)
        if identity is None:
            folder.unwatched = folder.unlisted = None
            return
        if folder.emitter is None and (self._arm(folder) or appeared):
            self._agenda.list_at_once(folder)
        self._ask_emitter(folder)

    def _arm(self, folder: Folder) -> bool:
        folder.real = os.path.realpath(folder.name)
        try:
            if self._observer is None:
                self._observer = open_observer(polling=self._polling, poll_interval=self._poll_interval)
            handler = FolderHandler(folder, self._agenda, recursive=self._recursive, polling=self._polling)
            watch = self._observer.schedule(handler, folder.real, recursive=self._recursive)
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            number = error.errno if isinstance(error, OSError) else None
            self._say_unwatched(folder, _LIMITS.get(number or 0, str(error)))
            return False
        folder.emitter = next(emitter for emitter in self._observer.emitters if emitter.watch == watch)
        folder.overflows = 0
        return True

    def _disarm(self, folder: Folder) -> None:
        if self._observer is not None and folder.emitter is not None:
            self._observer.unschedule(folder.emitter.watch)
        folder.emitter = None

    def _ask_emitter(self, folder: Folder) -> None:
        """Hear what only the inotify emitter can tell."""
        if folder.emitter is None:
            return
        overflows: int = getattr(folder.emitter, "overflows", 0)
        if overflows > folder.overflows:
            self.overflows += overflows - folder.overflows
            folder.overflows = overflows
            logger.warning("events were lost, the folder is listed again", extra={"path": folder.name})
            self._agenda.request_listing(folder)
        if getattr(folder.emitter, "limited", False):
            self._say_unwatched(folder, _LIMITS[errno.ENOSPC])
        else:
            folder.unwatched = None

    def _say_unwatched(self, folder: Folder, reason: str) -> None:
        folder.unwatched = f"folder {folder.name} cannot be watched wholly, it is read at each rescan: {reason}"

    def _list_folders(self) -> None:
        for folder in self._folders:
            if self._agenda.take_listing(folder):
                self._list(folder)
                self._tell(folder)

    def _list(self, folder: Folder) -> None:
        if folder.identity is None:
            return
        try:
            files, unreadable = scan(folder.name, recursive=self._recursive, interrupted=self._interrupted)
        except OSError as error:
            folder.unlisted = f"folder {folder.name} cannot be read: {error.strerror}"
            self._agenda.request_listing(folder, after=_RETRY)
            return
        if self._stopping.is_set():
            return
        if folder.look() != folder.identity:  # not the folder that was scanned, or not all of it
            self._agenda.request_listing(folder, after=_RETRY)
            return
        if files:
            folder.device = folder.identity.device
        elif folder.device not in {None, folder.identity.device}:
            folder.unlisted = (
                f"folder {folder.name} is empty since its file system was changed (unmounted?);"
                " its entries stay until there are files again"
            )
            self._agenda.request_listing(folder, after=_RETRY)
            return
        folder.unlisted = None
        unsettled = self._agenda.unsettled(folder, files.items())
        self._hand_over(Listing(folder.name, files, unsettled, unreadable), folder.name)

    def _interrupted(self) -> bool:
        self.pulse.beat()
        return self._stopping.is_set()

    def _collect(self) -> None:
        intact: dict[str, bool] = {}
        for change in self._agenda.collect():
            if self._interrupted():
                return  # the listing at the next start has the rest
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

    def _hand_over(self, told: Change | Listing, path: str) -> None:
        try:
            self._deliver(told)
        except Exception:  # whatever it is: watching goes on
            logger.exception("was not taken in", extra={"path": path})

    def _tell(self, folder: Folder) -> None:
        if folder.problem == folder.told:
            return
        folder.told = folder.problem
        try:
            self._report(f"watch:{folder.name}", folder.problem)
        except Exception:  # as above
            logger.exception("problem was not taken in", extra={"path": folder.name})
