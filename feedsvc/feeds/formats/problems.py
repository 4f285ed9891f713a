"""The operator's feed of problems, as Atom (RFC 4287): plain text, for nobody's article stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedgen.feed import FeedGenerator

from feedsvc import __version__
from feedsvc.feeds.formats.addresses import PROBLEMS_PATH
from feedsvc.feeds.formats.elements import instant, legal, line
from feedsvc.feeds.formats.xml import written
from feedsvc.model import FeedDocument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemEntry:
    """A problem as an entry.

    Attributes:
        id: A URI, its own for ever.
        text: The problem, its begin and a remedy, as plain text.
        page: The address of the entry's page, such as "/entries/abc"; None if no entry has the problem.
    """

    id: str
    title: str
    text: str
    kind: str
    published: datetime
    updated: datetime
    page: str | None = None


def render_problems(
    feed_id: str, title: str, updated: datetime, problems: Sequence[ProblemEntry], base_url: str
) -> bytes:
    """Render the feed in UTF-8; the same bytes for the same arguments.

    Raises:
        RenderError: It would not be well-formed.
    """
    feed = FeedGenerator()
    feed.id(feed_id)
    feed.title(line(f"Problems of {title}"))
    feed.author(name="feedsvc")
    feed.updated(instant(updated))
    feed.link(href=base_url + PROBLEMS_PATH, rel="self", type="application/atom+xml")
    feed.generator("feedsvc", version=__version__)
    feed.icon(f"{base_url}/icon.png")
    for problem in problems:
        entry = feed.add_entry(order="append")
        entry.id(problem.id)
        entry.title(line(problem.title))
        entry.published(instant(problem.published))
        entry.updated(instant(problem.updated))
        entry.category(term=problem.kind)
        entry.content(legal(problem.text), type="text")
        if problem.page:
            entry.link(href=base_url + problem.page, rel="alternate", type="text/html")
    document = FeedDocument(
        id=feed_id, name="problems", title=title, subtitle=None, author="", language=None, updated=updated, entries=()
    )
    return written(document, feed.atom_str, lambda: [(entry.id(), entry.atom_entry) for entry in feed.entry()])
