"""Atom 1.0 (RFC 4287), written by feedgen."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from feedgen.entry import FeedEntry
from feedgen.feed import FeedGenerator
from lxml import etree

from feedsvc import __version__
from feedsvc.errors import RenderError
from feedsvc.feeds.addresses import feed_path, page_path
from feedsvc.feeds.history import add_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from feedsvc.model import Entry, FeedDocument

__all__ = ["MEDIA_TYPE", "render_atom"]

MEDIA_TYPE = "application/atom+xml; charset=utf-8"

_LANGUAGE_TAG = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")  # RFC 4287, appendix B
# What is not a Char of XML 1.0 (section 2.2); lone surrogates are among it.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_atom(document: FeedDocument, base_url: str) -> bytes:
    """Render a feed as Atom.

    Every element comes from the document and none from the clock, so the same
    document gives the same bytes in any process.

    Args:
        document: The feed, its entries in the order they shall stand in.
        base_url: Where the feed is served, without a slash at its end.

    Returns:
        The XML document in UTF-8.

    Raises:
        RenderError: It would not be well-formed; names the feed and the entry at fault.
    """
    feed = _feed(document, base_url)
    for entry in document.entries:
        feed.add_entry(_entry(entry, base_url), order="append")
    try:
        body: bytes = feed.atom_str()
        etree.fromstring(body)
    except (ValueError, etree.XMLSyntaxError) as error:
        raise RenderError(f"feed {document.name}: {_fault(feed)}: {error}") from error
    return body


class _LinkedEntry(FeedEntry):  # type: ignore[misc]  # feedgen ships no types
    """feedgen 1.0 drops every attribute of an entry's link but href; this puts them back."""

    def atom_entry(self, extensions: bool = True) -> etree._Element:  # noqa: FBT001, FBT002 - feedgen's signature
        entry: etree._Element = super().atom_entry(extensions)
        for link, given in zip(entry.findall("link"), self.link(), strict=True):
            link.attrib.update(given)
        return entry


def _feed(document: FeedDocument, base_url: str) -> FeedGenerator:
    """RFC 4287, section 4.1.1."""
    feed = FeedGenerator()
    feed.id(document.id)
    feed.title(_legal(document.title))
    feed.subtitle(_legal(document.subtitle) if document.subtitle else None)
    feed.author(name=_legal(document.author))
    feed.updated(_instant(document.updated))
    if document.archive is None:
        feed.link(href=base_url + feed_path(document.name, "atom"), rel="self", type="application/atom+xml")
    add_history(feed, document, base_url)
    feed.link(href=base_url + page_path(document.name), rel="alternate", type="text/html")
    feed.generator("feedsvc", version=__version__)
    feed.icon(f"{base_url}/icon.png")
    feed.language(document.language)
    return feed


def _entry(entry: Entry, base_url: str) -> _LinkedEntry:
    """RFC 4287, section 4.1.2."""
    alternate = _legal(entry.link or "") or f"{base_url}/entries/{entry.key}"
    element = _LinkedEntry()
    element.id(entry.id)
    element.title(_legal(entry.title) or alternate)
    element.link(href=alternate, rel="alternate")
    for link in _other_versions(entry, alternate):
        element.link(**link)
    element.published(_instant(entry.published))
    element.updated(_instant(entry.updated))
    if name := _legal(entry.author or entry.source or ""):
        element.author(name=name)
    if summary := _legal(entry.summary):
        element.summary(summary, type="text")
    if content := _legal(entry.content):
        element.content(content, type="html")
    for term in filter(None, map(_legal, entry.categories)):
        element.category(term=term)
    element.rights(_legal(entry.rights) if entry.rights else None)
    return element


def _other_versions(entry: Entry, alternate: str) -> Iterator[dict[str, str]]:
    """RFC 4287, section 4.1.2: no two alternates have the same language, or both none."""
    languages = set()
    for version in entry.alternates:
        href, language = _legal(version.href), version.language or ""
        if not href or href == alternate:
            continue
        if not _LANGUAGE_TAG.fullmatch(language):
            yield {"href": href, "rel": "related"}
        elif language.lower() not in languages:
            languages.add(language.lower())
            yield {"href": href, "rel": "alternate", "hreflang": language}


def _fault(feed: FeedGenerator) -> str:
    """Name what cannot be rendered: the first entry that fails by itself, else the feed's own elements."""
    for element in feed.entry():
        try:
            etree.fromstring(etree.tostring(element.atom_entry()))
        except (ValueError, etree.XMLSyntaxError):
            return f"entry {element.id()!r}"
    return "its own elements"


def _instant(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("", text)
