"""The client's preferences: content coding, deltas, a page or a feed (RFC 9110, section 12.5; RFC 3229).

Pure functions over strings; a field that the request lacks is None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

IDENTITY = "identity"

# codings [ weight ]; a qvalue is 0 or 1 or between, with three decimals at most (section 12.4.2).
_MEMBER = re.compile(
    r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.IGNORECASE,
)
_ALIASES = {"x-gzip": "gzip"}  # section 8.4.1.3
_RANGE = re.compile(
    r"([!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+)"  # a media range
    r"(?:[ \t]*;[ \t]*(?!q=)[^;,]*)*"  # its parameters
    r"(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.IGNORECASE,
)
_PAGE = "text/html"
_XML = ("application/xml", "text/xml")
_FEEDS = re.compile(r"application/(?:(?:atom|rss|rdf|feed)\+(?:xml|json)|json)")


def choose_coding(accept_encoding: str | None, offered: Sequence[str]) -> str:
    """Choose the offered coding of the highest weight, the first of equals; offer the smallest first.

    A malformed member of the field is passed over. "identity" is chosen if no coding is acceptable or identity is
    wanted more, even if it is refused: a client can do more with it than with a 406 (section 15.5.7 leaves the choice).
    """
    weights = _weights(accept_encoding or "")
    rest = weights.get("*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, rest), default=IDENTITY)
    weight = weights.get(best, rest)
    # Identity that is not named is acceptable, but a coding that is named is wanted more.
    return best if weight > 0 and weight >= weights.get(IDENTITY, 0.0) else IDENTITY


def wants_delta(a_im: str | None) -> bool:
    """True if an A-IM field accepts the instance manipulation "feed" (RFC 3229, section 10.5.3)."""
    weights = _weights(a_im or "")
    return weights.get("feed", 0.0) > 0


def wants_page(accept: str | None) -> bool:
    """True if the Accept field tells that somebody opened a feed's address in a browser.

    A browser names text/html, weighs it above XML, and names no type of feed. Whoever names one gets the feed:
    a reader that were led to a page would lose the feed, a person who gets a feed only sees an unfriendly page.
    """
    weights: dict[str, float] = {}
    for member in (accept or "").split(","):
        if match := _RANGE.fullmatch(member.strip(" \t")):
            weights[match[1].lower()] = float(match[2] or 1)
    if any(map(_FEEDS.fullmatch, weights)):
        return False
    page, rest = weights.get(_PAGE, 0.0), weights.get("*/*", 0.0)
    return page > max(rest, *(weights.get(kind, rest) for kind in _XML))


def _weights(value: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for member in value.split(","):
        if match := _MEMBER.fullmatch(member.strip(" \t")):
            coding = match[1].lower()
            weights[_ALIASES.get(coding, coding)] = float(match[2] or 1)
    return weights
