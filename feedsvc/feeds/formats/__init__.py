"""Feed documents: one file a format that renders them, and the choice of their entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from feedsvc.feeds.formats import atom, json_feed, parts, rss
from feedsvc.feeds.formats.inspect import Finding, inspect_atom, inspect_json_feed, inspect_rss
from feedsvc.model import FeedDocument

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from feedsvc.model import Entry

__all__ = ["FORMATS", "Format", "Renderer", "fit"]

Renderer = Callable[[FeedDocument, str], bytes]  # from a feed and the base URL to bytes; raises RenderError

_MEDIUM = 70  # bytes of an element that names a picture, without its address
_FRAME = 700  # bytes of an Atom entry's element names, dates and id, rounded up


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        extension: The end of its addresses, without the dot.
        media_type: The Content-Type field's value.
        render: From a feed and the base URL to its bytes; raises RenderError.
        inspect: Lists the errors in such bytes.
        split: Gives the bytes of each entry by its id.
        cut: Takes entries out by their ids.
    """

    extension: str
    media_type: str
    render: Renderer
    inspect: Callable[[bytes], Sequence[Finding]]
    split: Callable[[bytes], dict[str, bytes]]
    cut: Callable[[bytes, Collection[str]], bytes]


_ALL: Final = (
    Format("atom", atom.MEDIA_TYPE, atom.render_atom, inspect_atom, parts.split_xml, parts.cut_xml),
    Format("rss", rss.MEDIA_TYPE, rss.render_rss, inspect_rss, parts.split_xml, parts.cut_xml),
    Format(
        "json",
        json_feed.MEDIA_TYPE,
        json_feed.render_json_feed,
        inspect_json_feed,
        parts.split_json,
        parts.cut_json,
    ),
)
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({each.extension: each for each in _ALL})
"""The formats that every feed is served in, by extension, the preferred one first."""


def fit(entries: Iterable[Entry], *, count: int, max_bytes: int | None) -> tuple[Entry, ...]:
    """Choose the newest entries that a feed has room for.

    The choice ends at the first entry that does not fit `max_bytes` by estimate: a smaller, older one behind it would
    leave a gap that readers cannot see.

    Returns:
        Newest first by `published`, then by `id`; at least one entry if there is one.
    """
    newest = sorted(entries, key=lambda entry: entry.id)
    newest.sort(key=lambda entry: entry.published, reverse=True)
    newest = newest[: max(count, 1)]
    if max_bytes is None:
        return tuple(newest)
    room = max_bytes
    for position, entry in enumerate(newest):
        room -= _size(entry)
        if room < 0:
            return tuple(newest[: max(position, 1)])
    return tuple(newest)


def _size(entry: Entry) -> int:
    """Estimate an entry's bytes in a feed: its markup is escaped, so that `<` takes four."""
    texts = (entry.title, entry.summary, entry.link, entry.author, entry.source, entry.rights, *entry.categories)
    links = (version.href for version in entry.alternates)
    plain = sum(len(text.encode("utf-8", "replace")) for text in (*texts, *links) if text)
    plain += sum(_MEDIUM + len(image) for image in (*entry.images, *entry.images[:1]))
    content = len(entry.content.encode("utf-8", "replace"))
    escapes = 3 * (entry.content.count("<") + entry.content.count(">")) + 4 * entry.content.count("&")
    return _FRAME + plain + content + escapes
