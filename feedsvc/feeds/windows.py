"""The newest entries of a feed, by their numbers in the store: kept up to date as single entries change."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Effect", "Spot", "Window"]


class Spot(NamedTuple):
    """An entry in its place: newest first by `published`, then by id.

    Attributes:
        before: `published` in seconds since 1970, negated.
        id: The entry's.
        number: Its number in the store.
        updated: In seconds since 1970.
    """

    before: int
    id: str
    number: int
    updated: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of an entry did to a window.

    Attributes:
        seen: What the window holds is not what it held.
        torn: Whether an entry that the window does not know may belong into it now: it is to be filled anew.
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
        """Whether it holds the entry of this number."""
        return number in self._at

    @property
    def spots(self) -> tuple[Spot, ...]:
        """What it holds, newest first."""
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
        self.is_whole = True  # whatever is older has expired as well
        return True

    def _remove(self, number: int) -> Spot | None:
        spot = self._at.pop(number, None)
        if spot is not None:
            del self._spots[bisect_left(self._spots, spot)]
        return spot
