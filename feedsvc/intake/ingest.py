"""The way of a batch of dumps into the store, and of stored ones through it again.

    Listing -> compare -> Change        a folder's files beside those that are known
    Change  -> read    -> FileRead      bytes, or why there are none
            -> clean   -> Cleaned       in processes of their own (`feedsvc.clean.sandbox`)
            -> write   -> Report        decide and write, a batch in one transaction

Nothing is cleaned while the store is locked. The stored entries that a batch is compared with may have to be cleaned
again, if other rules cleaned them or removals were restored: they are read before, and the transaction looks at them
once more. If something changed meanwhile, it is undone and the batch goes round again.

A dump that fails is undone on its own and quarantined. One that takes long to clean is left to a later batch.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from feedsvc.errors import ProcessError
from feedsvc.intake.cleanings import Cleanings, job_again
from feedsvc.intake.read import read_changed
from feedsvc.intake.write import NotCleaned, Recorder, Report
from feedsvc.watch import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from feedsvc.clean import Cleaner
    from feedsvc.clean.sandbox import Cleaned, Pool
    from feedsvc.intake.read import FileRead
    from feedsvc.store import Article, Reader, Store, Writer
    from feedsvc.watch import Listing

logger = logging.getLogger(__name__)


class Ingest:
    """Takes dump files in."""

    _relearned = False

    def __init__(
        self,
        store: Store,
        cleaner: Cleaner,
        *,
        max_bytes: int,
        withdraw: bool,
        clock: Callable[[], datetime],
        pool: Pool,
        retried: Iterable[str] = (),
    ) -> None:
        """Take dumps into `store`.

        Args:
            store: Its entries are those of the feeds.
            cleaner: If it learns, its learned blocks are kept up to date.
            max_bytes: A larger dump is quarantined.
            withdraw: Whether an entry leaves the feeds when the last dump that holds it is deleted.
            clock: The time, aware, in UTC.
            pool: Processes that clean by `cleaner`; `close` ends them.
            retried: Dump files to clean again although they are as they were.
        """
        self._store = store
        self._cleaner = cleaner
        self._max_bytes = max_bytes
        self._pool = pool
        self._cleanings = Cleanings(pool, cleaner)  # of dump files
        self._recleanings = Cleanings(pool, cleaner)  # of stored entries
        self._recorder = Recorder(cleaner, self._cleanings, withdraw=withdraw, clock=clock)
        self._late: dict[str, Change] = {}
        self._retried = set(retried)

    def start(self) -> None:
        """Have the processes that clean get ready."""
        self._pool.start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until dumps can be cleaned; tell if they can."""
        return self._pool.wait_ready(timeout)

    def close(self) -> None:
        """End the processes that clean, and the jobs in hand."""
        self._pool.close()

    def compare(self, listing: Listing) -> list[Change]:
        """Give the changes between the files that are known and those of a folder.

        A folder without any file is taken for one that is not mounted: none of its dumps counts as gone.
        """
        known = self._store.load_files(listing.directory)
        changes = [
            Change(path, gone=False)
            for path, state in sorted(listing.files.items())  # ids must not depend on the folder's order
            if path not in listing.unsettled
            and (known.get(path) != (state.size, state.mtime_ns) or path in self._retried)
        ]
        if listing.files or listing.unsettled:
            here = listing.files.keys() | listing.unsettled
            changes += [
                Change(path, gone=True)
                for path in known
                if path not in here and not _hidden_from_sight(path, listing.unreadable)
            ]
        elif known:
            logger.warning("folder is empty, its entries stay", extra={"path": listing.directory, "dumps": len(known)})
        return changes

    def take(
        self,
        changes: Sequence[Change],
        interrupted: Callable[[], bool] = lambda: False,
        then: Sequence[Change] = (),
    ) -> list[Report]:
        """Take a batch of changes into the store, in one transaction.

        `interrupted` is asked before each dump, and now and then while dumps are cleaned; if True, those that are not
        cleaned by then are left out. The cleaning of `then`, the likely next batch, begins while this one is written.

        Raises:
            StoreError: The store cannot be written; nothing of the batch was.
        """
        batch: list[tuple[Change, FileRead | None]] = []
        known = self._store.load_digests([change.path for change in (*changes, *then) if not change.gone])
        for change in changes:
            if interrupted():
                break
            batch.append((change, self._read(change, known.get(change.path))))
        for change in then:
            self._read(change, known.get(change.path), urgent=False)
        reports = None
        while reports is None:
            batch = self._clean(batch, interrupted)
            reports = self._write(batch)
        for change, _ in batch:
            self._cleanings.forget(change.path)
            self._retried.discard(change.path)
        return reports

    def _write(self, batch: Sequence[tuple[Change, FileRead | None]]) -> list[Report] | None:
        """Write a batch; None if more must be cleaned first: that is begun."""
        with self._store.reading() as rows:
            found = self._recorder.find_jobs(rows, [read for _, read in batch if read])
            missing = [(path, job) for path, job in found if self._cleanings.result(path, job) is None]
        if not missing:
            try:
                with self._store.writing() as writer:
                    if self._catch_up(writer):  # another process changed the learned blocks
                        return None
                    reports = self._recorder.write(writer, batch)
                    learned = self._recorder.learn(writer)
            except NotCleaned as needed:
                missing = [(needed.path, needed.job)]
            else:
                if learned is not None:
                    self._cleaner.learned = learned
                    self._relearned = True
                return reports
        for path, job in missing:
            self._cleanings.begin(path, job)
        return None

    @property
    def waits(self) -> bool:
        """True if `take` left out dumps that are still being cleaned; see `late`."""
        return bool(self._late)

    def late(self) -> list[Change]:
        """Give the changes that `take` left out because cleaning took long, and that it can take now."""
        ready = [change for path, change in self._late.items() if self._cleanings.is_done(path)]
        for change in ready:
            del self._late[change.path]
        return ready

    def _read(self, change: Change, known: str | None, *, urgent: bool = True) -> FileRead | None:
        """Read a dump file, and begin to clean it unless its digest is the known one; None if it is gone."""
        path = change.path
        self._late.pop(path, None)
        read = None if change.gone else read_changed(path, self._max_bytes, None if path in self._retried else known)
        if read is None or read.job is None or not self._cleanings.has(path, read.job):
            self._cleanings.forget(path)
        if read is not None and read.job is not None:
            self._cleanings.begin(path, read.job, urgent=urgent)
        return read

    def _clean(
        self, batch: list[tuple[Change, FileRead | None]], interrupted: Callable[[], bool]
    ) -> list[tuple[Change, FileRead | None]]:
        """Wait until dumps are cleaned by all that is learned now; leave out those that take long."""
        while True:
            tickets = [ticket for change, _ in batch for ticket in self._cleanings.renew(change.path)]
            self._pool.wait(tickets, interrupted, self._pool.patience)
            if all(map(self._cleanings.is_up_to_date, tickets)):
                break
        done = []
        for change, read in batch:
            if self._cleanings.is_done(change.path):
                done.append((change, read))
            elif not interrupted():
                self._late[change.path] = change
                logger.info("dump takes long to clean", extra={"path": change.path})
        return done

    def learned_anew(self) -> bool:
        """True if `take` learned something since the last call, so that entries are to be cleaned again."""
        relearned, self._relearned = self._relearned, False
        return relearned

    def is_current(self) -> bool:
        """True unless another process changed the learned blocks.

        Raises:
            StoreError: The store cannot be read.
        """
        learned = self._cleaner.learned
        with self._store.reading() as reader:
            return learned is None or reader.learned.version() == learned.version

    def _catch_up(self, rows: Reader) -> bool:
        """Take over the blocks that another process learned, or was told; tell if there were any."""
        learned = self._cleaner.learned
        if learned is None or rows.learned.version() == learned.version:
            return False
        self._cleaner.learned = rows.learned.load()
        return True

    def reclean(self, limit: int, interrupted: Callable[[], bool] = lambda: False) -> list[str]:
        """Clean up to `limit` entries again that other rules cleaned, the newest first; give their keys.

        Content changes, `updated` does not. `interrupted` is asked now and then; if True, entries that are not cleaned
        by then are left to the next call.

        Raises:
            StoreError: The store cannot be read or written.
        """
        with self._store.reading() as rows:
            self._catch_up(rows)
            outdated = rows.load_outdated(self._cleaner.digest, limit)
        if not outdated:
            return []
        self._recleanings.forget_others({stored.entry.id for stored in outdated})
        tickets = [self._recleanings.begin(each.entry.id, job_again(each), urgent=False) for each in outdated]
        self._pool.wait(tickets, interrupted)
        cleaned = 0
        with self._store.writing() as writer:
            self._catch_up(writer)
            for stored in writer.load_outdated(self._cleaner.digest, limit):  # others may have changed since
                ticket = self._recleanings.result(stored.entry.id, job_again(stored))
                if ticket is not None and ticket.cleaned is not None:
                    self._recorder.refresh(writer, stored, ticket.cleaned)
                    cleaned += 1
            self._recorder.count(writer)
        for stored in outdated:
            if self._recleanings.is_done(stored.entry.id):
                self._recleanings.forget(stored.entry.id)
        if cleaned:
            logger.info("cleaned again", extra={"entry": outdated[0].entry.id, "entries": cleaned})
        return [stored.entry.key for stored in outdated]

    def clean_again(self, stored: Article) -> Cleaned:
        """Clean an entry's own dump again.

        Raises:
            ProcessError: No process can do it.
        """
        ticket = self._pool.put(job_again(stored))
        self._pool.wait([ticket])
        if ticket.cleaned is None:
            raise ProcessError(f"{stored.path}: not cleaned, for the processes that clean were ended")
        return ticket.cleaned

    def refresh(self, writer: Writer, stored: Article, cleaned: Cleaned) -> None:
        """Replace a stored entry by the result of `clean_again`."""
        self._recorder.refresh(writer, stored, cleaned)


def _hidden_from_sight(path: str, unreadable: frozenset[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in unreadable)
