"""Feed documents: which entries a feed holds, and one file a format that renders it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feedsvc.model import Entry

__all__ = ["fit"]

_MEDIUM = 70  # bytes of an element that names a picture, without its address
_FRAME = 700  # bytes of an Atom entry's element names, dates and id, rounded up


def fit(entries: Iterable[Entry], *, count: int, max_bytes: int | None) -> tuple[Entry, ...]:
    """Choose the newest entries that a feed has room for.

    The choice ends at the first entry that does not fit: a smaller, older one
    behind it would leave a gap that readers cannot see.

    Args:
        entries: In any order.
        count: How many entries at most.
        max_bytes: How large the rendered feed may become, by estimate; None for no bound.

    Returns:
        Newest first by `published`, then by `id`; at least one entry where there is one.
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
    """Estimate an entry's bytes in a feed, where markup is escaped: `<` takes four."""
    texts = (entry.title, entry.summary, entry.link, entry.author, entry.source, entry.rights, *entry.categories)
    links = (version.href for version in entry.alternates)
    plain = sum(len(text.encode("utf-8", "replace")) for text in (*texts, *links) if text)
    plain += sum(_MEDIUM + len(image) for image in (*entry.images, *entry.images[:1]))
    content = len(entry.content.encode("utf-8", "replace"))
    escapes = 3 * (entry.content.count("<") + entry.content.count(">")) + 4 * entry.content.count("&")
    return _FRAME + plain + content + escapes
