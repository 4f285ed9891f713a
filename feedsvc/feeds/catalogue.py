"""The entries that each feed holds now: read from the store once, then kept up to date by each change.

    store, plan -> windows -> documents
    changed entries -> the feeds that held them or hold them now -> feeds to render anew

A window holds the numbers of a feed's entries, not the entries: a thousand feeds cost little more than one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from feedsvc.feeds.plan import Candidate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from feedsvc.feeds.plan import FeedSettings, Plan
    from feedsvc.store import FeedReader, Store

_Belonging = tuple[int, list[str]]  # an entry's number, and the names of the feeds that it belongs to


class Spot(NamedTuple):
    """An entry in its place: newest first by `published`, then by id.

    Attributes:
        before: `published` in seconds since 1970, negated.
        updated: In seconds since 1970.
    """

    before: int
    id: str
    number: int
    updated: int


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a changed entry on a window.

    Attributes:
        seen: The window holds something else than before.
        torn: An entry that the window does not know may belong into it now: it is to be filled anew.
    """

    seen: bool
    torn: bool = False


class Window:
    """The newest entries of a feed, at most so many."""

    def __init__(self, most: int) -> None:
        """Hold at most `most` entries; none so far."""
        self.most = most
        self.is_whole = True  # it holds all entries of the feed: there are no older ones
        self._spots: list[Spot] = []
        self._at: dict[int, Spot] = {}

    def __contains__(self, number: object) -> bool:
        """Return whether it holds the entry of this number."""
        return number in self._at

    @property
    def spots(self) -> tuple[Spot, ...]:
        """Its entries, newest first."""
        return tuple(self._spots)

    def append(self, spot: Spot) -> bool:
        """Fill an empty window, newest first; tells whether there is room for more."""
        if len(self._spots) == self.most:
            self.is_whole = False
            return False
        self._spots.append(spot)
        self._at[spot.number] = spot
        return True

    def put(self, spot: Spot) -> Effect:
        """Take an entry in that is new or has changed."""
        held = self._remove(spot.number)
        place = bisect_left(self._spots, spot)
        self._spots.insert(place, spot)
        self._at[spot.number] = spot
        if place == len(self._spots) - 1 and not self.is_whole:
            # Older than all the others that are known: there may be newer ones among those that are not.
            if held is None and place == self.most:
                self._remove(spot.number)
                return Effect(seen=False)
            return Effect(seen=True, torn=True)
        if len(self._spots) > self.most:
            last = self._spots[-1]
            self._remove(last.number)
            self.is_whole = False
            return Effect(seen=last is not spot or held is not None)
        return Effect(seen=True)

    def drop(self, number: int) -> Effect:
        """Let an entry go that does not belong any more."""
        held = self._remove(number) is not None
        return Effect(seen=held, torn=held and not self.is_whole)

    def expire(self, before: int) -> bool:
        """Let entries go that were published before a time, in seconds since 1970; tells whether there were any."""
        number = len(self._spots)
        while self._spots and -self._spots[-1].before < before:
            self._remove(self._spots[-1].number)
        if len(self._spots) == number:
            return False
        self.is_whole = True  # all older ones have expired too
        return True

    def _remove(self, number: int) -> Spot | None:
        spot = self._at.pop(number, None)
        if spot is not None:
            del self._spots[bisect_left(self._spots, spot)]
        return spot


