"""What a static site consists of: each page as the daemon renders it, after those that it names."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW, live_entries, make_article, save_dump

from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.export import SitePage, site_pages
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.pages.pages import render_entry
from feedsvc.feeds.plan import FeedSettings, Plan
from feedsvc.model import Removal
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

BASE = "https://feeds.example.org/news"
SETTINGS = FeedSettings(title="News", subtitle=None, author="x", language=None, entries=100, max_bytes=None)
REMOVALS = (Removal("a", "one", "1", "<p>1</p>"), Removal("b", "two", "2", "<p>2</p>"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        # More than are read at a time; every third has something removed from it.
        save_dump(store, *(make_article(n, removals=REMOVALS if n % 3 == 0 else ()) for n in range(250)))
        yield store


def make_site(store: Store) -> tuple[Assembler, list[SitePage]]:
    assembler = Assembler(store, Plan(SETTINGS))
    assembler.refresh(NOW)
    return assembler, list(site_pages(store, assembler, BASE, NOW))


def entry_pages(store: Store) -> list[SitePage]:
    return [page for page in make_site(store)[1] if page.address.startswith("/entries/")]


def test_entry_pages_are_those_of_the_daemon(store: Store) -> None:
    expected = []
    for entry in live_entries(store):
        found = store.load_entry(entry.key)
        assert found is not None
        expected.append(SitePage(f"/entries/{entry.key}", render_entry(*found, BASE, "News", searchable=False)))
    pages = entry_pages(store)
    assert pages == expected
    assert sum("two" in page.body.decode() for page in pages) == 84


def test_feeds_have_the_time_of_their_document(store: Store) -> None:
    assembler, pages = make_site(store)
    document, last_modified = assembler.load("feed", NOW)
    page = next(page for page in pages if page.address == "/feed.atom")
    assert (page.body, page.last_modified) == (render_atom(document, BASE), last_modified)


def test_a_page_comes_after_those_that_it_names(store: Store) -> None:
    _, pages = make_site(store)
    addresses = [page.address for page in pages]
    entries = sum(address.startswith("/entries/") for address in addresses)
    fixed, single, feeds = (
        addresses[: len(static_files())],
        addresses[len(static_files()) : len(static_files()) + entries],
        addresses[len(static_files()) + entries :],
    )
    assert fixed == list(static_files())
    assert all(address.startswith("/entries/") for address in single)
    assert feeds[:3] == ["/feed.atom", "/feed.rss", "/feed.json"]
    assert set(feeds[-2:]) == {"/", "/feeds.opml"}  # they show all of them


def test_nothing_answers_searches(store: Store) -> None:
    assert all(b'action="' not in page.body for page in make_site(store)[1])


def test_what_was_withdrawn_has_no_page(store: Store) -> None:
    with store.writing() as writer:
        dump = writer.open_dump("/dumps/a.txt", NOW)
        held = writer.load_held(dump)
        writer.drop_articles(dump, beyond=10)
        writer.withdraw_orphans(held)
    assert len(entry_pages(store)) == 10
