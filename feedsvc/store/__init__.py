"""What feedsvc remembers: dumps, entries, removals, and how entries are known. SQLite by default.

One process may write while others read. SQLite runs in WAL mode, so that readers never wait for
the writer, and with `synchronous = FULL`: a time that was once served as `updated` must survive a
power loss, or readers would see the entry change again. Commits are made a batch at a time, so this
costs one flush to disk a batch.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from feedsvc.decide import Known, Place
from feedsvc.errors import StoreError
from feedsvc.model import Entry, Outcome, Removal
from feedsvc.store import announcements, rulesets
from feedsvc.store.account import Account
from feedsvc.store.archives import Archive, ArchiveTables, Page
from feedsvc.store.feeds import FeedRecord, FeedTables, revise
from feedsvc.store.learned import LearnedTables
from feedsvc.store.published import PublishedTables
from feedsvc.store.rulesets import RawDump, SavedRules
from feedsvc.store.schema import (
    LIVE,
    RETIRED,
    WITHDRAWN,
    aliases,
    articles,
    dumps,
    entries,
    feeds,
    problems,
    removals,
    restored,
)
from feedsvc.store.search import SearchIndex

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.engine.interfaces import DBAPIConnection

    from feedsvc.clean.learned import Learned

__all__ = [
    "Archive",
    "Article",
    "DumpFile",
    "FeedRecord",
    "FeedTables",
    "Page",
    "Problem",
    "RawDump",
    "SavedRules",
    "Store",
    "Writer",
]

BUSY_SECONDS = 30  # how long a writer waits for another process' transaction
MIGRATIONS = files("feedsvc.store") / "migrations"
CHUNK = 500  # values in one statement; SQLite may be built to take as few as 999
ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
ENTRY_COLUMNS = [entries.c[name] for name in ENTRY_FIELDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFile:
    """A dump file as it is to be remembered.

    Attributes:
        digest: sha256 of the bytes, in hex.
        raw: The bytes, or None for what is no dump.
        line: Where the trouble is, for a quarantined dump.
    """

    path: str
    size: int
    mtime_ns: int
    digest: str
    outcome: Outcome
    reason: str | None = None
    line: int | None = None
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """An entry and where its content came from: the dump's path and bytes, and the place in it.

    Attributes:
        restored: The digests of the removals that were brought back for good.
    """

    entry: Entry
    path: str
    raw: bytes
    mtime_ns: int
    place: Place
    restored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong and since when; the key says what it is about."""

    key: str
    message: str
    since: datetime


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row has no better type
    values = {name: getattr(row, name) for name in ENTRY_FIELDS}
    return Entry(**values | {"categories": tuple(row.categories), "images": tuple(row.images)})


def _differs(row: Any, entry: Entry) -> bool:  # noqa: ANN401 - a row has no better type
    """Whether a feed could show it: none shows which rules cleaned an entry."""
    return replace(_entry(row), cleaner=entry.cleaner) != entry


def _below(folder: str) -> sa.ColumnElement[bool]:
    """True for paths below a folder; "0" is the character after "/"."""
    stem = folder.rstrip("/")
    return sa.and_(dumps.c.path >= f"{stem}/", dumps.c.path < f"{stem}0")


