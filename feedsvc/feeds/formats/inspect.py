"""Looks at the bytes of feeds as a reader would: the requirements of each format, and faults that readers trip over."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    _Parts = dict[str, list[Any]]  # an element's children by tag

# An entry larger than this makes readers stop at it, or drop the whole feed.
_MOST_ENTRY_BYTES: Final = 4_000_000

_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")  # RFC 4287, section 4.2.6
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")  # RFC 3339
_FEED_ONCE: Final = ("id", "title", "updated")
_FEED_MOST_ONCE: Final = ("generator", "icon", "logo", "rights", "subtitle")
_ENTRY_ONCE: Final = ("id", "title", "updated")
_ENTRY_MOST_ONCE: Final = ("content", "published", "rights", "source", "summary")


@dataclass(frozen=True, slots=True)
class Finding:
    """An error, with the id of the entry at fault, or None if it is the feed's own."""

    entry: str | None
    message: str


def inspect_atom(body: bytes, *, max_entry_bytes: int = _MOST_ENTRY_BYTES) -> list[Finding]:
    """List the errors of an Atom feed (RFC 4287, sections 4.1.1 and 4.1.2), those of the feed itself first."""
    try:
        feed = etree.fromstring(body)
    except etree.XMLSyntaxError as error:
        return [Finding(None, f"not well-formed: {error}")]
    if feed.tag != f"{_ATOM}feed":
        return [Finding(None, f"is <{feed.tag}>, not an Atom feed")]
    whole = _parts_of(feed)
    found = [Finding(None, message) for message in _look_at_feed(whole)]
    entries = [_parts_of(entry) for entry in whole[f"{_ATOM}entry"]]
    signed = _has(whole, "author")
    return found + _find_in_entries(
        (_text(entry, "id"), _look_at_entry(entry, signed=signed, max_bytes=max_entry_bytes)) for entry in entries
    )


def inspect_rss(body: bytes) -> list[Finding]:
    """List the errors of an RSS feed (RSS 2.0.11, "Required channel elements" and "Elements of <item>").

    Those of the channel come first. An item's guid is the id of its entry.
    """
    try:
        rss = etree.fromstring(body)
    except etree.XMLSyntaxError as error:
        return [Finding(None, f"not well-formed: {error}")]
    channel = rss.find("channel")
    if rss.tag != "rss" or rss.get("version") != "2.0" or channel is None:
        return [Finding(None, f"is <{rss.tag}>, not an RSS 2.0 feed")]
    found = [Finding(None, f"has no {name}") for name in ("title", "link", "description") if not channel.findtext(name)]
    return found + _find_in_entries((item.findtext("guid"), _look_at_item(item)) for item in channel.iter("item"))


def inspect_json_feed(body: bytes) -> list[Finding]:
    """List the errors of a JSON Feed (JSON Feed 1.1, "Top-level" and "Items"), those of the feed itself first."""
    try:
        feed = json.loads(body)
    except ValueError as error:
        return [Finding(None, f"is no JSON: {error}")]
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return [Finding(None, "is no object with a list of items, so not a JSON Feed")]
    found = [Finding(None, f"has no {name}") for name in ("version", "title") if not feed.get(name)]
    return found + _find_in_entries((item.get("id"), _look_at_json_item(item)) for item in items)


def _find_in_entries(entries: Iterable[tuple[str | None, Iterable[str]]]) -> list[Finding]:
    """List the errors of entries, each given by its id and its own errors."""
    found: list[Finding] = []
    seen: set[str | None] = set()
    for position, (entry_id, messages) in enumerate(entries, start=1):
        if entry_id in seen:
            found.append(Finding(entry_id, f"entry {position}: its id {entry_id!r} is another entry's as well"))
        seen.add(entry_id or "")
        found += (Finding(entry_id, f"entry {position} ({entry_id!r}): {message}") for message in messages)
    return found


def _look_at_item(item: etree._Element) -> Iterator[str]:
    if not item.findtext("guid"):
        yield "has no guid"
    if not item.findtext("title") and not item.findtext("description"):
        yield "has neither title nor description"
    try:
        parsedate_to_datetime(item.findtext("pubDate") or "")
    except ValueError:
        yield f"has pubDate {item.findtext('pubDate')!r}, which is no date and time of RFC 822"
    if not all(enclosure.get("url") and enclosure.get("type") for enclosure in item.iter("enclosure")):
        yield "has an enclosure without address or type"


