"""From the store to the documents of feeds."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, overload

from feedsvc.errors import StoreError
from feedsvc.feeds.archives import Follower
from feedsvc.feeds.catalogue import Catalogue
from feedsvc.feeds.formats import fit
from feedsvc.model import Entry, FeedDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from feedsvc.feeds.archives import Archives
    from feedsvc.feeds.plan import Plan
    from feedsvc.store import FeedRecord, Store

logger = logging.getLogger(__name__)

_STEP = timedelta(seconds=1)


class _StoredEntries(Sequence[Entry]):
    """The entries of a feed, read from the store as they are needed, newest first.

    One that left the feeds since is left out; each is as it is when it is read.
    """

    def __init__(self, store: Store, numbers: tuple[int, ...], *, max_bytes: int | None = None) -> None:
        """Stand for the entries of these numbers, as far as they have room in `max_bytes`."""
        self._store = store
        self._numbers = numbers
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        """Count them; they are read only if their size is limited."""
        return len(self._numbers) if self._max_bytes is None else len(self.load())

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        """One, or some; of a slice, no more than that is read."""
        if isinstance(index, slice) and self._max_bytes is None:
            return _StoredEntries(self._store, self._numbers[index]).load()
        return self.load()[index]

    def __iter__(self) -> Iterator[Entry]:
        """Read all at once."""
        return iter(self.load())

    def load(self) -> tuple[Entry, ...]:
        """Read all at once.

        Raises:
            StoreError: The store cannot be read.
        """
        return fit(self._store.load_entries(self._numbers), count=len(self._numbers), max_bytes=self._max_bytes)


class Assembler:
    """Makes the documents of all feeds of a plan. Threads may read while another refreshes."""

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        archives: Archives | None = None,
        admit: Callable[[Sequence[Entry]], Sequence[Entry]] = tuple,
    ) -> None:
        """Know no feeds yet; `refresh` is to be called first."""
        self._store = store
        self._catalogue = Catalogue(store, plan)
        self._archives = archives
        self._follower = Follower(store, self._catalogue, archives) if archives else None
        self._admit = admit
        self._records: dict[str, FeedRecord] = {}
        self._documents: dict[str, FeedDocument] = {}
        self._changed: frozenset[str] = frozenset()  # and not yet told
        self._lock = threading.Lock()  # guards the next
        self._unsaved: dict[str, tuple[str, datetime]] = {}  # feed to the digest of its document, and since when

    @property
    def documents(self) -> Mapping[str, FeedDocument]:
        """All feeds as they are now, in the order they are listed; their entries are read when they are asked for."""
        return self._documents

    @property
    def formats(self) -> Mapping[str, tuple[str, ...]]:
        """The extensions of the formats that each feed is served in."""
        return {name: feed.formats for name, feed in self._catalogue.feeds.items()}

    @property
    def unlisted(self) -> frozenset[str]:
        """The names of the feeds that nobody is told of."""
        return self._catalogue.plan.unlisted

    def is_stale(self) -> bool:
        """Return whether an entry changed since the last refresh.

        Raises:
            StoreError: The store cannot be read.
        """
        return self._catalogue.is_stale()

    def refresh(self, now: datetime) -> frozenset[str]:
        """Take over the changes in the store; return the names of the feeds that changed.

        Raises:
            StoreError: The store cannot be read or written.
        """
        self._changed |= self._catalogue.refresh(now)
        if self._follower:
            try:
                self._changed |= self._follower.follow(now)
            except StoreError as error:
                if self._documents:
                    raise
                # To begin with, feeds without the last links are better than none.
                logger.warning("archives cannot follow yet", extra={"reason": str(error)})
        feeds = self._catalogue.feeds
        if not feeds.keys() <= self._records.keys():
            self._records = self._store.load_feeds(feeds.keys(), now)
        fresh = {name: self._describe(name) for name in self._changed}
        self._documents = {name: fresh.get(name) or self._documents[name] for name in feeds}
        changed, self._changed = self._changed, frozenset()
        return changed

    def load(self, name: str, now: datetime) -> tuple[FeedDocument, datetime]:
        """A feed with its entries, and since when it has held just that (its Last-Modified). Nothing is written.

        Raises:
            StoreError: The store cannot be read.
        """
        document = self._documents[name]
        document = replace(document, entries=tuple(document.entries))
        if self._archives:
            document = self._archives.linked(document)
        entries = tuple(self._admit(document.entries))
        updated = max((entry.updated for entry in entries), default=self._records[name].born)
        document = replace(document, updated=updated, entries=entries)
        # No feed shows the rules that cleaned an entry: other rules with the same result are no change.
        shown = replace(document, entries=tuple(replace(entry, cleaner="") for entry in entries))
        digest = hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).hexdigest()
        return document, self._changed_at(name, digest, now)

    def _changed_at(self, name: str, digest: str, now: datetime) -> datetime:
        """Since when a feed has had a digest. It never goes back: if the clock did, it is a step after the last one."""
        with self._lock:
            unsaved = self._unsaved.get(name)
        known, since = unsaved or self._store.load_feed_digest(name)
        if since is not None and known == digest:
            return since
        moment = now.replace(microsecond=0)
        if since is not None:
            moment = max(moment, since + _STEP)
        with self._lock:
            self._unsaved[name] = digest, moment
        return moment

    def save(self) -> None:
        """Keep since when feeds have been as they were loaded; if that fails, the next call tries again."""
        with self._lock:
            saved = dict(self._unsaved)
        if not saved:
            return
        try:
            self._store.save_feed_digests(saved)
        except StoreError as error:
            logger.warning("times of changes cannot be kept", extra={"feeds": len(saved), "reason": str(error)})
            return
        with self._lock:
            self._unsaved = {name: item for name, item in self._unsaved.items() if saved.get(name) != item}

    def version(self, name: str) -> str:
        """Fingerprint of the feed's entries and their `updated`."""
        spots = [(spot.number, spot.updated) for spot in self._catalogue.spots(name)]
        return hashlib.sha256(repr(spots).encode()).hexdigest()

    def _describe(self, name: str) -> FeedDocument:
        feed, record, spots = self._catalogue.feeds[name], self._records[name], self._catalogue.spots(name)
        latest = max((spot.updated for spot in spots), default=None)
        return FeedDocument(
            id=record.id,
            name=name,
            title=feed.title,
            subtitle=feed.subtitle,
            author=feed.author,
            language=feed.language,
            hubs=feed.hubs,
            updated=record.born if latest is None else datetime.fromtimestamp(latest, UTC),
            entries=_StoredEntries(self._store, tuple(spot.number for spot in spots), max_bytes=feed.max_bytes),
        )
