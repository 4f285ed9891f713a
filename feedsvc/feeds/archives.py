"""Keeps the archives of feeds (RFC 5005, section 4) and gives out their pages.

    entries that changed since archives last followed -> the feeds they belong to -> Membership -> pages

A page is closed as soon as its entries are known, by their numbers alone: an import of 60,000 closes hundreds at once.
Its bytes are made at the first request and kept in the store soon after (`Archives.keep`). No new version, rule or
title changes them then; only entries that are withdrawn or retired are cut out. The page stays, even if it is empty, so
that the chain holds. Caches may keep a page for ever once its bytes are kept.

The bytes hold a placeholder for the base URL: under another base URL a page is another representation,
with its own ETag.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.errors import RenderError, StoreError
from feedsvc.feeds.formats.archive import ANY_BASE, PAGE_ENTRIES, RESERVE, page_of, set_base, split, state_of
from feedsvc.feeds.formats.atom import MEDIA_TYPE, render_atom
from feedsvc.feeds.formats.inspect import inspect_atom
from feedsvc.feeds.formats.parts import cut_xml
from feedsvc.feeds.formats.sift import sift
from feedsvc.feeds.represent import represent
from feedsvc.store import ArchivePage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from feedsvc.feeds.catalogue import Catalogue
    from feedsvc.feeds.formats.sift import Sifted
    from feedsvc.model import Entry, FeedDocument, Member, Representation
    from feedsvc.store import Archive, Reader, Store
    from feedsvc.store.archives import ArchiveReader, ArchiveWriter

logger = logging.getLogger(__name__)

_FOR_EVER = 31_536_000  # seconds: a year, the most that RFC 2616 allowed and caches honour
_KEPT = 16  # representations in memory
_MOST_ASKED = 256  # pages that wait to be kept; others are asked for again


@dataclass(frozen=True, slots=True)
class Membership:
    """The changes of one feed's entries, each by its number in the store.

    Attributes:
        feed: The feed's name.
        shown: The entries that the feed itself holds or has room for: no closed page takes them yet.
        joined: The feed's new and changed entries of any age, shown or not; known ones do no harm.
        left: Entries that were withdrawn or retired, or belong to the feed no longer.
        rule: Fingerprint of the feed's filter. If it differs from the last one, the archive begins anew, and `joined`
            must name all entries of the feed.
    """

    feed: str
    shown: Collection[int]
    joined: Collection[int]
    left: Collection[int] = ()
    rule: str = ""


class Archives:
    """The archives of all feeds of a store. Threads may ask for pages while another updates."""

    def __init__(
        self,
        store: Store,
        *,
        max_age: int,
        admit: Callable[[Sequence[Entry]], Sequence[Entry]] = tuple,
        page_entries: int = PAGE_ENTRIES,
        reserve: int = RESERVE,
    ) -> None:
        """Use the archives of a store."""
        self._store = store
        self._max_age = max_age
        self._admit = admit
        self._page_entries = page_entries
        self._reserve = reserve
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, str], tuple[object, Representation]] = OrderedDict()
        self._asked: dict[tuple[str, int], FeedDocument] = {}  # closed pages to be kept, and the feeds they are of

    def update(
        self, feeds: Sequence[Membership], now: datetime, *, since: int, until: int, absent: Collection[str] = ()
    ) -> bool:
        """Save the entries of feeds, and close pages, in one transaction. Comes before feeds are published.

        The changes came after the revision `since`; `until` is the last one. Feeds in `absent` exist no longer. False
        if another process has followed since: then nothing is done.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            tables = writer.archives
            if tables.revision() != since:
                return False
            tables.save_revision(max(since, until))
            tables.abandon(absent)
            for feed in feeds:
                self._update(tables, feed)
            left = set().union(*(feed.left for feed in feeds))
            if left:
                self._cut(tables, left, now)
        return True

    def linked(self, document: FeedDocument) -> FeedDocument:
        """Link a feed to its archive.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.reading() as reader:
            archive = reader.archives.find(document.name)
            if archive is None:
                return document
            state = state_of(_outside(reader.archives, archive, document))
        newest = archive.closed + 1 if state else archive.closed
        return replace(document, previous=newest if newest >= archive.first else None, open_state=state)

    def _update(self, tables: ArchiveWriter, feed: Membership) -> None:
        archive = tables.begin(feed.feed, feed.rule)
        if feed.left:
            tables.leave(archive, feed.left)
        tables.join(archive, feed.joined)
        done = split(tables.members(archive), feed.shown, page_entries=self._page_entries, reserve=self._reserve)
        archive = tables.close(archive, done.pages)
        if done.pages:
            logger.info("archive pages closed", extra={"feed": feed.feed, "pages": archive.closed})

    def drop_gone(self, now: datetime) -> None:
        """Cut withdrawn and retired entries out of all pages; for the start and after retention.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            self._cut(writer.archives, None, now)

    def _cut(self, tables: ArchiveWriter, numbers: Collection[int] | None, now: datetime) -> None:
        for (archive, page), gone in tables.load_gone(numbers).items():
            body = cut_xml(tables.load_body(archive, page), set(gone.values()))
            tables.cut_page(archive, page, body, gone, now)

    def load(self, document: FeedDocument, number: int, base_url: str) -> Representation | None:
        """Give a page of a feed's archive, or None, and write nothing. It may render.

        A closed page may change until `keep` was called, so caches are told to ask again for it.

        Raises:
            StoreError: The store cannot be read.
            RenderError: The page cannot be rendered.
        """
        name = document.name
        with self._store.reading() as reader:
            archive = reader.archives.find(name)
            if archive is None or not 0 < number <= archive.closed + 1:
                return None
            is_open = number > archive.closed
            state: object = document if is_open else reader.archives.load_modified(archive, number)
            found = self._recall((name, number, base_url), state)
            if found is not None:
                return found
            page = self._page(reader, document, archive, number)
        if page is None:
            return None
        is_kept = not is_open and state is not None
        if not is_open and not is_kept:
            with self._lock:
                if len(self._asked) < _MOST_ASKED:
                    self._asked[name, number] = document
        made = represent(
            set_base(page.body, base_url),
            MEDIA_TYPE,
            last_modified=page.modified,
            max_age=_FOR_EVER if is_kept else self._max_age,
            immutable=is_kept,
        )
        return made if state is None else self._remember((name, number, base_url), state, made)

    def keep(self) -> None:
        """Keep the bytes of the closed pages that were asked for; to be called every now and then.

        Raises:
            StoreError: The store cannot be written; the next call tries again.
        """
        with self._lock:
            asked = dict(self._asked)
        for (name, number), document in asked.items():
            with suppress(RenderError):  # the request was answered with it
                self._freeze(document, number)
            with self._lock:
                del self._asked[name, number]

    def pages(self, document: FeedDocument, base_url: str) -> Iterator[tuple[int, ArchivePage]]:
        """Give all pages of a feed's archive by number, the oldest first, and keep the closed ones.

        Raises:
            StoreError: The store cannot be read or written.
            RenderError: A page cannot be rendered.
        """
        number = 1
        while True:
            with self._store.reading() as reader:
                archive = reader.archives.find(document.name)
                if archive is None or number > archive.closed + 1:
                    return
                page = self._page(reader, document, archive, number) if number > archive.closed else None
            if number <= archive.closed:
                page = self._freeze(document, number)
            if page is not None:
                yield number, ArchivePage(set_base(page.body, base_url), page.modified)
            number += 1

    def _page(self, reader: Reader, document: FeedDocument, archive: Archive, number: int) -> ArchivePage | None:
        """Read a page, or render it if its bytes are not kept; None if it would be a first page without entries."""
        if number <= archive.closed:
            kept = reader.archives.load_page(archive, number)
            return kept or self._make(reader, document, archive, number, reader.archives.held(archive, number))[0]
        outside = _outside(reader.archives, archive, document)
        if not outside and archive.closed < archive.first:
            return None
        document = replace(document, open_state=state_of(outside))
        return self._make(reader, document, archive, number, [member.number for member in outside])[0]

    def _make(
        self, reader: Reader, document: FeedDocument, archive: Archive, number: int, numbers: Sequence[int]
    ) -> tuple[ArchivePage, dict[int, datetime]]:
        """Render a page of these entries; also give the `updated` of each entry that it shows."""
        entries = dict(reader.load_live(numbers))
        sifted = _render(document, self._admit(list(entries.values())), number, archive)
        shown = {entry.key for entry in sifted.document.entries}
        updated = {number: entry.updated for number, entry in entries.items() if entry.key in shown}
        return ArchivePage(sifted.body, sifted.document.updated), updated

    def _freeze(self, document: FeedDocument, number: int) -> ArchivePage:
        """Make the bytes of a closed page once and for all."""
        with self._store.writing() as writer:
            tables = writer.archives
            archive = tables.find(document.name)
            if archive is None:
                raise StoreError(f"{self._store.url}: the archive of feed {document.name} is gone")
            page = tables.load_page(archive, number)
            if page is None:  # no other process was faster
                page, updated = self._make(writer, document, archive, number, tables.held(archive, number))
                tables.save_page(archive, number, page, updated)
            return page

    def _recall(self, key: tuple[str, int, str], state: object) -> Representation | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != state:
                return None
            self._kept.move_to_end(key)
            return found[1]

    def _remember(self, key: tuple[str, int, str], state: object, made: Representation) -> Representation:
        with self._lock:
            self._kept[key] = state, made
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _outside(tables: ArchiveReader, archive: Archive, document: FeedDocument) -> list[Member]:
    """The entries of the open page: those that neither the feed nor a closed page holds."""
    shown = {entry.key for entry in document.entries}
    return [member for member in tables.members(archive) if member.key not in shown]


