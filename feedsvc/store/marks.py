"""The marks of entries that readers know, and entries that are left out, for feedsvc.feeds.guard; not the feeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.store.base import Tables
from feedsvc.store.schema import LIVE, dumps, entries, left_out, published

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry as it was last published.

    Attributes:
        digest: Fingerprint of the article.
        origin: Fingerprint of the article's dump; None if unknown.
    """

    key: str
    id: str
    updated: datetime
    digest: str
    origin: str | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is left out; decided for this `version` of it and of feedsvc."""

    key: str
    reason: str
    version: str
    since: datetime


@dataclass(frozen=True, slots=True)
class State:
    """The state of an entry: "live", "withdrawn" or "retired"."""

    key: str
    id: str
    state: str
    published: datetime


class MarkReader(Tables):
    """Entries as they were last published, and entries that are left out."""

    def load_marks(self, keys: Collection[str]) -> dict[str, Mark]:
        """The marks of these entries, by key."""
        return {row.key: Mark(*row) for row in self._select_in(sa.select(published), published.c.key, keys)}

    def load_origins(self, keys: Collection[str]) -> dict[str, str]:
        """The fingerprints of the entries' dumps, by the entries' keys; unknown ones are absent."""
        query = sa.select(entries.c.key, dumps.c.digest).join(dumps, dumps.c.id == entries.c.dump)
        return {row.key: row.digest for row in self._select_in(query, entries.c.key, keys) if row.digest}

    def load_states(self, keys: Collection[str]) -> dict[str, State]:
        """The states of entries, by key; entries that are not in the store are absent."""
        columns = [entries.c[name] for name in ("key", "id", "state", "published")]
        return {row.key: State(*row) for row in self._select_in(sa.select(*columns), entries.c.key, keys)}

    def load_lost(self, limit: int) -> tuple[int, list[str]]:
        """The number of published entries that the store does not have, and the ids of some."""
        known = sa.exists().where(entries.c.key == published.c.key)
        number = self._connection.scalar(sa.select(sa.func.count()).select_from(published).where(~known)) or 0
        some = sa.select(published.c.id).where(~known).order_by(published.c.id).limit(limit)
        return number, list(self._connection.scalars(some))

    def load_moved(self) -> list[int]:
        """The numbers of the live entries that have another id or date than was published."""
        differs = sa.or_(entries.c.id != published.c.id, entries.c.updated != published.c.updated)
        query = sa.select(entries.c.number).join(published, published.c.key == entries.c.key)
        return list(self._connection.scalars(query.where(entries.c.state == LIVE, differs).order_by(entries.c.number)))

    def load_left_out(self) -> dict[str, LeftOut]:
        """All entries that are left out, by key."""
        return {row.key: LeftOut(*row) for row in self._connection.execute(sa.select(left_out))}


class MarkWriter(MarkReader):
    """The same, and changes to them."""

    def save_marks(self, marks: Collection[Mark]) -> None:
        """Save marks."""
        self._replace(published, [(mark.key,) for mark in marks], [asdict(mark) for mark in marks])

    def drop_marks(self) -> int:
        """Forget all marks, so that readers see the store as it is; returns their number."""
        return int(self._connection.execute(published.delete()).rowcount)

    def save_left_out(self, added: Collection[LeftOut]) -> None:
        """Leave entries out."""
        self._replace(left_out, [(item.key,) for item in added], [asdict(item) for item in added])

    def drop_left_out(self, keys: Collection[str]) -> None:
        """Leave entries out no longer."""
        self._replace(left_out, [(key,) for key in keys], ())
