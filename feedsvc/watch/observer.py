"""Which of watchdog's observers is used."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from watchdog.observers.polling import PollingObserverVFS

from feedsvc.watch.files import is_hidden

if sys.platform == "linux":
    from feedsvc.watch.inotify import TreeObserver as NativeObserver
else:
    from watchdog.observers import Observer as NativeObserver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchdog.observers.api import BaseObserver

__all__ = ["open_observer"]

logger = logging.getLogger(__name__)

_DEEPEST = 200  # folders; watchdog's snapshots recurse


def open_observer(*, polling: bool, poll_interval: float) -> BaseObserver:
    """Start an observer that watches nothing yet.

    Args:
        polling: Look at the files again and again, for network file systems.
        poll_interval: Seconds between two looks.

    Raises:
        OSError: The system has no observer to give.
    """
    observer = (
        # Not PollingObserver: it would follow symbolic links.
        PollingObserverVFS(stat=os.lstat, listdir=_visible_entries, polling_interval=poll_interval)  # type: ignore[arg-type]  # takes floats
        if polling
        else NativeObserver()
    )
    observer.name = "observer"
    observer.start()
    return observer


def _visible_entries(path: str) -> Iterator[os.DirEntry[str]]:
    # What is raised here makes watchdog keep what it knew of the whole tree until the next look.
    if path.count(os.sep) > _DEEPEST:
        logger.warning("too deep to be polled", extra={"path": path})
        return
    with os.scandir(path) as entries:
        yield from (e for e in entries if not (is_hidden(e.name) and e.is_dir(follow_symlinks=False)))
