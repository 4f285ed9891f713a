"""What a static site consists of: the pages that the daemon would serve, in the order in which they are written."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from feedsvc.feeds.export import Page
from feedsvc.feeds.formats.addresses import EVERYTHING, archive_path, feed_path
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.pages.pages import render_entry
from feedsvc.feeds.represent import represent
from feedsvc.feeds.resources import make_resources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from feedsvc.feeds.archives import Archives
    from feedsvc.feeds.assemble import Assembler
    from feedsvc.feeds.guard import Guard
    from feedsvc.feeds.publish import Resource
    from feedsvc.store import Store

__all__ = ["site_pages"]


def site_pages(
    store: Store,
    assembler: Assembler,
    base_url: str,
    now: datetime,
    *,
    archives: Archives | None = None,
    guard: Guard | None = None,
    private: Collection[str] = (),
) -> Iterator[Page]:
    """All pages, each after those that it names; read and rendered as they are asked for.

    Args:
        store: Holds the entries.
        assembler: Makes the feeds; refreshed.
        base_url: Where the site will be, without a slash at its end.
        now: Aware.
        archives: The archives that the assembler keeps up to date; None for feeds without archives.
        guard: Looks at feeds before they are written; None for nobody.
        private: The names of feeds that are left out, for files ask nobody for a password.

    Raises:
        FeedsvcError: Something cannot be read or rendered.
    """
    feeds = _feed_pages(assembler, base_url, now, archives=archives, guard=guard, private=private)
    title = assembler.documents[EVERYTHING].title
    return chain(_fixed_pages(), _entry_pages(store, title, base_url), feeds)


def _fixed_pages() -> Iterator[Page]:
    for address, representation in static_files().items():
        yield Page(address, representation.body, representation.last_modified, representation.codings)


def _entry_pages(store: Store, title: str, base_url: str) -> Iterator[Page]:
    """A page an entry, newest first."""
    for entry, removals in store.live_ledgers():
        yield Page(f"/entries/{entry.key}", render_entry(entry, removals, base_url, title, searchable=False))


def _feed_pages(
    assembler: Assembler,
    base_url: str,
    now: datetime,
    *,
    archives: Archives | None,
    guard: Guard | None,
    private: Collection[str],
) -> Iterator[Page]:
    """Archives, feeds in all formats and their pages for people, a feed after the other; then what shows all feeds."""
    documents = {name: document for name, document in assembler.documents.items() if name not in private}
    formats = {name: extensions for name, extensions in assembler.formats.items() if name not in private}
    showing: dict[str | None, list[tuple[str, Resource]]] = {}
    resources = make_resources(formats, title=documents[EVERYTHING].title, searchable=False, guard=guard)
    for address, resource in resources.items():
        showing.setdefault(resource.feed, []).append((address, resource))
    for feed in sorted(showing, key=lambda feed: feed is None):
        if archives and feed is not None and feed_path(feed, "atom") in resources:
            for number, page in archives.pages(documents[feed], base_url):
                yield Page(archive_path(feed, number), page.body, page.modified)
        document, last_modified = (documents, None) if feed is None else assembler.load(feed, now)
        for address, resource in showing[feed]:
            made = represent(
                resource.render(document, base_url), resource.media_type, last_modified=last_modified, max_age=0
            )
            yield Page(address, made.body, made.last_modified, made.codings)
