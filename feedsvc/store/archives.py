"""The archives of feeds: the entries of each page, and the bytes of pages that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.model import Member
from feedsvc.store.base import Tables, chunks
from feedsvc.store.schema import LIVE, RETIRED, WITHDRAWN, archive_entries, archive_pages, archives, entries, revisions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

OPEN: Final = 0  # the page of entries that no closed page holds
_ABSENT: Final = "absent"  # no fingerprint: the feed is gone, its changes are not followed


def _join(*which: sa.ColumnElement[bool]) -> sa.Insert:
    """Put live entries into the open page of an archive, but those that a page of its chain holds as they are."""
    held = archive_entries.alias("held")
    covered = sa.exists().where(
        held.c.entry == entries.c.number,
        held.c.archive == sa.bindparam("to_archive", type_=sa.Integer),
        sa.or_(held.c.page == OPEN, held.c.page >= sa.bindparam("first_page")),
        sa.or_(held.c.updated.is_(None), held.c.updated >= entries.c.updated),
    )
    row = (sa.bindparam("to_archive", type_=sa.Integer), sa.literal(OPEN), entries.c.number)
    new = sa.select(*row).where(entries.c.state == LIVE, ~covered, *which)
    return archive_entries.insert().from_select(["archive", "page", "entry"], new)


# Made once: they run for every feed at every change.
_JOIN_ALL: Final = _join()
_JOIN_SOME: Final = _join(entries.c.number.in_(sa.bindparam("some", expanding=True)))
_MEMBERS: Final = (
    sa.select(
        entries.c.number,
        entries.c.key,
        sa.type_coerce(entries.c.published, sa.BigInteger),
        sa.type_coerce(entries.c.updated, sa.BigInteger),
    )
    .join(archive_entries, archive_entries.c.entry == entries.c.number)
    .where(
        archive_entries.c.archive == sa.bindparam("of_archive"),
        archive_entries.c.page == sa.bindparam("of_page"),
        entries.c.state == LIVE,
    )
)


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive of a feed.

    Attributes:
        number: The store's own.
        first: The number of the first page of the chain.
        closed: The number of the last closed page.
    """

    number: int
    first: int
    closed: int


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """A closed page as it was first given out, and when it last changed."""

    body: bytes
    modified: datetime


class ArchiveReader(Tables):
    """Archives, their pages, and the entries in each."""

    def find(self, feed: str) -> Archive | None:
        """The archive of the feed of this name, or None."""
        row = self._select(feed)
        return None if row is None else Archive(row.number, row.first, row.closed)

    def revision(self) -> int:
        """The last change of an entry that archives have taken over."""
        return int(self._connection.scalar(sa.select(revisions.c.archived)) or 0)

    def load_memberships(self) -> dict[str, str]:
        """The membership of each feed with an archive, by the feed's name."""
        rows = self._connection.execute(
            sa.select(archives.c.feed, archives.c.membership).where(archives.c.membership != _ABSENT)
        )
        return {row.feed: row.membership for row in rows}

    def load_holders(self, numbers: Collection[int]) -> dict[int, list[str]]:
        """The names of the feeds with an entry in any page of their archives, by its number."""
        held = sa.select(archive_entries.c.entry, archives.c.feed).join(
            archives, archives.c.number == archive_entries.c.archive
        )
        found: dict[int, list[str]] = {}
        for row in self._select_in(held.distinct(), archive_entries.c.entry, numbers):
            found.setdefault(row.entry, []).append(row.feed)
        return found

    def _select(self, feed: str) -> Any:  # noqa: ANN401 - a row has no better type
        return self._connection.execute(sa.select(archives).where(archives.c.feed == feed)).one_or_none()

    def members(self, archive: Archive) -> list[Member]:
        """The live entries that no closed page holds."""
        values = {"of_archive": archive.number, "of_page": OPEN}
        return [Member(*row) for row in self._connection.execute(_MEMBERS, values)]

    def held(self, archive: Archive, page: int) -> list[int]:
        """The numbers of the entries in a page."""
        here = sa.and_(archive_entries.c.archive == archive.number, archive_entries.c.page == page)
        return list(self._connection.scalars(sa.select(archive_entries.c.entry).where(here)))

    def load_page(self, archive: Archive, page: int) -> ArchivePage | None:
        """A closed page, or None if nobody has asked for it yet."""
        row = self._connection.execute(sa.select(archive_pages).where(_here(archive.number, page))).one_or_none()
        return None if row is None else ArchivePage(row.body, row.modified)

    def load_modified(self, archive: Archive, page: int) -> datetime | None:
        """When a closed page last changed, or None if nobody has asked for it yet."""
        query = sa.select(archive_pages.c.modified).where(_here(archive.number, page))
        found: datetime | None = self._connection.scalar(query)
        return found

    def load_gone(self, numbers: Collection[int] | None) -> dict[tuple[int, int], dict[int, str]]:
        """Entries in pages with kept bytes that are not live any more, or those of them with these numbers.

        Returns:
            Number of the archive and of the page to the entries: number to id.
        """
        query = (
            sa.select(archive_entries.c.archive, archive_entries.c.page, entries.c.number, entries.c.id)
            .join(archive_entries, archive_entries.c.entry == entries.c.number)
            .where(entries.c.state.in_([WITHDRAWN, RETIRED]), archive_entries.c.updated.is_not(None))
        )
        found: dict[tuple[int, int], dict[int, str]] = {}
        for which in [sa.true()] if numbers is None else [entries.c.number.in_(some) for some in chunks(numbers)]:
            for row in self._connection.execute(query.where(which)):
                found.setdefault((row.archive, row.page), {})[row.number] = row.id
        return found

    def load_body(self, archive: int, page: int) -> bytes:
        """The bytes of a page that has some."""
        return self._connection.execute(sa.select(archive_pages.c.body).where(_here(archive, page))).scalar_one()  # type: ignore[no-any-return]


