"""What a static site consists of: the pages that the daemon would serve, in the order in which they are written."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from feedsvc.build import Page
from feedsvc.http import render_entry, static_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from feedsvc.model import Representation
    from feedsvc.store import Store

__all__ = ["entry_pages", "published_pages", "site_pages"]


def site_pages(
    store: Store, title: str, base_url: str, *, archives: Iterable[Page] = (), feeds: Iterable[Page]
) -> Iterator[Page]:
    """All pages, each after those that it names.

    Args:
        store: Holds the entries.
        title: Of the feed of everything, plain text.
        base_url: Where the site will be, without a slash at its end.
        archives: Archive pages.
        feeds: Feeds in all formats, their pages for people, and lists of them.

    Raises:
        FeedsvcError: Something cannot be read or rendered.
    """
    return chain(published_pages(static_files().items()), entry_pages(store, title, base_url), archives, feeds)


def entry_pages(store: Store, title: str, base_url: str) -> Iterator[Page]:
    """A page an entry, newest first; read and rendered as they are asked for.

    Raises:
        StoreError: The store cannot be read.
    """
    for entry, removals in store.live_ledgers():
        yield Page(f"/entries/{entry.key}", render_entry(entry, removals, base_url, title))


def published_pages(published: Iterable[tuple[str, Representation]]) -> Iterator[Page]:
    """What is at addresses, as pages."""
    for address, found in published:
        yield Page(address, found.body, found.last_modified, found.codings)
