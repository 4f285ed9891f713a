"""What is at each address: the place where feeds, their formats and their pages meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedsvc.feeds.addresses import EVERYTHING, feed_path, page_path
from feedsvc.feeds.formats import FORMATS
from feedsvc.http.pages import MEDIA_TYPE, render_front
from feedsvc.publish import Resource
from feedsvc.represent import represent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from feedsvc.assemble import Assembler
    from feedsvc.model import Representation

__all__ = ["MAX_AGE", "make_resources", "render_site"]

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


def render_site(assembler: Assembler, base_url: str, now: datetime) -> Iterator[tuple[str, Representation]]:
    """Render all that is served, other than what never changes and single entries, one feed after the other.

    Args:
        assembler: Refreshed.
        base_url: What subscribers see, without a slash at its end.
        now: Aware.

    Returns:
        Address and representation, made as they are asked for.

    Raises:
        FeedsvcError: Something cannot be read or rendered.
    """
    documents = assembler.documents
    showing: dict[str | None, list[tuple[str, Resource]]] = {}
    for address, resource in make_resources(assembler.formats).items():
        showing.setdefault(resource.feed, []).append((address, resource))
    for feed in sorted(showing, key=lambda feed: feed is None):  # what shows them all comes after them
        document, last_modified = (documents, None) if feed is None else assembler.load(feed, now)
        for address, resource in showing[feed]:
            body = resource.render(document, base_url)
            yield address, represent(body, resource.media_type, last_modified=last_modified, max_age=MAX_AGE)
