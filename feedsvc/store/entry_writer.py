"""Writes entries, the names they are known by, and what cleaning removed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.store.reader import HERE, at
from feedsvc.store.rows import ENTRY_COLUMNS, ENTRY_FIELDS, differs
from feedsvc.store.schema import LIVE, RETIRED, aliases, articles, entries, removals
from feedsvc.store.tables import insertion
from feedsvc.store.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from feedsvc.model import Entry, Place, Removal

__all__ = ["EntryWriter"]

# Made once; see feedsvc.store.reader.
_STORED: Final = sa.select(entries.c.number, entries.c.state, *ENTRY_COLUMNS).where(
    entries.c.id == sa.bindparam("at_id")
)
_SAVE: Final = entries.update().where(entries.c.number == sa.bindparam("at_number"))
_STANDING: Final = sa.select(articles.c.entry).where(HERE)
_STAND: Final = articles.update().where(HERE)
_FORGET_REMOVALS: Final = removals.delete().where(removals.c.entry == sa.bindparam("at_number"))


class EntryWriter(Transaction):
    """Entries, the names they are known by, and what cleaning removed from them."""

    def save_entry(
        self,
        entry: Entry,
        names: Sequence[str],
        place: Place,
        said: datetime,
        removed: Sequence[Removal] | None,
        *,
        stood_back: bool = False,
    ) -> None:
        """Write an entry, the names it is known by, and that it stands at `place`.

        Args:
            entry: As it is to be.
            names: Names to find it by; those that are taken stay as they are.
            place: Where it was found.
            said: The time that this dump gives.
            removed: What cleaning removed, if `place` is where the content comes from; else None.
            stood_back: Whether rules stood back from that content.
        """
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values |= {"dump": place.dump, "position": place.position, "stood_back": stood_back}
        row = self._stored(entry.id)
        if row is None:
            number = self._insert(entries, values | {"state": LIVE, "revision": self._revise()})
        else:
            number = row.number
            if row.state != RETIRED and (row.state != LIVE or differs(row, entry)):
                values |= {"state": LIVE, "revision": self._revise()}
        self._stand(place, number, said)
        if row is not None:
            self.connection.execute(_SAVE, values | {"at_number": number})
        if removed is not None and (removed or row is not None):
            self._save_removals(number, removed)
        taken = self._named(names)
        free = [{"name": name, "entry": number} for name in dict.fromkeys(names) if name not in taken]
        if free:
            self.connection.execute(insertion(aliases), free)

    def _stored(self, entry_id: str) -> Any:  # noqa: ANN401 - a row has no better type
        return self.connection.execute(_STORED, {"at_id": entry_id}).one_or_none()

    def _stand(self, place: Place, number: int, said: datetime) -> None:
        before = self.connection.scalar(_STANDING, at(place))
        values = {"entry": number, "published": said}
        if before is None:
            new = values | {"dump": place.dump, "position": place.position}
            self.connection.execute(insertion(articles), new)
        else:
            self.connection.execute(_STAND, at(place) | values)
            if before != number:
                self._disown(sa.and_(entries.c.number == before, _owned_by(place)))

    def _save_removals(self, number: int, removed: Sequence[Removal]) -> None:
        """Replace the account of what cleaning took out of an entry."""
        self.connection.execute(_FORGET_REMOVALS, {"at_number": number})
        if removed:
            self.connection.execute(
                insertion(removals),
                [
                    {
                        "entry": number,
                        "position": position,
                        "rule": item.rule,
                        "reason": item.reason,
                        "text": item.text,
                        "html": item.html,
                        "restored": item.restored,
                    }
                    for position, item in enumerate(removed)
                ],
            )

    def refresh_entry(self, entry: Entry, removed: Sequence[Removal] | None, *, stood_back: bool = False) -> None:
        """Replace an entry quietly after it was cleaned again, and what was removed where that is given."""
        values: dict[str, Any] = {name: getattr(entry, name) for name in ENTRY_FIELDS}
        if removed is not None:
            values["stood_back"] = stood_back
        row = self._stored(entry.id)
        if row.state == LIVE and differs(row, entry):
            values["revision"] = self._revise()
        self.connection.execute(_SAVE, values | {"at_number": row.number})
        if removed is not None:
            self._save_removals(row.number, removed)


def _owned_by(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(entries.c.dump == place.dump, entries.c.position == place.position)
