"""All that can be done inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.model import Outcome
from feedsvc.store.dump_writer import DumpWriter
from feedsvc.store.entry_writer import EntryWriter
from feedsvc.store.schema import LIVE, RETIRED, articles, dumps, entries, problems, removals, restored

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Writer"]


class Writer(DumpWriter, EntryWriter):
    """What can be done inside one transaction."""

    def retire(self, *, before: datetime | None, beyond: int | None) -> int:
        """Take the content of old entries away, and keep what they are known by.

        Args:
            before: Entries published before this go; None for no such bound.
            beyond: All but this many of the newest go; None for no such bound.

        Returns:
            How many entries were retired.
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
        """Remember what is wrong; the time it began stays."""
        known = self.connection.scalar(sa.select(problems.c.key).where(problems.c.key == key))
        if known is None:
            self.connection.execute(problems.insert().values(key=key, message=message, since=now))
        else:
            self.connection.execute(problems.update().where(problems.c.key == key).values(message=message))

    def drop_problem(self, key: str | None) -> None:
        """Forget a problem that has ended, or all of them."""
        which = problems.delete() if key is None else problems.delete().where(problems.c.key == key)
        self.connection.execute(which)
