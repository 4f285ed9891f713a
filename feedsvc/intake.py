"""The one thread that takes dumps in: from the watcher's queue to the store, a batch at a time."""

from __future__ import annotations

import queue
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from feedsvc.errors import StoreError
from feedsvc.watch import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from feedsvc.ingest import Ingest, Report
    from feedsvc.watch import Change

__all__ = ["BATCH", "Intake"]

T = TypeVar("T")

BATCH = 64  # dumps a transaction: the flush to disk is shared, and nobody waits long for the lock
RETRY_SECONDS = 1.0


class Intake:
    """Takes what the watcher delivers into the store, and says when something changed."""

    def __init__(
        self,
        ingest: Ingest,
        *,
        changed: Callable[[], None],
        report: Callable[[str, str | None], None],
        taken: Callable[[Sequence[Report]], object] = len,
    ) -> None:
        """Feed `ingest`.

        Args:
            ingest: The pipeline.
            changed: Called after a batch in which an entry was added, changed or withdrawn.
            taken: Told what became of each batch.
            report: Told as ("store", message) while the store cannot be written, and with None afterwards.
        """
        self._ingest = ingest
        self._changed = changed
        self._report = report
        self._taken = taken
        self._queue: queue.SimpleQueue[Change | Listing | None] = queue.SimpleQueue()
        self._backlog: deque[Change] = deque()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._outdated = threading.Event()  # whether entries may be left that other rules cleaned
        self._outdated.set()
        self._delivering = threading.Lock()  # so that `_idle` is not set beside a full queue
        self._thread = threading.Thread(target=self._run, name="intake")

    def deliver(self, item: Change | Listing) -> None:
        """Put something in the queue; never waits for the store."""
        with self._delivering:
            self._idle.clear()
            self._queue.put(item)

    def start(self) -> None:
        """Begin to work off the queue."""
        self._thread.start()

    def look_again(self) -> None:
        """Clean again what is outdated, once the queue is worked off."""
        self._outdated.set()
        self._queue.put(None)

    def stop(self) -> None:
        """Finish the dump in hand, and leave the rest: it is found again at the next start."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until the queue is worked off, at most `timeout` seconds; answers whether it is."""
        return self._idle.wait(timeout)

    @property
    def depth(self) -> int:
        """How many changes wait."""
        return self._queue.qsize() + len(self._backlog)

    @property
    def alive(self) -> bool:
        """Whether the queue is being worked off."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._next_batch(wait=not self._outdated.is_set())
            if batch:
                reports = self._persist(partial(self._ingest.take, batch, self._stopping.is_set))
                self._taken(reports or ())
                if reports and any(report.keys for report in reports):
                    self._changed()
                if self._ingest.learned_anew():
                    self._outdated.set()
            elif self._outdated.is_set():
                self._outdated.clear()
                if self._persist(partial(self._ingest.reclean, BATCH)):
                    self._outdated.set()
                    self._changed()

    def _next_batch(self, *, wait: bool) -> list[Change]:
        """What arrived since the last call, filled up with what listings found: a large one delays nobody."""
        batch: list[Change] = []
        while len(batch) < BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                if batch or self._backlog or not wait:
                    break
                with self._delivering:
                    if self._queue.empty():
                        self._idle.set()
                item = self._queue.get()
            if item is None:
                break
            if isinstance(item, Listing):
                self._backlog.extend(self._persist(partial(self._ingest.compare, item)) or ())
            else:
                batch.append(item)
        while self._backlog and len(batch) < BATCH:
            batch.append(self._backlog.popleft())
        return batch

    def _persist(self, work: Callable[[], T]) -> T | None:
        """Do what needs the store, again and again while the store refuses; None when stopped meanwhile."""
        failed = False
        while not self._stopping.is_set():
            try:
                done = work()
            except StoreError as error:
                failed = True
                self._report("store", str(error))
                self._stopping.wait(RETRY_SECONDS)
            else:
                if failed:
                    self._report("store", None)
                return done
        return None
