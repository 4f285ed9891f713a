"""The history of problems, and numbers for metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.store.base import Tables
from feedsvc.store.schema import LIVE, entries, incidents, learned_blocks

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A time for which a problem stood.

    Attributes:
        number: Its own for ever: a problem that ends and comes again is another occurrence.
        key: Its kind, a colon and its subject: "job:rescan".
        message: As it was said last.
        changed: The time when it began, was said in other words, or ended.
        ended: None while it stands.
    """

    number: int
    key: str
    message: str
    since: datetime
    changed: datetime
    ended: datetime | None = None


class OperationReader(Tables):
    """The history of problems, and numbers for metrics."""

    def load_occurrences(self) -> list[Occurrence]:
        """All that are kept, the oldest first."""
        rows = self._connection.execute(sa.select(incidents).order_by(incidents.c.number))
        return [Occurrence(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it

    def count_learned(self) -> dict[str, int]:
        """State ("learned", "pinned", "vetoed") to the number of blocks."""
        number = sa.func.count().label("number")
        query = sa.select(learned_blocks.c.state, number).group_by(learned_blocks.c.state)
        return {row.state: row.number for row in self._connection.execute(query)}

    def newest_entry(self) -> datetime | None:
        """The time of the newest live entry; None if there is none."""
        query = sa.select(entries.c.published).where(entries.c.state == LIVE).order_by(entries.c.published.desc())
        return self._connection.execute(query.limit(1)).scalar_one_or_none()

    def sizes(self) -> dict[str, int]:
        """Bytes of the store's files, by "main" and "wal"; nothing for databases other than SQLite."""
        if self._connection.dialect.name != "sqlite":
            return {}
        (path,) = (row[2] for row in self._connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
        files = {"main": Path(path), "wal": Path(f"{path}-wal")}
        return {name: file.stat().st_size for name, file in files.items() if file.is_file()}


class OperationWriter(OperationReader):
    """The same, and the writing of the history."""

    def save_occurrences(self, changed: Collection[Occurrence], gone: Collection[int]) -> None:
        """Write occurrences, those of the same number over each other, and forget others by their numbers."""
        numbers = [(number,) for number in (*gone, *(each.number for each in changed))]
        self._replace(incidents, numbers, [asdict(each) for each in changed])
