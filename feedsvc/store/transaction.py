"""One transaction of the store, and what all that writes in it shares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from feedsvc.errors import StoreError
from feedsvc.store.archives import ArchiveWriter
from feedsvc.store.counters import CounterWriter
from feedsvc.store.database import cause_of
from feedsvc.store.feeds import FeedWriter, revise
from feedsvc.store.learned import LearnedWriter
from feedsvc.store.operations import OperationWriter
from feedsvc.store.published import PublishedWriter
from feedsvc.store.reader import Reader
from feedsvc.store.removals import RemovalWriter
from feedsvc.store.schema import entries
from feedsvc.store.tables import insertion

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Transaction"]


class Transaction(Reader):
    """A transaction that writes."""

    archives: ArchiveWriter
    counters: CounterWriter
    feeds: FeedWriter
    learned: LearnedWriter
    operations: OperationWriter
    published: PublishedWriter
    removals: RemovalWriter

    def __init__(self, connection: sa.Connection) -> None:
        """Write through `connection`, whose transaction the caller ends."""
        super().__init__(connection)
        self.connection = connection
        self.archives = ArchiveWriter(connection)
        self.counters = CounterWriter(connection)
        self.feeds = FeedWriter(connection)
        self.learned = LearnedWriter(connection)
        self.operations = OperationWriter(connection)
        self.published = PublishedWriter(connection)
        self.removals = RemovalWriter(connection)
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

    def _disown(self, which: sa.ColumnElement[bool]) -> None:
        self.connection.execute(entries.update().where(which).values(dump=None, position=None))
