"""Which feeds there are to be, as the user says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from feedsvc.feeds.filters import Filter, fold, of_source
from feedsvc.feeds.formats.addresses import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FeedSettings", "Plan"]

_ALL_FORMATS = ("atom", "rss", "json")
_ALL_ENTRIES = Filter()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """What the user says of a feed.

    Attributes:
        entries: How many of the newest entries it holds at most.
        max_bytes: How large its entries may be together; None for no such limit.
        name: As in its addresses.
        formats: The extensions of the formats that it is served in.
        filter: Which entries it holds.
        hubs: Addresses of WebSub hubs.
        listed: Whether others than those who know its address are told of it.
    """

    title: str
    subtitle: str | None
    author: str
    language: str | None
    entries: int
    max_bytes: int | None
    name: str = EVERYTHING
    formats: tuple[str, ...] = _ALL_FORMATS
    filter: Filter = _ALL_ENTRIES
    hubs: tuple[str, ...] = ()
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the user says of feeds.

    Attributes:
        everything: The feed of everything, which lends the feeds of sources what is not said of them.
        configured: The others that the user names, in their order.
        sources: Whether each source has a feed; one whose name a configured feed has is replaced by that.
    """

    everything: FeedSettings
    configured: tuple[FeedSettings, ...] = ()
    sources: bool = True

    @property
    def unlisted(self) -> frozenset[str]:
        """The names of the feeds that nobody is told of."""
        return frozenset(feed.name for feed in self.configured if not feed.listed)

    def feeds(self, sources: Mapping[str, str]) -> dict[str, FeedSettings]:
        """All feeds by name, in the order they are listed.

        Args:
            sources: The name of each source's feed.
        """
        found = {feed.name: feed for feed in (self.everything, *self.configured)}
        if self.sources:
            for source, name in sorted(sources.items(), key=lambda item: (fold(item[0]), item)):
                found.setdefault(name, self._of_source(source, name))
        return found

    def _of_source(self, source: str, name: str) -> FeedSettings:
        return replace(self.everything, name=name, title=source, subtitle=None, language=None, filter=of_source(source))
