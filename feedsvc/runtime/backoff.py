"""Pauses before something that failed is tried again."""

from __future__ import annotations

import math
from typing import Final

RETRY_SECONDS: Final = 1.0  # pause before the system or the store is asked again: nobody else is bothered by it
LONGEST_RETRY: Final = 60.0  # seconds to the next attempt of a `Backoff`, if one after the other fails
_MOST_DOUBLINGS: Final = 30  # 2.0 ** 1024 would overflow


def backoff(failures: int, *, first: float, longest: float) -> float:
    """Return the seconds to pause after `failures` in a row (from 1): `first`, then doubled up to `longest`."""
    return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest)


class Backoff:
    """The time of the next attempt at something that fails. Safe for one thread only."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self._failures = 0
        self._at = math.inf

    def fail(self, now: float) -> float:
        """Note a failure; give the seconds until the next attempt."""
        self._failures += 1
        pause = backoff(self._failures, first=RETRY_SECONDS, longest=LONGEST_RETRY)
        self._at = now + pause
        return pause

    def succeed(self) -> None:
        """Note that nothing is to be tried again."""
        self._failures, self._at = 0, math.inf

    @property
    def failing(self) -> bool:
        """True while something is to be tried again."""
        return self._failures > 0

    def due(self, now: float) -> bool:
        """Return True once the next attempt is due."""
        return now >= self._at
