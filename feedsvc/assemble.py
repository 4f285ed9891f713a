"""From the store to the document of a feed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from feedsvc.feeds import fit
from feedsvc.feeds.addresses import EVERYTHING
from feedsvc.model import FeedDocument

if TYPE_CHECKING:
    from datetime import datetime

    from feedsvc.model import Entry
    from feedsvc.store import Store

__all__ = ["FeedSettings", "assemble_feed", "newest_entries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """What the user says of a feed.

    Attributes:
        entries: How many of the newest entries it holds at most.
        max_bytes: How large its entries may be together; None for no such limit.
        hubs: Addresses of WebSub hubs.
    """

    title: str
    subtitle: str | None
    author: str
    language: str | None
    entries: int
    max_bytes: int | None
    hubs: tuple[str, ...] = ()


def newest_entries(store: Store, settings: FeedSettings) -> tuple[Entry, ...]:
    """The entries that the feed of everything holds now.

    Raises:
        StoreError: The store cannot be read.
    """
    newest = islice(store.live_entries(), settings.entries)
    return fit(newest, count=settings.entries, max_bytes=settings.max_bytes)


def assemble_feed(store: Store, settings: FeedSettings, now: datetime) -> tuple[FeedDocument, datetime]:
    """The feed of everything, and since when it has held just that (its Last-Modified).

    Raises:
        StoreError: The store cannot be read or written.
    """
    record = store.load_feed(EVERYTHING, now)
    entries = newest_entries(store, settings)
    document = FeedDocument(
        id=record.id,
        name=EVERYTHING,
        title=settings.title,
        subtitle=settings.subtitle,
        author=settings.author,
        language=settings.language,
        updated=max((entry.updated for entry in entries), default=record.born),
        entries=entries,
        hubs=settings.hubs,
    )
    # No feed shows which rules cleaned an entry: others that lead to the same are no change.
    shown = replace(document, entries=tuple(replace(entry, cleaner="") for entry in entries))
    digest = hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).hexdigest()
    return document, store.save_feed_digest(EVERYTHING, digest, now, step=timedelta(seconds=1))
