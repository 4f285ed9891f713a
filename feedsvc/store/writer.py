"""Writes dump files, entries, and the names that entries are known by."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.errors import StoreError
from feedsvc.model import Outcome
from feedsvc.store.archives import ArchiveWriter
from feedsvc.store.base import chunks, insertion
from feedsvc.store.counters import CounterWriter
from feedsvc.store.database import cause_of
from feedsvc.store.feeds import FeedWriter, revise
from feedsvc.store.learned import LearnedWriter
from feedsvc.store.marks import MarkWriter
from feedsvc.store.operations import OperationWriter
from feedsvc.store.reader import HERE, Reader, at
from feedsvc.store.removals import RemovalWriter
from feedsvc.store.rows import ENTRY_COLUMNS, ENTRY_FIELDS, DumpFile, columns_of, differs
from feedsvc.store.schema import (
    LIVE,
    RETIRED,
    WITHDRAWN,
    aliases,
    articles,
    dumps,
    entries,
    problems,
    removals,
    restored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from feedsvc.model import Entry, Place, Removal

# Made once; see feedsvc.store.reader.
_BY_PATH: Final = sa.select(dumps.c.id).where(dumps.c.path == sa.bindparam("at_path"))
_SAVE_DUMP: Final = dumps.update().where(dumps.c.id == sa.bindparam("at_id"))
_TOUCH: Final = dumps.update().where(dumps.c.path == sa.bindparam("at_path"))
_STORED: Final = sa.select(entries.c.number, entries.c.state, *ENTRY_COLUMNS).where(
    entries.c.id == sa.bindparam("at_id")
)
_SAVE_ENTRY: Final = entries.update().where(entries.c.number == sa.bindparam("at_number"))
_STANDING: Final = sa.select(articles.c.entry).where(HERE)
_STAND: Final = articles.update().where(HERE)
_FORGET_REMOVALS: Final = removals.delete().where(removals.c.entry == sa.bindparam("at_number"))


class Writer(Reader):
    """A transaction that writes."""

    def __init__(self, connection: sa.Connection) -> None:
        """Write through `connection`; the caller ends its transaction."""
        super().__init__(connection)
        self.connection = connection
        self.archives: ArchiveWriter = ArchiveWriter(connection)
        self.counters: CounterWriter = CounterWriter(connection)
        self.feeds: FeedWriter = FeedWriter(connection)
        self.learned: LearnedWriter = LearnedWriter(connection)
        self.operations: OperationWriter = OperationWriter(connection)
        self.marks: MarkWriter = MarkWriter(connection)
        self.removals: RemovalWriter = RemovalWriter(connection)
        self._revision: int | None = None

    def _revise(self) -> int:
        """The revision that this transaction makes of the entries it changes."""
        if self._revision is None:
            self._revision = revise(self.connection)
        return self._revision

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part of the transaction, undone on its own if the database refuses its data.

        Raises:
            StoreError: It was refused.
        """
        try:
            with self.connection.begin_nested():
                yield
        except BaseException as error:
            self._revision = None  # undone, if it began in here
            if isinstance(error, (sa.exc.IntegrityError, sa.exc.DataError, UnicodeError, OverflowError)):
                raise StoreError(f"the store refuses it: {cause_of(error)}") from error
            raise

    def _insert(self, table: sa.Table, values: dict[str, Any]) -> int:
        primary_key = self.connection.execute(insertion(table), values).inserted_primary_key
        if primary_key is None:
            raise StoreError(f"{table.name}: the database gave a new row no number")
        return int(primary_key[0])

    def _disown(self, which: sa.ColumnElement[bool]) -> None:
        self.connection.execute(entries.update().where(which).values(dump=None, position=None))

    def open_dump(self, path: str, now: datetime) -> int:
        """The number of a dump file, given to it at the first call; `save_dump` is to follow."""
        number: int | None = self.connection.scalar(_BY_PATH, {"at_path": path})
        if number is None:
            empty = DumpFile(path=path, size=0, mtime_ns=0, digest="", outcome=Outcome.QUARANTINED)
            number = self._insert(dumps, columns_of(empty) | {"seen": now})
        return number

    def save_dump(self, number: int, file: DumpFile, now: datetime) -> None:
        """Remember a dump file as it is now; without bytes, those that were kept stay."""
        values = columns_of(file) | {"seen": now, "gone": None}
        if file.raw is None:
            del values["raw"]
        self.connection.execute(_SAVE_DUMP, values | {"at_id": number})

    def touch_dump(self, path: str, size: int, mtime_ns: int) -> None:
        """Remember that a dump is as it was, under a new time."""
        self.connection.execute(_TOUCH, {"at_path": path, "size": size, "mtime_ns": mtime_ns})

    def drop_articles(self, dump: int, *, beyond: int) -> None:
        """Forget the articles of a dump from position `beyond` on; the entries stay live, and keep their content."""
        gone = sa.and_(articles.c.dump == dump, articles.c.position >= beyond)
        # By way of the articles, found by their key: to look through all entries takes longer with each.
        held = entries.c.number.in_(sa.select(articles.c.entry).where(gone))
        self._disown(sa.and_(held, entries.c.dump == dump, entries.c.position >= beyond))
        self.connection.execute(articles.delete().where(gone))

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
        for some in chunks(numbers):
            orphans = sa.and_(entries.c.number.in_(some), entries.c.state == LIVE, ~held)
            found = self.connection.scalars(sa.select(entries.c.key).where(orphans)).all()
            if found:
                values = {"state": WITHDRAWN, "revision": self._revise()}
                self.connection.execute(entries.update().where(orphans).values(values))
                keys += found
        return keys

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
        """Write an entry, the names it is known by, and that it stands at `place`, as of `said`, the dump's time.

        A name that is taken stays with its entry. `removed` are the removals, and `stood_back` is true if rules stood
        back, if the content comes from `place`; else None.
        """
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values |= {"dump": place.dump, "position": place.position, "stood_back": stood_back}
        row = self._stored(entry.id)
        if row is None:
            number = self._insert(entries, values | {"state": LIVE, "revision": self._revise()})
        else:
            number = row.number
            if row.state != RETIRED and (row.state != LIVE or differs(row, entry)):
                values |= {"state": LIVE, "revision": self._revise()}
        self._stand(place, number, said)
        if row is not None:
            self.connection.execute(_SAVE_ENTRY, values | {"at_number": number})
        if removed is not None and (removed or row is not None):
            self._save_removals(number, removed)
        taken = self._named(names)
        free = [{"name": name, "entry": number} for name in dict.fromkeys(names) if name not in taken]
        if free:
            self.connection.execute(insertion(aliases), free)

    def _stored(self, entry_id: str) -> Any:  # noqa: ANN401 - a row has no better type
        return self.connection.execute(_STORED, {"at_id": entry_id}).one_or_none()

    def _stand(self, place: Place, number: int, said: datetime) -> None:
        before = self.connection.scalar(_STANDING, at(place))
        values = {"entry": number, "published": said}
        if before is None:
            new = values | {"dump": place.dump, "position": place.position}
            self.connection.execute(insertion(articles), new)
        else:
            self.connection.execute(_STAND, at(place) | values)
            if before != number:
                self._disown(sa.and_(entries.c.number == before, _owned_by(place)))

    def _save_removals(self, number: int, removed: Sequence[Removal]) -> None:
        """Replace the removals of an entry."""
        self.connection.execute(_FORGET_REMOVALS, {"at_number": number})
        if removed:
            self.connection.execute(
                insertion(removals),
                [{"entry": number, "position": position, **asdict(item)} for position, item in enumerate(removed)],
            )

    def refresh_entry(self, entry: Entry, removed: Sequence[Removal] | None, *, stood_back: bool = False) -> None:
        """Replace an entry that was cleaned again, and its removals unless None; `updated` stays."""
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values["stood_back"] = stood_back
        row = self._stored(entry.id)
        if row.state == LIVE and differs(row, entry):
            values["revision"] = self._revise()
        self.connection.execute(_SAVE_ENTRY, values | {"at_number": row.number})
        if removed is not None:
            self._save_removals(row.number, removed)

    def retire(self, *, before: datetime | None, beyond: int | None) -> int:
        """Delete the content of old entries; their ids, names and dates stay; returns their number.

        Args:
            before: Entries published before this are retired; None for no such bound.
            beyond: All but this many of the newest are retired; None for no such bound.
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
        """Save a problem; the time of its beginning stays."""
        known = problems.update().where(problems.c.key == key).values(message=message)
        if not self.connection.execute(known).rowcount:
            self.connection.execute(problems.insert().values(key=key, message=message, since=now))

    def drop_problem(self, key: str | None) -> None:
        """Forget a problem that has ended, or all of them."""
        which = problems.delete() if key is None else problems.delete().where(problems.c.key == key)
        self.connection.execute(which)


def _owned_by(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(entries.c.dump == place.dump, entries.c.position == place.position)
