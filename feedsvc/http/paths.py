"""Which feed an address belongs to."""

from __future__ import annotations

import re
from typing import NamedTuple

from feedsvc.feeds.formats.addresses import EVERYTHING, page_path

__all__ = ["FeedAddress", "feed_at"]

# What feedsvc.feeds.formats.addresses makes; in an archive page's address the extension follows the number.
_ADDRESS = re.compile(r"/(?:feed|feeds/(?P<name>[^/.]+))(?P<archive>/archive/[0-9]+)?(?P<extension>\.[a-z]+)?")


class FeedAddress(NamedTuple):
    """An address that belongs to a feed.

    Attributes:
        name: The feed's name.
        page: Where people read the feed, for the address of the feed itself; None for its archive and for that page.
    """

    name: str
    page: str | None


def feed_at(path: str) -> FeedAddress | None:
    """Read an address as `feedsvc.feeds.formats.addresses` makes it.

    Args:
        path: A path, percent-decoded.

    Returns:
        None where it has not the form of a feed's address.
    """
    if path == page_path(EVERYTHING):
        return FeedAddress(EVERYTHING, None)
    match = _ADDRESS.fullmatch(path)
    if match is None or (match["name"] is None and match["extension"] is None and match["archive"] is None):
        return None
    name = match["name"] or EVERYTHING
    return FeedAddress(name, page_path(name) if match["extension"] and not match["archive"] else None)
