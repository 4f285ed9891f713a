"""RSS 2.0 (the RSS Advisory Board's specification, 2.0.11), written by feedgen."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from feedgen.entry import FeedEntry
from feedgen.ext.base import BaseEntryExtension, BaseExtension
from feedgen.ext.dc import DcEntryExtension, DcExtension
from feedgen.feed import FeedGenerator
from lxml import etree

from feedsvc import __version__
from feedsvc.feeds.formats.addresses import feed_path, page_path
from feedsvc.feeds.formats.elements import (
    alternate_link,
    byline,
    categories,
    feed_language,
    headline,
    instant,
    legal,
    line,
)
from feedsvc.feeds.formats.media import enclosures, find_media
from feedsvc.feeds.formats.xml import add_media, register_media, written

if TYPE_CHECKING:
    from feedsvc.model import Entry, FeedDocument

MEDIA_TYPE = "application/rss+xml; charset=utf-8"

_ATOM = "http://www.w3.org/2005/Atom"
_UPDATED = f"{{{_ATOM}}}updated"


def render_rss(document: FeedDocument, base_url: str) -> bytes:
    """Render a feed as RSS in UTF-8; the same bytes for the same document in any process.

    An entry has its id, address and dates as in Atom. A title is plain text, escaped once: RSS does not say so, but
    most readers take it so.

    Raises:
        RenderError: It would not be well-formed; names the feed and the entry at fault.
    """
    feed = _feed(document, base_url)
    for entry in document.entries:
        _add_item(feed, entry, base_url)
    return written(document, feed.rss_str, lambda: [(item.id(), item.rss_entry) for item in feed.entry()])


class _Hubs(BaseExtension):  # type: ignore[misc]  # feedgen ships no types
    """WebSub hubs: feedgen writes no other link than the feed's own."""

    addresses: tuple[str, ...] = ()

    def extend_ns(self) -> dict[str, str]:
        return {"atom": _ATOM}

    def extend_rss(self, feed: etree._Element) -> etree._Element:
        for address in self.addresses:
            etree.SubElement(feed[0], f"{{{_ATOM}}}link", rel="hub", href=address)
        return feed


class _Item(FeedEntry):  # type: ignore[misc]  # feedgen ships no types
    """An item that also says when it was updated, though RSS has no element for it."""

    atom_updated = ""

    def rss_entry(self, extensions: bool = True) -> etree._Element:  # noqa: FBT001, FBT002 - feedgen's signature
        if not self.id():
            raise ValueError("it has no id")
        item: etree._Element = super().rss_entry(extensions)
        etree.SubElement(item, _UPDATED).text = self.atom_updated
        return item


def _feed(document: FeedDocument, base_url: str) -> FeedGenerator:
    """The channel, but for its items."""
    feed = FeedGenerator()
    register_media(feed)
    feed.register_extension("dc", DcExtension, DcEntryExtension, atom=False)
    feed.register_extension("hubs", _Hubs, BaseEntryExtension, atom=False)
    feed.hubs.addresses = document.hubs
    title = line(document.title)
    feed.title(title)
    feed.description(line(document.subtitle or "") or title)
    feed.link(href=base_url + feed_path(document.name, "rss"), rel="self", type="application/rss+xml")
    feed.link(href=base_url + page_path(document.name), rel="alternate")
    feed.generator(f"feedsvc {__version__}")
    feed.language(feed_language(document))
    feed.lastBuildDate(instant(document.updated))
    return feed


def _add_item(feed: FeedGenerator, entry: Entry, base_url: str) -> None:
    item = _Item()
    feed.add_entry(item, order="append")
    item.guid(entry.id)
    item.title(headline(entry, base_url))
    item.link(href=alternate_link(entry, base_url))
    item.pubDate(instant(entry.published))
    item.atom_updated = instant(entry.updated).isoformat()
    if name := byline(entry):
        item.dc.dc_creator(name)
    if entry.rights and (rights := legal(entry.rights)):
        item.dc.dc_rights(rights)
    summary, content = legal(entry.summary), legal(entry.content)
    if summary:
        item.description(escape(summary, quote=False))  # an item's description is HTML
    if content:
        item.content(content)
    for term in categories(entry):
        item.category(term=term)
    media = find_media(entry)
    add_media(item, media)
    for medium in enclosures(media)[:1]:  # the specification knows one an item; its length is not known
        item.enclosure(medium.address, 0, medium.media_type)
