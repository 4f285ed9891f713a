"""OPML 2.0 (http://opml.org/spec2.opml): all feeds in one file, for people who change or set up a reader."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

from lxml import etree

from feedsvc.errors import RenderError
from feedsvc.feeds.formats.addresses import feed_path, page_path
from feedsvc.feeds.formats.elements import feed_language, instant, line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feedsvc.model import FeedDocument

MEDIA_TYPE = "text/x-opml; charset=utf-8"


def render_opml(documents: Iterable[FeedDocument], base_url: str, title: str) -> bytes:
    """Render a list of at least one feed in UTF-8; the same bytes for the same documents.

    Feeds are listed by their Atom addresses: Atom leaves readers nothing to guess. There is no `version` for it ("There
    are no known values for Atom feeds").

    Raises:
        RenderError: A name cannot be written; names the feed at fault.
    """
    listed = tuple(documents)
    root = etree.Element("opml", version="2.0")
    head = etree.SubElement(root, "head")
    etree.SubElement(head, "title").text = line(title)
    if listed:
        newest = max(document.updated for document in listed)
        etree.SubElement(head, "dateModified").text = format_datetime(instant(newest))
    body = etree.SubElement(root, "body")
    for document in listed:
        try:
            etree.SubElement(body, "outline", _outline(document, base_url))
        except ValueError as error:
            raise RenderError(f"feed {document.name}: its outline: {error}") from error
    written: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)
    return written


def _outline(document: FeedDocument, base_url: str) -> dict[str, str]:
    title = line(document.title) or document.name
    known = {
        "type": "rss",  # of Atom feeds too
        "text": title,
        "title": title,
        "description": line(document.subtitle or ""),
        "language": feed_language(document) or "",
        "htmlUrl": base_url + page_path(document.name),
        "xmlUrl": base_url + feed_path(document.name, "atom"),
    }
    return {name: value for name, value in known.items() if value}