class Catalogue:
    """The feeds of a plan over a store. Threads may ask while another refreshes."""

    def __init__(self, store: Store, plan: Plan) -> None:
        """Know nothing yet; `refresh` is to be called first."""
        self._store = store
        self.plan = plan
        self._refreshing = threading.Lock()
        self._revision: int | None = None
        self._feeds: dict[str, FeedSettings] = {}
        self._windows: dict[str, Window] = {}
        self._sources: dict[str, str] = {}  # with the names of their feeds
        self._reached: dict[str | None, tuple[str, ...]] = {}  # source to the feeds that its entries may be in
        self._columns: frozenset[str] = frozenset().union(*(feed.filter.columns for feed in plan.configured))
        self._torn: set[str] = set()  # to be filled anew
        self._changed: set[str] = set()  # and not yet told

    @property
    def feeds(self) -> Mapping[str, FeedSettings]:
        """The settings of all feeds by name, in the order they are listed."""
        return self._feeds

    @property
    def revision(self) -> int:
        """The number of the last change that was taken over; -1 before the first refresh."""
        return -1 if self._revision is None else self._revision

    def is_stale(self) -> bool:
        """Return whether an entry changed since the last refresh.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.reading() as reader:
            return reader.feeds.revision() != self._revision

    def spots(self, name: str) -> tuple[Spot, ...]:
        """The places of a feed's entries, newest first."""
        return self._windows[name].spots

    def refresh(self, now: datetime) -> frozenset[str]:
        """Take over the changes in the store, and drop entries that grew too old for a feed.

        Return the names of the feeds that are new, or hold other entries than before, or entries that changed.

        Raises:
            StoreError: The store cannot be read or written. The next call returns the changes so far.
        """
        with self._refreshing:
            unknown = self._revision is None
            with self._store.reading() as reader:
                revision = reader.feeds.revision()
                if self._revision is not None and revision != self._revision:
                    for row in reader.feeds.changed_rows(self._columns, self._revision):
                        self._follow(row, now)
                        unknown = unknown or bool(row.live and row.source and row.source not in self._sources)
            if unknown:
                self._add_feeds()
            if self._torn:
                with self._store.reading() as reader:
                    self._fill(reader.feeds, now)
            self._expire(now)
            self._revision = revision
            changed = frozenset(self._changed)
            self._changed.clear()
            return changed

    def changes(self, tables: FeedReader, since: int) -> Iterator[_Belonging]:
        """Give the feeds of each entry that changed after a revision and was taken over.

        Age does not count. An entry that is live no more belongs to none.
        """
        for row in tables.changed_rows(self._columns, since):
            if row.revision <= self.revision:
                yield row.number, self._belonging(row) if row.live else []

    def members(self, tables: FeedReader, names: Collection[str]) -> Iterator[_Belonging]:
        """Give the feeds, of these, of each live entry of any age."""
        for row in tables.live_rows(self._columns, self._sources_of(names)):
            if row.revision <= self.revision:
                yield row.number, [name for name in self._belonging(row) if name in names]

    def _add_feeds(self) -> None:
        """Begin the feeds that are not there yet."""
        self._sources = self._store.load_source_names()
        self._feeds = self.plan.feeds(self._sources)
        self._reached.clear()
        new = self._feeds.keys() - self._windows.keys()
        self._windows |= {name: Window(self._feeds[name].entries) for name in new}
        self._changed |= new
        self._torn |= new

    def _follow(self, row: Any, now: datetime) -> None:  # noqa: ANN401 - a row has no better type
        """Take one change over."""
        spot = _spot(row)
        belongs = set(self._feeds_of(row, now)) if row.live else set()
        effects = {name: self._windows[name].put(spot) for name in belongs}
        effects |= {
            name: window.drop(spot.number)
            for name, window in self._windows.items()
            if spot.number in window and name not in belongs
        }
        self._changed |= {name for name, effect in effects.items() if effect.seen}
        self._torn |= {name for name, effect in effects.items() if effect.torn}

    def _fill(self, tables: FeedReader, now: datetime) -> None:
        """Find the newest entries of torn feeds, in one go over the store."""
        fresh = {name: Window(self._feeds[name].entries) for name in self._torn}
        room = set(fresh)
        for row in tables.live_rows(self._columns, self._sources_of(room)):
            spot = _spot(row)
            for name in self._feeds_of(row, now):
                if name in room and not fresh[name].append(spot):
                    room.discard(name)
            if not room:
                break
        for name, window in fresh.items():
            if window.spots != self._windows[name].spots:
                self._changed.add(name)
            self._windows[name] = window
        self._torn.clear()

    def _expire(self, now: datetime) -> None:
        for name, feed in self._feeds.items():
            if feed.filter.age is not None and self._windows[name].expire(_seconds(now - feed.filter.age)):
                self._changed.add(name)

    def _feeds_of(self, row: Any, now: datetime) -> list[str]:  # noqa: ANN401 - a row has no better type
        """The feeds that an entry belongs to and is not too old for."""
        return [
            name
            for name in self._belonging(row)
            if (age := self._feeds[name].filter.age) is None or row.published >= _seconds(now - age)
        ]

    def _belonging(self, row: Any) -> list[str]:  # noqa: ANN401 - a row has no better type
        entry = Candidate.of_row(row, self._columns)
        reached = self._reached.get(row.source)
        if reached is None:
            reached = self._reached[row.source] = self._reach(entry)
        return [name for name in reached if self._feeds[name].filter.matches(entry)]

    def _reach(self, entry: Candidate) -> tuple[str, ...]:
        own = self._sources.get(entry.source or "")
        named = [feed.name for feed in (self.plan.everything, *self.plan.configured) if feed.filter.accepts(entry)]
        return (*named, own) if own in self._feeds and own not in named else tuple(named)

    def _sources_of(self, names: Collection[str]) -> set[str] | None:
        """The sources of entries that may be in these feeds; None for all."""
        filters = [self._feeds[name].filter for name in names]
        if any(filter_.source is None for filter_ in filters):
            return None
        return {source for source in self._sources if any(each.accepts(Candidate(source=source)) for each in filters)}


def _spot(row: Any) -> Spot:  # noqa: ANN401 - a row has no better type
    return Spot(-row.published, row.id, row.number, row.updated)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
