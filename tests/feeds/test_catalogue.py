"""Which feeds a change in the store touches, and what they hold then: as if everything were read anew."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from articles import NOW, PUBLISHED, make_article, make_file, save_article, save_dump

from feedsvc.feeds.catalogue import Catalogue
from feedsvc.feeds.plan import FeedSettings, Plan, make_filter
from feedsvc.model import Place
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = timedelta(days=1)
EVERYTHING = FeedSettings(title="News", subtitle=None, author="x", language=None, entries=3, max_bytes=None)


def feed(name: str, age: timedelta | None = None, **include: list[str]) -> FeedSettings:
    return replace(EVERYTHING, name=name, title=name, filter=make_filter(include, {}, age))


PLAN = Plan(
    EVERYTHING, (feed("asia", category=["亚洲"]), feed("goal", title=["goal"]), feed("both", source=["a", "b"]))
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield store


def held(catalogue: Catalogue) -> dict[str, list[str]]:
    """The ids of the entries of each feed."""
    return {name: [spot.id for spot in catalogue.spots(name)] for name in catalogue.feeds}


def follow(catalogue: Catalogue, store: Store, plan: Plan = PLAN) -> set[str]:
    """Refresh it, and compare it with one that reads everything anew."""
    changed = catalogue.refresh(NOW)
    anew = Catalogue(store, plan)
    anew.refresh(NOW)
    assert held(catalogue) == held(anew)
    assert not catalogue.is_stale()
    return set(changed)


def test_everything_comes_first_then_the_configured_ones_then_the_sources(store: Store) -> None:
    save_dump(store, *(make_article(number, source=source) for number, source in enumerate(("b", "A", "中", None, ""))))
    catalogue = Catalogue(store, PLAN)
    assert follow(catalogue, store) == set(catalogue.feeds)
    names = store.load_source_names()
    assert list(catalogue.feeds) == ["feed", "asia", "goal", "both", "a", "b", names["中"]]
    assert [feed.title for feed in catalogue.feeds.values()][-3:] == ["A", "b", "中"]


def test_configured_feed_takes_the_place_of_the_one_of_a_source(store: Store) -> None:
    save_dump(store, make_article(0, source="BBC"), make_article(1, source="CNN"))
    catalogue = Catalogue(store, Plan(EVERYTHING, (feed("bbc", source=["bbc"]),)))
    catalogue.refresh(NOW)
    assert [(name, feed.title) for name, feed in catalogue.feeds.items()][1:] == [("bbc", "bbc"), ("cnn", "CNN")]
    assert len(held(catalogue)["bbc"]) == 1


def test_sources_need_not_have_feeds(store: Store) -> None:
    save_dump(store, make_article(0, source="BBC"))
    catalogue = Catalogue(store, Plan(EVERYTHING, sources=False))
    assert catalogue.refresh(NOW) == {"feed"}


def test_changes_touch_only_the_feeds_that_show_them(store: Store) -> None:
    save_dump(store, make_article(0, source="a"), make_article(1, source="c"))
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    assert follow(catalogue, store) == set()
    cases: list[tuple[int, dict[str, Any], set[str]]] = [
        (2, {"source": "c"}, {"feed", "c"}),
        (3, {"source": "c", "categories": ("亚洲",)}, {"feed", "c", "asia"}),
        (4, {"source": "a", "title": "A goal"}, {"feed", "a", "goal", "both"}),
        (-1, {"source": "c"}, set()),  # older than all that the full ones hold
        (-2, {"source": "b"}, {"b", "both"}),
        (-3, {"source": "new"}, {"new"}),
        (-4, {"source": None}, set()),
    ]
    for number, changes, touched in cases:
        save_dump(store, make_article(number, **changes), path=f"/dumps/{number}")
        assert follow(catalogue, store) == touched, number


def test_entry_that_changes_leaves_and_enters_feeds(store: Store) -> None:
    articles = [make_article(number, source="a", categories=("亚洲",)) for number in range(5)]
    save_dump(store, *articles)
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    articles[4] = replace(articles[4], source="c", categories=())
    save_dump(store, *articles)
    assert follow(catalogue, store) == {"feed", "asia", "both", "a", "c"}
    assert len(held(catalogue)["asia"]) == 3  # an older one moved up
    articles[4] = replace(articles[4], text="corrected")
    save_dump(store, *articles)
    assert follow(catalogue, store) == {"feed", "c"}
    save_dump(store, *articles)
    assert not catalogue.is_stale()


def test_cleaning_again_that_changes_nothing_is_no_change(store: Store) -> None:
    decisions = save_dump(store, make_article(0))
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    with store.writing() as writer:
        writer.refresh_entry(replace(decisions[0].entry, cleaner="new"), None)
    assert not catalogue.is_stale()
    with store.writing() as writer:
        writer.refresh_entry(replace(decisions[0].entry, content="<p>other</p>"), None)
    assert follow(catalogue, store) == {"feed", "example-news"}


def test_withdrawn_and_retired_entries_leave(store: Store) -> None:
    save_dump(store, *(make_article(number, source="a") for number in range(4)))
    save_dump(store, make_article(9, source="c"), path="/dumps/b")
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    with store.writing() as writer:
        writer.mark_gone("/dumps/b", NOW, withdraw=True)
    assert follow(catalogue, store) == {"feed", "c"}
    assert held(catalogue)["c"] == []  # the feed stays
    with store.writing() as writer:
        writer.retire(before=PUBLISHED + 2 * DAY, beyond=None)
    assert follow(catalogue, store) == {"feed", "a", "both"}


def test_entries_grow_too_old(store: Store) -> None:
    save_dump(store, *(make_article(number) for number in range(3)))
    plan = Plan(EVERYTHING, (feed("fresh", 2 * DAY),), sources=False)
    catalogue = Catalogue(store, plan)
    newest = PUBLISHED + 2 * DAY
    catalogue.refresh(newest)
    assert len(held(catalogue)["fresh"]) == 3
    assert catalogue.refresh(newest + timedelta(seconds=1)) == {"fresh"}
    assert len(held(catalogue)["fresh"]) == 2
    save_dump(store, make_article(3, published=PUBLISHED), path="/dumps/late")
    assert catalogue.refresh(newest + timedelta(seconds=1)) == set()
    assert catalogue.refresh(newest + 9 * DAY) == {"fresh"}
    assert held(catalogue)["fresh"] == []


def test_other_process_changes_the_store(store: Store) -> None:
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    with closing(Store(store.url)) as other:
        save_dump(other, make_article(0, source="c"))
    assert catalogue.is_stale()
    assert follow(catalogue, store) == {"feed", "c"}


def test_part_of_a_transaction_that_was_undone_hides_no_later_change(store: Store) -> None:
    catalogue = Catalogue(store, PLAN)
    follow(catalogue, store)
    with store.writing() as writer:
        dump = writer.open_dump("/dumps/a.txt", NOW)
        with suppress(ZeroDivisionError), writer.attempt():
            save_article(writer, make_article(0), Place(dump, 0))
            raise ZeroDivisionError
        save_article(writer, make_article(1), Place(dump, 1))
        writer.save_dump(dump, make_file(), NOW)
    assert follow(catalogue, store) == {"feed", "example-news"}
    assert len(held(catalogue)["feed"]) == 1


def test_names_of_sources_stay(store: Store) -> None:
    save_dump(store, make_article(0, source="bbc-news"))
    first = store.load_source_names()
    save_dump(store, make_article(1, source="BBC News"), make_article(2, source="BBC  news"), path="/dumps/b")
    names = store.load_source_names()
    assert names["bbc-news"] == first["bbc-news"] == "bbc-news"
    assert len(set(names.values())) == 3


@pytest.mark.slow
def test_thousand_feeds_are_filled_in_one_go(store: Store) -> None:
    save_dump(store, *(make_article(number, source=f"s{number % 50}") for number in range(200)))
    named = tuple(feed(f"n{number}", title=[str(number)]) for number in range(1000))
    plan = Plan(EVERYTHING, named)
    catalogue = Catalogue(store, plan)
    assert len(follow(catalogue, store, plan)) == 1051
    save_dump(store, make_article(200, source="s7", title="500"), path="/dumps/b")
    assert follow(catalogue, store, plan) == {"feed", "s7", "n500"}