def _look_at_json_item(item: dict[str, Any]) -> Iterator[str]:
    if not isinstance(item.get("id"), str) or not item["id"]:
        yield "has no id"
    if "content_html" not in item and "content_text" not in item:
        yield "has neither content_html nor content_text"
    for name in ("date_published", "date_modified"):
        if name in item and not _is_instant(item[name]):
            yield f"has {name} {item[name]!r}, which is no date and time of RFC 3339"


def _parts_of(element: etree._Element) -> _Parts:
    # In one go: a feed is looked at whenever it changes, and to ask lxml for each kind takes three times as long.
    parts: _Parts = defaultdict(list)
    for child in element:
        parts[str(child.tag)].append(child)
    return parts


def _has(parts: _Parts, name: str) -> bool:
    return _ATOM + name in parts


def _text(parts: _Parts, name: str) -> str | None:
    """The text of the first child of a name, as `findtext`; None if there is none."""
    return (parts[_ATOM + name][0].text or "") if _has(parts, name) else None


def _look_at_feed(feed: _Parts) -> Iterator[str]:
    yield from _count(feed, _FEED_ONCE, _FEED_MOST_ONCE)
    yield from _look_at_parts(feed)
    entries = feed.get(f"{_ATOM}entry", ())
    if not _has(feed, "author") and any(entry.find(f"{_ATOM}author") is None for entry in entries):
        yield "has no author, and neither have all entries"


def _look_at_entry(entry: _Parts, *, signed: bool, max_bytes: int) -> Iterator[str]:
    yield from _count(entry, _ENTRY_ONCE, _ENTRY_MOST_ONCE)
    yield from _look_at_parts(entry)
    sources = entry.get(f"{_ATOM}source", ())
    if not signed and not _has(entry, "author") and all(each.find(f"{_ATOM}author") is None for each in sources):
        yield "has no author"
    contents = entry.get(f"{_ATOM}content", ())
    if not contents and not any(_is_alternate(link) for link in entry.get(f"{_ATOM}link", ())):
        yield "has neither content nor a link of relation alternate"
    for content in contents[:1]:
        if content.get("src") is not None and not _has(entry, "summary"):
            yield "has content elsewhere, and no summary"
        if len(content.text or "") > max_bytes:
            yield f"has content of {len(content.text or '')} characters, more than {max_bytes}"


def _count(parts: _Parts, once: tuple[str, ...], most_once: tuple[str, ...]) -> Iterator[str]:
    for name in once:
        number = len(parts.get(_ATOM + name, ()))
        if number != 1:
            yield f"has {number} elements {name}, not one"
        elif name != "title" and not (_text(parts, name) or "").strip():
            yield f"has an empty {name}"
    for name in most_once:
        if (number := len(parts.get(_ATOM + name, ()))) > 1:
            yield f"has {number} elements {name}, more than one"


def _look_at_parts(parts: _Parts) -> Iterator[str]:
    """Errors of feed and entry alike (RFC 4287, sections 3 and 4.2)."""
    part_id = _text(parts, "id")
    if part_id and part_id.strip() and not _ABSOLUTE.fullmatch(part_id):
        yield f"has the id {part_id!r}, which is no absolute IRI"
    for name in ("updated", "published"):
        moment = _text(parts, name)
        if moment and not _is_instant(moment):
            yield f"has {name} {moment!r}, which is no date and time of RFC 3339"
    for person in [*parts.get(f"{_ATOM}author", ()), *parts.get(f"{_ATOM}contributor", ())]:
        if not (person.findtext(f"{_ATOM}name") or "").strip():
            yield "has an author without a name"
    if any(not category.get("term") for category in parts.get(f"{_ATOM}category", ())):
        yield "has a category without a term"
    links = parts.get(f"{_ATOM}link", ())
    if any(not link.get("href") for link in links):
        yield "has a link that leads nowhere"
    alternates = [(link.get("type"), link.get("hreflang")) for link in links if _is_alternate(link)]
    if len(alternates) > len(set(alternates)):
        yield "has two links of relation alternate with the same type and language"


def _is_alternate(link: etree._Element) -> bool:
    return link.get("rel", "alternate") == "alternate"


def _is_instant(text: object) -> bool:
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
