"""Entries and feeds for the tests of what comes after the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.publisher import Publisher, Resource
from feedsvc.model import Entry, FeedDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feedsvc.feeds.formats import Renderer

FIRST = datetime(2024, 1, 4, 14, 45, 2, tzinfo=UTC)


def make_entry(number: int = 0, **changes: Any) -> Entry:  # noqa: ANN401 - any field
    """Make an entry; each number a day later than the one before."""
    published = FIRST + timedelta(days=number)
    entry = Entry(
        id=f"tag:example.org,2024:{number}",
        key=f"k{number}",
        title=f"标题 {number}: a < b & c",
        link=f"https://example.org/articles/{number}?a=1&b=2",
        published=published,
        updated=published + timedelta(hours=1),
        content=f'<p>正文 {number}</p><img src="https://example.org/{number}.jpg" alt="">',
        text=f"正文 {number}",
        summary=f"正文 {number} in short",
        author="张三",
        source="Example News",
        categories=("国际", "R&D"),
        language="zh",
        rights="© 2024 Example",
        images=(f"https://example.org/{number}.jpg",),
        digest="d",
        cleaner="c",
    )
    return replace(entry, **changes)


def make_document(*entries: Entry, **changes: Any) -> FeedDocument:  # noqa: ANN401 - any field
    """Make a feed of these entries, or of three, newest first."""
    held = entries or (make_entry(2), make_entry(1), make_entry(0))
    document = FeedDocument(
        id="tag:example.org,2024:feed",
        name="feed",
        title="Example & Co",
        subtitle="What <is> new",
        author="The Editors",
        language="zh-CN",
        updated=max(entry.updated for entry in held),
        entries=held,
    )
    return replace(document, **changes)


class Shelf:
    """Feeds to publish, as they are now; a Publisher that shows them."""

    def __init__(self, resources: Mapping[str, Resource], base_url: str | None = None, **options: Any) -> None:  # noqa: ANN401 - as Publisher has them
        self.resources = dict(resources)
        self.feeds: dict[str, tuple[FeedDocument, datetime]] = {}
        self.loaded: list[str] = []
        self.publisher = Publisher(self.load, **{"max_age": 60, "base_url": base_url, **options})

    def load(self, name: str) -> tuple[FeedDocument, datetime]:
        self.loaded.append(name)
        return self.feeds[name]

    def publish(self, *documents: FeedDocument, at: datetime = FIRST) -> None:
        """Publish these in place of those of the same names."""
        self.feeds |= {document.name: (document, at) for document in documents}
        listed = {name: document for name, (document, _) in self.feeds.items()}
        self.publisher.publish(listed, self.resources, [document.name for document in documents])


def everything(renderers: Mapping[str, tuple[str, Renderer]]) -> dict[str, Resource]:
    """The resources that show the feed of everything, of media types and renderers by address."""
    forms = {form.media_type: form for form in FORMATS.values()}
    return {
        address: Resource(media_type, "feed", render, forms.get(media_type))
        for address, (media_type, render) in renderers.items()
    }
