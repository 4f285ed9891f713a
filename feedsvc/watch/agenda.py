"""The times of things to do: the one place that the observer's threads and the watcher's own thread share.

Its lock is held for no call but a look at a file, so that it can be taken under any other lock.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from feedsvc.watch.files import observe
from feedsvc.watch.settle import Settling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feedsvc.watch.files import Change, FileState
    from feedsvc.watch.folder import Folder

logger = logging.getLogger(__name__)

_AT_ONCE = -math.inf
_PATIENCE = 10  # a listing waits for quiet at most so many times the settle time
_RESTLESS = 60  # a file that has not settled after so many times the settle time is reported


class Agenda:
    """Paths that settle, folders to be listed, and the next look at the folders themselves. Safe for threads."""

    def __init__(self, settle: float, check_interval: float) -> None:
        """Take the settle time and the time between two looks at the folders, in seconds."""
        self._settle = settle
        self._check_interval = check_interval
        self._changed = threading.Condition()
        self._settling = Settling(settle)
        self._listings: dict[str, float] = {}  # folder's name to monotonic seconds
        self._check_at = _AT_ONCE
        self._wake_at = _AT_ONCE  # until when the watcher's thread sleeps; while it is awake, no one need wake it
        self._closed = False

    def touch(self, path: str, *, finished: bool = False) -> None:
        """Note that something happened to a file, if it is there; perhaps its writer `finished` it."""
        with self._changed:
            state = _seen(path)
            # A link or a FIFO; or deleted since, and the news of that is on its way.
            if state is not None or path in self._settling:
                self._put(path, state, finished=finished)

    def replace(self, path: str, *, finished: bool = False) -> None:
        """Note that a path holds another file or none; a `finished` one was renamed into place."""
        with self._changed:
            self._put(path, _seen(path), finished=finished)

    def _put(self, path: str, state: FileState | None, *, finished: bool) -> None:
        now = time.monotonic()
        if finished and state is not None:
            self._settling.finish(path, now)
        else:
            self._settling.offer(path, state, now)
        self._wake(self._settling.next_due())

    def collect(self) -> list[Change]:
        """Take out the changes that have settled."""
        with self._changed:
            return self._settling.collect(time.monotonic(), observe)

    def unsettled(self, folder: Folder, files: Iterable[tuple[str, FileState]]) -> frozenset[str]:
        """Give the paths of a folder that a Change will follow for.

        Of its `files`, those that changed just now are noted too: they may be being written.
        """
        wall_clock, fresh = time.time_ns(), self._settle * 1e9  # the times of files are the wall clock's
        with self._changed:
            for path, state in files:
                if (
                    abs(wall_clock - state.mtime_ns) < fresh
                    and path not in self._settling
                    and not self._settling.told(path, state)
                ):
                    self._settling.offer(path, state, time.monotonic())
            return self._settling.below(folder.prefix)

    def restless(self, folder: Folder) -> list[str]:
        """Give the paths of a folder that have been changing for so long that it should be known."""
        with self._changed:
            return self._settling.restless(folder.prefix, time.monotonic(), _RESTLESS * self._settle)

    def request_listing(self, folder: Folder, *, after: float | None = None) -> None:
        """Have a folder listed once all has settled, but not before `after` seconds (by default the settle time)."""
        with self._changed:
            at = time.monotonic() + (self._settle if after is None else after)
            self._listings.setdefault(folder.name, at)
            self._wake(at)

    def list_at_once(self, folder: Folder) -> None:
        """Have a folder listed although something still settles."""
        with self._changed:
            self._listings[folder.name] = _AT_ONCE
            self._wake(_AT_ONCE)

    def take_listing(self, folder: Folder) -> bool:
        """True if the folder is to be listed now; that leaves the agenda then."""
        with self._changed:
            now, at = time.monotonic(), self._listings.get(folder.name, math.inf)
            # Quiet everywhere: a file that is missing here may soon be told under its new name in another folder.
            if now < at or (self._settling and now < at + _PATIENCE * self._settle):
                return False
            del self._listings[folder.name]
            return True

    def discard(self, folder: Folder) -> None:
        """Forget all about a folder."""
        with self._changed:
            self._settling.discard(folder.prefix)
            self._listings.pop(folder.name, None)

    def check_at_once(self) -> None:
        """Have the folders themselves looked at."""
        with self._changed:
            self._check_at = _AT_ONCE
            self._wake(_AT_ONCE)

    def take_check(self) -> bool:
        """True if the folders are to be looked at now; the next look is an interval away then."""
        with self._changed:
            now = time.monotonic()
            if now < self._check_at:
                return False
            self._check_at = now + self._check_interval
            return True

    def wait(self) -> bool:
        """Sleep until something may be due; False if that is over for good."""
        with self._changed:
            self._wake_at = min(self._check_at, self._settling.next_due())
            while not self._closed and (left := self._wake_at - time.monotonic()) > 0:
                self._changed.wait(left)
            self._wake_at = _AT_ONCE
            return not self._closed

    def close(self) -> None:
        """End all sleep."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _wake(self, at: float) -> None:
        if at < self._wake_at:
            self._wake_at = at
            self._changed.notify()


def _seen(path: str) -> FileState | None:
    try:
        return observe(path)
    except OSError as error:
        logger.warning("cannot be looked at", extra={"path": path, "reason": error.strerror})
        return None