class ArchiveWriter(ArchiveReader):
    """The same, and changes to them."""

    def save_revision(self, number: int) -> None:
        """Note the last change that archives have followed."""
        self._connection.execute(revisions.update().values(archived=number))

    def abandon(self, feeds: Collection[str]) -> None:
        """Follow changes of these feeds no longer; should one come back, its archive begins anew."""
        for some in chunks(feeds):
            self._connection.execute(archives.update().where(archives.c.feed.in_(some)).values(membership=_ABSENT))

    def begin(self, feed: str, membership: str) -> Archive:
        """The archive of a feed, made at the first call.

        If `membership`, the fingerprint of the filter, changed, the archive begins anew after the closed pages. These
        keep their addresses.
        """
        row = self._select(feed)
        if row is None:
            values: dict[str, Any] = {"feed": feed, "membership": membership, "first": 1, "closed": 0}
            self._connection.execute(archives.insert().values(values))
        elif row.membership != membership:
            values = {"membership": membership, "first": row.closed + 1}
            self._connection.execute(archives.update().where(archives.c.number == row.number).values(values))
            here = sa.and_(archive_entries.c.archive == row.number, archive_entries.c.page == OPEN)
            self._connection.execute(archive_entries.delete().where(here))
        else:
            return Archive(row.number, row.first, row.closed)
        row = self._select(feed)
        return Archive(row.number, row.first, row.closed)

    def join(self, archive: Archive, numbers: Collection[int] | None) -> None:
        """Put these live entries, or all, into the open page, but those that a page holds as they are."""
        values: dict[str, Any] = {"to_archive": archive.number, "first_page": archive.first}
        if numbers is None:
            self._connection.execute(_JOIN_ALL, values)
            return
        for some in chunks(numbers):
            self._connection.execute(_JOIN_SOME, values | {"some": some})

    def leave(self, archive: Archive, numbers: Collection[int]) -> None:
        """Take entries out of the pages that nobody has seen yet."""
        here = sa.and_(archive_entries.c.archive == archive.number, archive_entries.c.updated.is_(None))
        for some in chunks(numbers):
            self._connection.execute(archive_entries.delete().where(here, archive_entries.c.entry.in_(some)))

    def close(self, archive: Archive, pages: Sequence[Sequence[int]]) -> Archive:
        """Close pages after the last one, each of entries from the open page; answers the archive as it is then."""
        closed = archive.closed + len(pages)
        if not pages:
            return archive
        moves = [
            {"to_page": page, "of_entry": entry}
            for page, numbers in enumerate(pages, start=archive.closed + 1)
            for entry in numbers
        ]
        here = sa.and_(
            archive_entries.c.archive == archive.number,
            archive_entries.c.page == OPEN,
            archive_entries.c.entry == sa.bindparam("of_entry"),
        )
        self._connection.execute(archive_entries.update().where(here).values(page=sa.bindparam("to_page")), moves)
        self._connection.execute(archives.update().where(archives.c.number == archive.number).values(closed=closed))
        return Archive(archive.number, archive.first, closed)

    def save_page(self, archive: Archive, page: int, kept: ArchivePage, updated: Mapping[int, datetime]) -> None:
        """Keep the bytes of a closed page for ever.

        `updated` has its entries by number, and their `updated` as the bytes say it; others leave the page.
        """
        values = {"archive": archive.number, "page": page, "body": kept.body, "modified": kept.modified}
        self._connection.execute(archive_pages.insert().values(values))
        here = sa.and_(archive_entries.c.archive == archive.number, archive_entries.c.page == page)
        self._connection.execute(archive_entries.delete().where(here))
        if updated:
            of_page = {"archive": archive.number, "page": page}
            rows = [of_page | {"entry": number, "updated": moment} for number, moment in updated.items()]
            self._connection.execute(archive_entries.insert(), rows)

    def cut_page(self, archive: int, page: int, body: bytes, numbers: Collection[int], now: datetime) -> None:
        """Replace the bytes of a page, and forget that it holds these entries."""
        here = _here(archive, page)
        modified = self._connection.execute(sa.select(archive_pages.c.modified).where(here)).scalar_one()
        later = max(now, modified + timedelta(seconds=1))
        self._connection.execute(archive_pages.update().where(here).values(body=body, modified=later))
        of_page = sa.and_(archive_entries.c.archive == archive, archive_entries.c.page == page)
        for some in chunks(numbers):
            self._connection.execute(archive_entries.delete().where(of_page, archive_entries.c.entry.in_(some)))


def _here(archive: int, page: int) -> sa.ColumnElement[bool]:
    return sa.and_(archive_pages.c.archive == archive, archive_pages.c.page == page)