class Store:
    """The store at one address."""

    def __init__(self, url: str) -> None:
        """Open the store, make it where there is none, and bring an older one up to date.

        Args:
            url: An SQLAlchemy URL, such as `sqlite:////var/lib/feedsvc/feedsvc.db`.

        Raises:
            StoreError: It cannot be opened, is no store, or was written by a newer feedsvc.
        """
        self.url = url  # as messages say it
        self._observer: sa.Connection | None = None
        self._version: int | None = None
        try:
            address = sa.make_url(url)
            self.url = address.render_as_string(hide_password=True)
            if address.get_backend_name() == "sqlite" and address.database:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(address, connect_args=_connect_args(address))
            if address.get_backend_name() == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            self._migrate()
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise StoreError(f"{self.url}: the store cannot be opened: {_cause(error)}") from error

    def _migrate(self) -> None:
        newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").iterdir())
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            if known and connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all() == [newest]:
                return
        # A quarter of a second to import, for what is to be done once a version.
        from feedsvc.store.migrate import migrate  # noqa: PLC0415

        migrate(self._engine, str(MIGRATIONS), self.url)

    def close(self) -> None:
        """Close all connections."""
        if self._observer is not None:
            self._observer.close()
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """One transaction: all that is written in it is there afterwards, or nothing.

        Raises:
            StoreError: The store cannot be written.
        """
        try:
            with self._engine.begin() as connection:
                yield Writer(connection)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self.url}: the store cannot be written: {_cause(error)}") from error

    @contextmanager
    def _reading(self, *, begin: str | None = "BEGIN") -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(begin=begin) as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self.url}: the store cannot be read: {_cause(error)}") from error

    def live_entries(self) -> Iterator[Entry]:
        """All live entries, newest first by `published`, then by id; read as they are needed."""
        query = (
            sa.select(*ENTRY_COLUMNS).where(entries.c.state == LIVE).order_by(entries.c.published.desc(), entries.c.id)
        )
        with self._reading() as connection:
            for row in connection.execution_options(yield_per=100).execute(query):
                yield _entry(row)

    def live_ledgers(self) -> Iterator[tuple[Entry, tuple[Removal, ...]]]:
        """All live entries, newest first as before, with what cleaning removed; read as they are needed."""
        query = (
            sa.select(entries.c.number, *ENTRY_COLUMNS)
            .where(entries.c.state == LIVE)
            .order_by(entries.c.published.desc(), entries.c.id)
        )
        with self._reading() as connection:
            for rows in connection.execution_options(yield_per=100).execute(query).partitions():
                ledgers = Account(connection).ledgers([row.number for row in rows])
                for row in rows:
                    yield _entry(row), tuple(ledgers.get(row.number, ()))

    def load_entry(self, key: str) -> tuple[Entry, tuple[Removal, ...]] | None:
        """A live entry and what cleaning removed from it, or None."""
        with self._reading() as connection:
            row = connection.execute(
                sa.select(entries.c.number, *ENTRY_COLUMNS).where(entries.c.key == key, entries.c.state == LIVE)
            ).one_or_none()
            if row is None:
                return None
            return _entry(row), Account(connection).ledger(row.number)

    def open_search(self) -> SearchIndex:
        """Open the search index, which `SearchIndex.catch_up` then keeps up to date.

        Raises:
            StoreError: It can be neither opened nor made.
        """
        return SearchIndex(self._engine, self.url)

    @contextmanager
    def feeding(self) -> Iterator[FeedTables]:
        """Read what feeds are made of, all of it as it is at one moment.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._reading() as connection:
            yield FeedTables(connection)

    def load_entries(self, numbers: Sequence[int]) -> list[Entry]:
        """The live ones among the entries with these numbers, in this order."""
        with self.feeding() as tables:
            rows = tables.live_numbered([entries.c.number, *ENTRY_COLUMNS], numbers)
            found = {row.number: _entry(row) for row in rows}
        return [found[number] for number in numbers if number in found]

    def load_source_names(self) -> dict[str, str]:
        """Source to the name of its feed: of every source that a live entry has or ever had.

        Raises:
            StoreError: The store cannot be read or written.
        """
        with self.feeding() as tables:
            unnamed = tables.unnamed_sources()
        if unnamed:
            with self.writing() as writer:
                writer.feeds.name_sources()
        with self.feeding() as tables:
            return tables.source_names()

    def load_feeds(self, names: Collection[str], now: datetime) -> dict[str, FeedRecord]:
        """What is remembered of feeds, by name; the ids of those that were never asked for are minted.

        Raises:
            StoreError: The store cannot be read or written.
        """
        with self.feeding() as tables:
            known = tables.records()
        if any(name not in known for name in names):
            with self.writing() as writer:
                writer.feeds.mint_records(names, now)
                known = writer.feeds.records()
        return {name: known[name] for name in names}

    @contextmanager
    def accounting(self) -> Iterator[Account]:
        """Read the account of removals.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._reading() as connection:
            yield Account(connection)

    @contextmanager
    def archiving(self) -> Iterator[Writer]:
        """Read the archives of feeds and their entries; nothing is written.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._reading() as connection:
            yield Writer(connection)

    def load_files(self, folder: str) -> dict[str, tuple[int, int]]:
        """Path to (size, mtime in ns) of every file below a folder that is not known to be gone."""
        with self._reading() as connection:
            rows = connection.execute(
                sa.select(dumps.c.path, dumps.c.size, dumps.c.mtime_ns).where(_below(folder), dumps.c.gone.is_(None))
            )
            return {row.path: (row.size, row.mtime_ns) for row in rows}

    def load_digest(self, path: str) -> str | None:
        """The sha256 that a dump had when it was last read, or None if it is not known or gone."""
        with self._reading() as connection:
            return connection.scalar(sa.select(dumps.c.digest).where(dumps.c.path == path, dumps.c.gone.is_(None)))

    def count_entries(self) -> int:
        """How many entries are live."""
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
        with self._reading() as connection:
            return LearnedTables(connection).load()

    def load_learned_version(self) -> int:
        """The `version` of what `load_learned` would give."""
        with self._reading() as connection:
            return LearnedTables(connection).version()

    def load_feed(self, name: str, now: datetime) -> FeedRecord:
        """What is remembered of a feed; its id is minted at the first call."""
        return self.load_feeds([name], now)[name]

    def save_feed_digest(self, name: str, digest: str, now: datetime, step: timedelta) -> datetime:
        """Remember what a feed's document holds; answer since when it holds that.

        The answer never goes back: where the clock did, it is `step` after the one before.
        """
        known = sa.select(feeds.c.digest, feeds.c.last_modified).where(feeds.c.name == name)
        with self._reading() as connection:
            row = connection.execute(known).one_or_none()
        if row is not None and row.digest == digest:
            return row.last_modified  # type: ignore[no-any-return]
        with self.writing() as writer:
            row = writer.connection.execute(known).one()
            if row.digest == digest:  # another process was faster
                return row.last_modified  # type: ignore[no-any-return]
            since = now.replace(microsecond=0)
            if row.last_modified is not None:
                since = max(since, row.last_modified + step)
            writer.connection.execute(
                feeds.update().where(feeds.c.name == name).values(digest=digest, last_modified=since)
            )
            return since

    def load_announced(self, hub: str) -> dict[str, str]:
        """Topic to the version that a WebSub hub knows of."""
        with self._reading() as connection:
            return announcements.load_announced(connection, hub)

    def save_announced(self, hub: str, topic: str, version: str) -> None:
        """A WebSub hub knows of this version of a topic."""
        with self.writing() as writer:
            announcements.save_announced(writer.connection, hub, topic, version)

    def save_live_rules(self, saved: SavedRules, now: datetime) -> None:
        """Remember the rules that entries are cleaned with from now on."""
        with self.writing() as writer:
            rulesets.save_live_rules(writer.connection, saved, now)

    def load_live_rules(self) -> SavedRules | None:
        """The rules that entries are cleaned with, or None where nothing was cleaned yet."""
        with self._reading() as connection:
            return rulesets.load_live_rules(connection)

    def load_raw_dumps(
        self, *, hosts: Collection[str] | None, sources: Collection[str], source: str | None
    ) -> Iterator[RawDump]:
        """The kept dumps of live entries; see `feedsvc.store.rulesets.load_raw_dumps`."""
        with self._reading() as connection:
            live = entries.c.state == LIVE
            yield from rulesets.load_raw_dumps(connection, live, hosts=hosts, sources=sources, source=source)

    def load_cleaned(self, numbers: Sequence[int]) -> list[tuple[int, Article, list[tuple[str, str]]]]:
        """Live entries by their numbers, each with its dump, and rule and text of what was removed."""
        with self._reading() as connection:
            removed = rulesets.load_removed(connection, numbers)
            writer = Writer(connection)
            found = [
                (number, replace(article, restored=writer.account.restored_of(article.entry.id)))
                for number, article in writer.load_numbered(numbers)
            ]
        return [(number, article, removed.get(number, [])) for number, article in found]

    def changed_elsewhere(self) -> bool:
        """Whether anything was committed since the last call, by another process or another thread.

        Databases other than SQLite do not tell: then it is always so.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        try:
            if self._observer is None:
                self._observer = self._engine.connect().execution_options(begin="BEGIN")
            with self._observer.begin():  # it counts the commits of all other connections
                version = self._observer.exec_driver_sql("PRAGMA data_version").scalar_one()
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self.url}: the store cannot be read: {_cause(error)}") from error
        changed = bool(version != self._version)
        self._version = version
        return changed

    def verify(self) -> None:
        """Look for damage.

        Raises:
            StoreError: The store is damaged; the message says where.
        """
        if self._engine.dialect.name == "sqlite":
            with self._reading() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
            if found != ["ok"]:
                raise StoreError(f"{self.url}: the store is damaged: {'; '.join(found)}")

    def optimise(self) -> None:
        """Upkeep: let SQLite refresh its statistics and shorten its log."""
        if self._engine.dialect.name == "sqlite":
            with self._reading(begin=None) as connection:
                connection.exec_driver_sql("PRAGMA optimize")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # refused inside a transaction


