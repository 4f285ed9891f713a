"""The time at which a file has settled: pure bookkeeping. Times are passed in, and so is the look at a file."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.watch.files import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedsvc.watch.files import FileState

logger = logging.getLogger(__name__)

_SOON = 4  # times the settle time, or the rest of a path, that a told path is remembered
_FREE = 8  # times that a file is told one soon after the other before it has to rest
_LONGEST = 32  # times the settle time, that it has to rest at most


@dataclass(slots=True)
class _Pending:
    due: float
    queued: float  # the time of its one valid place in the heap, never later than due
    state: FileState | None
    finished: bool
    since: float = math.inf


class Settling:
    """The paths that something happened to, each until its Change can be told.

    One rule holds for all: a path must look the same for a while, also if no file is there. Only a file that its writer
    has finished need not wait, unless that happens all the time. Not safe for threads: the caller locks.
    """

    def __init__(self, settle: float) -> None:
        """Take the seconds that a path must not change."""
        self._settle = settle
        self._pending: dict[str, _Pending] = {}
        self._heap: list[tuple[float, str]] = []
        self._pace = _Pace(settle)
        self._told: dict[str, tuple[float, FileState]] = {}  # collected lately, oldest first

    def offer(self, path: str, state: FileState | None, now: float) -> None:
        """Note that something happened to a path, and how it looks now; the wait begins anew."""
        self._put(path, _Pending(now + max(self._settle, self._pace.rest(path)), 0.0, state, finished=False), now)

    def finish(self, path: str, now: float) -> None:
        """Note that the file at a path was closed by its writer or renamed into place: it is due now."""
        self._put(path, _Pending(now + self._pace.rest(path), 0.0, None, finished=True), now)

    def _put(self, path: str, pending: _Pending, now: float) -> None:
        known = self._pending.get(path)
        pending.since = known.since if known else now  # a path keeps its place in the dict as well
        if known is not None and known.queued <= pending.due:
            pending.queued = known.queued
        else:
            self._queue(path, pending)
        self._pending[path] = pending

    def _queue(self, path: str, pending: _Pending) -> None:
        pending.queued = pending.due
        heapq.heappush(self._heap, (pending.due, path))

    def collect(self, now: float, observe: Callable[[str], FileState | None]) -> list[Change]:
        """Take out the paths that have settled by now, each once, in the order of their times.

        An OSError from `observe` (the look at a path) drops it; the next rescan then finds it.
        """
        while self._told and (oldest := next(iter(self._told.items())))[1][0] < now - _SOON * self._settle:
            del self._told[oldest[0]]
        changes: list[Change] = []
        while self._heap and self._heap[0][0] <= now:
            queued, path = heapq.heappop(self._heap)
            pending = self._pending.get(path)
            if pending is None or pending.queued != queued:
                continue  # the place is an old one
            if pending.due > now:
                self._queue(path, pending)
                continue
            try:
                state = observe(path)
            except OSError as error:
                del self._pending[path]
                logger.warning("cannot be looked at", extra={"path": path, "reason": error.strerror})
                continue
            # A finished file that is not there waits as well: it may have been replaced in two steps.
            if state is not None if pending.finished else state == pending.state:
                del self._pending[path]
                changes.append(Change(path, gone=state is None))
                self._pace.note(path, now, again=self._told.pop(path, None) is not None)
                if state is not None:
                    self._told[path] = (now, state)
            else:
                pending.queued = math.inf  # its place was taken out just now
                self.offer(path, state, now)
        return changes

    def next_due(self) -> float:
        """Give the time at which to collect next, perhaps in vain; infinity if nothing is pending."""
        return self._heap[0][0] if self._heap else math.inf

    def __contains__(self, path: str) -> bool:
        """True if a path is still to be told."""
        return path in self._pending

    def told(self, path: str, state: FileState) -> bool:
        """True if a file was collected in this state a moment ago."""
        return path in self._told and self._told[path][1] == state

    def below(self, prefix: str) -> frozenset[str]:
        """Give the paths with this prefix that are still to be told."""
        return frozenset(path for path in self._pending if path.startswith(prefix))

    def restless(self, prefix: str, now: float, patience: float) -> list[str]:
        """Give the paths with this prefix that have been changing for longer than `patience` seconds."""
        waiting = itertools.takewhile(lambda item: item[1].since < now - patience, self._pending.items())
        return [path for path, _ in waiting if path.startswith(prefix)]

    def __len__(self) -> int:
        """Count the paths that are still to be told."""
        return len(self._pending)

    def discard(self, prefix: str) -> None:
        """Forget the paths with this prefix."""
        for path in self.below(prefix):
            del self._pending[path]


class _Pace:
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
        """Give the seconds that a path must not change before it is told, perhaps 0."""
        return self._rest(self._often[path][1]) if path in self._often else 0.0

    def _rest(self, times: int) -> float:
        return self._settle * min(2 ** (times - _FREE), _LONGEST) if times >= _FREE else 0.0
