"""What is wrong at present: kept in the store for `feedsvc status`, and said in the log."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from feedsvc.store import Store

__all__ = ["Problems"]

logger = logging.getLogger(__name__)


class Problems:
    """What is wrong at present: kept in the store for `feedsvc status`, and said in the log."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        """Begin with none.

        Args:
            store: Where they are kept.
            clock: The time, aware, in UTC.
        """
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._standing: dict[str, str] = {}
        self._refused = False  # by the store, and said so
        self._unsaved: set[str | None] = set()  # None: those of an earlier run are to be forgotten

    def begin(self) -> None:
        """Forget those of an earlier run, as soon as the store can be written."""
        with self._lock:
            self._unsaved.add(None)
            self._save()

    def save(self) -> None:
        """Keep in the store what could not be kept there when it was reported; to be called now and then."""
        with self._lock:
            if self._unsaved:
                self._save()

    def standing(self) -> dict[str, str]:
        """Those that stand, message by key; asks no store."""
        with self._lock:
            return dict(self._standing)

    def report(self, key: str, message: str | None) -> None:
        """A problem stands, or has ended (None).

        Args:
            key: What it is about: its kind, a colon, and what has it, such as "job:rescan".
            message: What is wrong, and what to do about it.
        """
        with self._lock:
            if self._standing.get(key) == message:
                return
            if message is None:
                del self._standing[key]
                logger.info("problem ended", extra={"problem": key})
            else:
                self._standing[key] = message
                logger.error("problem", extra={"problem": key, "reason": message})
            late = bool(self._unsaved)
            self._unsaved.add(key)
            if not late:  # nobody waits twice for a store that cannot be written
                self._save()

    def _save(self) -> None:
        keys = self._standing.keys() if None in self._unsaved else self._unsaved
        try:
            with self._store.writing() as writer:
                if None in self._unsaved:
                    writer.drop_problem(None)
                for key in keys:
                    if key is not None and (message := self._standing.get(key)) is not None:
                        writer.save_problem(key, message, self._clock())
                    elif key is not None:
                        writer.drop_problem(key)
        except StoreError as error:
            if not self._refused:
                logger.warning("problems cannot be kept in the store yet", extra={"reason": str(error)})
            self._refused = True
        else:
            self._unsaved.clear()
            self._refused = False
