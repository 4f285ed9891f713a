"""The base class of all readers and writers, and their helpers; the tables themselves are in schema."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROWS_AT_ONCE: Final = 500  # of a reading
_CHUNK: Final = 400  # values in one statement; SQLite may be built to take as few as 999
_T = TypeVar("_T")


class Tables:
    """Tables, used inside one transaction. Subclasses named Reader have methods that read only."""

    def __init__(self, connection: sa.Connection) -> None:
        """Use `connection`; the caller ends its transaction."""
        self._connection = connection

    def _select_in(self, query: sa.Select[Any], column: sa.Column[Any], values: Collection[Any]) -> Iterator[Any]:
        """The rows of `query` with one of these values in `column`, in no order."""
        for some in chunks(values):
            yield from self._connection.execute(query.where(column.in_(some)))

    def _replace(self, table: sa.Table, keys: Collection[tuple[Any, ...]], rows: Collection[dict[str, Any]]) -> None:
        """Delete the rows that have these primary keys, then insert `rows`."""
        columns = list(table.primary_key)
        if keys:
            here = [column == sa.bindparam(f"of_{column.name}") for column in columns]
            marked = [{f"of_{column.name}": part for column, part in zip(columns, key, strict=True)} for key in keys]
            self._connection.execute(table.delete().where(*here), marked)
        if rows:
            self._connection.execute(table.insert(), list(rows))


def chunks(values: Collection[_T]) -> Iterator[list[_T]]:
    """Values in lists short enough for one statement."""
    some = list(values)
    for start in range(0, len(some), _CHUNK):
        yield some[start : start + _CHUNK]


@cache
def insertion(table: sa.Table) -> sa.Insert:
    """The statement that adds a row to a table; a column that is left out has its default."""
    return table.insert()
