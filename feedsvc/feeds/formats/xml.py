"""Additions to feedgen: the same bytes in any process for both XML formats, and errors that name the entry."""

from __future__ import annotations

import re
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

import feedgen.entry
import feedgen.feed
from feedgen.ext.media import MediaEntryExtension, MediaExtension
from lxml import etree

from feedsvc.errors import RenderError
from feedsvc.feeds.formats.media import thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedgen.entry import FeedEntry
    from feedgen.feed import FeedGenerator

    from feedsvc.feeds.formats.media import Medium
    from feedsvc.model import FeedDocument

# Plain text. No content can be mistaken for such an element: its markup is escaped.
_PLAIN: Final = re.compile(
    rb'<(?:title|subtitle|name|rights|summary type="text"|category|dc:creator|dc:rights|description)>[^<]+'
)

# feedgen 1.0 sets the locale of the whole process for each date: other threads must not see that.
feedgen.feed.formatRFC2822 = feedgen.entry.formatRFC2822 = format_datetime


def register_media(feed: FeedGenerator) -> None:
    """Let a feed's entries have the elements of Media RSS."""
    feed.register_extension("media", MediaExtension, MediaEntryExtension)


def add_media(element: FeedEntry, media: tuple[Medium, ...]) -> None:
    """Name an entry's pictures, sounds and videos (Media RSS 1.5.1), each by itself rather than in a group."""
    for medium in media:
        known = {"url": medium.address, "medium": medium.kind, "type": medium.media_type, "group": None}
        element.media.content({name: value for name, value in known.items() if value or name == "group"})
    if picture := thumbnail(media):
        element.media.thumbnail({"url": picture.address, "group": None})


def written(
    document: FeedDocument,
    write: Callable[[], bytes],
    elements: Callable[[], list[tuple[str, Callable[[], etree._Element]]]],
) -> bytes:
    """Write a feed as well-formed XML in UTF-8.

    In plain text, `&` and `<` are hexadecimal references, as the RSS Best Practices Profile asks for: to XML it is all
    the same, while some readers and validators take `&lt;` for a sign of markup.

    Raises:
        RenderError: It would not be well-formed; names the feed and the entry at fault.
    """
    try:
        body = _PLAIN.sub(_with_references, write())
        etree.fromstring(body)
    except (ValueError, etree.XMLSyntaxError) as error:
        raise RenderError(f"feed {document.name}: {_fault(elements())}: {error}") from error
    return body


def _fault(elements: list[tuple[str, Callable[[], etree._Element]]]) -> str:
    """Name the first entry that fails by itself, else the feed's own elements."""
    for entry_id, make in elements:
        try:
            etree.fromstring(etree.tostring(make()))
        except (ValueError, etree.XMLSyntaxError):
            return f"entry {entry_id!r}"
    return "its own elements"


def _with_references(text: re.Match[bytes]) -> bytes:
    return text[0].replace(b"&amp;", b"&#x26;").replace(b"&lt;", b"&#x3C;")
