"""The time of day, with doubts: a clock that leaps is not believed before it has stood by it for a while.

Dates and deletions cannot be undone, so a clock that is wrong for a moment must lead to neither. A second clock, one
that only counts seconds, tells the time of day to expect.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

TOLERANCE: Final = timedelta(minutes=1)  # a clock may be set by so much without a question
BELIEVE_SECONDS: Final = 600.0  # that a clock has to stand by a leap
SETTLE_SECONDS: Final = 86_400.0  # after a leap, before anything is deleted for its age
ABSENCE: Final = timedelta(days=30)  # since the last known time: a longer one may be a wrong clock as well


def read_clock() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class Clock:
    """A clock of the time of day. Any thread may ask it."""

    def __init__(
        self, wall: Callable[[], datetime], steady: Callable[[], float], *, known: datetime | None = None
    ) -> None:
        """Begin with the time of `wall` (aware, UTC), but not before `known`, the time of the last run.

        `steady` counts seconds since some moment, and nobody can set it.
        """
        self._wall = wall
        self._steady = steady
        self._lock = Lock()
        self._at, self._since = wall(), steady()
        self._leap: tuple[timedelta, float] | None = None  # by how much, and since when, while it is not believed
        self._believed: float | None = None  # when a leap was
        if known is not None and self._at > known + ABSENCE:
            self._believed = self._since
        elif known is not None and self._at < known - TOLERANCE:
            self._at = known

    def __call__(self) -> datetime:
        """The time, aware, in UTC."""
        with self._lock:
            seconds, wall = self._steady(), self._wall()
            expected = self._at + timedelta(seconds=seconds - self._since)
            leap = wall - expected
            if abs(leap) <= TOLERANCE:
                self._leap = None
            elif self._leap is None or abs(leap - self._leap[0]) > TOLERANCE:
                logger.warning("clock leapt", extra={"by": str(leap), "to": wall.isoformat()})
                self._leap = leap, seconds
                return expected
            elif seconds - self._leap[1] < BELIEVE_SECONDS:
                return expected
            else:
                logger.warning("clock is believed", extra={"by": str(leap), "to": wall.isoformat()})
                self._leap, self._believed = None, seconds
            self._at, self._since = wall, seconds
            return wall

    def doubt(self) -> str | None:
        """Return the reason why nothing may be deleted for its age now, for people; None if it may."""
        self()
        with self._lock:
            if self._leap is not None:
                return f"the clock leapt by {self._leap[0]}"
            if self._believed is not None and self._steady() - self._believed < SETTLE_SECONDS:
                return "the clock was set, or feedsvc did not run for long"
            return None
