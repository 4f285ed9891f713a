"""A union of stretches of an article, by position."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Spans:
    """Sorted disjoint stretches: asking stays cheap in hostile articles."""

    def __init__(self) -> None:
        """Start empty."""
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add the positions from `start` to before `end`."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def covers(self, start: int, end: int) -> bool:
        """Tell whether all these positions are in the union."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]

    def overlaps(self, start: int, end: int) -> bool:
        """Tell whether any of these positions is in the union."""
        at = bisect_left(self._starts, end) - 1
        return at >= 0 and start < self._ends[at]
