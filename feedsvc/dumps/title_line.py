"""The line `[title](address)` below a marker.

It looks like Markdown but nobody escapes anything in it: titles hold brackets and even `](`, addresses hold
parentheses and spaces. The beginning of an absolute address tells them apart.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from feedsvc.dumps.characters import allowed, is_invisible

_OPENINGS = (
    re.compile(r"\]\(\s{0,9}<?https?://", re.IGNORECASE),
    re.compile(r"\]\(\s{0,9}<?(?:[a-z][a-z0-9+.-]{0,30}:)?//", re.IGNORECASE),
)
_ABSOLUTE = re.compile(r"(?:[a-z][a-z0-9+.-]{0,30}:)?//.", re.IGNORECASE)
_ESCAPED_BRACKET = re.compile(r"\\([\[\]()])")


@dataclass(frozen=True, slots=True)
class TitleLine:
    """The two parts of the line as they were written, brackets unescaped; the title may be empty, or hold tags."""

    title: str
    link: str | None


def parse_title_line(line: str) -> TitleLine | None:
    """Read the line: the link follows the last `](` that begins an absolute address, up to the last `)`.

    None means that the line is no title line; `[title]` alone is one, without a link.
    """
    text = line.strip()
    if not text.startswith("["):
        return None
    opening = _last_opening(text)
    if opening < 0:
        return TitleLine(_unescape(text[1:-1]), None) if text.endswith("]") else None
    destination = text[opening + 2 :]
    closing = destination.rfind(")")
    return TitleLine(
        _unescape(text[1:opening]), parse_link(_unescape(destination[: closing if closing >= 0 else None]))
    )


def parse_link(text: str) -> str | None:
    """Take the wrapping off an address (white space, `<...>`, `&amp;`); None if it is empty."""
    link = allowed(text).strip()
    if link.startswith("<"):
        link = link[1:].removesuffix(">").strip()
    link = link.replace("&amp;", "&")
    return None if is_invisible(link) else link


def is_absolute(link: str | None) -> bool:
    """Return True if the address begins with a scheme and two slashes, or with two slashes alone."""
    return link is not None and _ABSOLUTE.match(link) is not None


def _last_opening(text: str) -> int:
    without_close = text.removesuffix(")").rstrip()
    if text.endswith(")") and without_close.endswith("]("):
        return len(without_close) - 2
    for pattern in _OPENINGS:
        last = deque(pattern.finditer(text), maxlen=1)
        if last:
            return last[0].start()
    return text.rfind("](")


def _unescape(text: str) -> str:
    # Only brackets need escaping in this line; a backslash before anything else is the title's own.
    return _ESCAPED_BRACKET.sub(r"\1", text)
