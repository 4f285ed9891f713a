"""The one thread that takes dumps in: from the watcher's queue to the store, a batch at a time."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from feedsvc.errors import ShortageError, StoreError
from feedsvc.runtime.backoff import RETRY_SECONDS
from feedsvc.runtime.health import BEAT_SECONDS, Pulse, show_thread
from feedsvc.watch import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from feedsvc.intake.ingest import Ingest
    from feedsvc.intake.write import Report
    from feedsvc.watch import Change

_T = TypeVar("_T")

BATCH = 64  # dumps a transaction: the flush to disk is shared, and nobody waits long for the lock
_LATE_SECONDS = 0.1  # between two looks at dumps that take long to clean
_MANY_REQUESTS = 1000  # a second; more take most of the time of one process
_REST = 3.0  # seconds left to them for each second of the processor that a batch took


class Intake:
    """Takes the watcher's changes and listings into the store.

    Attributes:
        pulse: Beats between two dumps, and while there is nothing to do.
        last_dump: Monotonic seconds of the last dump taken in; None before the first.
        refused_since: Monotonic seconds of the first write that the store refused; None while it takes them.
    """

    def __init__(
        self,
        ingest: Ingest,
        *,
        changed: Callable[[], None],
        report: Callable[[str, str | None], None],
        taken: Callable[[Sequence[Report]], object] = len,
        answered: Callable[[], int] = lambda: 0,
    ) -> None:
        """Feed `ingest`.

        Args:
            ingest: The pipeline.
            changed: Called after a batch that added, changed or withdrew an entry.
            taken: Given the reports of each batch.
            answered: Counts the requests that this process has answered: if they are many, they go first.
            report: Told as ("store", message) while the store cannot be written, as ("intake", message) while no file
                can be read, and with None afterwards.
        """
        self.pulse = Pulse()
        self.last_dump: float | None = None
        self.refused_since: float | None = None
        self._ingest = ingest
        self._changed = changed
        self._report = report
        self._taken = taken
        self._answered = answered
        self._queue: queue.SimpleQueue[Change | Listing | None] = queue.SimpleQueue()
        self._listings: dict[str, Listing] = {}  # the newest of each folder; large, so that only one waits
        self._backlog: deque[Change] = deque()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._outdated = threading.Event()  # set if entries may be left that other rules cleaned
        self._outdated.set()
        self._delivering = threading.Lock()  # so that `_idle` is not set beside a full queue
        self._thread = threading.Thread(target=self._run, name="intake")

    def deliver(self, item: Change | Listing) -> None:
        """Queue a change or listing; never waits for the store."""
        with self._delivering:
            self._idle.clear()
            if isinstance(item, Listing):
                waiting = item.directory in self._listings
                self._listings[item.directory] = item
                if waiting:
                    return
            self._queue.put(item)

    def start(self) -> None:
        """Begin to work off the queue."""
        self._thread.start()

    def look_again(self) -> None:
        """Clean outdated entries again, once the queue is worked off."""
        self._outdated.set()
        self._queue.put(None)

    def stop(self) -> None:
        """Finish the dump in hand, and leave the rest: it is found again at the next start."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def wait_idle(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the queue is worked off; tell if it is."""
        return self._idle.wait(timeout)

    @property
    def depth(self) -> int:
        """The number of changes that wait."""
        return self._queue.qsize() + len(self._backlog)

    @property
    def alive(self) -> bool:
        """True while the queue is being worked off."""
        return self._thread.is_alive()

    def _run(self) -> None:
        show_thread("intake")
        while not self._interrupted():
            batch = self._next_batch(wait=not self._outdated.is_set())
            if batch:
                began, worked, answered = time.monotonic(), time.thread_time(), self._answered()
                then = list(itertools.islice(self._backlog, BATCH))
                reports = self._persist(partial(self._ingest.take, batch, self._interrupted, then))
                if reports:
                    self.last_dump = time.monotonic()
                self._taken(reports or ())
                if reports and any(report.keys for report in reports):
                    self._changed()
                if self._ingest.learned_anew():
                    self._outdated.set()
                if self._answered() - answered > _MANY_REQUESTS * (time.monotonic() - began):
                    # Threads of one process take turns, at the expense of the one that has the shorter ones.
                    self._stopping.wait(_REST * (time.thread_time() - worked))
            elif self._outdated.is_set():
                self._outdated.clear()
                if self._persist(partial(self._ingest.reclean, BATCH, self._has_more)):
                    self._outdated.set()
                    self._changed()

    def _has_more(self) -> bool:
        return self._stopping.is_set() or not self._queue.empty()

    def _next_batch(self, *, wait: bool) -> list[Change]:
        """Give the changes since the last call, filled up with those of listings: a large one delays nobody."""
        batch = self._ingest.late()
        while len(batch) < BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                if batch or self._backlog or not wait:
                    break
                with self._delivering:
                    if self._queue.empty():
                        self._idle.set()
                self.pulse.beat()
                try:
                    item = self._queue.get(timeout=_LATE_SECONDS if self._ingest.waits else BEAT_SECONDS)
                except queue.Empty:
                    batch += self._ingest.late()
                    continue
            if item is None:
                break
            if isinstance(item, Listing):
                self._compare(item.directory)
            elif item not in batch:
                batch.append(item)
        while self._backlog and len(batch) < BATCH:
            batch.append(self._backlog.popleft())
        return batch

    def _compare(self, directory: str) -> None:
        """Put the changes of a listing in place of an earlier one's: most of them are the same."""
        with self._delivering:
            listing = self._listings.pop(directory)
        found = self._persist(partial(self._ingest.compare, listing))
        if found is not None:
            below = os.path.join(directory, "")  # noqa: PTH118 - it may be no valid Unicode
            self._backlog = deque(change for change in self._backlog if not change.path.startswith(below))
            self._backlog.extend(found)

    def _interrupted(self) -> bool:
        self.pulse.beat()
        return self._stopping.is_set()

    def _persist(self, work: Callable[[], _T]) -> _T | None:
        """Do work again and again while the store refuses it; None if stopped meanwhile."""
        failed: set[str] = set()
        while not self._interrupted():
            try:
                done = work()
            except (ShortageError, StoreError) as error:
                part = "store" if isinstance(error, StoreError) else "intake"
                failed.add(part)
                self.refused_since = self.refused_since or time.monotonic()
                self._report(part, str(error))
                self._stopping.wait(RETRY_SECONDS)
            else:
                self.refused_since = None
                for part in sorted(failed):
                    self._report(part, None)
                return done
        return None
