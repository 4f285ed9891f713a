"""Which rules are live, and the dumps that other rules may reach, as the store tells them."""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import CLEANER, NOW, live_entries, make_article, save_dump

from feedsvc.model import Removal
from feedsvc.store import SavedRules, Store
from feedsvc.store.schema import dumps, entries, rulesets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'feedsvc.db'}")
    yield store
    store.close()


def saved(digest: str, name: str = "a") -> SavedRules:
    return SavedRules(digest, "0.2", [{"name": name, "text": ["分享"]}])


def digests(store: Store) -> set[str]:
    with store.writing() as writer:
        return set(writer.connection.scalars(sa.select(rulesets.c.digest)))


def test_no_rules_are_live_in_a_new_store(store: Store) -> None:
    assert store.load_live_rules() is None


def test_the_last_rules_that_were_saved_are_live(store: Store) -> None:
    store.save_live_rules(saved("a" * 64), NOW)
    store.save_live_rules(saved("b" * 64, "b"), NOW + DAY)
    assert store.load_live_rules() == saved("b" * 64, "b")
    store.save_live_rules(saved("a" * 64), NOW + 2 * DAY)
    assert store.load_live_rules() == saved("a" * 64)


def test_a_clock_that_went_back_does_not_matter(store: Store) -> None:
    save_dump(store, make_article())
    store.save_live_rules(saved(CLEANER), NOW)
    store.save_live_rules(saved("b" * 64, "b"), NOW - DAY)
    assert store.load_live_rules() == saved("b" * 64, "b")


def test_rules_that_no_entry_was_cleaned_with_are_forgotten(store: Store) -> None:
    save_dump(store, make_article())
    for day, digest in enumerate(("a" * 64, CLEANER, "b" * 64, "d" * 64)):
        store.save_live_rules(saved(digest), NOW + day * DAY)
    assert digests(store) == {CLEANER, "d" * 64}


def numbers(store: Store, hosts: set[str] | None, sources: tuple[str, ...] = (), source: str | None = None) -> set[int]:
    return {row.number for row in store.load_raw_dumps(hosts=hosts, sources=sources, source=source)}


def test_raw_dumps_are_those_that_rules_reach(store: Store) -> None:
    save_dump(store, make_article(1, link="https://www.a.example/x", source="A"), path="/dumps/1.txt")
    save_dump(store, make_article(2, link="https://b.example/x_y", source="B"), path="/dumps/2.txt")
    save_dump(store, make_article(3, link=None, source=None), path="/dumps/3.txt")
    assert numbers(store, None) == {1, 2, 3}
    assert numbers(store, {"a.example"}) == {1}
    assert numbers(store, {"x_y"}) == {2}
    assert numbers(store, {"xzy"}) == set()
    assert numbers(store, set(), ("B",)) == {2}
    assert numbers(store, {"a.example"}, ("B",)) == {1, 2}
    assert numbers(store, {"a.example"}, ("B",), "B") == {2}
    assert numbers(store, None, (), "A") == {1}
    (row,) = store.load_raw_dumps(hosts=set(), sources=["B"], source=None)
    assert zlib.decompress(row.raw) == b"<!--1712180702000--> /dumps/2.txt"
    assert (row.link, row.source) == ("https://b.example/x_y", "B")
    assert row.published == int(make_article(2).published.timestamp())


def test_entries_that_cannot_be_cleaned_again_are_left_out(store: Store) -> None:
    for number in (1, 2, 3):
        save_dump(store, make_article(number), path=f"/dumps/{number}.txt")
    with store.writing() as writer:
        writer.connection.execute(entries.update().where(entries.c.number == 1).values(state="withdrawn"))
        writer.connection.execute(dumps.update().where(dumps.c.id == 2).values(raw=None))
    assert numbers(store, None) == {3}
    assert [number for number, *_ in store.load_cleaned([1, 2, 3])] == [3]


def test_cleaned_entries_come_with_their_dump_and_what_was_removed(store: Store) -> None:
    removals = (Removal("a", "r", "one", "<p>one</p>"), Removal("b", "r", "two", "<p>two</p>"))
    save_dump(store, make_article(1, removals=removals), make_article(2))
    found = {number: (article, removed) for number, article, removed in store.load_cleaned([1, 2])}
    assert found[1][1] == [("a", "one"), ("b", "two")]
    assert found[2][1] == []
    assert found[2][0].place.position == 1
    assert found[1][0].entry == next(entry for entry in live_entries(store) if entry.title == found[1][0].entry.title)
