"""Cleaned articles -> decisions and rows, in a transaction of the caller.

Nothing is cleaned here, for the store is locked: `NotCleaned` asks for a cleaning that is needed and not at hand.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from feedsvc.clean import CAUSES
from feedsvc.clean.drift import observe_article
from feedsvc.clean.learning.learned import census_source
from feedsvc.clean.sandbox import Cleaned, Job
from feedsvc.errors import BrokenDump, CleaningError, NotADump, StoreError
from feedsvc.intake.cleanings import job_again
from feedsvc.intake.decide import Verdict, decide_entry, identities, mint_entry
from feedsvc.model import Outcome, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from feedsvc.clean import Cleaner
    from feedsvc.clean.learning.learned import Learned
    from feedsvc.intake.cleanings import Cleanings
    from feedsvc.intake.read import FileRead
    from feedsvc.model import CleanEntry, Entry, Known, Sighting
    from feedsvc.store import Article, DumpFile, Reader, Writer
    from feedsvc.watch import Change

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one dump file.

    Attributes:
        outcome: None if nothing was done: the file is gone, or as it was.
        keys: The entries that it holds and that may have changed, and those that it withdrew.
        removed: How often each rule removed something.
        seconds: The time its cleaning took.
    """

    path: str
    outcome: Outcome | None = None
    reason: str | None = None
    keys: tuple[str, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict, compare=False)
    seconds: float = field(default=0.0, compare=False)


class NotCleaned(Exception):  # noqa: N818 - reads as a state
    """A job must be done before a file can be written."""

    def __init__(self, path: str, job: Job) -> None:
        """Take the file and the job."""
        super().__init__(path)
        self.path = path
        self.job = job


