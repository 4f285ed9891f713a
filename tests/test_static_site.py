"""What a static site consists of: each page as the daemon renders it, after those that it names."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW, make_article, save_dump

from feedsvc.build import Page
from feedsvc.http import render_entry, static_files
from feedsvc.model import Removal
from feedsvc.represent import represent
from feedsvc.static_site import entry_pages, published_pages, site_pages
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "https://feeds.example.org/news"
REMOVALS = (Removal("a", "one", "1", "<p>1</p>"), Removal("b", "two", "2", "<p>2</p>"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        # More than are read at a time; every third has something removed from it.
        save_dump(store, *(make_article(n, removals=REMOVALS if n % 3 == 0 else ()) for n in range(250)))
        yield store


def test_entry_pages_are_those_of_the_daemon(store: Store) -> None:
    pages = list(entry_pages(store, "News", BASE))
    expected = []
    for entry in store.live_entries():
        found = store.load_entry(entry.key)
        assert found is not None
        expected.append(Page(f"/entries/{entry.key}", render_entry(*found, BASE, "News")))
    assert pages == expected
    assert sum("two" in page.body.decode() for page in pages) == 84


def test_what_is_published_keeps_its_time_and_codings() -> None:
    found = represent(b"<feed/>" * 100, "application/atom+xml", last_modified=NOW, max_age=60)
    assert list(published_pages([("/feed.atom", found)])) == [Page("/feed.atom", found.body, NOW, found.codings)]
    assert found.codings


def test_a_page_comes_after_those_that_it_names(store: Store) -> None:
    archives, feeds = [Page("/feeds/feed/archive/1.atom", b"")], [Page("/feed.atom", b"")]
    pages = [page.address for page in site_pages(store, "News", BASE, archives=archives, feeds=feeds)]
    assert pages[: len(static_files())] == list(static_files())
    assert all(address.startswith("/entries/") for address in pages[len(static_files()) : -2])
    assert pages[-2:] == ["/feeds/feed/archive/1.atom", "/feed.atom"]


def test_what_was_withdrawn_has_no_page(store: Store) -> None:
    with store.writing() as writer:
        dump = writer.open_dump("/dumps/a.txt", NOW)
        held = writer.load_held(dump)
        writer.drop_articles(dump, beyond=10)
        writer.withdraw_orphans(held)
    assert len(list(entry_pages(store, "News", BASE))) == 10
