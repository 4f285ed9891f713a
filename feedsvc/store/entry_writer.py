"""Finds entries again, and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.model import Known, Place
from feedsvc.store.rows import CHUNK, ENTRY_COLUMNS, ENTRY_FIELDS, Article, differs, to_entry
from feedsvc.store.schema import LIVE, RETIRED, aliases, articles, dumps, entries, removals, restored
from feedsvc.store.transaction import Transaction, insertion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from feedsvc.model import Entry, Removal

__all__ = ["EntryWriter"]

# See feedsvc.store.transaction.
_NAMED: Final = sa.select(aliases.c.name, aliases.c.entry).where(
    aliases.c.name.in_(sa.bindparam("names", expanding=True))
)
_KNOWN: Final = (
    sa.select(entries, articles.c.published.label("said"), dumps.c.gone)
    .join(
        articles,
        sa.and_(articles.c.dump == entries.c.dump, articles.c.position == entries.c.position),
        isouter=True,
    )
    .join(dumps, dumps.c.id == entries.c.dump, isouter=True)
    .where(entries.c.number == sa.bindparam("at_number"))
)
_HERE: Final = sa.and_(articles.c.dump == sa.bindparam("at_dump"), articles.c.position == sa.bindparam("at_position"))
_EDITED: Final = (
    sa.select(articles.c.entry)
    .join(entries, entries.c.number == articles.c.entry)
    .where(_HERE, articles.c.published == sa.bindparam("said"), entries.c.link.is_(None))
)
_NAMES: Final = sa.select(aliases.c.name).where(aliases.c.entry == sa.bindparam("at_number"))
_STORED: Final = sa.select(entries.c.number, entries.c.state, *ENTRY_COLUMNS).where(
    entries.c.id == sa.bindparam("at_id")
)
_SAVE: Final = entries.update().where(entries.c.number == sa.bindparam("at_number"))
_STANDING: Final = sa.select(articles.c.entry).where(_HERE)
_STAND: Final = articles.update().where(_HERE)
_FORGET_REMOVALS: Final = removals.delete().where(removals.c.entry == sa.bindparam("at_number"))


class EntryWriter(Transaction):
    """Entries, the names they are known by, and what cleaning removed from them."""

    def load_known(
        self, names: Sequence[str], place: Place, said: datetime, present: Collection[str] = ()
    ) -> Known | None:
        """What is known of an article.

        That is what is known under any of `names`, the first one first; or else, where the title of an
        article without link was edited, what stood at `place` with the same time.

        Args:
            names: Its names.
            place: Where it was found.
            said: The time that the dump gives.
            present: The names of all articles of the dump: one that moved is not one that was edited.
        """
        found = self._named(names)
        number = next((found[name] for name in names if name in found), None)
        if number is None:
            number = self._load_edited(place, said, present)
        if number is None:
            return None
        row = self.connection.execute(_KNOWN, {"at_number": number}).one()
        spoke = row.dump is not None and (row.gone is None or row.dump == place.dump)  # or is back just now
        owner = Place(row.dump, row.position) if spoke else None
        return Known(entry=to_entry(row), owner=owner, said=row.said, retired=row.state == RETIRED)

    def _named(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of the entries that are known under these names, by name."""
        return {row.name: row.entry for row in self.connection.execute(_NAMED, {"names": names})}

    def _load_edited(self, place: Place, said: datetime, present: Collection[str]) -> int | None:
        number: int | None = self.connection.scalar(_EDITED, _at(place) | {"said": said})
        if number is None:
            return None
        known = self.connection.scalars(_NAMES, {"at_number": number})
        return None if any(name in present for name in known) else number

    def names_to_clean(self, names: Sequence[str], cleaner: str) -> set[str]:
        """The ones of these names whose entry another cleaner cleaned, or has a restored removal."""
        found: set[str] = set()
        special = sa.or_(entries.c.cleaner != cleaner, entries.c.number.in_(sa.select(restored.c.entry)))
        query = sa.select(aliases.c.name).join(entries, entries.c.number == aliases.c.entry).where(special)
        for start in range(0, len(names), CHUNK):
            found.update(self.connection.scalars(query.where(aliases.c.name.in_(names[start : start + CHUNK]))))
        return found

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
        before = self.connection.scalar(_STANDING, _at(place))
        values = {"entry": number, "published": said}
        if before is None:
            new = values | {"dump": place.dump, "position": place.position}
            self.connection.execute(insertion(articles), new)
        else:
            self.connection.execute(_STAND, _at(place) | values)
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

    def is_known_as(self, entry_id: str, names: Sequence[str]) -> bool:
        """Whether an entry is known under any of `names`."""
        query = sa.select(entries.c.id).join(aliases, aliases.c.entry == entries.c.number)
        found = self.connection.execute(query.where(entries.c.id == entry_id, aliases.c.name.in_(names)))
        return found.first() is not None

    def load_article(self, entry_id: str) -> Article | None:
        """An entry with the dump that its content came from, or None where that is not kept."""
        return next(self._load_articles(entries.c.id == entry_id, 1), None)

    def load_live(self, numbers: Sequence[int]) -> list[tuple[int, Entry]]:
        """The live ones among the entries with these numbers, each with its number."""
        found = []
        for start in range(0, len(numbers), CHUNK):
            some = sa.and_(entries.c.number.in_(numbers[start : start + CHUNK]), entries.c.state == LIVE)
            rows = self.connection.execute(sa.select(entries.c.number, *ENTRY_COLUMNS).where(some))
            found += [(row.number, to_entry(row)) for row in rows]
        return found

    def load_outdated(self, cleaner: str, limit: int) -> list[Article]:
        """The newest live entries that another cleaner cleaned, where their dump is still kept."""
        return list(self._load_articles(sa.and_(entries.c.cleaner != cleaner, entries.c.state == LIVE), limit))

    def load_numbered(self, numbers: Sequence[int]) -> list[tuple[int, Article]]:
        """The live ones among the entries with these numbers, where their dump is still kept."""
        ids = sa.select(entries.c.id, entries.c.number).where(entries.c.number.in_(numbers))
        number = {row.id: row.number for row in self.connection.execute(ids)}
        which = sa.and_(entries.c.number.in_(numbers), entries.c.state == LIVE)
        return [(number[article.entry.id], article) for article in self._load_articles(which, len(numbers))]

    def _load_articles(self, which: sa.ColumnElement[bool], limit: int) -> Iterator[Article]:
        rows = self.connection.execute(
            sa.select(*ENTRY_COLUMNS, dumps.c.path, dumps.c.raw, dumps.c.mtime_ns, entries.c.dump, entries.c.position)
            .join(dumps, dumps.c.id == entries.c.dump)
            .where(which, dumps.c.raw.is_not(None))
            .order_by(entries.c.published.desc())
            .limit(limit)
        )
        for row in rows:
            entry, place = to_entry(row), Place(row.dump, row.position)
            yield Article(entry, row.path, row.raw, row.mtime_ns, place, self.account.restored_of(entry.id))


def _at(place: Place) -> dict[str, int]:
    return {"at_dump": place.dump, "at_position": place.position}


def _owned_by(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(entries.c.dump == place.dump, entries.c.position == place.position)
