"""The formats that every feed is served in."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from feedsvc.feeds.formats import atom, json_feed, rss
from feedsvc.feeds.formats.inspect import Finding, inspect_atom, inspect_json_feed, inspect_rss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from feedsvc.model import FeedDocument

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        extension: What its addresses end in, without the dot.
        media_type: The Content-Type field's value.
        render: From a feed and the base URL to its bytes; raises RenderError.
        inspect: What is wrong with such bytes.
    """

    extension: str
    media_type: str
    render: Callable[[FeedDocument, str], bytes]
    inspect: Callable[[bytes], Sequence[Finding]]


_ALL: Final = (
    Format("atom", atom.MEDIA_TYPE, atom.render_atom, inspect_atom),
    Format("rss", rss.MEDIA_TYPE, rss.render_rss, inspect_rss),
    Format("json", json_feed.MEDIA_TYPE, json_feed.render_json_feed, inspect_json_feed),
)
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({each.extension: each for each in _ALL})
"""By extension, the preferred one first."""
