"""Archives hold what feeds do not, whatever changes and in whichever process."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import NOW, make_article, save_dump

from feedsvc.feeds.archives import Archives, Follower
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.catalogue import Catalogue
from feedsvc.feeds.plan import FeedSettings, Plan, make_filter
from feedsvc.store import Store
from feedsvc.store.archives import OPEN
from feedsvc.store.schema import LIVE, archive_entries, archives, entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feedsvc.model import CleanEntry

EVERYTHING = FeedSettings(title="News", subtitle=None, author="x", language=None, entries=3, max_bytes=None)


def feed(name: str, age: timedelta | None = None, **include: list[str]) -> FeedSettings:
    return replace(EVERYTHING, name=name, title=name, filter=make_filter(include, {}, age))


GOAL = feed("goal", title=["goal"])
PLAN = Plan(EVERYTHING, (GOAL, feed("fresh", timedelta(days=9)), feed("both", source=["a", "b"])))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield store


class Process:
    """The part of a daemon, or of a build, that keeps archives."""

    def __init__(self, store: Store, plan: Plan = PLAN) -> None:
        self.store = store
        self.archives = Archives(store, max_age=60, page_entries=4, reserve=1)
        self.catalogue = Catalogue(store, plan)
        self.follower = Follower(store, self.catalogue, self.archives)

    def follow(self) -> frozenset[str]:
        self.catalogue.refresh(NOW)
        return self.follower.follow(NOW)

    def check(self) -> None:
        """Each feed's chain of pages, and the feed, hold just its entries; none is in two pages."""
        held = archive_entries.join(archives, archives.c.number == archive_entries.c.archive)
        query = sa.select(archives.c.feed, archive_entries.c.page, archive_entries.c.entry).select_from(held)
        in_chain = sa.or_(archive_entries.c.page == OPEN, archive_entries.c.page >= archives.c.first)
        live = sa.select(entries.c.number).where(entries.c.state == LIVE)
        found: dict[str, list[int]] = {name: [] for name in self.catalogue.feeds}
        expected: dict[str, list[int]] = {name: [] for name in self.catalogue.feeds}
        with self.store.writing() as writer:
            for row in writer.connection.execute(query.where(in_chain, archive_entries.c.entry.in_(live))):
                if row.feed in found:
                    found[row.feed].append(row.entry)
            for number, names in self.catalogue.members(writer.feeds, expected):
                for name in names:
                    expected[name].append(number)
        assert {name: sorted(each) for name, each in found.items()} == {
            name: sorted(each) for name, each in expected.items()
        }


def random_article(choose: random.Random, number: int) -> CleanEntry:
    title = choose.choice(("A goal", "Another", "goal and goal"))
    return make_article(number, title=f"{title} {number}", source=choose.choice(("a", "b", "c", None)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_archives_follow_whatever_changes(store: Store, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - no secret
    one, other = Process(store), Process(store)
    for _ in range(30):
        numbers = {choose.randrange(60) for _ in range(choose.randrange(1, 12))}
        for number in numbers:
            path = f"/dumps/{number}"
            if choose.random() < 0.2:
                with store.writing() as writer:
                    writer.mark_gone(path, NOW, withdraw=True)
            else:
                save_dump(store, random_article(choose, number), path=path)
        if choose.random() < 0.1:
            with store.writing() as writer:
                writer.retire(before=None, beyond=40)
        process = choose.choice((one, other, Process(store)))
        process.follow()
        process.check()


def test_only_feeds_whose_entries_changed_are_named(store: Store) -> None:
    save_dump(store, make_article(0, source="a"), make_article(1, source="c"))
    process = Process(store)
    assert process.follow() == set(process.catalogue.feeds)
    assert process.follow() == set()
    save_dump(store, make_article(-9, source="c"), path="/dumps/b")  # too old for full feeds: their archives hold it
    assert process.follow() == {"feed", "fresh", "c"}
    save_dump(store, make_article(-9, source="b"), path="/dumps/b")
    assert process.follow() == {"feed", "fresh", "c", "b", "both"}
    assert Process(store).follow() == set()


def test_restart_looks_at_what_changed_meanwhile_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save_dump(store, *(make_article(number, source="a") for number in range(20)))
    Process(store).follow()
    save_dump(store, make_article(20, source="a"), path="/dumps/b")
    process = Process(store)
    process.catalogue.refresh(NOW)
    monkeypatch.setattr(Catalogue, "members", None)
    assert process.follower.follow(NOW) == {"feed", "fresh", "both", "a"}
    monkeypatch.undo()
    process.check()


def test_filter_that_changes_and_feed_that_comes_back_begin_anew(store: Store) -> None:
    save_dump(store, *(make_article(number, title=f"goal {number}", source="a") for number in range(20)))
    Process(store).follow()
    changed = Process(store, Plan(EVERYTHING, (feed("goal", title=["1"]),)))
    assert changed.follow() == {"goal"}  # "fresh" and "both" are there no more
    changed.check()
    save_dump(store, make_article(99, source="b"), path="/dumps/b")
    changed.follow()
    back = Process(store)
    assert back.follow() == {"goal", "fresh", "both"}
    back.check()


def test_other_process_that_is_faster(store: Store) -> None:
    process = Process(store)
    process.follow()
    save_dump(store, *(make_article(number, source="new") for number in range(9)))
    process.catalogue.refresh(NOW)
    asked, update = [0], process.archives.update

    def interrupted(*feeds: object, **options: object) -> bool:
        asked[0] += 1
        if asked[0] == 1:
            save_dump(store, make_article(9, source="a"), path="/dumps/b")
            Process(store).follow()
        return update(*feeds, **options)  # type: ignore[arg-type]

    process.archives.update = interrupted  # type: ignore[method-assign]
    assert process.follower.follow(NOW) == set()
    assert asked == [1]
    process.catalogue.refresh(NOW)
    assert process.follower.follow(NOW) == {"feed", "fresh", "new", "a", "both"}  # their links may have moved
    process.check()
    with store.reading() as reader:
        archive = reader.archives.find("a")
    assert archive is not None
    assert archive.first == 1  # it was not taken for absent


def test_documents_lead_to_the_archive_that_the_store_has(store: Store) -> None:
    save_dump(store, *(make_article(number, source="a") for number in range(12)))

    def load() -> tuple[int | None, str | None]:
        process = Archives(store, max_age=60, page_entries=4, reserve=1)
        assembler = Assembler(store, PLAN, archives=process)
        assembler.refresh(NOW)
        document, _ = assembler.load("feed", NOW)
        return document.previous, document.open_state

    first = load()
    assert first[0] == 3  # two closed pages, one open
    assert first[1]
    assert load() == first
    save_dump(store, make_article(-9, source="a"), path="/dumps/b")
    assert load() != first


def test_entries_without_room_are_in_the_open_page(store: Store) -> None:
    save_dump(store, *(make_article(number, content="x" * 5000, source=None) for number in range(3)))
    archives_ = Archives(store, max_age=60)
    assembler = Assembler(store, Plan(replace(EVERYTHING, max_bytes=7000)), archives=archives_)
    assembler.refresh(NOW)
    document, _ = assembler.load("feed", NOW)
    assert len(document.entries) == 1
    assert document.previous == 1
    page = archives_.load(document, 1, "https://example.org")
    assert page is not None
    assert page.body.count(b"<entry>") == 2
