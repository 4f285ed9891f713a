"""The texts of an entry and a feed that all formats share, so that the formats agree."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from feedsvc.model import Entry, FeedDocument

# RFC 5646, section 2.1; the first subtag is one of ISO 639, not a made-up or private one.
_LANGUAGE_TAG = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
# No Char of XML 1.0 (section 2.2); lone surrogates are among them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_BREAK = re.compile("[ \t]*[\n\r\t][ \n\r\t]*")


def legal(text: str) -> str:
    """Take out the characters that no XML document may hold."""
    return _FORBIDDEN.sub("", text)


def line(text: str) -> str:
    """Put a name or title on one line, as readers expect them, without illegal characters."""
    return _BREAK.sub(" ", legal(text)).strip()


def instant(moment: datetime) -> datetime:
    """Give a moment in UTC and whole seconds, as all dates of a feed are written."""
    return moment.astimezone(UTC).replace(microsecond=0)


def alternate_link(entry: Entry, base_url: str) -> str:
    """Give the address of an entry, or of its page here if it has none."""
    return legal(entry.link or "") or f"{base_url}/entries/{entry.key}"


def headline(entry: Entry, base_url: str) -> str:
    """Give an entry's title; never empty, since RFC 4287, section 4.1.2 asks for one."""
    return line(entry.title) or alternate_link(entry, base_url)


def byline(entry: Entry) -> str:
    """Give the author of an entry, or else its source; "" if neither is known."""
    return line(entry.author or "") or line(entry.source or "")


def categories(entry: Entry) -> tuple[str, ...]:
    """Give an entry's categories, none of them empty or there twice."""
    terms = (line(term) for term in entry.categories)
    return tuple(dict.fromkeys(filter(None, terms)))


def language_tag(tag: str | None) -> str | None:
    """Give a language tag, or None if it is malformed."""
    return tag if tag and _LANGUAGE_TAG.fullmatch(tag) else None


def feed_language(document: FeedDocument) -> str | None:
    """Give the language of a feed: the configured one, or else the one that all its entries are in."""
    configured = language_tag(document.language)
    if configured or not document.entries:
        return configured
    first, *others = (language_tag(entry.language) for entry in document.entries)
    return first if all(_is_same(first, other) for other in others) else None


def entry_language(entry: Entry, feed: str | None) -> str | None:
    """Give the language of an entry if it is known and not that of its feed."""
    tag = language_tag(entry.language)
    return None if _is_same(tag, feed) else tag


def _is_same(tag: str | None, other: str | None) -> bool:
    return (tag or "").lower() == (other or "").lower()  # RFC 5646, section 2.1.1
