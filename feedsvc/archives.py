"""Keeps the archives of feeds (RFC 5005, section 4), and gives out their pages.

A page is closed when its entries are known; that is a matter of numbers, so that an import of 60,000
closes hundreds of pages at once. Its bytes are made when somebody first asks for it. From then on they
are kept in the store, and no new version, rule or title changes them. One thing does: an entry that is
withdrawn or retired is cut out of the page that holds it, for then it has to go; the page stays, even
empty, so that the chain holds. Caches may keep the old page for as long as they were told.

The bytes hold a placeholder for the base URL: the same page read under another base is another
representation, with an ETag of its own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.feeds.archive import ANY_BASE, PAGE_ENTRIES, RESERVE, cut_entries, page_of, set_base, split
from feedsvc.feeds.atom import MEDIA_TYPE, render_atom
from feedsvc.feeds.sift import sift
from feedsvc.represent import represent
from feedsvc.store import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.feeds.sift import Sifted
    from feedsvc.model import Entry, FeedDocument, Representation
    from feedsvc.store import Archive, Store
    from feedsvc.store.archives import ArchiveTables

__all__ = ["FOR_EVER", "Archives", "Links", "Membership"]

logger = logging.getLogger(__name__)

FOR_EVER = 31_536_000  # seconds: a year, the most that RFC 2616 knew and caches honour
_KEPT = 16  # representations in memory


@dataclass(frozen=True, slots=True)
class Membership:
    """A feed, and what changed of which entries it has. Entries are named by the store's numbers.

    Attributes:
        feed: The feed's name.
        shown: The entries that the feed itself holds: no archive page need hold them.
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


