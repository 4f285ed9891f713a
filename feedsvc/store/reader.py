"""Reads entries, dumps, and all that hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from feedsvc.model import Known, Place
from feedsvc.store.archives import ArchiveReader
from feedsvc.store.base import Tables, chunks
from feedsvc.store.counters import CounterReader
from feedsvc.store.feeds import FeedReader
from feedsvc.store.learned import LearnedReader
from feedsvc.store.marks import MarkReader
from feedsvc.store.operations import OperationReader
from feedsvc.store.removals import RemovalReader
from feedsvc.store.rows import ENTRY_COLUMNS, Article, entry_of
from feedsvc.store.schema import LIVE, RETIRED, aliases, articles, dumps, entries, restored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from feedsvc.model import Entry

# Statements that every dump needs are made once: to make one takes several times as long as to run it.
HERE: Final = sa.and_(articles.c.dump == sa.bindparam("at_dump"), articles.c.position == sa.bindparam("at_position"))
_NAMED: Final = sa.select(aliases.c.name, aliases.c.entry).where(
    aliases.c.name.in_(sa.bindparam("names", expanding=True))
)
_KNOWN: Final = (
    sa.select(entries, articles.c.published.label("said"), dumps.c.gone)
    .join(
        articles,
        sa.and_(articles.c.dump == entries.c.dump, articles.c.position == entries.c.position),
        isouter=True,
    )
    .join(dumps, dumps.c.id == entries.c.dump, isouter=True)
    .where(entries.c.number == sa.bindparam("at_number"))
)
_EDITED: Final = (
    sa.select(articles.c.entry)
    .join(entries, entries.c.number == articles.c.entry)
    .where(HERE, articles.c.published == sa.bindparam("said"), entries.c.link.is_(None))
)
_NAMES: Final = sa.select(aliases.c.name).where(aliases.c.entry == sa.bindparam("at_number"))
_HELD: Final = sa.select(articles.c.entry).where(articles.c.dump == sa.bindparam("at_dump")).distinct()


class Reader(Tables):
    """A transaction that reads the store as it is at one moment. It cannot write."""

    def __init__(self, connection: sa.Connection) -> None:
        """Read through `connection`; the caller ends its transaction."""
        super().__init__(connection)
        self.archives = ArchiveReader(connection)
        self.counters = CounterReader(connection)
        self.feeds = FeedReader(connection)
        self.learned = LearnedReader(connection)
        self.operations = OperationReader(connection)
        self.marks = MarkReader(connection)
        self.removals = RemovalReader(connection)

    def load_known(
        self, names: Sequence[str], place: Place, said: datetime, present: Collection[str] = ()
    ) -> Known | None:
        """The entry of an article, or None.

        It is known under one of `names`, the first ones first. Else it stood at `place` with the time `said`: the
        title of an article without link was edited. An article that moved, so that one of its names is among
        `present`, the names of all articles of the dump, was not edited.
        """
        found = self._named(names)
        number = next((found[name] for name in names if name in found), None)
        if number is None:
            number = self._load_edited(place, said, present)
        if number is None:
            return None
        row = self._connection.execute(_KNOWN, {"at_number": number}).one()
        spoke = row.dump is not None and (row.gone is None or row.dump == place.dump)  # or is back just now
        owner = Place(row.dump, row.position) if spoke else None
        return Known(entry=entry_of(row), owner=owner, said=row.said, retired=row.state == RETIRED)

    def _named(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of the entries that are known under these names, by name."""
        return {row.name: row.entry for row in self._connection.execute(_NAMED, {"names": names})}

    def _load_edited(self, place: Place, said: datetime, present: Collection[str]) -> int | None:
        number: int | None = self._connection.scalar(_EDITED, at(place) | {"said": said})
        if number is None:
            return None
        known = self._connection.scalars(_NAMES, {"at_number": number})
        return None if any(name in present for name in known) else number

    def names_to_clean(self, names: Sequence[str], cleaner: str) -> set[str]:
        """The names among these of entries that another cleaner cleaned, or that have a restored removal."""
        found: set[str] = set()
        special = sa.or_(entries.c.cleaner != cleaner, entries.c.number.in_(sa.select(restored.c.entry)))
        query = sa.select(aliases.c.name).join(entries, entries.c.number == aliases.c.entry).where(special)
        for some in chunks(names):
            found.update(self._connection.scalars(query.where(aliases.c.name.in_(some))))
        return found

    def is_known_as(self, entry_id: str, names: Sequence[str]) -> bool:
        """True if the entry is known under any of `names`."""
        query = sa.select(entries.c.id).join(aliases, aliases.c.entry == entries.c.number)
        found = self._connection.execute(query.where(entries.c.id == entry_id, aliases.c.name.in_(names)))
        return found.first() is not None

    def load_article(self, entry_id: str) -> Article | None:
        """An entry with the dump of its content, or None if that is not kept."""
        return next(self._load_articles(entries.c.id == entry_id, 1), None)

    def load_live(self, numbers: Sequence[int]) -> list[tuple[int, Entry]]:
        """The live ones among the entries with these numbers, each with its number."""
        rows = self.feeds.live_numbered([entries.c.number, *ENTRY_COLUMNS], numbers)
        return [(row.number, entry_of(row)) for row in rows]

    def load_outdated(self, cleaner: str, limit: int) -> list[Article]:
        """The newest live entries that another cleaner cleaned, if their dump is still kept."""
        return list(self._load_articles(sa.and_(entries.c.cleaner != cleaner, entries.c.state == LIVE), limit))

    def load_numbered(self, numbers: Sequence[int]) -> list[tuple[int, Article]]:
        """The live ones among the entries with these numbers, if their dump is still kept."""
        ids = sa.select(entries.c.id, entries.c.number).where(entries.c.number.in_(numbers))
        number = {row.id: row.number for row in self._connection.execute(ids)}
        which = sa.and_(entries.c.number.in_(numbers), entries.c.state == LIVE)
        return [(number[article.entry.id], article) for article in self._load_articles(which, len(numbers))]

    def _load_articles(self, which: sa.ColumnElement[bool], limit: int) -> Iterator[Article]:
        rows = self._connection.execute(
            sa.select(*ENTRY_COLUMNS, dumps.c.path, dumps.c.raw, dumps.c.mtime_ns, entries.c.dump, entries.c.position)
            .join(dumps, dumps.c.id == entries.c.dump)
            .where(which, dumps.c.raw.is_not(None))
            .order_by(entries.c.published.desc())
            .limit(limit)
        )
        for row in rows:
            entry, place = entry_of(row), Place(row.dump, row.position)
            yield Article(entry, row.path, row.raw, row.mtime_ns, place, self.removals.restored_of(entry.id))

    def load_held(self, dump: int) -> list[int]:
        """The numbers of the entries that stand in a dump."""
        return list(self._connection.scalars(_HELD, {"at_dump": dump}))


def at(place: Place) -> dict[str, int]:
    """The values that `HERE` takes."""
    return {"at_dump": place.dump, "at_position": place.position}
