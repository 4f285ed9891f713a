"""The store: transactions, and queries that need none of the caller's."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.model import Entry, Outcome, Problem, Removal
from feedsvc.store.base import ROWS_AT_ONCE, chunks
from feedsvc.store.database import Database
from feedsvc.store.reader import Reader
from feedsvc.store.removals import RemovalReader
from feedsvc.store.rows import ENTRY_COLUMNS, DumpFile, entry_of, is_below
from feedsvc.store.rulesets import RawDump, SavedRules
from feedsvc.store.schema import LIVE, announced, dumps, entries, feeds, problems, rulesets
from feedsvc.store.search import SearchIndex
from feedsvc.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from feedsvc.clean.learning.learned import Learned
    from feedsvc.store.feeds import FeedRecord
    from feedsvc.store.rows import Article


class Store(Database):
    """The store at one address."""

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """One transaction: all that is written in it is there afterwards, or nothing."""
        if self._frozen:
            self._engine.dispose()  # perhaps it can be written again: connections that are made from here on try
        try:
            with self._engine.begin() as connection:
                yield Writer(connection)
        except sa.exc.SQLAlchemyError as error:
            raise self.explain("written", error) from error

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """One transaction that reads the store as it is at one moment."""
        with self._reading() as connection:
            yield Reader(connection)

    def live_ledgers(self) -> Iterator[tuple[Entry, tuple[Removal, ...]]]:
        """All live entries with their removals, newest first; read as they are needed."""
        query = (
            sa.select(entries.c.number, *ENTRY_COLUMNS)
            .where(entries.c.state == LIVE)
            .order_by(entries.c.published.desc(), entries.c.id)
        )
        with self._reading() as connection:
            for rows in connection.execution_options(yield_per=100).execute(query).partitions():
                ledgers = RemovalReader(connection).ledgers([row.number for row in rows])
                for row in rows:
                    yield entry_of(row), tuple(ledgers.get(row.number, ()))

    def load_entry(self, key: str) -> tuple[Entry, tuple[Removal, ...]] | None:
        """A live entry and its removals, or None."""
        with self._reading() as connection:
            row = connection.execute(
                sa.select(entries.c.number, *ENTRY_COLUMNS).where(entries.c.key == key, entries.c.state == LIVE)
            ).one_or_none()
            return None if row is None else (entry_of(row), RemovalReader(connection).ledger(row.number))

    def open_search(self) -> SearchIndex:
        """Open the search index; `SearchIndex.catch_up` keeps it up to date, and makes it if need be."""
        return SearchIndex(self._engine, self.url)

    def load_entries(self, numbers: Sequence[int]) -> list[Entry]:
        """The live ones among the entries with these numbers, in this order."""
        with self.reading() as reader:
            found = dict(reader.load_live(numbers))
        return [found[number] for number in numbers if number in found]

    def load_source_names(self) -> dict[str, str]:
        """Source to the name of its feed: of every source that a live entry has or ever had."""
        with self.reading() as reader:
            unnamed = reader.feeds.unnamed_sources()
        if unnamed:
            with self.writing() as writer:
                writer.feeds.name_sources()
        with self.reading() as reader:
            return reader.feeds.source_names()

    def load_feeds(self, names: Collection[str], now: datetime) -> dict[str, FeedRecord]:
        """The records of feeds, by name; the ids of new ones are minted."""
        with self.reading() as reader:
            known = reader.feeds.records()
        if any(name not in known for name in names):
            with self.writing() as writer:
                writer.feeds.mint_records(names, now)
                known = writer.feeds.records()
        return {name: known[name] for name in names}

    def load_files(self, folder: str) -> dict[str, tuple[int, int]]:
        """Path to (size, mtime in ns) of every file below a folder that is not known to be gone."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(dumps.c.path, dumps.c.size, dumps.c.mtime_ns).where(is_below(folder), dumps.c.gone.is_(None))
            )
            return {row.path: (row.size, row.mtime_ns) for row in rows}

    def load_digests(self, paths: Sequence[str]) -> dict[str, str]:
        """Path to the sha256 that a dump had when it was last read, of those that are known and not gone."""
        digests: dict[str, str] = {}
        with self._reading() as connection:
            for some in chunks(paths):
                known = sa.and_(dumps.c.path.in_(some), dumps.c.gone.is_(None))
                rows = connection.execute(sa.select(dumps.c.path, dumps.c.digest).where(known))
                digests |= {row.path: row.digest for row in rows}
        return digests

    def count_entries(self) -> int:
        """The number of live entries."""
        with self._reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).where(entries.c.state == LIVE)) or 0

    def count_dumps(self) -> dict[str, int]:
        """Outcome to number of dump files that are there."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(dumps.c.outcome, sa.func.count().label("number"))
                .where(dumps.c.gone.is_(None))
                .group_by(dumps.c.outcome)
            )
            found = {row.outcome: row.number for row in rows}
        return {str(outcome): found.get(outcome, 0) for outcome in Outcome}

    def load_refused(self, outcome: Outcome) -> list[DumpFile]:
        """The files that are ignored or quarantined, without their bytes."""
        columns = [dumps.c[name] for name in ("path", "size", "mtime_ns", "digest", "outcome", "reason", "line")]
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(*columns).where(dumps.c.outcome == outcome, dumps.c.gone.is_(None)).order_by(dumps.c.path)
            )
            return [DumpFile(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it

    def load_problems(self) -> list[Problem]:
        """The problems that the daemon reported and that still stand."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(problems).order_by(problems.c.since, problems.c.key))
            return [Problem(row.key, row.message, row.since) for row in rows]

    def load_learned(self) -> Learned:
        """The blocks that are learned."""
        with self.reading() as reader:
            return reader.learned.load()

    def load_feed_digest(self, name: str) -> tuple[str | None, datetime | None]:
        """Load the digest of a feed's document, and since when the feed has had it."""
        with self._reading() as connection:
            known = sa.select(feeds.c.digest, feeds.c.last_modified).where(feeds.c.name == name)
            row = connection.execute(known).one_or_none()
        return (row.digest, row.last_modified) if row else (None, None)

    def save_feed_digests(self, digests: Mapping[str, tuple[str, datetime]]) -> None:
        """Keep digests of feeds' documents by name, and since when. A time never goes back."""
        with self.writing() as writer:
            for name, (digest, since) in digests.items():
                older = sa.or_(feeds.c.last_modified.is_(None), feeds.c.last_modified < since)
                changed = feeds.update().where(feeds.c.name == name, older)
                writer.connection.execute(changed.values(digest=digest, last_modified=since))

    def load_announced(self, hub: str) -> dict[str, str]:
        """Topic to the version that a WebSub hub knows of."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(announced.c.topic, announced.c.version).where(announced.c.hub == hub))
            return {row.topic: row.version for row in rows}

    def save_announced(self, hub: str, topic: str, version: str) -> None:
        """A WebSub hub knows of this version of a topic."""
        here = sa.and_(announced.c.hub == hub, announced.c.topic == topic)
        with self.writing() as writer:
            if not writer.connection.execute(announced.update().where(here).values(version=version)).rowcount:
                writer.connection.execute(announced.insert().values(hub=hub, topic=topic, version=version))

    def save_live_rules(self, saved: SavedRules, now: datetime) -> None:
        """Save the rules that entries are cleaned with from now on; forget rules that no entry was cleaned with."""
        used = sa.select(entries.c.cleaner).distinct()
        unused = sa.or_(rulesets.c.digest == saved.digest, rulesets.c.digest.not_in(used))
        rules = json.dumps(saved.rules, ensure_ascii=False)
        with self.writing() as writer:
            writer.connection.execute(rulesets.delete().where(unused))
            # If the clock went back, the last rules that were saved are the live ones all the same.
            last = writer.connection.scalar(sa.select(sa.func.max(rulesets.c.live, type_=rulesets.c.live.type)))
            live = now if last is None else max(now, last + timedelta(seconds=1))
            values = {"digest": saved.digest, "version": saved.version, "rules": rules, "live": live}
            writer.connection.execute(rulesets.insert().values(values))

    def load_live_rules(self) -> SavedRules | None:
        """The rules that entries are cleaned with, or None if nothing was cleaned yet."""
        with self._reading() as connection:
            row = connection.execute(sa.select(rulesets).order_by(rulesets.c.live.desc()).limit(1)).one_or_none()
        return None if row is None else SavedRules(row.digest, row.version, json.loads(row.rules))

    def load_raw_dumps(
        self, *, hosts: Collection[str] | None, sources: Collection[str], source: str | None
    ) -> Iterator[RawDump]:
        """The dumps of live entries that are still kept.

        Args:
            hosts: Only entries with one of these in their link, perhaps elsewhere than as its host, or with one of
                `sources`; None for all.
            sources: See `hosts`.
            source: Only entries with this source; None for all.
        """
        query = (
            sa.select(
                entries.c.number,
                sa.type_coerce(entries.c.published, sa.BigInteger).label("published"),
                entries.c.link,
                entries.c.source,
                sa.type_coerce(dumps.c.raw, sa.LargeBinary).label("raw"),
            )
            .join(dumps, dumps.c.id == entries.c.dump)
            .where(entries.c.state == LIVE, dumps.c.raw.is_not(None))
        )
        if hosts is not None:
            reached = [entries.c.link.contains(host, autoescape=True) for host in sorted(hosts)]
            query = query.where(sa.or_(entries.c.source.in_(sorted(sources)), *reached))
        if source is not None:
            query = query.where(entries.c.source == source)
        with self._reading() as connection:
            for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query):
                yield RawDump(*row)

    def load_cleaned(self, numbers: Sequence[int]) -> list[tuple[int, Article, list[tuple[str, str]]]]:
        """Live entries by their numbers, each with its dump, and rule and text of each removal."""
        with self.reading() as reader:
            ledgers = reader.removals.ledgers(numbers)
            found = reader.load_numbered(numbers)
        return [
            (number, article, [(removal.rule, removal.text) for removal in ledgers.get(number, ())])
            for number, article in found
        ]
