"""Dump files and entries, as rows and as objects."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.model import Entry, Outcome
from feedsvc.store.schema import dumps, entries

if TYPE_CHECKING:
    from feedsvc.model import Place

ENTRY_FIELDS: Final = tuple(field.name for field in fields(Entry))
ENTRY_COLUMNS: Final = [entries.c[name] for name in ENTRY_FIELDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFile:
    """A dump file as it is to be remembered.

    Attributes:
        digest: sha256 of the bytes, in hex.
        raw: The bytes; None for a file that is no dump.
        line: The line of the fault in a quarantined dump, from 1.
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
    """An entry and its source: the dump's path and bytes, and the place in it.

    Attributes:
        restored: The digests of the removals that were brought back for good.
    """

    entry: Entry
    path: str
    raw: bytes
    mtime_ns: int
    place: Place
    restored: frozenset[str] = frozenset()


def entry_of(row: Any) -> Entry:  # noqa: ANN401 - a row has no better type
    """An entry from a row that has the columns of one."""
    values = {name: getattr(row, name) for name in ENTRY_FIELDS}
    return Entry(**values | {"categories": tuple(row.categories), "images": tuple(row.images)})


def differs(row: Any, entry: Entry) -> bool:  # noqa: ANN401 - a row has no better type
    """True if a feed could show the difference; no feed shows `cleaner`."""
    return replace(entry_of(row), cleaner=entry.cleaner) != entry


def is_below(folder: str) -> sa.ColumnElement[bool]:
    """True for paths below a folder; "0" is the character after "/"."""
    stem = folder.rstrip("/")
    return sa.and_(dumps.c.path >= f"{stem}/", dumps.c.path < f"{stem}0")


def columns_of(file: DumpFile) -> dict[str, Any]:
    """The columns of a dump file."""
    return {field.name: getattr(file, field.name) for field in fields(file)}
