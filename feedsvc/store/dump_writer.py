"""Writes what became of dump files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from feedsvc.model import Outcome
from feedsvc.store.rows import DumpFile, columns_of
from feedsvc.store.schema import LIVE, WITHDRAWN, articles, dumps, entries
from feedsvc.store.tables import chunks
from feedsvc.store.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["DumpWriter"]

# Made once; see feedsvc.store.reader.
_BY_PATH: Final = sa.select(dumps.c.id).where(dumps.c.path == sa.bindparam("at_path"))
_SAVE: Final = dumps.update().where(dumps.c.id == sa.bindparam("at_id"))
_TOUCH: Final = dumps.update().where(dumps.c.path == sa.bindparam("at_path"))


class DumpWriter(Transaction):
    """Dump files, and the entries that stand in them."""

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
        self.connection.execute(_SAVE, values | {"at_id": number})

    def touch_dump(self, path: str, size: int, mtime_ns: int) -> None:
        """Remember that a dump is as it was, under a new time."""
        self.connection.execute(_TOUCH, {"at_path": path, "size": size, "mtime_ns": mtime_ns})

    def drop_articles(self, dump: int, *, beyond: int) -> None:
        """Forget what stood in a dump from position `beyond` on; the entries stay live, and keep their content."""
        gone = sa.and_(articles.c.dump == dump, articles.c.position >= beyond)
        # By way of the articles, which are found by their key: to look through all entries takes longer with each.
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