def _render(document: FeedDocument, entries: Sequence[Entry], number: int, archive: Archive) -> Sifted:
    page = page_of(
        document,
        entries,
        number,
        first=archive.first,
        closed=archive.closed,
        state=document.open_state if number > archive.closed else None,
    )
    sifted = sift(page, ANY_BASE, render_atom, inspect_atom)
    for fault in sifted.faults:
        logger.error(
            "entry left out of the archive",
            extra={"feed": document.name, "entry": fault.entry.id, "reason": fault.reason},
        )
    return sifted


class Follower:
    """Brings archives up to date with a catalogue.

    The store keeps the revision that archives have followed to, so no entry is looked at twice, not even after a
    restart. All entries are looked at only for a feed with a new archive or another filter.
    """

    def __init__(self, store: Store, catalogue: Catalogue, archives: Archives) -> None:
        """Begin with the first `follow`."""
        self._store = store
        self._catalogue = catalogue
        self._archives = archives
        self._followed: dict[str, str] | None = None  # feed to its rule, of those whose archives are kept up
        self._seen: int | None = None  # the last revision that was followed here

    def follow(self, now: datetime) -> frozenset[str]:
        """Take over the changes of the catalogue's last refresh; return the feeds that may have other archive links.

        Raises:
            StoreError: The store cannot be read or written.
        """
        while (moved := self._follow(now)) is None:  # another process was faster
            self._followed = None
        return moved

    def _follow(self, now: datetime) -> frozenset[str] | None:
        catalogue = self._catalogue
        rules = {name: feed.filter.rule for name, feed in catalogue.feeds.items()}
        with self._store.reading() as reader:
            since = reader.archives.revision()
            if since > catalogue.revision:  # another process did; it may have feeds that the catalogue does not know
                return frozenset()  # the next refresh of the catalogue catches up
            known = reader.archives.load_memberships() if self._followed is None else self._followed
            fresh = {name for name, rule in rules.items() if known.get(name) != rule}
            absent = known.keys() - rules.keys()
            # Changes that another process has archived move links here too; archiving them again does no harm.
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

    def _look(self, reader: Reader, since: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
        """The numbers of changed entries by the feeds that they belong to, and by those that hold them wrongly."""
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
