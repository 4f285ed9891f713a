"""Rows for feeds: changed entries, sources, and the ids and names of feeds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.store.base import ROWS_AT_ONCE, Tables
from feedsvc.store.feed_names import name_source
from feedsvc.store.schema import LIVE, entries, feeds, revisions, source_feeds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row

# Times as numbers: nobody needs these rows' as anything else.
_PLACE: Final = [
    entries.c.number,
    entries.c.id,
    sa.type_coerce(entries.c.published, sa.BigInteger).label("published"),
    sa.type_coerce(entries.c.updated, sa.BigInteger).label("updated"),
    (entries.c.state == LIVE).label("live"),
    entries.c.source,
    entries.c.revision,
]


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """The id of a feed, minted once, and the time of that."""

    id: str
    born: datetime


def revise(connection: sa.Connection) -> int:
    """Begin a new revision of the entries; until the transaction ends no other one can."""
    connection.execute(revisions.update().values(number=revisions.c.number + 1))
    return int(connection.execute(sa.select(revisions.c.number)).scalar_one())


class FeedReader(Tables):
    """Live entries, changed entries, sources, and the ids of feeds."""

    def revision(self) -> int:
        """The number of the last change of an entry that feeds can see."""
        return int(self._connection.execute(sa.select(revisions.c.number)).scalar_one())

    def live_rows(self, columns: Collection[str], sources: Collection[str] | None) -> Iterator[Row[Any]]:
        """Rows of live entries of these sources, or of all; newest first by `published`, then by id.

        `columns` are read beside number, id, published and updated (seconds since 1970), live, source, revision.
        """
        query = self._rows(columns).where(entries.c.state == LIVE)
        if sources is not None:
            query = query.where(entries.c.source.in_(sorted(sources)))
        query = query.order_by(entries.c.published.desc(), entries.c.id)
        yield from self._connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)

    def changed_rows(self, columns: Collection[str], since: int) -> Iterator[Row[Any]]:
        """The same of the entries, live or not, that changed after a revision."""
        query = self._rows(columns).where(entries.c.revision > since).order_by(entries.c.revision, entries.c.number)
        yield from self._connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)

    def _rows(self, columns: Collection[str]) -> sa.Select[Any]:
        more = [entries.c[name] for name in sorted(columns) if name != "source"]
        return sa.select(*_PLACE, *more)

    def live_numbered(self, columns: Sequence[sa.Column[Any]], numbers: Sequence[int]) -> Iterator[Row[Any]]:
        """The live ones among the entries with these numbers, in no order."""
        return self._select_in(sa.select(*columns).where(entries.c.state == LIVE), entries.c.number, numbers)

    def source_names(self) -> dict[str, str]:
        """Source to the name of its feed, for every source that ever had one."""
        rows = self._connection.execute(sa.select(source_feeds.c.source, source_feeds.c.name))
        return {row.source: row.name for row in rows}

    def unnamed_sources(self) -> list[str]:
        """The sources of live entries that have no feed yet."""
        query = (
            sa.select(entries.c.source)
            .distinct()
            .where(entries.c.state == LIVE, entries.c.source.is_not(None), entries.c.source != "")
            .where(entries.c.source.not_in(sa.select(source_feeds.c.source)))
        )
        return sorted(self._connection.scalars(query))

    def records(self) -> dict[str, FeedRecord]:
        """The records of all feeds, by name."""
        rows = self._connection.execute(sa.select(feeds.c.name, feeds.c.id, feeds.c.born))
        return {row.name: FeedRecord(row.id, row.born) for row in rows}


class FeedWriter(FeedReader):
    """The same, and the names and ids that feeds are given for ever."""

    def name_sources(self) -> None:
        """Give the sources of live entries that have no feed yet the names of their feeds, for ever."""
        taken = set(self._connection.scalars(sa.select(source_feeds.c.name)))
        for source in self.unnamed_sources():
            name = name_source(source, taken)
            taken.add(name)
            self._connection.execute(source_feeds.insert().values(source=source, name=name))

    def mint_records(self, names: Collection[str], now: datetime) -> None:
        """Give those of these feeds that have none an id."""
        known = self.records()
        for name in names:
            if name not in known:
                self._connection.execute(feeds.insert().values(name=name, id=uuid.uuid4().urn, born=now))
