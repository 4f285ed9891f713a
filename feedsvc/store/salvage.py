"""Reads the readable rows of a damaged SQLite store into a new one.

A table is read forward to the damage, then from behind it, and from there back to the damage. So only the rows on
damaged pages are lost, and rows that SQLite can read and feedsvc cannot. Rows that refer to a lost row go with it, but
an entry stays without its dump, and a dump without its bytes.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.links import canonical_link
from feedsvc.store.database import MIGRATIONS, sqlite_address
from feedsvc.store.migrate import migrate
from feedsvc.store.schema import Compressed, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LAST: Final = 2**63 - 1  # the largest row number
_OWN: Final = ("alembic_version", "problems")  # made by the new store, and looked at anew
_JSON: Final = {"categories", "images", "alternates"}

_PYTHON: Final[dict[type, type | tuple[type, ...]]] = {
    sa.BigInteger: int,
    sa.Boolean: int,
    sa.Float: (int, float),
    sa.Integer: int,
    sa.JSON: str,
    sa.LargeBinary: bytes,
    sa.String: str,
    sa.Text: str,
}

_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Salvage:
    """The number of entries that were kept of a damaged store, and its tables with damage."""

    entries: int
    torn: tuple[str, ...]


def salvage(damaged: Path, fresh: Path) -> Salvage:
    """Make a new store of the readable rows of a damaged one; that one stays as it is.

    All dumps count as changed in it, so that those that are still there are read again and fill the gaps.

    Nothing may be at the path `fresh`.

    Raises:
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError: The new one cannot be written.
    """
    address, _ = sqlite_address(damaged)
    with closing(sqlite3.connect(address, uri=True)) as source:
        source.execute("PRAGMA query_only = ON")
        engine = sa.create_engine(f"sqlite:///{fresh}")
        try:
            migrate(engine, str(MIGRATIONS), str(fresh), version=_version_of(source))
        finally:
            engine.dispose()
        with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")  # the caller flushes it as a whole
            target.execute("BEGIN")
            there = {name for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            tables = [table for table in metadata.sorted_tables if table.name in there and table.name not in _OWN]
            for table in tables:
                target.execute(f"DELETE FROM {table.name}")  # noqa: S608 - rows that migrations put there
            torn = tuple(table.name for table in tables if not _copy(source, target, table))
            _tie_up(target, tables)
            target.execute("COMMIT")
            target.execute("PRAGMA synchronous = FULL")
            (entries,) = target.execute("SELECT count(*) FROM entries").fetchone()
    return Salvage(entries, torn)


def _version_of(source: sqlite3.Connection) -> str:
    with suppress(sqlite3.Error):
        for (version,) in source.execute("SELECT version_num FROM alembic_version"):
            if isinstance(version, str) and version.isdecimal():  # of a newer feedsvc as well: that is refused
                return version
    return "head"


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: sa.Table) -> bool:
    """Copy the readable rows of a table; true if these are all of them."""
    wanted = [name for (_, name, *_) in target.execute(f"PRAGMA table_info({table.name})")]
    names = ", ".join(f'"{name}"' for name in wanted)
    sound = _sound(table, wanted)
    whole = True
    insert = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({', '.join('?' * len(wanted))})"  # noqa: S608
    reading = _Reading(source, table, names)
    for row in reading.rows():
        mended = sound(row)
        if mended is None:
            whole = False
        else:
            target.execute(insert, mended)
    return whole and not reading.torn


class _Reading:
    """One table, read around its damage."""

    def __init__(self, source: sqlite3.Connection, table: sa.Table, names: str) -> None:
        self.torn = False
        self._source = source
        self._table = table.name
        self._names = names
        keyed = table.dialect_options["sqlite"]["with_rowid"] is False
        self._key = ", ".join(f'"{column.name}"' for column in table.primary_key) if keyed else None

    def rows(self) -> Iterator[_Row]:
        if self._key is not None:  # there are no row numbers to go on from
            yield from self._until_damage(f"ORDER BY {self._key}")
            if self.torn:
                backwards = ", ".join(f"{name} DESC" for name in self._key.split(", "))
                yield from self._until_damage(f"ORDER BY {backwards}")
            return
        reached, step, last = -_LAST, 1, self._find_last()
        damage: int | None = None  # it begins behind this row
        while True:
            try:
                for number, *row in self._numbered("rowid > ? ORDER BY rowid", reached):
                    if damage is not None:
                        yield from self._back_to(damage, number)
                        damage, step = None, 1
                    reached = number
                    yield tuple(row)
            except sqlite3.DatabaseError:
                self.torn = True
                damage = reached if damage is None else damage
                reached = max(reached, 0) + step
                step *= 2
                if reached <= last:
                    continue
            if damage is not None:
                yield from self._back_to(damage, _LAST)
            return

    def _find_last(self) -> int:
        with suppress(sqlite3.DatabaseError):
            for (number,) in self._source.execute(f"SELECT max(rowid) FROM {self._table}"):  # noqa: S608
                return number or 0
        return 2**31

    def _back_to(self, damage: int, reached: int) -> Iterator[_Row]:
        """The rows that a leap over damage left out, from its far side."""
        with suppress(sqlite3.DatabaseError):
            for _, *row in self._numbered("rowid > ? AND rowid < ? ORDER BY rowid DESC", damage, reached):
                yield tuple(row)

    def _numbered(self, which: str, *numbers: int) -> Iterator[_Row]:
        yield from self._source.execute(f"SELECT rowid, {self._names} FROM {self._table} WHERE {which}", numbers)  # noqa: S608

    def _until_damage(self, order: str) -> Iterator[_Row]:
        try:
            yield from self._source.execute(f"SELECT {self._names} FROM {self._table} {order}")  # noqa: S608
        except sqlite3.DatabaseError:
            self.torn = True


def _sound(table: sa.Table, names: list[str]) -> Callable[[_Row], _Row | None]:
    """A function that makes a row readable for feedsvc, or gives None if it is lost."""
    columns = [table.c[name] for name in names]
    expected = [_PYTHON[type(getattr(column.type, "impl", column.type))] for column in columns]
    packed = [index for index, column in enumerate(columns) if isinstance(column.type, Compressed) and column.nullable]
    listed = [index for index, name in enumerate(names) if name in _JSON]

    def mend(row: _Row) -> _Row | None:
        values = list(row)
        for index in packed:
            if not _unpacks(values[index]):
                values[index] = None
        for value, column, kind in zip(values, columns, expected, strict=True):
            if not (isinstance(value, kind) or (value is None and column.nullable)):
                return None
        try:
            for index in listed:
                json.loads(values[index])
        except ValueError:
            return None
        return tuple(values)

    return mend


def _unpacks(value: object) -> bool:
    try:
        return isinstance(value, bytes) and bool(zlib.decompress(value))
    except zlib.error:
        return False


def _tie_up(target: sqlite3.Connection, tables: list[sa.Table]) -> None:
    """Let nothing point to lost rows, and have all dumps read again."""
    for table in tables:
        for key in table.foreign_keys:
            column, parent = key.parent, key.column
            missing = f"{column.name} NOT IN (SELECT {parent.name} FROM {parent.table.name})"  # noqa: S608 - our own names
            if column.nullable:
                target.execute(f"UPDATE {table.name} SET {column.name} = NULL WHERE {missing}")  # noqa: S608
            else:
                target.execute(f"DELETE FROM {table.name} WHERE {missing}")  # noqa: S608
    target.execute("UPDATE entries SET position = NULL WHERE dump IS NULL")
    nameless = """SELECT number, link, title, strftime('%Y-%m-%dT%H:%M:%SZ', published, 'unixepoch') FROM entries
        WHERE number NOT IN (SELECT entry FROM aliases)"""
    for number, link, title, published in target.execute(nameless).fetchall():
        names = {f"{published} {title}"} if link is None else {canonical_link(link) or link, link}
        for name in sorted(names):
            target.execute("INSERT OR IGNORE INTO aliases (name, entry) VALUES (?, ?)", (name, number))
    if not target.execute("SELECT count(*) FROM revisions").fetchone()[0]:
        target.execute("INSERT INTO revisions (number) SELECT coalesce(max(revision), 0) FROM entries")
    target.execute("UPDATE dumps SET mtime_ns = -1, digest = '' WHERE gone IS NULL")
