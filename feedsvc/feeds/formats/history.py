"""Marks and links of the documents of an archived feed (RFC 5005, section 4), for feedgen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedgen.ext.base import BaseEntryExtension, BaseExtension
from lxml import etree

from feedsvc.feeds.formats.addresses import archive_path, feed_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedgen.feed import FeedGenerator

    from feedsvc.model import FeedDocument

HISTORY = "http://purl.org/syndication/history/1.0"


class _Archive(BaseExtension):  # type: ignore[misc]  # feedgen ships no types
    """`fh:archive`: a document that will not change."""

    def extend_ns(self) -> dict[str, str]:
        return {"fh": HISTORY}

    def extend_atom(self, feed: etree._Element) -> etree._Element:
        etree.SubElement(feed, f"{{{HISTORY}}}archive")
        return feed


def add_history(feed: FeedGenerator, document: FeedDocument, base_url: str) -> None:
    """Mark an archive page, and link it or the feed itself to the pages beside it.

    The link `self` of an archive page is made here too.
    """
    if document.archive is not None:
        feed.register_extension("archive", _Archive, BaseEntryExtension, atom=True, rss=False)
    for relation, path in _links(document):
        feed.link(href=base_url + path, rel=relation, type="application/atom+xml")


def _links(document: FeedDocument) -> Iterator[tuple[str, str]]:
    name, number = document.name, document.archive
    if number is None:
        if document.previous is not None:
            yield "prev-archive", archive_path(name, document.previous, document.open_state)
        return
    yield "self", archive_path(name, number, document.open_state)
    yield "current", feed_path(name, "atom")
    if document.previous is not None:
        yield "prev-archive", archive_path(name, document.previous)
    if document.next is not None:
        yield "next-archive", archive_path(name, document.next)
