"""Cleaned articles, and stores to put them in, for the tests of what comes after cleaning."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.feeds.plan import Plan
from feedsvc.intake.decide import Decision, decide_entry, identities
from feedsvc.model import CleanEntry, Outcome, Place
from feedsvc.store import DumpFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.feeds.plan import FeedSettings
    from feedsvc.model import Entry, FeedDocument
    from feedsvc.store import FeedRecord, Store, Writer

PUBLISHED = datetime(2024, 4, 3, 22, 31, 42, tzinfo=UTC)
NOW = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
CLEANER = "c" * 64


def make_article(number: int = 0, **changes: Any) -> CleanEntry:  # noqa: ANN401 - any field
    """Make an article; each number a day later than the one before."""
    article = CleanEntry(
        title=f"北约 {number}",
        link=f"https://example.org/news/{number}?id=7",
        published=PUBLISHED + timedelta(days=number),
        content=f'<p>正文 {number}</p><img src="https://img.example.org/{number}.jpg">',
        text=f"正文 {number}",
        summary=f"正文 {number}",
        author="张三",
        source="Example News",
        categories=("国际", "R&D"),
        language="zh",
        rights="© 2024 Example",
        images=(f"https://img.example.org/{number}.jpg",),
    )
    return replace(article, **changes)


def make_file(path: str = "/dumps/a.txt", **changes: Any) -> DumpFile:  # noqa: ANN401 - any field
    """Make a dump file that was published."""
    raw = f"<!--1712180702000--> {path}".encode(errors="surrogateescape")
    file = DumpFile(
        path=path,
        size=len(raw),
        mtime_ns=1_712_180_702_000_000_001,
        digest=hashlib.sha256(raw).hexdigest(),
        outcome=Outcome.PUBLISHED,
        raw=raw,
    )
    return replace(file, **changes)


def save_article(
    writer: Writer, article: CleanEntry, place: Place, *, now: datetime = NOW, cleaner: str = CLEANER
) -> Decision:
    """Decide on an article and write the decision, as the pipeline does."""
    names = identities(article)
    known = writer.load_known(names, place, article.published)
    decision = decide_entry(article, known, place, cleaner=cleaner, now=now)
    removed = article.removals if decision.owns else None
    writer.save_entry(decision.entry, names, place, article.published, removed)
    return decision


def save_dump(
    store: Store, *articles: CleanEntry, path: str = "/dumps/a.txt", now: datetime = NOW
) -> tuple[Decision, ...]:
    """Write a dump file that holds these articles, in one transaction."""
    with store.writing() as writer:
        dump = writer.open_dump(path, now)
        decisions = tuple(
            save_article(writer, article, Place(dump, position), now=now) for position, article in enumerate(articles)
        )
        writer.drop_articles(dump, beyond=len(articles))
        writer.save_dump(dump, make_file(path), now)
    return decisions


def live_entries(store: Store) -> Iterator[Entry]:
    """All live entries, newest first by `published`, then by id; read as they are needed."""
    return (entry for entry, _ in store.live_ledgers())


def load_feed(store: Store, name: str, now: datetime) -> FeedRecord:
    """What is remembered of one feed."""
    return store.load_feeds([name], now)[name]


def assemble_feed(store: Store, settings: FeedSettings, now: datetime) -> tuple[FeedDocument, datetime]:
    """The feed of everything alone, and since when it has held just that."""
    assembler = Assembler(store, Plan(settings, sources=False))
    assembler.refresh(now)
    loaded = assembler.load(EVERYTHING, now)
    assembler.save()
    return loaded
