"""The pipeline from a dump file to the store.

    path -> read_dump -> clean_job -> decide_entry -> Writer

Reading, parsing and cleaning happen before the transaction begins, the latter two within bounds (see
`feedsvc.clean.sandbox`); deciding and writing happen in it, so that nothing changes between the two. Many
dumps share one transaction; one that fails is undone on its own and quarantined. One that takes long
to clean is left to a later batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from feedsvc.clean import CAUSES
from feedsvc.clean.drift import observe_article
from feedsvc.clean.learning.learned import census_source
from feedsvc.clean.sandbox import Cleaned, Here, Job
from feedsvc.dumps import ignored_name
from feedsvc.errors import BrokenDump, CleaningError, NotADump, ProcessError, StoreError
from feedsvc.intake.cleanings import Cleanings
from feedsvc.intake.decide import Verdict, decide_entry, identities, mint_entry
from feedsvc.intake.read import read_dump
from feedsvc.model import Outcome, Place
from feedsvc.store import DumpFile
from feedsvc.watch import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.clean import Cleaner
    from feedsvc.clean.learning.learned import Learned
    from feedsvc.clean.sandbox import Pool, Ticket
    from feedsvc.model import CleanEntry, Entry, Sighting
    from feedsvc.store import Article, Store, Writer
    from feedsvc.watch import Listing

__all__ = ["Ingest", "Report"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one dump file.

    Attributes:
        outcome: None where nothing was done: the file is gone, or as it was.
        keys: The entries that it holds, which may have changed, and those that it withdrew.
        removed: How often each rule removed something.
        seconds: For which it was read and cleaned.
    """

    path: str
    outcome: Outcome | None = None
    reason: str | None = None
    keys: tuple[str, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict, compare=False)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A dump file that was read.

    Attributes:
        fault: Why there is nothing to clean; None also where its bytes are those that are known.
        ticket: Its cleaning; None where there is nothing to clean.
    """

    file: DumpFile
    fault: NotADump | BrokenDump | None = None
    ticket: Ticket | None = None


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
        pool: Pool | None = None,
        retried: Iterable[str] = (),
    ) -> None:
        """Take dumps of at most `max_bytes` into `store`.

        Args:
            store: Where everything is kept.
            cleaner: What cleans a dump; where it learns, what it has learned is kept up to date.
            max_bytes: A larger dump is quarantined.
            withdraw: Whether an entry leaves the feeds when the last dump that holds it is deleted.
            clock: The time, aware, in UTC.
            pool: Processes that clean by `cleaner`, to be ended by `close`; None to clean in this one, without bounds.
            retried: Dump files that are to be cleaned again although they are as they were.
        """
        self._store = store
        self._cleaner = cleaner
        self._max_bytes = max_bytes
        self._withdraw = withdraw
        self._clock = clock
        self._limited = dict.fromkeys((cause.name for cause in CAUSES), False)
        self._limited |= {rule.name: not rule.is_generic for rule in cleaner.rules}
        self._forgot = False
        self._said: dict[str, str] = {}  # why a file is refused, by path: a file that grows is not logged each time
        self._added: list[CleanEntry] = []  # in the transaction that is open
        self._pool: Pool | Here = pool or Here(cleaner)
        self._cleanings = Cleanings(self._pool, cleaner)
        self._late: dict[str, Change] = {}
        self._retried = set(retried)

    def start(self) -> None:
        """Have the processes that clean get ready."""
        self._pool.start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until dumps can be cleaned, at most `timeout` seconds; answers whether they can."""
        return self._pool.wait_ready(timeout)

    def close(self) -> None:
        """End the processes that clean, whatever they have in hand."""
        self._pool.close()

    def compare(self, listing: Listing) -> list[Change]:
        """What differs between a folder's files and what is known of them.

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
        then: Iterable[Change] = (),
    ) -> list[Report]:
        """Take a batch of changes into the store, in one transaction.

        Args:
            changes: What happened to dump files.
            interrupted: Asked before each dump, and every now and then while dumps are cleaned; where it says True,
                those that are not cleaned by then are left out.
            then: What the next call is likely to be about: it is begun to be cleaned while this batch is written.

        Raises:
            StoreError: The store cannot be written; nothing of the batch was.
        """
        prepared: list[tuple[Change, _Prepared | None]] = []
        ahead = tuple(then) if self._pool.looks_ahead else ()
        known = self._store.load_digests([change.path for change in (*changes, *ahead) if not change.gone])
        for change in changes:
            if interrupted():
                break
            prepared.append((change, self._prepare(change, known.get(change.path))))
        for change in ahead:
            self._prepare(change, known.get(change.path), urgent=False)
        while True:
            prepared = self._clean(prepared, interrupted)
            with self._store.writing() as writer:
                if self._catch_up(writer):  # another process changed what is learned
                    continue
                reports = self._write_all(writer, prepared)
                learned = self._learn(writer)
                break
        for change, _ in prepared:
            self._cleanings.forget(change.path)
            self._retried.discard(change.path)
        if learned is not None:
            self._cleaner.learned = learned
            self._relearned = True
        return reports

    @property
    def waits(self) -> bool:
        """Whether `take` left out dumps that are still being cleaned; see `late`."""
        return bool(self._late)

    def late(self) -> list[Change]:
        """The changes that `take` left out, for cleaning took long, and that it can be called with again now."""
        ready = [change for path, change in self._late.items() if self._cleanings.is_done(path)]
        for change in ready:
            del self._late[change.path]
        return ready

    def _clean(
        self, prepared: list[tuple[Change, _Prepared | None]], interrupted: Callable[[], bool]
    ) -> list[tuple[Change, _Prepared | None]]:
        """Wait until dumps are cleaned by what is learned now; those that take long are left out."""
        while True:
            prepared = [
                (change, replace(dump, ticket=self._cleanings.begin(dump.ticket.job)) if dump and dump.ticket else dump)
                for change, dump in prepared
            ]
            tickets = [dump.ticket for _, dump in prepared if dump and dump.ticket]
            self._pool.wait(tickets, interrupted, self._pool.patience)
            if all(map(self._cleanings.is_up_to_date, tickets)):
                break
        done = []
        for change, dump in prepared:
            if dump is None or dump.ticket is None or dump.ticket.cleaned is not None:
                done.append((change, dump))
            elif not interrupted():
                self._late[change.path] = change
                logger.info("dump takes long to clean", extra={"path": change.path})
        return done

    def _write_all(self, writer: Writer, prepared: Iterable[tuple[Change, _Prepared | None]]) -> list[Report]:
        self._added.clear()
        reports = []
        for change, dump in prepared:
            if change.gone:
                if os.path.lexists(change.path):
                    continue  # it came back since
                keys = writer.mark_gone(change.path, self._clock(), withdraw=self._withdraw)
                logger.info("dump deleted", extra={"path": change.path, "withdrawn": len(keys)})
                reports.append(Report(change.path, keys=tuple(keys)))
            elif dump is not None:
                reports.append(self._write(writer, dump))
        self._count(writer)
        return reports

    def learned_anew(self) -> bool:
        """Whether `take` learned something since the last call, so that entries are to be cleaned again."""
        relearned, self._relearned = self._relearned, False
        return relearned

    def is_current(self) -> bool:
        """Whether no other process changed what is learned.

        Raises:
            StoreError: The store cannot be read.
        """
        learned = self._cleaner.learned
        return learned is None or self._store.load_learned_version() == learned.version

    def _catch_up(self, writer: Writer) -> bool:
        """Take over what another process learned, or was told; tell whether there was anything."""
        learned = self._cleaner.learned
        if learned is None or writer.learned.version() == learned.version:
            return False
        self._cleaner.learned = writer.learned.load()
        return True

    def _learn(self, writer: Writer) -> Learned | None:
        """Count the articles that were added; give what is learned from now on, None for the same as before."""
        learned = self._cleaner.learned
        if learned is None:
            return None
        sources: dict[str, list[tuple[Sighting, ...]]] = {}
        for article in self._added:
            sources.setdefault(census_source(article.source, article.link), []).append(article.sightings)
        changed = [source for source, seen in sorted(sources.items()) if writer.learned.count(source, seen, learned)]
        for source in changed:
            logger.info("learned blocks changed", extra={"source": source})
        return writer.learned.load() if changed else None

    def reclean(self, limit: int, interrupted: Callable[[], bool] = lambda: False) -> list[str]:
        """Clean up to `limit` entries again that other rules cleaned, the newest first.

        Content changes, `updated` does not.

        Args:
            limit: How many at most.
            interrupted: Asked every now and then; where it says True, what is not cleaned by then is left to the next
                call.

        Returns:
            The keys of the entries; empty when all are up to date.

        Raises:
            StoreError: The store cannot be read or written.
        """
        with self._store.writing() as writer:
            self._catch_up(writer)
            outdated = self._load_outdated(writer, limit)
        if not outdated:
            return []
        self._cleanings.keep_again([job for _, job in outdated])
        tickets = {article.entry.id: self._cleanings.begin(job, urgent=False) for article, job in outdated}
        self._pool.wait(tickets.values(), interrupted)
        with self._store.writing() as writer:
            self._catch_up(writer)
            cleaned = 0
            for article, job in self._load_outdated(writer, limit):  # what another process changed since is left
                ticket = tickets.get(article.entry.id)
                if (
                    ticket is None
                    or ticket.cleaned is None
                    or ticket.job != job
                    or not self._cleanings.is_up_to_date(ticket)
                ):
                    continue
                self._refresh(writer, article, ticket.cleaned)
                cleaned += 1
            self._count(writer)
        for ticket in tickets.values():
            if ticket.cleaned is not None:
                self._cleanings.forget(ticket.job.path, ticket.job.position)
        if cleaned:
            logger.info("cleaned again", extra={"entry": outdated[0][0].entry.id, "entries": cleaned})
        return [article.entry.key for article, _ in outdated]

    def _load_outdated(self, writer: Writer, limit: int) -> list[tuple[Article, Job]]:
        outdated = writer.load_outdated(self._cleaner.digest, limit)
        return [(article, _job_again(article, writer.account.restored_of(article.entry.id))) for article in outdated]

    def _prepare(  # noqa: PLR0911 - a reason each
        self, change: Change, known: str | None, *, urgent: bool = True
    ) -> _Prepared | None:
        """Read a dump file, and begin to clean it unless its digest is the known one; None where it is gone."""
        path = change.path
        self._late.pop(path, None)
        if change.gone:
            self._cleanings.forget(path)
            return None
        try:
            status = os.lstat(path)
            if reason := ignored_name(path):
                return _Prepared(_file(path, status, None), NotADump(path, reason))
            data, status = read_dump(path, self._max_bytes)
        except (FileNotFoundError, NotADirectoryError):
            self._cleanings.forget(path)
            return None  # gone again; the watcher says so
        except (NotADump, BrokenDump) as error:
            return _Prepared(_file(path, status, None), error)
        except OSError as error:
            # No file has this time: it is read again at each rescan, for the trouble may end and leave no trace.
            file = DumpFile(path=path, size=0, mtime_ns=-1, digest="", outcome=Outcome.QUARANTINED)
            return _Prepared(file, BrokenDump(path, f"cannot be read: {error.strerror}", 1))
        file = _file(path, status, data)
        if path not in self._retried and known == file.digest:
            return _Prepared(file)
        return _Prepared(file, ticket=self._cleanings.begin(Job(path, data, status.st_mtime_ns), urgent=urgent))

    def _write(self, writer: Writer, dump: _Prepared) -> Report:
        file, seconds = dump.file, 0.0
        if dump.ticket is not None and dump.ticket.cleaned is not None:
            cleaned, seconds = dump.ticket.cleaned, dump.ticket.seconds
        elif dump.fault is not None:
            cleaned = Cleaned((), dump.fault)
        else:
            writer.touch_dump(file.path, file.size, file.mtime_ns)
            return Report(file.path)
        added = len(self._added)
        try:
            with writer.attempt():
                return self._save(writer, file, cleaned, seconds)
        except CleaningError as error:  # with what was restored
            return self._save(writer, file, Cleaned((), error), seconds)
        except StoreError as error:
            del self._added[added:]
            return self._save(writer, file, Cleaned((), CleaningError(file.path, str(error))), seconds)

    def _save(self, writer: Writer, file: DumpFile, cleaned: Cleaned, seconds: float) -> Report:
        now = self._clock()
        fault = cleaned.fault
        number = writer.open_dump(file.path, now)
        held = writer.load_held(number)
        present = {name for _, article in cleaned.articles for name in identities(article)}
        verdicts, keys = [], []
        for position, article in cleaned.articles:
            entry, verdict = self._save_article(writer, file, (position, article), number, present, now)
            verdicts.append(verdict)
            keys.append(entry.key)
            logger.info(
                "entry %s",
                verdict,
                extra={
                    "path": file.path,
                    "entry": entry.id,
                    "removed": ",".join(sorted({item.rule for item in article.removals})),
                    "ms": round(seconds * 1000, 1),
                },
            )
        outcome = _outcome(fault, verdicts)
        reason, line = (fault.reason, fault.line) if fault else (None, None)
        raw = None if outcome is Outcome.IGNORED else file.raw
        writer.save_dump(number, replace(file, outcome=outcome, reason=reason, line=line, raw=raw), now)
        if fault is None:  # what a broken dump no longer shows may only be out of sight
            if held:
                writer.drop_articles(number, beyond=len(verdicts))
            keys += writer.withdraw_orphans(held) if self._withdraw else []
            self._said.pop(file.path, None)
        else:
            level = logging.INFO if outcome is Outcome.IGNORED else logging.WARNING
            level = logging.DEBUG if self._said.get(file.path) == fault.reason else level
            self._said[file.path] = fault.reason
            logger.log(level, "dump %s", outcome, extra={"path": file.path, "reason": reason, "line": line})
        pairs = zip(cleaned.articles, verdicts, strict=True)
        writer.account.counters.note(
            [observe_article(article) for (_, article), verdict in pairs if verdict is Verdict.ADDED]
        )
        removals = [item for _, article in cleaned.articles for item in article.removals]
        removed = Counter(item.rule for item in removals if not item.restored)
        return Report(file.path, outcome, reason, tuple(keys), removed, seconds)

    def _save_article(  # noqa: PLR0917 - its caller alone knows all this
        self,
        writer: Writer,
        file: DumpFile,
        cleaned: tuple[int, CleanEntry],
        dump: int,
        present: Collection[str],
        now: datetime,
    ) -> tuple[Entry, Verdict]:
        position, article = cleaned
        names, place = identities(article), Place(dump, position)
        known = writer.load_known(names, place, article.published, present)
        if known is not None and not known.retired and known.entry.cleaner != self._cleaner.digest:
            # The old dump by today's rules beside the new one by the same: only the article can differ.
            source = writer.load_article(known.entry.id)
            if source is not None:
                known = replace(known, entry=self.refresh(writer, source))
        if known is not None and (restored := writer.account.restored_of(known.entry.id)):
            job = Job(file.path, file.raw or b"", file.mtime_ns, position, frozenset(restored))
            again = self._clean_now(job)
            if again.fault is not None and not again.articles:
                raise again.fault
            ((_, article),) = again.articles
        decision = decide_entry(article, known, place, cleaner=self._cleaner.digest, now=now)
        removed = article.removals if decision.owns else None
        writer.save_entry(decision.entry, names, place, article.published, removed, stood_back=article.stood_back)
        if decision.verdict is Verdict.ADDED:
            self._added.append(article)
        return decision.entry, decision.verdict

    def refresh(self, writer: Writer, source: Article) -> Entry:
        """Clean an entry's own dump again, by today's rules, and store what comes of it."""
        return self._refresh(
            writer, source, self._clean_now(_job_again(source, writer.account.restored_of(source.entry.id)))
        )

    def _refresh(self, writer: Writer, source: Article, cleaned: Cleaned) -> Entry:
        """Store what came of cleaning an entry's own dump again."""
        stored = source.entry
        article = cleaned.articles[0][1] if cleaned.articles else None
        if article is None or not writer.is_known_as(stored.id, identities(article)):
            # The bytes that are kept no longer hold it, for the dump broke since, or it cannot be cleaned by these
            # rules; it stays as it is.
            reason = cleaned.fault.reason if cleaned.fault and article is None else None
            logger.warning("cannot be cleaned again", extra={"path": source.path, "entry": stored.id, "reason": reason})
            entry = replace(stored, cleaner=self._cleaner.digest)
            writer.refresh_entry(entry, None)
        else:
            fresh = mint_entry(article, cleaner=self._cleaner.digest)
            entry = replace(fresh, id=stored.id, key=stored.key, published=stored.published, updated=stored.updated)
            writer.refresh_entry(entry, article.removals, stood_back=article.stood_back)
        return entry

    def _clean_now(self, job: Job) -> Cleaned:
        """Clean while a transaction waits.

        Raises:
            ProcessError: No process can do it.
        """
        ticket = self._pool.put(job)
        self._pool.wait([ticket])
        if ticket.cleaned is None:
            raise ProcessError(f"{job.path}: not cleaned, for the processes that clean were ended")
        return ticket.cleaned

    def _count(self, writer: Writer) -> None:
        """Count what rules did to the entries that were added, and say which alarms begin or end."""
        if not self._forgot:
            self._forgot = True
            writer.account.counters.forget_rules(self._limited)
        for change in writer.account.counters.count(self._limited, self._cleaner.digest, self._clock()):
            more = {"rule": change.rule, "source": change.source}
            if change.message is None:
                logger.info("drift ended", extra=more)
            else:
                logger.warning("drift", extra=more | {"reason": change.message})


def _job_again(source: Article, restored: Collection[str]) -> Job:
    return Job(source.path, source.raw, source.mtime_ns, source.place.position, frozenset(restored))


def _hidden_from_sight(path: str, unreadable: frozenset[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in unreadable)


def _file(path: str, status: os.stat_result, data: bytes | None) -> DumpFile:
    return DumpFile(
        path=path,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        digest="" if data is None else hashlib.sha256(data).hexdigest(),
        outcome=Outcome.PUBLISHED,
        raw=data,
    )


def _outcome(fault: NotADump | BrokenDump | CleaningError | None, verdicts: Sequence[Verdict]) -> Outcome:
    if isinstance(fault, NotADump):
        return Outcome.IGNORED
    if fault is not None:
        return Outcome.QUARANTINED
    return Outcome.UNCHANGED if all(verdict is Verdict.DUPLICATE for verdict in verdicts) else Outcome.PUBLISHED
