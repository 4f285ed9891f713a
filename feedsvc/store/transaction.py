"""One transaction of the store, and what all that writes in it shares."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.errors import StoreError
from feedsvc.store.account import Account
from feedsvc.store.archives import ArchiveTables
from feedsvc.store.database import cause_of
from feedsvc.store.feeds import FeedTables, revise
from feedsvc.store.learned import LearnedTables
from feedsvc.store.published import PublishedTables
from feedsvc.store.schema import articles, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Transaction", "insertion"]

# Statements that every dump needs are made once: to make one takes several times as long as to run it.
_HELD: Final = sa.select(articles.c.entry).where(articles.c.dump == sa.bindparam("at_dump")).distinct()


@cache
def insertion(table: sa.Table) -> sa.Insert:
    """The statement that adds a row to a table; what is left out has its default."""
    return table.insert()


class Transaction:
    """A transaction that is open."""

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
                raise StoreError(f"the store refuses it: {cause_of(error)}") from error
            raise

    def _insert(self, table: sa.Table, values: dict[str, Any]) -> int:
        primary_key = self.connection.execute(insertion(table), values).inserted_primary_key
        if primary_key is None:
            raise StoreError(f"{table.name}: the database gave a new row no number")
        return int(primary_key[0])

    def load_held(self, dump: int) -> list[int]:
        """The numbers of the entries that stand in a dump."""
        return list(self.connection.scalars(_HELD, {"at_dump": dump}))

    def _disown(self, which: sa.ColumnElement[bool]) -> None:
        self.connection.execute(entries.update().where(which).values(dump=None, position=None))
