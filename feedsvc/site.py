"""What is at each address: the place where feeds, their formats and their pages meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedsvc.feeds.addresses import EVERYTHING, feed_path, page_path
from feedsvc.feeds.formats import FORMATS
from feedsvc.http.pages import MEDIA_TYPE, render_front
from feedsvc.publish import Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["MAX_AGE", "make_resources"]

MAX_AGE = 60  # seconds for which a cache may reuse a feed


def make_resources(feeds: Mapping[str, Collection[str]]) -> dict[str, Resource]:
    """List what is served, other than what never changes and single entries.

    Args:
        feeds: The extensions of the formats that each feed is served in, by the feed's name.

    Returns:
        Resources by address, those of the feed of everything first.
    """
    everything = {EVERYTHING: feeds.get(EVERYTHING, ())}
    resources = {page_path(EVERYTHING): Resource(MEDIA_TYPE, EVERYTHING, render_front)}
    for name, extensions in {**everything, **feeds}.items():
        for extension in extensions:
            if form := FORMATS.get(extension):
                resources[feed_path(name, extension)] = Resource(form.media_type, name, form.render)
        resources.setdefault(page_path(name), Resource(MEDIA_TYPE, name, render_front))
    return resources