@dataclass(frozen=True, slots=True)
class Links:
    """Where a feed's archive begins; see `feedsvc.model.FeedDocument`."""

    previous: int | None
    open_state: str | None


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
            admit: Gives entries as readers may see them, without those that they may not; see `feedsvc.guard`.
            page_entries: How many entries a page has that is closed from now on.
            reserve: See `feedsvc.feeds.archive.split`.
        """
        self._store = store
        self._max_age = max_age
        self._admit = admit
        self._page_entries = page_entries
        self._reserve = reserve
        self._feeds: frozenset[str] = frozenset()
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int, str], tuple[object, Representation]] = OrderedDict()

    def outdated(self, rules: Mapping[str, str]) -> tuple[int, frozenset[str]]:
        """What is to be told after a start.

        Args:
            rules: What decides which entries are a feed's, by the feed's name; see `Membership`.

        Returns:
            The revision of the store's entries since which changes are to be told, and the names of the feeds
            all of whose entries are to be told: they are new, or have another rule.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.archiving() as reader:
            told = reader.archives.told()
        self._feeds = frozenset(rules)
        known = {name: told[name] for name in rules if name in told}
        new = frozenset(name for name, rule in rules.items() if name not in known or known[name][0] != rule)
        return min((revision for name, (_, revision) in known.items() if name not in new), default=0), new

    def update(self, feeds: Iterable[Membership], now: datetime, revision: int = 0) -> dict[str, Links]:
        """Take down which entries feeds have, and close pages, in one transaction.

        To be called before feeds are published, with those that changed, even where no entry that they show did;
        after a start with all of them, and with what `outdated` asks for.

        Args:
            feeds: What changed.
            now: Aware, in UTC.
            revision: Of the store's entries, up to which this tells all changes of the feeds that `outdated`
                was told.

        Returns:
            What the documents of the feeds are to name, by the feed's name.

        Raises:
            StoreError: The store cannot be written.
        """
        links = {}
        with self._store.writing() as writer:
            for feed in feeds:
                links[feed.feed] = self._update(writer.archives, feed)
                if feed.left:
                    self._cut(writer.archives, feed.left, now)
            writer.archives.save_revision(revision, self._feeds | links.keys())
        return links

    def _update(self, tables: ArchiveTables, feed: Membership) -> Links:
        archive = tables.begin(feed.feed, feed.rule)
        if feed.left:
            tables.leave(archive, feed.left)
        tables.join(archive, feed.joined)
        done = split(tables.members(archive), feed.shown, page_entries=self._page_entries, reserve=self._reserve)
        archive = tables.close(archive, done.pages)
        if done.pages:
            logger.info("archive pages closed", extra={"feed": feed.feed, "pages": archive.closed})
        newest = archive.closed + 1 if done.open else archive.closed
        return Links(newest if newest >= archive.first else None, done.state)

    def drop_gone(self, now: datetime) -> None:
        """Take what was withdrawn or retired out of all pages; to be called after a start and after retention.

        Raises:
            StoreError: The store cannot be written.
        """
        with self._store.writing() as writer:
            self._cut(writer.archives, None, now)

    def _cut(self, tables: ArchiveTables, numbers: Collection[int] | None, now: datetime) -> None:
        for (archive, page), gone in tables.load_gone(numbers).items():
            body = cut_entries(tables.load_body(archive, page), gone.values())
            tables.cut_page(archive, page, body, gone, now)

    def load(self, document: FeedDocument, number: int, base_url: str) -> Representation | None:
        """A page of a feed's archive. It may wait for the store and render.

        Args:
            document: The feed as it is published, with its `Links`.
            number: The page's, from 1.
            base_url: Of the request.

        Returns:
            None where there is no such page.

        Raises:
            StoreError: The store cannot be read, or not written where the page is asked for for the first time.
            RenderError: The page cannot be rendered.
        """
        name = document.name
        with self._store.archiving() as reader:
            archive = reader.archives.find(name)
            if archive is None or not 0 < number <= archive.closed + 1:
                return None
            is_open = number > archive.closed
            state = document if is_open else reader.archives.load_modified(archive, number)
            kept = self._recall((name, number, base_url), state)
            if kept is not None:
                return kept
            if is_open:
                members = reader.archives.members(archive)
                shown = {entry.key for entry in document.entries}
                entries = reader.load_live([member.number for member in members if member.key not in shown])
                if not entries and archive.closed < archive.first:
                    return None
                sifted = _render(document, self._admit([entry for _, entry in entries]), number, archive)
                made = represent(
                    set_base(sifted.body, base_url),
                    MEDIA_TYPE,
                    last_modified=sifted.document.updated,
                    max_age=self._max_age,
                )
                return self._keep((name, number, base_url), document, made)
            page = reader.archives.load_page(archive, number)
        if page is None:
            page = self._freeze(document, number)
        made = represent(
            set_base(page.body, base_url), MEDIA_TYPE, last_modified=page.modified, max_age=FOR_EVER, immutable=True
        )
        return self._keep((name, number, base_url), page.modified, made)

    def _freeze(self, document: FeedDocument, number: int) -> Page:
        """Make the bytes of a closed page, once and for all."""
        with self._store.writing() as writer:
            archive = writer.archives.find(document.name)
            if archive is None:
                raise StoreError(f"{self._store.url}: the archive of feed {document.name} is gone")
            page = writer.archives.load_page(archive, number)
            if page is not None:  # another was faster
                return page
            entries = dict(writer.load_live(writer.archives.held(archive, number)))
            sifted = _render(document, self._admit(list(entries.values())), number, archive)
            page = Page(sifted.body, sifted.document.updated)
            shown = {entry.key for entry in sifted.document.entries}
            updated = {number: entry.updated for number, entry in entries.items() if entry.key in shown}
            writer.archives.save_page(archive, number, page, updated)
            return page

    def _recall(self, key: tuple[str, int, str], state: object) -> Representation | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or found[0] != state:
                return None
            self._kept.move_to_end(key)
            return found[1]

    def _keep(self, key: tuple[str, int, str], state: object, made: Representation) -> Representation:
        with self._lock:
            self._kept[key] = state, made
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _render(document: FeedDocument, entries: Sequence[Entry], number: int, archive: Archive) -> Sifted:
    page = page_of(
        document,
        entries,
        number,
        first=archive.first,
        closed=archive.closed,
        state=document.open_state if number > archive.closed else None,
    )
    sifted = sift(page, ANY_BASE, render_atom)
    for fault in sifted.faults:
        logger.error(
            "entry left out of the archive", extra={"feed": document.name, "id": fault.entry.id, "reason": fault.reason}
        )
    return sifted
