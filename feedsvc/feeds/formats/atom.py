"""Atom 1.0 (RFC 4287), written by feedgen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedgen.entry import FeedEntry
from feedgen.feed import FeedGenerator

from feedsvc import __version__
from feedsvc.feeds.formats.addresses import feed_path, page_path
from feedsvc.feeds.formats.elements import (
    alternate_link,
    byline,
    categories,
    entry_language,
    feed_language,
    headline,
    instant,
    language_tag,
    legal,
    line,
)
from feedsvc.feeds.formats.history import add_history
from feedsvc.feeds.formats.media import enclosures, find_media
from feedsvc.feeds.formats.xml import add_media, register_media, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml import etree

    from feedsvc.model import Entry, FeedDocument

MEDIA_TYPE = "application/atom+xml; charset=utf-8"

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def render_atom(document: FeedDocument, base_url: str) -> bytes:
    """Render a feed as Atom in UTF-8; the same bytes for the same document in any process.

    Raises:
        RenderError: It would not be well-formed; names the feed and the entry at fault.
    """
    feed = _feed(document, base_url)
    language = feed_language(document)
    feed.language(language)
    for entry in document.entries:
        _add_entry(feed, entry, base_url, language)
    return written(document, feed.atom_str, lambda: [(element.id(), element.atom_entry) for element in feed.entry()])


class _LinkedEntry(FeedEntry):  # type: ignore[misc]  # feedgen ships no types
    """feedgen 1.0 drops every attribute of an entry's link but href; this puts them back, and adds the language."""

    language: str | None = None

    def atom_entry(self, extensions: bool = True) -> etree._Element:  # noqa: FBT001, FBT002 - feedgen's signature
        entry: etree._Element = super().atom_entry(extensions)
        for link, given in zip(entry.findall("link"), self.link(), strict=True):
            link.attrib.update(given)
        for title in entry.findall("title"):
            title.set("type", "text")  # the default, but some readers guess without it
        if self.language:
            entry.set(_LANG, self.language)
        return entry


def _feed(document: FeedDocument, base_url: str) -> FeedGenerator:
    """RFC 4287, section 4.1.1."""
    feed = FeedGenerator()
    register_media(feed)
    feed.id(document.id)
    feed.title(line(document.title))
    feed.subtitle(line(document.subtitle or "") or None)
    feed.author(name=line(document.author))
    feed.updated(instant(document.updated))
    if document.archive is None:
        feed.link(href=base_url + feed_path(document.name, "atom"), rel="self", type="application/atom+xml")
    add_history(feed, document, base_url)
    feed.link(href=base_url + page_path(document.name), rel="alternate", type="text/html")
    for hub in document.hubs:
        feed.link(href=hub, rel="hub")
    feed.generator("feedsvc", version=__version__)
    feed.icon(f"{base_url}/icon.png")
    return feed


def _add_entry(feed: FeedGenerator, entry: Entry, base_url: str, language: str | None) -> None:
    """RFC 4287, section 4.1.2."""
    element = _LinkedEntry()
    feed.add_entry(element, order="append")
    element.language = entry_language(entry, language)
    alternate = alternate_link(entry, base_url)
    element.id(entry.id)
    element.title(headline(entry, base_url))
    element.link(href=alternate, rel="alternate")
    for link in _other_versions(entry, alternate):
        element.link(**link)
    element.published(instant(entry.published))
    element.updated(instant(entry.updated))
    if name := byline(entry):
        element.author(name=name)
    content = legal(entry.content)
    # Advisable without content (RFC 4287, section 4.1.1.1).
    if summary := legal(entry.summary) or ("" if content else headline(entry, base_url)):
        element.summary(summary, type="text")
    if content:
        element.content(content, type="html")
    for term in categories(entry):
        element.category(term=term)
    element.rights(legal(entry.rights) if entry.rights else None)
    media = find_media(entry)
    for medium in enclosures(media):
        element.link(href=medium.address, rel="enclosure", type=medium.media_type)
    add_media(element, media)


def _other_versions(entry: Entry, alternate: str) -> Iterator[dict[str, str]]:
    """RFC 4287, section 4.2.7.2: `related`, since most readers open the last `alternate` of any language."""
    given = set()
    for version in entry.alternates:
        href, language = legal(version.href), language_tag(version.language)
        if href and href != alternate and href not in given:
            given.add(href)
            yield {"href": href, "rel": "related"} | ({"hreflang": language} if language else {})
