"""How soon something is done again that was done a moment ago: pure bookkeeping. Times are passed in."""

from __future__ import annotations

import math

__all__ = ["Backoff", "Pace"]

_FREE = 8  # times that a file is told one soon after the other before it has to rest
_LONGEST = 32  # times the settle time, for which it has to rest at most
_SOON = 4  # within so many times the rest that was asked for


class Backoff:
    """When to try again what failed: after a while that doubles with each failure. Safe for one thread only."""

    def __init__(self, first: float, longest: float) -> None:
        """Take the first and the longest wait, in seconds."""
        self._first = first
        self._longest = longest
        self._wait = 0.0
        self._at = math.inf

    def fail(self, now: float) -> float:
        """Note a failure; give the wait until the next attempt, in seconds."""
        self._wait = min(2 * self._wait or self._first, self._longest)
        self._at = now + self._wait
        return self._wait

    def succeed(self) -> None:
        """Note that nothing is to be tried again."""
        self._wait, self._at = 0.0, math.inf

    @property
    def failing(self) -> bool:
        """Whether something is to be tried again."""
        return self._at < math.inf

    def due(self, now: float) -> bool:
        """Say whether the next attempt is due."""
        return now >= self._at


class Pace:
    """How long a file must rest that changes again and again, so that reading it does not keep others waiting.

    A file whose writer opens and closes it for each line would be read at each of them.
    """

    def __init__(self, settle: float) -> None:
        """Take the settle time, in seconds."""
        self._settle = settle
        self._often: dict[str, tuple[float, int]] = {}  # when a path was told last, and how often; oldest first

    def note(self, path: str, now: float, *, again: bool) -> None:
        """Note that a path is told.

        Args:
            path: The path.
            now: Monotonic seconds.
            again: Whether it was told a moment ago; once only is not kept here.
        """
        while self._often and next(iter(self._often.values()))[0] < now - _SOON * _LONGEST * self._settle:
            del self._often[next(iter(self._often))]
        at, times = self._often.pop(path, (-math.inf, 1))
        if again or now - at < _SOON * max(self._settle, self._rest(times)):
            self._often[path] = (now, times + 1)

    def rest(self, path: str) -> float:
        """Give the seconds for which a path must not change before it is told; 0 where none are asked."""
        return self._rest(self._often[path][1]) if path in self._often else 0.0

    def _rest(self, times: int) -> float:
        return self._settle * min(2 ** (times - _FREE), _LONGEST) if times >= _FREE else 0.0
