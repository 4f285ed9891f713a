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

    def begin(self) -> None:
        """Forget those of an earlier run.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            writer.drop_problem(None)

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
            try:
                with self._store.writing() as writer:
                    if message is None:
                        writer.drop_problem(key)
                    else:
                        writer.save_problem(key, message, self._clock())
            except StoreError as error:
                logger.exception("problem cannot be kept in the store", extra={"problem": key, "reason": str(error)})
