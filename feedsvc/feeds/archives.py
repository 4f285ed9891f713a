"""Keeps the archives of feeds (RFC 5005, section 4), and gives out their pages.

A page is closed when its entries are known; that is a matter of numbers, so that an import of 60,000
closes hundreds of pages at once. Its bytes are made when somebody first asks for it, and kept in the
store soon after (`Archives.keep`): no new version, rule or title changes them then. One thing does: an
entry that is withdrawn or retired is cut out of the page that holds it, for then it has to go; the page
stays, even empty, so that the chain holds. Caches may keep a page for ever once its bytes are kept.

The bytes hold a placeholder for the base URL: the same page read under another base is another
representation, with an ETag of its own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.errors import RenderError, StoreError
from feedsvc.feeds.formats.archive import (
    ANY_BASE,
    PAGE_ENTRIES,
    RESERVE,
    page_of,
    set_base,
    split,
    state_of,
)
from feedsvc.feeds.formats.atom import MEDIA_TYPE, render_atom
from feedsvc.feeds.formats.inspect import inspect_atom
from feedsvc.feeds.formats.parts import cut_xml
from feedsvc.feeds.formats.sift import sift
from feedsvc.feeds.represent import represent
from feedsvc.store import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from feedsvc.feeds.formats.sift import Sifted
    from feedsvc.model import Entry, FeedDocument, Member, Representation
    from feedsvc.store import Archive, Store, Writer
    from feedsvc.store.archives import ArchiveTables

__all__ = ["FOR_EVER", "Archives", "Membership"]

logger = logging.getLogger(__name__)

FOR_EVER = 31_536_000  # seconds: a year, the most that RFC 2616 knew and caches honour
_KEPT = 16  # representations in memory
_MOST_ASKED = 256  # pages that wait to be kept; others are asked for again


@dataclass(frozen=True, slots=True)
class Membership:
    """A feed, and what changed of which entries it has. Entries are named by the store's numbers.

    Attributes:
        feed: The feed's name.
        shown: The entries that the feed itself holds, if they have room: they are not for closed pages yet.
        joined: Entries that are the feed's, whatever their age, and that are new or have changed, whether they
            are shown or not; those that are known already do no harm. None for all that are live.
        left: Entries that were withdrawn or retired, or are the feed's no longer.
        rule: Fingerprint of what decides which entries are the feed's; with another one its archive begins anew,
            and `joined` has to name all of its entries.
    """

    feed: str
    shown: Collection[int]
    joined: Collection[int] | None
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
        """Keep archives in `store`.

        Args:
            store: The store.
            max_age: Seconds for which a cache may reuse the open page.
            admit: Gives entries as readers may see them, without those that they may not; see `feedsvc.feeds.guard`.
            page_entries: How many entries a page has that is closed from now on.
            reserve: See `feedsvc.feeds.formats.archive.split`.
        """
        self._store = store
        self._max_age = max_age
        self._admit = admit
        self._page_entries = page_entries
        self._reserve = reserve
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, str], tuple[object, Representation]] = OrderedDict()
        self._asked: dict[tuple[str, int], FeedDocument] = {}  # closed pages to be kept, and the feeds they are of

    def update(
        self,
        feeds: Sequence[Membership],
        now: datetime,
        *,
        since: int | None = None,
        until: int = 0,
        absent: Collection[str] = (),
    ) -> bool:
        """Take down which entries feeds have, and close pages, in one transaction.

        To be called before feeds are published; see `feedsvc.feeds.membership`.

        Args:
            feeds: What changed.
            now: Aware, in UTC.
            since: The revision after which changes were looked at; None where that does not count.
            until: The last one that was.
            absent: The names of feeds that are there no more.

        Returns:
            Whether it was done; it was not where another process did it meanwhile, at least in part.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            tables = writer.archives
            if since is not None:
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
        """A feed that leads to its archive.

        Args:
            document: The feed with its entries, those included that readers may not see.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.archiving() as reader:
            archive = reader.archives.find(document.name)
            if archive is None:
                return document
            state = state_of(_outside(reader.archives, archive, document))
        newest = archive.closed + 1 if state else archive.closed
        return replace(document, previous=newest if newest >= archive.first else None, open_state=state)

    def _update(self, tables: ArchiveTables, feed: Membership) -> None:
        archive = tables.begin(feed.feed, feed.rule)
        if feed.left:
            tables.leave(archive, feed.left)
        tables.join(archive, feed.joined)
        done = split(tables.members(archive), feed.shown, page_entries=self._page_entries, reserve=self._reserve)
        archive = tables.close(archive, done.pages)
        if done.pages:
            logger.info("archive pages closed", extra={"feed": feed.feed, "pages": archive.closed})

    def drop_gone(self, now: datetime) -> None:
        """Take what was withdrawn or retired out of all pages; to be called after a start and after retention.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            self._cut(writer.archives, None, now)

    def _cut(self, tables: ArchiveTables, numbers: Collection[int] | None, now: datetime) -> None:
        for (archive, page), gone in tables.load_gone(numbers).items():
            body = cut_xml(tables.load_body(archive, page), set(gone.values()))
            tables.cut_page(archive, page, body, gone, now)

    def load(self, document: FeedDocument, number: int, base_url: str) -> Representation | None:
        """A page of a feed's archive. It may render, and writes nothing.

        A closed page may change until `keep` was called, so caches are to ask again for it until then.

        Args:
            document: The feed as it is published.
            number: The page's, from 1.
            base_url: Of the request.

        Returns:
            None where there is no such page.

        Raises:
            StoreError: The store cannot be read.
            RenderError: The page cannot be rendered.
        """
        name = document.name
        with self._store.archiving() as reader:
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
            max_age=FOR_EVER if is_kept else self._max_age,
            immutable=is_kept,
        )
        return made if state is None else self._remember((name, number, base_url), state, made)

    def keep(self) -> None:
        """Keep for ever the bytes of the closed pages that were asked for; to be called every now and then.

        Raises:
            StoreError: The store cannot be written; the next call tries again.
        """
        with self._lock:
            asked = dict(self._asked)
        for (name, number), document in asked.items():
            with suppress(RenderError):  # whoever asks for it is told
                self._freeze(document, number)
            with self._lock:
                del self._asked[name, number]

    def pages(self, document: FeedDocument, base_url: str) -> Iterator[tuple[int, Page]]:
        """All pages of a feed's archive by number, the oldest first; read or rendered as they are asked for.

        Args:
            document: The feed as it is published.
            base_url: Where it will be.

        Raises:
            StoreError: The store cannot be read or written.
            RenderError: A page cannot be rendered.
        """
        number = 1
        while True:
            with self._store.archiving() as reader:
                archive = reader.archives.find(document.name)
                if archive is None or number > archive.closed + 1:
                    return
                page = self._page(reader, document, archive, number) if number > archive.closed else None
            if number <= archive.closed:
                page = self._freeze(document, number)
            if page is not None:
                yield number, Page(set_base(page.body, base_url), page.modified)
            number += 1

    def _page(self, reader: Writer, document: FeedDocument, archive: Archive, number: int) -> Page | None:
        """A page as it is now: a closed one is read if its bytes are kept."""
        if number <= archive.closed:
            kept = reader.archives.load_page(archive, number)
            return kept or self._make(reader, document, archive, number, reader.archives.held(archive, number))[0]
        outside = _outside(reader.archives, archive, document)
        if not outside and archive.closed < archive.first:
            return None
        document = replace(document, open_state=state_of(outside))
        return self._make(reader, document, archive, number, [member.number for member in outside])[0]

    def _make(
        self, reader: Writer, document: FeedDocument, archive: Archive, number: int, numbers: Sequence[int]
    ) -> tuple[Page, dict[int, datetime]]:
        """Render a page of the entries of these numbers; the `updated` of those that it shows, too."""
        entries = dict(reader.load_live(numbers))
        sifted = _render(document, self._admit(list(entries.values())), number, archive)
        shown = {entry.key for entry in sifted.document.entries}
        updated = {number: entry.updated for number, entry in entries.items() if entry.key in shown}
        return Page(sifted.body, sifted.document.updated), updated

    def _freeze(self, document: FeedDocument, number: int) -> Page:
        """Make the bytes of a closed page, once and for all."""
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


def _outside(tables: ArchiveTables, archive: Archive, document: FeedDocument) -> list[Member]:
    """What the open page holds: whatever neither the feed nor a closed page does."""
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
