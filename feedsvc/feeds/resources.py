"""The resources at each address (RFC 9110, section 3.1): feeds in their formats, and pages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from feedsvc.feeds.formats import FORMATS, opml
from feedsvc.feeds.formats.addresses import EVERYTHING, OPML_PATH, feed_path, page_path
from feedsvc.feeds.pages.pages import MEDIA_TYPE, render_feed, render_front
from feedsvc.feeds.publisher import Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from feedsvc.feeds.guard import Guard
    from feedsvc.model import FeedDocument

MAX_AGE = 60  # seconds for which a cache may reuse a feed


def make_resources(
    feeds: Mapping[str, Collection[str]],
    *,
    title: str = "All feeds",
    searchable: bool = True,
    guard: Guard | None = None,
    unlisted: Collection[str] = (),
) -> dict[str, Resource]:
    """List all resources by address, but static files, single entries and archives.

    Args:
        feeds: The extensions of the formats that each feed is served in, by the feed's name.
        title: Of the feed of everything.
        searchable: Something answers searches.
        guard: Looks at feeds before they go live; None for nobody.
        unlisted: The names of feeds that nobody is told of.
    """

    def front(documents: Mapping[str, FeedDocument], base_url: str) -> bytes:
        return render_front(_listed(documents, unlisted), base_url, formats=feeds, searchable=searchable)

    def listing(documents: Mapping[str, FeedDocument], base_url: str) -> bytes:
        return opml.render_opml(_listed(documents, unlisted).values(), base_url, documents[EVERYTHING].title)

    page = partial(render_feed, formats=feeds, searchable=searchable, site_title=title)
    resources = {page_path(EVERYTHING): Resource(MEDIA_TYPE, None, front)}
    for name, extensions in {EVERYTHING: feeds.get(EVERYTHING, ()), **feeds}.items():
        for extension in extensions:
            form = FORMATS[extension]
            render = guard.checked(form) if guard else form.render
            resources[feed_path(name, extension)] = Resource(
                form.media_type, name, render, form, on_demand=extension != "atom"
            )
        resources.setdefault(page_path(name), Resource(MEDIA_TYPE, name, page))
    resources[OPML_PATH] = Resource(opml.MEDIA_TYPE, None, listing, on_demand=True)
    return resources


def _listed(documents: Mapping[str, FeedDocument], unlisted: Collection[str]) -> dict[str, FeedDocument]:
    return {name: document for name, document in documents.items() if name not in unlisted}
