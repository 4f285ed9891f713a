"""A watchdog emitter for Linux that loses nothing silently.

watchdog's own inotify emitter keeps an overflow of the kernel's queue and folders that it could not watch to itself,
goes on watching folders that were moved away, holds everything back for half a second after a file was moved out, and
enters hidden folders. This one stands on the same reader of inotify events, `InotifyFD`.
"""

# Paths stay strings here: they may be no valid Unicode.
# ruff: noqa: PTH118

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
from typing import TYPE_CHECKING

from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
)
from watchdog.observers.api import DEFAULT_EMITTER_TIMEOUT, BaseObserver, EventEmitter
from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyFD, Mask

from feedsvc.watch.files import is_hidden

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import EventQueue, ObservedWatch
    from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

logger = logging.getLogger(__name__)

_MASK = Mask(
    InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
    | InotifyConstants.IN_ONLYDIR
)
_VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# An event tells when a folder may be read after all (IN_ATTRIB), and no path becomes shorter.
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
_callback_ids = itertools.count()


class TreeEmitter(EventEmitter):
    """Watches a folder and the folders inside it; is at the same time the `WatchCallback` of all their watches.

    A folder is always watched first and listed afterwards, so that no file falls between.

    Attributes:
        overflows: How often the kernel's queue overflowed and events were lost.
        shortage: The errno that keeps folders inside from being watched for a time; 0 if all are.
    """

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: float = DEFAULT_EMITTER_TIMEOUT,
        event_filter: list[type[FileSystemEvent]] | None = None,
        inotify_fd: InotifyReader,
    ) -> None:
        """Pass on BaseObserver's arguments; all emitters share one reader."""
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self.overflows = 0
        self.shortage = 0
        self._inotify_fd = inotify_fd
        # Taken by the reader's thread and by those that start and stop; losing the root stops from within.
        self._lock = threading.RLock()
        self._folders: dict[WatchDescriptor, tuple[str, CallbackId]] = {}

    def on_thread_start(self) -> None:
        """Set the watches.

        Raises:
            OSError: The folder itself cannot be watched.
        """
        with self._lock:
            try:
                self._watch_tree(self.watch.path, tell=False)
            except OSError:
                self._unwatch(self.watch.path)
                raise

    def on_thread_stop(self) -> None:
        """Remove the watches."""
        with self._lock:
            self._unwatch(self.watch.path)

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002 - watchdog's signature
        """Wait for the end: all events come in from the reader's thread."""
        self.stopped_event.wait()

    def on_event(self, event: InotifyEvent) -> None:
        """Turn an inotify event into watchdog's (WatchCallback)."""
        with self._lock:
            known = self._folders.get(event.wd)
            if known is None:
                return
            folder, _ = known
            if event.name:
                path = os.path.join(folder, os.fsdecode(event.name))
                (self._on_folder if event.is_directory else self._on_file)(event, path)
            elif event.is_move_self and folder == self.watch.path:
                self._lose_root()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a folder that was deleted or unmounted (WatchCallback)."""
        with self._lock:
            known = self._folders.pop(wd, None)
            if known is not None and known[0] == self.watch.path:
                self._lose_root()

    def on_queue_overflow(self) -> None:
        """Set all watches anew: news of folders was lost too (WatchCallback)."""
        with self._lock:
            if not self._folders:
                return
            self._unwatch(self.watch.path)
            self.shortage = 0
            try:
                self._watch_tree(self.watch.path, tell=False)
            except OSError:
                self._lose_root()
            self.overflows += 1

    def _on_file(self, event: InotifyEvent, path: str) -> None:
        if event.is_close_write:
            self.queue_event(FileClosedEvent(path))
        elif event.is_moved_to:
            self.queue_event(FileMovedEvent("", path))  # as watchdog's InotifyFullEmitter has it
        elif event.is_moved_from or event.is_delete:
            self.queue_event(FileDeletedEvent(path))
        elif event.is_create:
            self.queue_event(FileCreatedEvent(path))
        else:
            self.queue_event(FileModifiedEvent(path))

    def _on_folder(self, event: InotifyEvent, path: str) -> None:
        if event.is_moved_from or event.is_delete:
            if event.is_moved_from:  # the watches of a deleted one are removed by the kernel
                self._unwatch(path)
            self.queue_event(DirDeletedEvent(path))
        elif self.watch.is_recursive and not is_hidden(os.path.basename(path)):  # noqa: PTH119 - see above
            self._watch_tree(path, tell=True)  # on IN_ATTRIB as well: it may be readable now

    def _lose_root(self) -> None:
        self.queue_event(DirDeletedEvent(self.watch.path))
        self.stop()

    def _watch_tree(self, top: str, *, tell: bool) -> None:
        """Watch a folder and those inside; tell of the files that are there."""
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                if not self._add_watch(folder):
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            if tell:
                                self.queue_event(FileCreatedEvent(entry.path))
                        elif self.watch.is_recursive and not is_hidden(entry.name):
                            folders.append(entry.path)
            except OSError as error:
                if folder == self.watch.path:
                    raise
                self._pass_over(folder, error)

    def _pass_over(self, folder: str, error: OSError) -> None:
        if error.errno not in _VANISHED:
            logger.warning("cannot be watched", extra={"path": folder, "reason": error.strerror})
            if error.errno not in _REFUSED:
                self.shortage = error.errno or errno.EIO

    def _add_watch(self, folder: str) -> bool:
        """Set one watch; tell if the folder is to be listed."""
        if not self._inotify_fd.should_keep_running():  # its file descriptor may be another's by now
            raise OSError(errno.EBADF, "the reader of inotify events has ended", folder)
        callback_id = CallbackId(next(_callback_ids))
        try:
            wd = self._inotify_fd.add_callback(os.fsencode(folder), _MASK, self, callback_id)
        except OSError as error:
            if error.errno != errno.ENOSPC or folder == self.watch.path:
                raise
            self.shortage = error.errno
            return True
        if wd == -1:  # how InotifyFD answers EACCES
            self._inotify_fd.remove_callbacks([(wd, callback_id)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        known = self._folders.get(wd)
        if known is None:
            self._folders[wd] = (folder, callback_id)
            return True
        # The kernel has one watch a folder: told twice, or found again under another name.
        self._inotify_fd.remove_callbacks([(wd, callback_id)])
        self._folders[wd] = (folder, known[1])
        return known[0] != folder

    def _unwatch(self, top: str) -> None:
        below = os.path.join(top, "")
        gone = [(wd, id_) for wd, (folder, id_) in self._folders.items() if folder == top or folder.startswith(below)]
        for wd, _ in gone:
            del self._folders[wd]
        if self._inotify_fd.should_keep_running():  # else the kernel dropped them all
            self._inotify_fd.remove_callbacks(gone)


class InotifyReader(InotifyFD):
    """watchdog's reader of inotify events, but it never leaves a file descriptor open."""

    def __init__(self) -> None:
        """Open the inotify instance.

        Raises:
            OSError: No more instances or open files are allowed (EMFILE).
        """
        try:
            super().__init__()
        except OSError:
            # Of the last one that was left: none was left for the pipe, and each new attempt would take one more.
            if (opened := self.__dict__.get("_inotify_fd")) is not None:
                os.close(opened)
            raise
        self.name = "inotify"

    def run(self) -> None:
        """Read until it is stopped; end orderly if that fails."""
        try:
            super().run()
        except Exception:  # the watcher sees that it ended, and starts another
            logger.exception("the reader of inotify events failed")
            self.abandon()

    def abandon(self) -> None:
        """Close all; the reading thread does it if there is one."""
        with self._lock:
            self._is_reading = False
        self.stop()


class TreeObserver(BaseObserver):
    """watchdog's observer with TreeEmitters on one inotify instance."""

    def __init__(self) -> None:
        """Open the inotify instance.

        Raises:
            OSError: No more instances are allowed (EMFILE).
            RuntimeError: No more threads are allowed.
        """
        self._inotify_fd = InotifyReader()
        try:
            self._inotify_fd.start()
        except RuntimeError:  # no more threads
            self._inotify_fd.abandon()
            raise
        super().__init__(TreeEmitter, inotify_fd=self._inotify_fd)

    def on_thread_stop(self) -> None:
        """Close the inotify instance."""
        super().on_thread_stop()
        self._inotify_fd.stop()
        self._inotify_fd.join()

    def is_alive(self) -> bool:
        """True if both the observer and its reader run."""
        return super().is_alive() and self._inotify_fd.is_alive()