class Writer:
    """What can be done inside one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Write through `connection`, whose transaction the caller ends."""
        self.connection = connection
        self.account = Account(connection)
        self.feeds = FeedTables(connection)
        self.learned = LearnedTables(connection)
        self.archives = ArchiveTables(connection)
        self.published = PublishedTables(connection)
        self._revision: int | None = None

    def _revise(self) -> int:
        """The revision that this transaction makes of the entries it changes."""
        if self._revision is None:
            self._revision = revise(self.connection)
        return self._revision

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction that is undone on its own where the database refuses its data.

        Raises:
            StoreError: It was refused.
        """
        try:
            with self.connection.begin_nested():
                yield
        except BaseException as error:
            self._revision = None  # undone, if it began in here
            if isinstance(error, (sa.exc.IntegrityError, sa.exc.DataError, UnicodeError, OverflowError)):
                raise StoreError(f"the store refuses it: {_cause(error)}") from error
            raise

    def open_dump(self, path: str, now: datetime) -> int:
        """The number of a dump file, given to it at the first call; `save_dump` is to follow."""
        number: int | None = self.connection.scalar(sa.select(dumps.c.id).where(dumps.c.path == path))
        if number is None:
            empty = DumpFile(path=path, size=0, mtime_ns=0, digest="", outcome=Outcome.QUARANTINED)
            number = self._insert(dumps, _columns(empty) | {"seen": now})
        return number

    def save_dump(self, number: int, file: DumpFile, now: datetime) -> None:
        """Remember a dump file as it is now; without bytes, those that were kept stay."""
        values = _columns(file) | {"seen": now, "gone": None}
        if file.raw is None:
            del values["raw"]
        self.connection.execute(dumps.update().where(dumps.c.id == number).values(values))

    def _insert(self, table: sa.Table, values: dict[str, Any]) -> int:
        primary_key = self.connection.execute(table.insert().values(values)).inserted_primary_key
        if primary_key is None:
            raise StoreError(f"{table.name}: the database gave a new row no number")
        return int(primary_key[0])

    def touch_dump(self, path: str, size: int, mtime_ns: int) -> None:
        """Remember that a dump is as it was, under a new time."""
        self.connection.execute(dumps.update().where(dumps.c.path == path).values(size=size, mtime_ns=mtime_ns))

    def load_known(
        self, names: Sequence[str], place: Place, said: datetime, present: Collection[str] = ()
    ) -> Known | None:
        """What is known of an article.

        That is what is known under any of `names`, the first one first; or else, where the title of an
        article without link was edited, what stood at `place` with the same time.

        Args:
            names: Its names.
            place: Where it was found.
            said: The time that the dump gives.
            present: The names of all articles of the dump: one that moved is not one that was edited.
        """
        query = sa.select(aliases.c.name, aliases.c.entry).where(aliases.c.name.in_(names))
        found = {row.name: row.entry for row in self.connection.execute(query)}
        number = next((found[name] for name in names if name in found), None)
        if number is None:
            number = self._load_edited(place, said, present)
        if number is None:
            return None
        owning = sa.and_(articles.c.dump == entries.c.dump, articles.c.position == entries.c.position)
        row = self.connection.execute(
            sa.select(entries, articles.c.published.label("said"), dumps.c.gone)
            .join(articles, owning, isouter=True)
            .join(dumps, dumps.c.id == entries.c.dump, isouter=True)
            .where(entries.c.number == number)
        ).one()
        spoke = row.dump is not None and (row.gone is None or row.dump == place.dump)  # or is back just now
        owner = Place(row.dump, row.position) if spoke else None
        return Known(entry=_entry(row), owner=owner, said=row.said, retired=row.state == RETIRED)

    def _load_edited(self, place: Place, said: datetime, present: Collection[str]) -> int | None:
        number: int | None = self.connection.scalar(
            sa.select(articles.c.entry)
            .join(entries, entries.c.number == articles.c.entry)
            .where(
                articles.c.dump == place.dump,
                articles.c.position == place.position,
                articles.c.published == said,
                entries.c.link.is_(None),
            )
        )
        if number is None:
            return None
        known = self.connection.scalars(sa.select(aliases.c.name).where(aliases.c.entry == number))
        return None if any(name in present for name in known) else number

    def save_entry(
        self,
        entry: Entry,
        names: Sequence[str],
        place: Place,
        said: datetime,
        removed: Sequence[Removal] | None,
        *,
        stood_back: bool = False,
    ) -> None:
        """Write an entry, the names it is known by, and that it stands at `place`.

        Args:
            entry: As it is to be.
            names: Names to find it by; those that are taken stay as they are.
            place: Where it was found.
            said: The time that this dump gives.
            removed: What cleaning removed, if `place` is where the content comes from; else None.
            stood_back: Whether rules stood back from that content.
        """
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values |= {"dump": place.dump, "position": place.position, "stood_back": stood_back}
        row = self._stored(entry.id)
        if row is None:
            number = self._insert(entries, values | {"state": LIVE, "revision": self._revise()})
        else:
            number = row.number
            if row.state != RETIRED and (row.state != LIVE or _differs(row, entry)):
                values |= {"state": LIVE, "revision": self._revise()}
        self._stand(place, number, said)
        if row is not None:
            self.connection.execute(entries.update().where(entries.c.number == number).values(values))
        if removed is not None and (removed or row is not None):
            self._save_removals(number, removed)
        taken = set(self.connection.scalars(sa.select(aliases.c.name).where(aliases.c.name.in_(names))))
        for name in dict.fromkeys(names):
            if name not in taken:
                self.connection.execute(aliases.insert().values(name=name, entry=number))

    def _stored(self, entry_id: str) -> Any:  # noqa: ANN401 - a row has no better type
        query = sa.select(entries.c.number, entries.c.state, *ENTRY_COLUMNS).where(entries.c.id == entry_id)
        return self.connection.execute(query).one_or_none()

    def _stand(self, place: Place, number: int, said: datetime) -> None:
        here = sa.and_(articles.c.dump == place.dump, articles.c.position == place.position)
        before = self.connection.scalar(sa.select(articles.c.entry).where(here))
        values = {"entry": number, "published": said}
        if before is None:
            new = values | {"dump": place.dump, "position": place.position}
            self.connection.execute(articles.insert().values(new))
        else:
            self.connection.execute(articles.update().where(here).values(values))
            if before != number:
                self._disown(sa.and_(entries.c.number == before, _owned_by(place)))

    def _save_removals(self, number: int, removed: Sequence[Removal]) -> None:
        """Replace the account of what cleaning took out of an entry."""
        self.connection.execute(removals.delete().where(removals.c.entry == number))
        if removed:
            self.connection.execute(
                removals.insert(),
                [
                    {
                        "entry": number,
                        "position": position,
                        "rule": item.rule,
                        "reason": item.reason,
                        "text": item.text,
                        "html": item.html,
                        "restored": item.restored,
                    }
                    for position, item in enumerate(removed)
                ],
            )

    def refresh_entry(self, entry: Entry, removed: Sequence[Removal] | None, *, stood_back: bool = False) -> None:
        """Replace an entry quietly after it was cleaned again, and what was removed where that is given."""
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values["stood_back"] = stood_back
        row = self._stored(entry.id)
        if row.state == LIVE and _differs(row, entry):
            values["revision"] = self._revise()
        self.connection.execute(entries.update().where(entries.c.number == row.number).values(values))
        if removed is not None:
            self._save_removals(row.number, removed)

    def is_known_as(self, entry_id: str, names: Sequence[str]) -> bool:
        """Whether an entry is known under any of `names`."""
        query = sa.select(entries.c.id).join(aliases, aliases.c.entry == entries.c.number)
        found = self.connection.execute(query.where(entries.c.id == entry_id, aliases.c.name.in_(names)))
        return found.first() is not None

    def load_article(self, entry_id: str) -> Article | None:
        """An entry with the dump that its content came from, or None where that is not kept."""
        return next(self._load_articles(entries.c.id == entry_id, 1), None)

    def load_live(self, numbers: Sequence[int]) -> list[tuple[int, Entry]]:
        """The live ones among the entries with these numbers, each with its number."""
        found = []
        for start in range(0, len(numbers), CHUNK):
            some = sa.and_(entries.c.number.in_(numbers[start : start + CHUNK]), entries.c.state == LIVE)
            rows = self.connection.execute(sa.select(entries.c.number, *ENTRY_COLUMNS).where(some))
            found += [(row.number, _entry(row)) for row in rows]
        return found

    def load_outdated(self, cleaner: str, limit: int) -> list[Article]:
        """The newest live entries that another cleaner cleaned, where their dump is still kept."""
        return list(self._load_articles(sa.and_(entries.c.cleaner != cleaner, entries.c.state == LIVE), limit))

    def load_numbered(self, numbers: Sequence[int]) -> list[tuple[int, Article]]:
        """The live ones among the entries with these numbers, where their dump is still kept."""
        ids = sa.select(entries.c.id, entries.c.number).where(entries.c.number.in_(numbers))
        number = {row.id: row.number for row in self.connection.execute(ids)}
        which = sa.and_(entries.c.number.in_(numbers), entries.c.state == LIVE)
        return [(number[article.entry.id], article) for article in self._load_articles(which, len(numbers))]

    def _load_articles(self, which: sa.ColumnElement[bool], limit: int) -> Iterator[Article]:
        rows = self.connection.execute(
            sa.select(*ENTRY_COLUMNS, dumps.c.path, dumps.c.raw, dumps.c.mtime_ns, entries.c.dump, entries.c.position)
            .join(dumps, dumps.c.id == entries.c.dump)
            .where(which, dumps.c.raw.is_not(None))
            .order_by(entries.c.published.desc())
            .limit(limit)
        )
        for row in rows:
            yield Article(_entry(row), row.path, row.raw, row.mtime_ns, Place(row.dump, row.position))

    def load_held(self, dump: int) -> list[int]:
        """The numbers of the entries that stand in a dump."""
        return list(self.connection.scalars(sa.select(articles.c.entry).where(articles.c.dump == dump).distinct()))

    def drop_articles(self, dump: int, *, beyond: int) -> None:
        """Forget what stood in a dump from position `beyond` on; the entries stay live, and keep their content."""
        self._disown(sa.and_(entries.c.dump == dump, entries.c.position >= beyond))
        self.connection.execute(articles.delete().where(articles.c.dump == dump, articles.c.position >= beyond))

    def mark_gone(self, path: str, now: datetime, *, withdraw: bool) -> list[str]:
        """Remember that a dump was deleted; answers the keys of entries that this withdrew."""
        dump = self.connection.scalar(sa.select(dumps.c.id).where(dumps.c.path == path, dumps.c.gone.is_(None)))
        if dump is None:
            return []
        # The owner's bytes stay: the entry can still be cleaned again. It is open to other dumps, though.
        self.connection.execute(dumps.update().where(dumps.c.id == dump).values(gone=now))
        return self.withdraw_orphans(self.load_held(dump)) if withdraw else []

    def withdraw_orphans(self, numbers: Sequence[int]) -> list[str]:
        """Withdraw those of these entries that no dump that is there holds any more; answers their keys."""
        held = (
            sa.select(articles.c.entry)
            .join(dumps, dumps.c.id == articles.c.dump)
            .where(articles.c.entry == entries.c.number, dumps.c.gone.is_(None))
            .exists()
        )
        keys: list[str] = []
        for start in range(0, len(numbers), CHUNK):
            some = entries.c.number.in_(numbers[start : start + CHUNK])
            orphans = sa.and_(some, entries.c.state == LIVE, ~held)
            found = self.connection.scalars(sa.select(entries.c.key).where(orphans)).all()
            if found:
                values = {"state": WITHDRAWN, "revision": self._revise()}
                self.connection.execute(entries.update().where(orphans).values(values))
                keys += found
        return keys

    def _disown(self, which: sa.ColumnElement[bool]) -> None:
        self.connection.execute(entries.update().where(which).values(dump=None, position=None))

    def retire(self, *, before: datetime | None, beyond: int | None) -> int:
        """Take the content of old entries away, and keep what they are known by.

        Args:
            before: Entries published before this go; None for no such bound.
            beyond: All but this many of the newest go; None for no such bound.

        Returns:
            How many entries were retired.
        """
        number = 0
        if before is not None:
            number += self._retire(sa.and_(entries.c.state != RETIRED, entries.c.published < before))
        if beyond is not None:
            ranked = (
                sa.select(entries.c.number)
                .where(entries.c.state == LIVE)
                .order_by(entries.c.published.desc(), entries.c.id)
                .offset(beyond)
                .limit(-1 if self.connection.dialect.name == "sqlite" else None)
            )
            number += self._retire(entries.c.number.in_(ranked))
        if number:
            self._drop_raw()
        return number

    def _retire(self, which: sa.ColumnElement[bool]) -> int:
        numbers = sa.select(entries.c.number).where(which)
        for table in (removals, restored):
            self.connection.execute(table.delete().where(table.c.entry.in_(numbers)))
        empty = {"content": "", "text": "", "summary": "", "images": [], "alternates": (), "stood_back": False}
        values = {"state": RETIRED, "revision": self._revise(), **empty}
        result = self.connection.execute(entries.update().where(which).values(values))
        return int(result.rowcount)

    def _drop_raw(self) -> None:
        alive = (
            sa.select(articles.c.entry)
            .join(entries, entries.c.number == articles.c.entry)
            .where(articles.c.dump == dumps.c.id, entries.c.state != RETIRED)
            .exists()
        )
        finished = dumps.c.outcome.in_([Outcome.PUBLISHED, Outcome.UNCHANGED])
        self.connection.execute(dumps.update().where(dumps.c.raw.is_not(None), finished, ~alive).values(raw=sa.null()))

    def save_problem(self, key: str, message: str, now: datetime) -> None:
        """Remember what is wrong; the time it began stays."""
        known = self.connection.scalar(sa.select(problems.c.key).where(problems.c.key == key))
        if known is None:
            self.connection.execute(problems.insert().values(key=key, message=message, since=now))
        else:
            self.connection.execute(problems.update().where(problems.c.key == key).values(message=message))

    def drop_problem(self, key: str | None) -> None:
        """Forget a problem that has ended, or all of them."""
        which = problems.delete() if key is None else problems.delete().where(problems.c.key == key)
        self.connection.execute(which)


def _columns(file: DumpFile) -> dict[str, Any]:
    return {field.name: getattr(file, field.name) for field in fields(file)}


def _owned_by(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(entries.c.dump == place.dump, entries.c.position == place.position)


def _connect_args(address: sa.URL) -> dict[str, object]:
    return {"timeout": BUSY_SECONDS} if address.get_backend_name() == "sqlite" else {}


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # the begin event below begins transactions
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock before it reads: what it decides on cannot change under it.
    statement = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    if statement:
        connection.exec_driver_sql(statement)


def _cause(error: Exception) -> object:
    return getattr(error, "orig", None) or error