class Recorder:
    """Decides and writes."""

    def __init__(
        self, cleaner: Cleaner, cleanings: Cleanings, *, withdraw: bool, clock: Callable[[], datetime]
    ) -> None:
        """Take cleaned dumps from `cleanings`; see `Ingest` for the others."""
        self._cleaner = cleaner
        self._cleanings = cleanings
        self._withdraw = withdraw
        self._clock = clock
        self._limited = dict.fromkeys((cause.name for cause in CAUSES), False)
        self._limited |= {rule.name: not rule.is_generic for rule in cleaner.rules}
        self._forgot = False
        self._said: dict[str, str] = {}  # why a file is refused, by path: a file that grows is not logged each time
        self._added: list[CleanEntry] = []  # in the transaction that is open

    def find_jobs(self, rows: Reader, files: Iterable[FileRead]) -> Iterator[tuple[str, Job]]:
        """Find the further jobs to be done before files can be written, each with its path.

        These are stored dumps that other rules cleaned, and articles with restored removals. A few are only found when
        they are written.
        """
        found = [
            (read.file, position, article)
            for read in files
            if read.job and (ticket := self._cleanings.result(read.file.path, read.job)) and ticket.cleaned
            for position, article in ticket.cleaned.articles
        ]
        names = {name for _, _, article in found for name in identities(article)}
        special = rows.names_to_clean(sorted(names), self._cleaner.digest)
        for file, position, article in found:
            if not special.isdisjoint(identities(article)):
                known = rows.load_known(identities(article), Place(0, position), article.published)
                stored, restored = self._jobs_for(rows, file, position, known)
                yield from ((file.path, job) for job in (stored and job_again(stored), restored) if job)

    def write(self, writer: Writer, batch: Iterable[tuple[Change, FileRead | None]]) -> list[Report]:
        """Write a batch of changes; a file that the store refuses is quarantined.

        Raises:
            NotCleaned: Something else must be cleaned first.
        """
        self._added.clear()
        reports = []
        for change, read in batch:
            if change.gone:
                if os.path.lexists(change.path):
                    continue  # it came back since
                keys = writer.mark_gone(change.path, self._clock(), withdraw=self._withdraw)
                logger.info("dump deleted", extra={"path": change.path, "withdrawn": len(keys)})
                reports.append(Report(change.path, keys=tuple(keys)))
            elif read is not None:
                reports.append(self._write_file(writer, read))
        self.count(writer)
        return reports

    def _write_file(self, writer: Writer, read: FileRead) -> Report:
        file, seconds = read.file, 0.0
        if read.job is not None:
            cleaned, seconds = self._cleaned(file.path, read.job)
        elif read.fault is not None:
            cleaned = Cleaned((), read.fault)
        else:
            writer.touch_dump(file.path, file.size, file.mtime_ns)
            return Report(file.path)
        added = len(self._added)
        try:
            with writer.attempt():
                return self._save(writer, file, cleaned, seconds)
        except CleaningError as error:  # with the removals that were restored
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
            entry, verdict = self._save_article(writer, file, article, Place(number, position), present, now)
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
        if fault is None:  # an article that a broken dump no longer shows may only be out of sight
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
        writer.counters.note([observe_article(article) for (_, article), verdict in pairs if verdict is Verdict.ADDED])
        removals = [item for _, article in cleaned.articles for item in article.removals]
        removed = Counter(item.rule for item in removals if not item.restored)
        return Report(file.path, outcome, reason, tuple(keys), removed, seconds)

    def _save_article(  # noqa: PLR0917 - its caller alone knows all this
        self,
        writer: Writer,
        file: DumpFile,
        article: CleanEntry,
        place: Place,
        present: Collection[str],
        now: datetime,
    ) -> tuple[Entry, Verdict]:
        names = identities(article)
        known = writer.load_known(names, place, article.published, present)
        stored, restored = self._jobs_for(writer, file, place.position, known)
        if known is not None and stored is not None:
            # The old dump by today's rules beside the new one by the same: only the article can differ.
            again, _ = self._cleaned(file.path, job_again(stored))
            known = replace(known, entry=self.refresh(writer, stored, again))
        if restored is not None:
            again, _ = self._cleaned(file.path, restored)
            if again.fault is not None and not again.articles:
                raise again.fault
            ((_, article),) = again.articles
        decision = decide_entry(article, known, place, cleaner=self._cleaner.digest, now=now)
        removed = article.removals if decision.owns else None
        writer.save_entry(decision.entry, names, place, article.published, removed, stood_back=article.stood_back)
        if decision.verdict is Verdict.ADDED:
            self._added.append(article)
        return decision.entry, decision.verdict

    def _jobs_for(
        self, rows: Reader, file: DumpFile, position: int, known: Known | None
    ) -> tuple[Article | None, Job | None]:
        """Find the further jobs to be done before a file's article is compared with the entry known of it.

        These are the entry, if other rules cleaned it and its dump is kept, and a job for the article, if removals of
        the entry were restored.
        """
        if known is None:
            return None, None
        outdated = not known.retired and known.entry.cleaner != self._cleaner.digest
        stored = rows.load_article(known.entry.id) if outdated else None
        restored = rows.removals.restored_of(known.entry.id)
        return stored, Job(file.path, file.raw or b"", file.mtime_ns, position, restored) if restored else None

    def _cleaned(self, path: str, job: Job) -> tuple[Cleaned, float]:
        ticket = self._cleanings.result(path, job)
        if ticket is None or ticket.cleaned is None:
            raise NotCleaned(path, job)
        return ticket.cleaned, ticket.seconds

    def refresh(self, writer: Writer, stored: Article, cleaned: Cleaned) -> Entry:
        """Replace a stored entry by the result of cleaning its own dump again."""
        entry = stored.entry
        article = cleaned.articles[0][1] if cleaned.articles else None
        if article is None or not writer.is_known_as(entry.id, identities(article)):
            # The bytes that are kept no longer hold it, for the dump broke since, or these rules cannot clean it; it
            # stays as it is.
            reason = cleaned.fault.reason if cleaned.fault and article is None else None
            logger.warning("cannot be cleaned again", extra={"path": stored.path, "entry": entry.id, "reason": reason})
            entry = replace(entry, cleaner=self._cleaner.digest)
            writer.refresh_entry(entry, None)
        else:
            fresh = mint_entry(article, cleaner=self._cleaner.digest)
            entry = replace(fresh, id=entry.id, key=entry.key, published=entry.published, updated=entry.updated)
            writer.refresh_entry(entry, article.removals, stood_back=article.stood_back)
        return entry

    def learn(self, writer: Writer) -> Learned | None:
        """Count the articles that `write` added; give all that is learned now, or None if that is as before."""
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

    def count(self, writer: Writer) -> None:
        """Count removals by rule in the entries that were added; log alarms that begin or end."""
        if not self._forgot:
            self._forgot = True
            writer.counters.forget_rules(self._limited)
        for change in writer.counters.count(self._limited, self._cleaner.digest, self._clock()):
            more = {"rule": change.rule, "source": change.source}
            if change.message is None:
                logger.info("drift ended", extra=more)
            else:
                logger.warning("drift", extra=more | {"reason": change.message})


def _outcome(fault: NotADump | BrokenDump | CleaningError | None, verdicts: Sequence[Verdict]) -> Outcome:
    if isinstance(fault, NotADump):
        return Outcome.IGNORED
    if fault is not None:
        return Outcome.QUARANTINED
    return Outcome.UNCHANGED if all(verdict is Verdict.DUPLICATE for verdict in verdicts) else Outcome.PUBLISHED
