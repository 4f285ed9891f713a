"""The watches of all folders on one of watchdog's observers; it is replaced if its threads ended."""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import TYPE_CHECKING

from watchdog.events import (
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.polling import PollingObserverVFS

from feedsvc.watch.files import is_hidden

if sys.platform == "linux":
    from feedsvc.watch.inotify import TreeObserver as NativeObserver
else:
    from watchdog.observers import Observer as NativeObserver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from watchdog.observers.api import BaseObserver

    from feedsvc.watch.agenda import Agenda
    from feedsvc.watch.folder import Folder

logger = logging.getLogger(__name__)

_DEEPEST = 200  # folders; watchdog's snapshots recurse
_NO_FILES = (
    "inotify instances or open files are used up: raise fs.inotify.max_user_instances or the limit of open files,"
    " or set polling = true"
)
_LIMITS = {
    errno.ENOSPC: "the limit of inotify watches is used up: raise fs.inotify.max_user_watches or set polling = true",
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
}


class Watches:
    """Sets and removes the watches of folders. For one thread."""

    def __init__(self, agenda: Agenda, *, recursive: bool, polling: bool, poll_interval: float) -> None:
        """Note events in `agenda`, of folders inside as well if `recursive`; nothing is opened yet.

        `polling`, for network file systems, looks at the files every `poll_interval` seconds.
        """
        self._agenda = agenda
        self._recursive = recursive
        self._polling = polling
        self._poll_interval = poll_interval
        self._observer: BaseObserver | None = None

    def set(self, folder: Folder) -> bool:
        """Watch a folder; if that fails, note why in `unwatched` and give False."""
        if not self.alive:
            _say_unwatched(folder, "a thread had ended, another one is started in a moment")
            return False
        folder.real = os.path.realpath(folder.name)
        try:
            if self._observer is None:
                self._observer = self._open_observer()
            handler = _FolderHandler(folder, self._agenda, recursive=self._recursive, polling=self._polling)
            watch = self._observer.schedule(handler, folder.real, recursive=self._recursive)
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            number = error.errno if isinstance(error, OSError) else None
            _say_unwatched(folder, _LIMITS.get(number or 0, str(error)))
            return False
        folder.emitter = next(emitter for emitter in self._observer.emitters if emitter.watch == watch)
        folder.emitter.name = "emitter"
        folder.overflows = 0
        return True

    def _open_observer(self) -> BaseObserver:
        observer = (
            # Not PollingObserver: it would follow symbolic links.
            PollingObserverVFS(stat=os.lstat, listdir=_visible_entries, polling_interval=self._poll_interval)  # type: ignore[arg-type]  # takes floats
            if self._polling
            else NativeObserver()
        )
        observer.name = "observer"
        observer.start()
        return observer

    def remove(self, folder: Folder) -> None:
        """End the watch of a folder, if it has one."""
        if self._observer is not None and folder.emitter is not None:
            self._observer.unschedule(folder.emitter.watch)
        folder.emitter = None

    def ask(self, folder: Folder) -> int:
        """Give how often events were lost since the last call; note a shortage in `unwatched`.

        Only the inotify emitter knows either.
        """
        emitter = folder.emitter
        if emitter is None:
            return 0
        shortage: int = getattr(emitter, "shortage", 0)
        if shortage:
            _say_unwatched(folder, _LIMITS.get(shortage, os.strerror(shortage)))
        else:
            folder.unwatched = None
        overflows: int = getattr(emitter, "overflows", 0)
        lost, folder.overflows = overflows - folder.overflows, overflows
        return lost

    def mend(self, folders: Sequence[Folder]) -> None:
        """Give up the observer if a thread of its ended by itself; all folders are unwatched then."""
        if not self.alive:
            self.stop()
            for folder in folders:
                folder.emitter = None

    def stop(self) -> None:
        """End all threads and wait for them."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    @property
    def alive(self) -> bool:
        """True if all threads that must run do run."""
        return self._observer is None or self._observer.is_alive()


def _say_unwatched(folder: Folder, reason: str) -> None:
    folder.unwatched = f"folder {folder.name} cannot be watched wholly, it is read at each rescan: {reason}"


class _FolderHandler(FileSystemEventHandler):
    """Takes the events of one folder, but for those that say nothing about a file's content."""

    def __init__(self, folder: Folder, agenda: Agenda, *, recursive: bool, polling: bool) -> None:
        """Note the events of `folder` in `agenda`."""
        self._folder = folder
        self._agenda = agenda
        self._recursive = recursive
        self._polling = polling

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take one event, in the observer's thread."""
        source, destination = self._path(event.src_path), self._path(event.dest_path)
        match event:
            case FileClosedEvent() if source:
                self._agenda.touch(source, finished=True)
            case FileCreatedEvent() | FileModifiedEvent() | FileAttribEvent() if source:
                self._agenda.touch(source)
            case FileDeletedEvent() | FileMovedEvent():
                if source:
                    self._agenda.replace(source)
                if destination:
                    # Polling calls it a move when another file got the inode; that may still be written.
                    self._agenda.replace(destination, finished=not self._polling)
            case DirDeletedEvent() | DirMovedEvent():
                # The files inside are not known here.
                self._agenda.request_listing(self._folder)
                if event.src_path == self._folder.real:
                    self._agenda.check_at_once()

    def _path(self, event_path: bytes | str) -> str | None:
        return self._folder.path_of(os.fsdecode(event_path), recursive=self._recursive)


def _visible_entries(path: str) -> Iterator[os.DirEntry[str]]:
    # An exception here makes watchdog keep its view of the whole tree until the next look.
    if path.count(os.sep) > _DEEPEST:
        logger.warning("too deep to be polled", extra={"path": path})
        return
    with os.scandir(path) as entries:
        yield from (e for e in entries if not (is_hidden(e.name) and e.is_dir(follow_symlinks=False)))
