"""The time until something is done again: pure bookkeeping. Times are passed in."""

from __future__ import annotations

import math
from typing import Final

from feedsvc.runtime.backoff import RETRY_SECONDS, backoff

__all__ = ["LONGEST_PAUSE", "Backoff", "Pace"]

LONGEST_PAUSE: Final = 60.0  # seconds to the next attempt, if one after the other fails

_FREE = 8  # times that a file is told one soon after the other before it has to rest
_LONGEST = 32  # times the settle time, for which it has to rest at most
_SOON = 4  # within so many times the rest that was asked for


class Backoff:
    """The time of the next attempt at something that fails. Safe for one thread only."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self._failures = 0
        self._at = math.inf

    def fail(self, now: float) -> float:
        """Note a failure; give the seconds until the next attempt."""
        self._failures += 1
        pause = backoff(self._failures, first=RETRY_SECONDS, longest=LONGEST_PAUSE)
        self._at = now + pause
        return pause

    def succeed(self) -> None:
        """Note that nothing is to be tried again."""
        self._failures, self._at = 0, math.inf

    @property
    def failing(self) -> bool:
        """Whether something is to be tried again."""
        return self._failures > 0

    def due(self, now: float) -> bool:
        """Whether the next attempt is due."""
        return now >= self._at


class Pace:
    """The rest that a file needs that changes again and again, so that reading it does not keep others waiting.

    If its writer opens and closes it for each line, it would be read at each of them.
    """

    def __init__(self, settle: float) -> None:
        """Take the settle time, in seconds."""
        self._settle = settle
        self._often: dict[str, tuple[float, int]] = {}  # when a path was told last, and how often; oldest first

    def note(self, path: str, now: float, *, again: bool) -> None:
        """Note that a path is told, perhaps again after a moment; once only is not kept here."""
        while self._often and next(iter(self._often.values()))[0] < now - _SOON * _LONGEST * self._settle:
            del self._often[next(iter(self._often))]
        at, times = self._often.pop(path, (-math.inf, 1))
        if again or now - at < _SOON * max(self._settle, self._rest(times)):
            self._often[path] = (now, times + 1)

    def rest(self, path: str) -> float:
        """Give the seconds for which a path must not change before it is told, perhaps 0."""
        return self._rest(self._often[path][1]) if path in self._often else 0.0

    def _rest(self, times: int) -> float:
        return self._settle * min(2 ** (times - _FREE), _LONGEST) if times >= _FREE else 0.0
