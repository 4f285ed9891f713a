"""Characters of a dump: those that are allowed, and text made plain."""

from __future__ import annotations

import html
import re

# Characters that XML 1.0, section 2.2 forbids, the C1 controls, and byte order marks.
_NEVER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_INVISIBLE = re.compile("[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f]+")
# Embeddings, overrides and isolates (UAX 9, section 2): one left open reorders the text behind it.
_DIRECTING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INLINE = "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var"
_BREAKING = "br|div|h[1-6]|p"
_TAG = re.compile(rf"</?(?:(?P<inline>{_INLINE})|{_BREAKING})(?P<attributes>\s[^<>]*)?/?>", re.IGNORECASE)
# int() refuses more than 4,300 digits, and html.unescape() calls it.
_ENDLESS_REFERENCE = re.compile("&#[0-9]{100,};?")


def allowed(text: str) -> str:
    """Drop control characters, lone surrogates and all else that XML forbids; tabs and line ends stay."""
    return _NEVER.sub("", text)


def undirected(text: str) -> str:
    """Drop the controls that reorder text.

    A title or a name is one line among others in readers' lists: an override in it shows it, or the text behind it,
    as something else. Marks of direction (U+200E, U+200F, U+061C) reach no further than themselves and stay; so
    does everything in an article's content, where the end of each block ends its effect.
    """
    return _DIRECTING.sub("", text)


def plain(text: str) -> str:
    """Drop characters that XML forbids and those that reorder text, and fold white space to single spaces."""
    # Some controls are white space to str.split(): they part words, the others do not.
    return " ".join(undirected(allowed(" ".join(text.split()))).split())


def plain_title(raw: str) -> str:
    """Make plain text of a title that may hold a little HTML; an empty string if nothing of it can be seen.

    Tags that mark up words (`<em>`, `</b>`, `<br>`, with or without attributes) go, anything else in angle brackets
    is text (`a <3 b`, `List<String>`). Entities are decoded once, after that, so that `&lt;b&gt;` stays a title
    about `<b>`.
    """
    text = _TAG.sub(_without_tag, raw)
    text = plain(html.unescape(_ENDLESS_REFERENCE.sub("\ufffd", text)))
    return "" if is_invisible(text) else text


def is_invisible(text: str) -> bool:
    """Return True if nothing of the text can be seen: white space, joiners, marks of direction."""
    return _INVISIBLE.fullmatch(text) is not None or not text


def _without_tag(match: re.Match[str]) -> str:
    attributes = match["attributes"]
    if attributes and attributes.strip(" /") and "=" not in attributes:
        return match[0]  # `<b and c>` is a comparison
    return "" if match["inline"] else " "
