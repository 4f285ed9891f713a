"""What the specifications ask of feeds, as checks that give each fault found; written from their text.

Atom: RFC 4287. RSS: the RSS Advisory Board's specification and Best Practices Profile. JSON Feed: version 1.1.
OPML: version 2.0. Media: Media RSS 1.5.1.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ATOM = "http://www.w3.org/2005/Atom"
MEDIA = "http://search.yahoo.com/mrss/"
DC = "http://purl.org/dc/elements/1.1/"
CONTENT = "http://purl.org/rss/1.0/modules/content/"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")  # RFC 3986
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_LANGUAGE = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")  # RFC 5646
_MEDIA_TYPE = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9.+-]*")

_ATOM_ONCE = {
    "feed": {"id", "title", "updated"},
    "entry": {"id", "title", "updated"},
}
_ATOM_AT_MOST_ONCE = {
    "feed": {"generator", "icon", "logo", "rights", "subtitle"},
    "entry": {"content", "published", "rights", "source", "summary"},
}
_ATOM_MANY = {"author", "category", "contributor", "link"}
_RSS_CHANNEL = {"title", "link", "description", "docs", "generator", "language", "lastBuildDate", "item"}
_RSS_ITEM = {"title", "link", "description", "guid", "pubDate", "category", "enclosure"}
_RSS_EXTENSIONS = {
    f"{{{ATOM}}}link",
    f"{{{ATOM}}}updated",
    f"{{{DC}}}creator",
    f"{{{DC}}}rights",
    f"{{{CONTENT}}}encoded",
    f"{{{MEDIA}}}content",
    f"{{{MEDIA}}}thumbnail",
}
_JSON_FEED: dict[str, type] = {
    "version": str,
    "title": str,
    "home_page_url": str,
    "feed_url": str,
    "description": str,
    "icon": str,
    "favicon": str,
    "authors": list,
    "language": str,
    "hubs": list,
    "items": list,
}
_JSON_ITEM: dict[str, type] = {
    "id": str,
    "url": str,
    "title": str,
    "content_html": str,
    "summary": str,
    "image": str,
    "date_published": str,
    "date_modified": str,
    "authors": list,
    "tags": list,
    "language": str,
    "attachments": list,
}
_OUTLINE = {"type", "text", "title", "description", "language", "htmlUrl", "xmlUrl"}


def atom_faults(body: bytes) -> list[str]:
    """What is wrong with an Atom feed."""
    return list(_atom(etree.fromstring(body)))


def rss_faults(body: bytes) -> list[str]:
    """What is wrong with an RSS feed."""
    return list(_rss(etree.fromstring(body)))


def json_faults(body: bytes) -> list[str]:
    """What is wrong with a JSON Feed."""
    return list(_json(json.loads(body)))


def opml_faults(body: bytes) -> list[str]:
    """What is wrong with a list of feeds."""
    return list(_opml(etree.fromstring(body)))


def _atom(feed: etree._Element) -> Iterator[str]:
    if feed.tag != f"{{{ATOM}}}feed":
        yield f"root is {feed.tag}"
    yield from _atom_element(feed, "feed")
    if not _all(feed, "author"):
        yield "feed has no author"
    if [link.get("rel") for link in _all(feed, "link")].count("self") != 1:
        yield "feed has not one self link"
    entries = _all(feed, "entry")
    if list(feed)[len(feed) - len(entries) :] != entries:
        yield "entries are not last"
    yield from _twice("id", (entry.findtext(f"{{{ATOM}}}id") for entry in entries))
    for entry in entries:
        yield from _atom_element(entry, "entry")
        if _all(entry, "content") == [] and not (_all(entry, "summary") and _alternates(entry)):
            yield "entry without content has no summary or no alternate link (4.1.1.1, 4.1.2)"
    newest = max((entry.findtext(f"{{{ATOM}}}updated") or "" for entry in entries), default="")
    if newest > (feed.findtext(f"{{{ATOM}}}updated") or ""):
        yield "feed is older than its newest entry"


def _atom_element(element: etree._Element, name: str) -> Iterator[str]:
    counts = Counter(str(child.tag).removeprefix(f"{{{ATOM}}}") for child in element)
    once, at_most = _ATOM_ONCE[name], _ATOM_AT_MOST_ONCE[name]
    yield from (f"{name} has {counts[child]} {child}" for child in once if counts[child] != 1)
    yield from (f"{name} has {counts[child]} {child}" for child in at_most if counts[child] > 1)
    known = once | at_most | _ATOM_MANY | {"entry", f"{{{MEDIA}}}content", f"{{{MEDIA}}}thumbnail"}
    yield from (f"{name} has {child}" for child in counts.keys() - known)
    yield from _uri(element.findtext(f"{{{ATOM}}}id"))
    yield from _blank(f"{name} title", element.findtext(f"{{{ATOM}}}title"))
    for date in ("updated", "published"):
        for found in _all(element, date):
            yield from _date(found.text)
    for author in _all(element, "author"):
        yield from _blank("author", author.findtext(f"{{{ATOM}}}name"))
    for category in _all(element, "category"):
        yield from _blank("category", category.get("term"))
    yield from _twice("alternate", _alternates(element))
    for link in _all(element, "link"):
        yield from _uri(link.get("href"))
        yield from _media_type(link.get("type"))
        yield from _language(link.get("hreflang"))
    yield from _language(element.get(LANG))
    yield from _media(element)


def _rss(rss: etree._Element) -> Iterator[str]:
    channel = rss[0]
    if (rss.tag, rss.get("version"), channel.tag, len(rss)) != ("rss", "2.0", "channel", 1):
        yield "root is not rss 2.0 with one channel"
    yield from _known(channel, _RSS_CHANNEL | _RSS_EXTENSIONS, many={"item"})
    for name in ("title", "link", "description"):
        yield from _blank(f"channel {name}", channel.findtext(name))
    yield from _uri(channel.findtext("link"))
    yield from _uri(channel.findtext("docs"))
    yield from _language(channel.findtext("language"))
    yield from _rfc_822(channel.findtext("lastBuildDate"))
    links = _all(channel, "link")
    if [link.get("rel") for link in links].count("self") != 1:
        yield "channel has not one self link (Profile, atom:link)"
    for link in links:
        yield from _uri(link.get("href"))
    items = channel.findall("item")
    if list(channel)[len(channel) - len(items) :] != items:
        yield "items are not last"
    yield from _twice("guid", (item.findtext("guid") for item in items))
    for item in items:
        yield from _rss_item(item)


def _rss_item(item: etree._Element) -> Iterator[str]:
    yield from _known(item, _RSS_ITEM | _RSS_EXTENSIONS, many={"category", f"{{{MEDIA}}}content"})
    yield from _blank("item title", item.findtext("title"))
    yield from _uri(item.findtext("link"))
    yield from _rfc_822(item.findtext("pubDate"))
    yield from _date(item.findtext(f"{{{ATOM}}}updated"))
    guid = item.find("guid")
    if guid is None or not guid.text or guid.get("isPermaLink") != "false":
        yield "item has no guid, or one that claims to be its address"
    order = [child.tag for child in item if child.tag in ("description", f"{{{CONTENT}}}encoded")]
    if order[:1] == [f"{{{CONTENT}}}encoded"]:
        yield "content:encoded without description before it (Profile)"
    for enclosure in item.findall("enclosure"):
        yield from _uri(enclosure.get("url"))
        yield from _media_type(enclosure.get("type", ""))
        if not (enclosure.get("length") or "").isdecimal():
            yield "enclosure has no length"
    for name in ("category", f"{{{DC}}}creator"):
        for found in item.findall(name):
            yield from _blank(name, found.text)
    yield from _media(item)


def _media(element: etree._Element) -> Iterator[str]:
    for content in element.findall(f"{{{MEDIA}}}content"):
        yield from _uri(content.get("url"))
        yield from _media_type(content.get("type"))
        if content.get("medium") not in ("image", "audio", "video"):
            yield f"medium is {content.get('medium')}"
    for picture in element.findall(f"{{{MEDIA}}}thumbnail"):
        yield from _uri(picture.get("url"))


def _json(feed: dict[str, Any]) -> Iterator[str]:
    yield from _members(feed, _JSON_FEED, needed={"version", "title", "items"})
    if feed["version"] != "https://jsonfeed.org/version/1.1":
        yield f"version is {feed['version']}"
    for name in ("home_page_url", "feed_url", "icon", "favicon"):
        yield from _uri(feed.get(name, "x:y"))
    for hub in feed.get("hubs", []):
        yield from _members(hub, {"type": str, "url": str}, needed={"type", "url"})
    yield from _json_people(feed)
    yield from _language(feed.get("language"))
    yield from _twice("id", (item.get("id") for item in feed["items"]))
    for item in feed["items"]:
        yield from _json_item(item)


def _json_item(item: dict[str, Any]) -> Iterator[str]:
    yield from _members(item, _JSON_ITEM, needed={"id", "content_html"}, may_be_empty={"content_html"})
    for name in ("id", "url", "image"):
        yield from _uri(item.get(name, "x:y"))
    for name in ("date_published", "date_modified"):
        yield from _date(item.get(name))
    yield from _json_people(item)
    yield from _language(item.get("language"))
    for tag in item.get("tags", []):
        yield from _blank("tag", tag)
    for attachment in item.get("attachments", []):
        yield from _members(attachment, {"url": str, "mime_type": str}, needed={"url", "mime_type"})
        yield from _uri(attachment.get("url"))
        yield from _media_type(attachment.get("mime_type", ""))


def _json_people(holder: dict[str, Any]) -> Iterator[str]:
    for author in holder.get("authors", []):
        yield from _members(author, {"name": str, "url": str, "avatar": str}, needed={"name"})


def _opml(opml: etree._Element) -> Iterator[str]:
    if (opml.tag, opml.get("version"), [part.tag for part in opml]) != ("opml", "2.0", ["head", "body"]):
        yield "root is not opml 2.0 with a head and a body"
    head, body = opml
    yield from _known(head, {"title", "dateModified"}, many=set())
    if head.find("dateModified") is not None:
        yield from _rfc_822(head.findtext("dateModified"))
    if not len(body):
        yield "body has no outline"
    for outline in body:
        if outline.tag != "outline" or outline.get("type") != "rss":
            yield f"{outline.tag} of type {outline.get('type')}"
        yield from (f"outline has {name!r}" for name in outline.attrib if name not in _OUTLINE)
        for name in ("text", "title"):
            yield from _blank(name, outline.get(name))
        yield from _uri(outline.get("xmlUrl"))
        yield from _uri(outline.get("htmlUrl"))
        yield from _language(outline.get("language"))


def _all(element: etree._Element, name: str) -> list[etree._Element]:
    return element.findall(f"{{{ATOM}}}{name}")


def _alternates(element: etree._Element) -> list[tuple[str | None, str | None]]:
    """Type and language of each; the two together are unique (RFC 4287, sections 4.1.1 and 4.1.2)."""
    links = [link for link in _all(element, "link") if link.get("rel", "alternate") == "alternate"]
    return [(link.get("type"), link.get("hreflang")) for link in links]


def _known(element: etree._Element, known: set[str], *, many: set[str]) -> Iterator[str]:
    counts = Counter(str(child.tag) for child in element)
    yield from (f"{element.tag} has {name}" for name in counts.keys() - known)
    yield from (f"{element.tag} has {name} twice" for name in counts.keys() - many if counts[name] > 1)


def _members(
    holder: dict[str, Any], known: dict[str, type], *, needed: set[str], may_be_empty: Iterable[str] = ("items",)
) -> Iterator[str]:
    yield from (f"no {name}" for name in needed - holder.keys())
    for name, value in holder.items():
        if name.startswith("_"):
            if not isinstance(value, dict):
                yield f"extension {name} is no object"
        elif name not in known or not isinstance(value, known[name]):
            yield f"{name} is {value!r}"
        elif not value and name not in may_be_empty:
            yield f"{name} is empty"


def _twice(what: str, values: Iterable[object]) -> Iterator[str]:
    yield from (f"{what} {value} is there {count} times" for value, count in Counter(values).items() if count > 1)


def _blank(what: str, text: str | None) -> Iterator[str]:
    if not (text or "").strip():
        yield f"{what} is blank"


def _uri(address: str | None) -> Iterator[str]:
    if not _URI.fullmatch(address or "") or (str(address).startswith("http") and not urlsplit(str(address)).hostname):
        yield f"no absolute URI: {address!r}"


def _date(text: str | None) -> Iterator[str]:
    if not _RFC_3339.fullmatch(text or ""):
        yield f"no RFC 3339 date: {text!r}"
    else:
        datetime.fromisoformat(str(text))


def _rfc_822(text: str | None) -> Iterator[str]:
    try:
        if format_datetime(parsedate_to_datetime(str(text))) != text:
            yield f"no RFC 822 date with four digits of year, or the wrong day: {text!r}"
    except ValueError:
        yield f"no RFC 822 date: {text!r}"


def _language(tag: str | None) -> Iterator[str]:
    if tag is not None and not _LANGUAGE.fullmatch(tag):
        yield f"no language tag: {tag!r}"


def _media_type(name: str | None) -> Iterator[str]:
    if name is not None and not _MEDIA_TYPE.fullmatch(name):
        yield f"no media type: {name!r}"
