"""The search index: what it finds, how it follows the store, and what becomes of it when it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from articles import make_article, save_dump
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.errors import StoreError
from feedsvc.store import Store
from feedsvc.store import search as module
from feedsvc.store.search import SearchIndex, match_phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXTS = {
    "nato": ("北约与亚太外长举行会议", "为期两天的北约外长会议\n讨论乌克兰"),
    "half": ("ﾊﾝｶﾞﾘｰ 首相", "ＮＡＴＯ　２＋２ 会谈"),
    "latin": ("Élysée: Biden's visit", "The president visited Straße 12 in Berlin"),
    "quotes": ('say "a OR b" NEAR(c)', "100% of_it * title:x ' -- ; DROP TABLE"),
    "plain": ("Nothing much", "some text"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        articles = (
            make_article(number, title=title, text=text, link=f"https://example.org/{name}")
            for number, (name, (title, text)) in enumerate(TEXTS.items())
        )
        save_dump(store, *articles)
        yield store


def opened(store: Store) -> SearchIndex:
    index = store.open_search()
    while index.catch_up():
        pass
    return index


def find(store: Store, index: SearchIndex, *phrases: str) -> list[str]:
    hits = index.find(phrases, skip=0, limit=100, seconds=10)
    assert hits.total == len(hits.numbers)
    return [str(entry.link).rpartition("/")[2] for entry in store.load_entries(hits.numbers)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phrases", "found"),
    [
        (["北约"], ["nato"]),
        (["会"], ["half", "nato"]),
        (["外长会议"], ["nato"]),
        (["会议 讨论"], ["nato"]),
        (["亚太", "乌克兰"], ["nato"]),
        (["亚太", "首相"], []),
        (["约北"], []),
        (["nato"], ["half"]),
        (["2+2"], ["half"]),
        (["２＋２"], ["half"]),
        (["ハンガリー"], ["half"]),
        (["ﾊﾝｶﾞﾘｰ"], ["half"]),
        (["elysee"], ["latin"]),
        (["ELYSÉE"], ["latin"]),
        (["strasse"], ["latin"]),
        (["visit"], ["latin"]),
        (["visits"], []),
        (["resident"], []),
        (["be"], []),
        (["the president"], ["latin"]),
        (["president the"], []),
        (["a OR b"], ["quotes"]),
        (['"a'], ["quotes"]),
        (["NEAR(c)"], ["quotes"]),
        (["title:x"], ["quotes"]),
        (["zz OR 北约"], []),
        (["nothing*"], ["plain"]),
        (["'; DROP TABLE docs --"], []),
        (["北\0约"], ["nato"]),
    ],
)
def test_what_is_found(phrases: list[str], found: list[str], store: Store) -> None:
    assert find(store, opened(store), *phrases) == found


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_in_a_phrase_is_syntax(phrase: str) -> None:
    with closing(sqlite3.connect(":memory:")) as index:
        index.executescript(module._INDEX)  # noqa: SLF001 - the tables alone, for speed
        index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (match_phrase(phrase),)).fetchone()


def test_the_newest_come_first_a_page_at_a_time(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        save_dump(store, *(make_article(number) for number in (3, 1, 4, 0, 2)))
        index = opened(store)
        pages = [index.find(["正文"], skip=skip, limit=2, seconds=10) for skip in (0, 2, 4, 6)]
        assert [page.total for page in pages] == [5] * 4
        titles = [[entry.title for entry in store.load_entries(page.numbers)] for page in pages]
        assert titles == [["北约 4", "北约 3"], ["北约 2", "北约 1"], ["北约 0"], []]


def test_it_follows_the_store(store: Store) -> None:
    index = opened(store)
    assert index.catch_up() == 0
    new = make_article(9, title="新闻", text="新的", link="https://example.org/new")
    (decision,) = save_dump(store, new, path="/dumps/b.txt")
    assert index.find(["新闻"], skip=0, limit=9, seconds=10) == module.Hits((), 0, 1)
    assert (index.catch_up(), find(store, index, "新闻")) == (1, ["new"])
    with store.writing() as writer:
        writer.refresh_entry(replace(decision.entry, text="换了"), None)
    assert (index.catch_up(), find(store, index, "新的"), find(store, index, "换了")) == (1, [], ["new"])
    with store.writing() as writer:
        writer.refresh_entry(replace(decision.entry, text="换了", cleaner="another"), None)
    assert index.catch_up() == 0  # nothing to search for changed
    with store.writing() as writer:
        writer.retire(before=decision.entry.published + timedelta(seconds=1), beyond=None)
    assert (index.catch_up(), find(store, index, "换了"), find(store, index, "北约")) == (6, [], [])


def test_it_takes_a_part_at_a_time(store: Store) -> None:
    index = store.open_search()
    assert [index.catch_up(2) for _ in range(4)] == [2, 2, 1, 0]
    assert find(store, index, "北约") == ["nato"]


def test_it_follows_what_another_process_wrote_while_it_was_closed(store: Store) -> None:
    index = opened(store)
    save_dump(store, make_article(9, text="新的"), path="/dumps/b.txt")
    again = store.open_search()
    assert again.catch_up() == 1
    assert index.find(["新的"], skip=0, limit=9, seconds=10).total == 1


def file_of(store: Store) -> Path:
    return Path(store.url.removeprefix("sqlite:///") + ".search")


def lose(file: Path) -> None:
    file.unlink()


def spoil(file: Path) -> None:
    file.write_bytes(b"no database at all, but long enough to be looked at" * 100)


def age(file: Path) -> None:
    with closing(sqlite3.connect(file)) as index:
        index.execute("PRAGMA user_version = 0")


def forget_triggers(file: Path) -> None:
    with closing(sqlite3.connect(str(file).removesuffix(".search"))) as store:
        store.execute("DROP TRIGGER search_added")
        store.execute("UPDATE entries SET title = '偷换'")
        store.commit()


@pytest.mark.parametrize("damage", [lose, spoil, age, forget_triggers])
def test_it_is_made_anew(damage: Callable[[Path], None], store: Store) -> None:
    opened(store)
    for suffix in ("-wal", "-shm"):
        Path(f"{file_of(store)}{suffix}").unlink(missing_ok=True)
    damage(file_of(store))
    index = opened(store)
    assert len(find(store, index, "偷换" if damage is forget_triggers else "o")) == (
        5 if damage is forget_triggers else 0
    )
    assert index.find(["外长会议"], skip=0, limit=9, seconds=10).total == 1


def test_it_is_made_anew_where_it_is_lost_while_it_is_used(store: Store) -> None:
    index = opened(store)
    lose(file_of(store))
    with pytest.raises(StoreError, match=r"feedsvc\.db\.search: a search failed: unable to open"):
        find(store, index, "北约")
    assert index.catch_up() == 5
    assert find(store, index, "北约") == ["nato"]


def test_it_is_made_anew_where_it_breaks_while_it_is_used(store: Store) -> None:
    index = opened(store)
    for suffix in ("-wal", "-shm"):
        Path(f"{file_of(store)}{suffix}").unlink(missing_ok=True)
    spoil(file_of(store))
    with pytest.raises(StoreError, match=r"feedsvc\.db\.search: a search failed: file is not a database"):
        find(store, index, "北约")
    save_dump(store, make_article(9), path="/dumps/b.txt")
    while index.catch_up():
        pass
    assert find(store, index, "外长会议") == ["nato"]


def test_it_forgets_what_is_outdated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPARE", 5)
    index = opened(store)
    for turn in range(3):
        for _ in range(4):
            with closing(sqlite3.connect(str(file_of(store)).removesuffix(".search"))) as other:
                other.execute("UPDATE entries SET text = text || 'x' WHERE link LIKE '%nato'")
                other.commit()
            while index.catch_up():
                pass
        index.tidy()
        with closing(sqlite3.connect(file_of(store))) as looked:
            made = looked.execute("SELECT coalesce(max(doc), 0) FROM docs").fetchone()
        assert made == ((9,), (13,), (0,))[turn]
    assert index.catch_up() == 5
    assert find(store, index, "乌克兰") == ["nato"]


def test_a_search_that_takes_too_long_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    index = opened(store)
    monkeypatch.setattr(module, "_LOOK", 1)
    with pytest.raises(StoreError, match=r"a search took longer than 0 s"):
        index.find(["北约"], skip=0, limit=9, seconds=0)


@pytest.mark.slow
def test_searches_go_on_while_it_catches_up(store: Store) -> None:
    index = opened(store)
    save_dump(store, *(make_article(number, title="北约") for number in range(300)), path="/dumps/many.txt")
    totals: list[int] = []

    def look() -> None:
        while not totals or totals[-1] < 301:
            totals.append(index.find(["北约"], skip=0, limit=1, seconds=10).total)

    thread = Thread(target=look)
    thread.start()
    while index.catch_up(20):
        pass
    thread.join()
    assert totals == sorted(totals)


@pytest.mark.parametrize(
    ("phrases", "found"),
    [
        (["北约"], ["nato"]),
        (["亚太", "乌克兰"], ["nato"]),
        (["亚太", "首相"], []),
        (["100% of"], ["quotes"]),
        (["100_ of"], []),
        (["BERLIN"], ["latin"]),
    ],
)
def test_without_fts5_it_is_found_plainly(
    phrases: list[str], found: list[str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_has_fts5", lambda: False)
    index = store.open_search()
    assert index.catch_up() == 0
    index.tidy()
    assert find(store, index, *phrases) == found
    assert not file_of(store).exists()


def test_an_index_that_is_held_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.01)
    index = opened(store)
    save_dump(store, make_article(9), path="/dumps/b.txt")
    with closing(sqlite3.connect(file_of(store))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"feedsvc\.db\.search: the search index cannot be written: .*locked"):
            index.catch_up()
    assert index.catch_up() == 1


def test_a_folder_in_the_way_is_named(store: Store) -> None:
    file_of(store).mkdir()
    index = store.open_search()
    with pytest.raises(StoreError, match=r"search index cannot follow the store: .*directory: .*feedsvc\.db\.search"):
        index.catch_up()
    file_of(store).rmdir()
    assert index.catch_up() == 5
