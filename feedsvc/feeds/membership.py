"""Which entries joined and left each feed, whatever their age: what archives have to know beside what feeds show.

    entries that changed since archives last followed -> the feeds they belong to -> Membership -> archives

How far archives have followed is kept in the store, so that no entry is looked at twice, not after a restart either.
Only for a feed without an archive, or with another filter than it had, is every entry looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedsvc.feeds.archives import Membership

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from feedsvc.feeds.archives import Archives
    from feedsvc.feeds.catalogue import Catalogue
    from feedsvc.store import Store, Writer

__all__ = ["Follower"]


class Follower:
    """Brings archives up to what a catalogue says."""

    def __init__(self, store: Store, catalogue: Catalogue, archives: Archives) -> None:
        """Know nothing yet."""
        self._store = store
        self._catalogue = catalogue
        self._archives = archives
        self._followed: dict[str, str] | None = None  # feed to its rule, of those whose archives are kept up
        self._seen: int | None = None  # the last revision that was followed here

    def follow(self, now: datetime) -> frozenset[str]:
        """Take over what the catalogue took over at its last refresh.

        Args:
            now: Aware, in UTC.

        Returns:
            The names of the feeds whose archives may hold other entries than before, and so may have other links.

        Raises:
            StoreError: The store cannot be read or written.
        """
        while (moved := self._follow(now)) is None:  # another process was faster: from where it came to
            self._followed = None
        return moved

    def _follow(self, now: datetime) -> frozenset[str] | None:
        catalogue = self._catalogue
        rules = {name: feed.filter.rule for name, feed in catalogue.feeds.items()}
        with self._store.archiving() as reader:
            since = reader.archives.revision()
            if since > catalogue.revision:  # by another process, which may have feeds that the catalogue does not know
                return frozenset()  # the catalogue is stale: the next refresh will do
            known = reader.archives.load_memberships() if self._followed is None else self._followed
            fresh = {name for name, rule in rules.items() if known.get(name) != rule}
            absent = known.keys() - rules.keys()
            # What another process has archived meanwhile moves links here too; to take it down again does no harm.
            unseen = since if self._seen is None else min(since, self._seen)
            if unseen == catalogue.revision and not fresh and not absent:
                self._followed, self._seen = rules, unseen
                return frozenset()
            joined, left = self._look(reader, unseen)
            if fresh:
                for number, names in catalogue.members(reader.feeds, fresh):
                    _add(joined, number, names)
        feeds = [
            Membership(
                name,
                shown={spot.number for spot in catalogue.spots(name)},
                joined=joined.get(name, set()),
                left=left.get(name, set()),
                rule=rules[name],
            )
            for name in sorted({*joined, *left, *fresh} & rules.keys())
        ]
        if not self._archives.update(feeds, now, since=since, until=catalogue.revision, absent=absent):
            return None
        self._followed, self._seen = rules, catalogue.revision
        return frozenset(feed.feed for feed in feeds)

    def _look(self, reader: Writer, since: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
        """The entries that changed, by the feeds that they belong to, and by those that have them and should not."""
        joined: dict[str, set[int]] = {}
        left: dict[str, set[int]] = {}
        belonging = {number: set(names) for number, names in self._catalogue.changes(reader.feeds, since)}
        for number, names in belonging.items():
            _add(joined, number, names)
        for number, holders in reader.archives.load_holders(belonging).items():
            _add(left, number, (name for name in holders if name not in belonging[number]))
        return joined, left


def _add(found: dict[str, set[int]], number: int, names: Iterable[str]) -> None:
    for name in names:
        found.setdefault(name, set()).add(number)
