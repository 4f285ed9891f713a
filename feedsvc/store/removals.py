"""Removals in the store: listed, restored, and entries that rules stood back from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from feedsvc.links import canonical_link, tidy_link
from feedsvc.model import Removal
from feedsvc.store.base import Tables
from feedsvc.store.schema import LIVE, aliases, entries, removals, restored

if TYPE_CHECKING:
    from collections.abc import Sequence

_NONE: Final[frozenset[str]] = frozenset()
_LEDGER: Final = [removals.c[name] for name in ("rule", "reason", "text", "html", "restored")]
_MOST_NEAR: Final = 2000  # names that are looked at for one like a name that is not known


@dataclass(frozen=True, slots=True)
class Subject:
    """The entry that a removal belongs to; `number` is the store's own."""

    number: int
    id: str
    key: str
    title: str
    source: str | None


@dataclass(frozen=True, slots=True)
class RemovedItem:
    """A removal in an entry's ledger; its position counts from 1."""

    entry: Subject
    position: int
    removal: Removal


class RemovalReader(Tables):
    """Removals and restorations, and the entries that they belong to."""

    def find_entry(self, name: str) -> Subject | None:
        """The entry with this key, id or link, or None."""
        tidy = tidy_link(name)
        names = {name, tidy, canonical_link(tidy) if tidy else None} - {None}
        known = sa.select(aliases.c.entry).where(aliases.c.name.in_(names))
        columns = [entries.c[field] for field in ("number", "id", "key", "title", "source")]
        for which in (entries.c.key == name, entries.c.id == name, entries.c.number.in_(known)):
            row = self._connection.execute(sa.select(*columns).where(which).order_by(entries.c.number)).first()
            if row is not None:
                return Subject(*row)
        return None

    def names_like(self, name: str) -> list[str]:
        """Keys, ids or links that a mistyped name may stand for."""
        host = "/".join(name.split("/")[:3]) if "://" in name else None
        column = entries.c.link if host else entries.c.id if name.startswith("tag:") else entries.c.key
        ends = sa.or_(column.startswith(name[:3], autoescape=True), column.endswith(name[-3:], autoescape=True))
        which = column.startswith(host, autoescape=True) if host else ends
        query = sa.select(column).where(which).order_by(entries.c.published.desc()).limit(_MOST_NEAR)
        return list(self._connection.scalars(query))

    def rules(self) -> set[str]:
        """The names of all rules that have removals."""
        return set(self._connection.scalars(sa.select(removals.c.rule).distinct()))

    def sources(self) -> set[str]:
        """The sources of all entries."""
        query = sa.select(entries.c.source).where(entries.c.source.is_not(None)).distinct()
        return set(self._connection.scalars(query))

    def removed(
        self, *, rule: str | None, entry: Subject | None, source: str | None, limit: int | None
    ) -> list[RemovedItem]:
        """Removals by this rule, from this entry or all live ones, with this source; the newest entries first."""
        columns = [entries.c[field] for field in ("number", "id", "key", "title", "source")]
        query = sa.select(*columns, removals.c.position, *_LEDGER).join(entries, entries.c.number == removals.c.entry)
        query = query.where(entries.c.state == LIVE if entry is None else entries.c.number == entry.number)
        if rule is not None:
            query = query.where(removals.c.rule == rule)
        if source is not None:
            query = query.where(entries.c.source == source)
        newest = query.order_by(entries.c.published.desc(), entries.c.id, removals.c.position).limit(limit)
        rows = self._connection.execute(newest)
        return [RemovedItem(Subject(*row[:5]), row.position + 1, Removal(*row[6:])) for row in rows]

    def ledger(self, entry: int) -> tuple[Removal, ...]:
        """The removals of an entry, in order."""
        return tuple(self.ledgers([entry]).get(entry, ()))

    def ledgers(self, numbers: Sequence[int]) -> dict[int, list[Removal]]:
        """The same of many entries at once, by their numbers."""
        query = sa.select(removals.c.entry, *_LEDGER).where(removals.c.entry.in_(numbers))
        found: dict[int, list[Removal]] = {}
        for entry, *row in self._connection.execute(query.order_by(removals.c.entry, removals.c.position)):
            found.setdefault(entry, []).append(Removal(*row))
        return found

    @cached_property
    def _restored(self) -> dict[str, frozenset[str]]:
        query = sa.select(entries.c.id, restored.c.digest).join(entries, entries.c.number == restored.c.entry)
        found: dict[str, frozenset[str]] = {}
        for row in self._connection.execute(query):
            found[row.id] = found.get(row.id, _NONE) | {row.digest}
        return found

    def restored_of(self, entry_id: str) -> frozenset[str]:
        """The digests of the restored removals of an entry; queried once a transaction."""
        return self._restored.get(entry_id, _NONE)

    def stood_back(self, limit: int) -> tuple[int, list[Subject]]:
        """The number of entries that rules stood back from, and the newest of them."""
        columns = [entries.c[field] for field in ("number", "id", "key", "title", "source")]
        which = entries.c.stood_back.is_(sa.true())
        number = self._connection.scalar(sa.select(sa.func.count()).select_from(entries).where(which)) or 0
        newest = sa.select(*columns).where(which).order_by(entries.c.published.desc(), entries.c.id).limit(limit)
        return number, [Subject(*row) for row in self._connection.execute(newest)]


class RemovalWriter(RemovalReader):
    """The same, and restoring."""

    def save_restored(self, entry: Subject, removal: Removal, *, undo: bool) -> None:
        """Remember that a removal is restored, or forget it."""
        here = sa.and_(restored.c.entry == entry.number, restored.c.digest == removal.digest)
        self._connection.execute(restored.delete().where(here))
        if not undo:
            values = {"entry": entry.number, "digest": removal.digest, "rule": removal.rule}
            self._connection.execute(restored.insert().values(values))
        self.__dict__.pop("_restored", None)
