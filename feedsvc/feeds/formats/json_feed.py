"""JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feedsvc.errors import RenderError
from feedsvc.feeds.formats.addresses import feed_path, page_path
from feedsvc.feeds.formats.elements import (
    alternate_link,
    byline,
    categories,
    entry_language,
    feed_language,
    headline,
    instant,
    legal,
    line,
)
from feedsvc.feeds.formats.media import enclosures, find_media, thumbnail
from feedsvc.feeds.formats.parts import dump_json

if TYPE_CHECKING:
    from feedsvc.model import Entry, FeedDocument

MEDIA_TYPE = "application/feed+json"

_VERSION = "https://jsonfeed.org/version/1.1"
_RIGHTS = "http://purl.org/dc/elements/1.1/rights"


def render_json_feed(document: FeedDocument, base_url: str) -> bytes:
    """Render a feed as JSON Feed in UTF-8; the same bytes for the same document in any process.

    An item has its id, address and dates as in Atom.

    Raises:
        RenderError: An id or the title cannot be written; names the feed and the entry at fault.
    """
    if not (title := line(document.title)):
        raise RenderError(f"feed {document.name}: its own elements: it has no title")
    language = feed_language(document)
    feed = {
        "version": _VERSION,
        "title": title,
        "description": line(document.subtitle or ""),
        "home_page_url": base_url + page_path(document.name),
        "feed_url": base_url + feed_path(document.name, "json"),
        "icon": f"{base_url}/icon.png",
        "favicon": f"{base_url}/favicon.ico",
        "authors": _authors(line(document.author)),
        "language": language,
        "hubs": [{"type": "WebSub", "url": hub} for hub in document.hubs],
    }
    items = [_item(document, entry, base_url, language) for entry in document.entries]
    return dump_json(_known(feed) | {"items": items})


def _item(document: FeedDocument, entry: Entry, base_url: str, language: str | None) -> dict[str, Any]:
    if not entry.id or legal(entry.id) != entry.id:
        raise RenderError(f"feed {document.name}: entry {entry.id!r}: its id holds characters that no feed may hold")
    media = find_media(entry)
    picture = thumbnail(media)
    item = {
        "id": entry.id,
        "url": alternate_link(entry, base_url),
        "title": headline(entry, base_url),
        "summary": legal(entry.summary),
        "image": picture and picture.address,
        "date_published": instant(entry.published).isoformat(),
        "date_modified": instant(entry.updated).isoformat(),
        "authors": _authors(byline(entry)),
        "tags": categories(entry),
        "language": entry_language(entry, language),
        "attachments": [{"url": medium.address, "mime_type": medium.media_type} for medium in enclosures(media)],
        "_dc": (rights := legal(entry.rights or "")) and {"about": _RIGHTS, "rights": rights},
    }
    return _known(item) | {"content_html": legal(entry.content)}  # asked for even if it is empty


def _authors(name: str) -> list[dict[str, str]]:
    return [{"name": name}] if name else []


def _known(members: dict[str, Any]) -> dict[str, Any]:
    """Leave out empty members."""
    return {name: value for name, value in members.items() if value}
