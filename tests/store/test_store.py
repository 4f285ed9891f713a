"""What the store remembers: over real files, with real threads and processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import NOW, PUBLISHED, live_entries, load_feed, make_article, make_file, save_article, save_dump

from feedsvc.errors import StoreError
from feedsvc.intake.decide import Verdict, identities, mint_entry
from feedsvc.model import Alternate, CleanEntry, Outcome, Place, Problem, Removal
from feedsvc.store import FeedRecord, Store
from feedsvc.store.schema import dumps, entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from feedsvc.model import Entry

STEP = timedelta(seconds=1)
REMOVALS = (
    Removal("share-links", "links that share", "分享 :", "<div>分享 :</div>"),
    Removal("dateline", "the date", "", "<p></p>"),
)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'feedsvc.db'}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(url_of(tmp_path))
    yield store
    store.close()


def live(store: Store) -> list[Entry]:
    return list(live_entries(store))


def keys(store: Store) -> list[str]:
    return [entry.key for entry in live_entries(store)]


def key_of(article: CleanEntry) -> str:
    return mint_entry(article, cleaner="").key


def query(folder: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "feedsvc.db")) as connection, connection:
        return connection.execute(statement, values).fetchall()


# Round trips


@pytest.mark.parametrize(
    "article",
    [
        make_article(),
        make_article(author=None, source=None, categories=(), language=None, rights=None, images=()),
        make_article(title="\U0001f600 a\u0000b", content="", text="", summary=""),
        make_article(link=None, published=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        make_article(content="x" * 3_000_000),
        make_article(alternates=(Alternate("https://example.org/en", "en"), Alternate("https://example.org/x", None))),
    ],
    ids=["full", "bare", "emoji and NUL", "before 1970", "large", "in other languages"],
)
def test_entry_comes_back_as_it_was(store: Store, article: CleanEntry) -> None:
    (decision,) = save_dump(store, article)
    assert live(store) == [decision.entry]
    assert store.load_entry(decision.entry.key) == (decision.entry, ())


def test_removals_come_back_in_order_and_are_replaced(store: Store) -> None:
    article = make_article(removals=REMOVALS)
    save_dump(store, article)
    assert store.load_entry(key_of(article)) == (live(store)[0], REMOVALS)
    save_dump(store, replace(article, removals=REMOVALS[1:]))
    assert store.load_entry(key_of(article)) == (live(store)[0], REMOVALS[1:])
    # A duplicate does not own the entry, and says nothing of what was removed from it.
    save_dump(store, replace(article, removals=()), path="/dumps/b.txt")
    assert store.load_entry(key_of(article)) == (live(store)[0], REMOVALS[1:])


def test_unknown_entry(store: Store) -> None:
    assert store.load_entry("nothing") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.txt", "北约.txt", "a\nb.txt", "\udcff\udcfe.txt", "%41 ' \" ;--.txt"])
def test_paths_of_any_bytes(store: Store, name: str) -> None:
    path = f"/dumps/{name}"
    save_dump(store, make_article(), path=path)
    file = make_file(path)
    assert store.load_files("/dumps") == {path: (file.size, file.mtime_ns)}
    assert store.load_digests([path]).get(path) == file.digest
    with store.writing() as writer:
        article = writer.load_article(live(store)[0].id)
        assert article is not None
        assert (article.path, article.raw, article.mtime_ns) == (path, file.raw, file.mtime_ns)
        assert writer.mark_gone(path, NOW, withdraw=True) == keys(store)
    assert store.load_files("/dumps") == {}


def test_files_below_a_folder_only(store: Store) -> None:
    inside = ["/dumps/a", "/dumps/sub/b", "/dumps/\udcff"]
    with store.writing() as writer:
        for path in [*inside, "/dumps-old/c", "/dumps0", "/dumps", "/dump/d", "/a"]:
            writer.save_dump(writer.open_dump(path, NOW), make_file(path), NOW)
    assert sorted(store.load_files("/dumps")) == sorted(inside)
    assert sorted(store.load_files("/dumps/")) == sorted(inside)
    assert len(store.load_files("/")) == 8


def test_raw_is_kept_compressed(store: Store, tmp_path: Path) -> None:
    raw = b"<p>the same over and over</p>" * 1000
    with store.writing() as writer:
        writer.save_dump(writer.open_dump("/a", NOW), make_file("/a", raw=raw), NOW)
    assert len(bytes(query(tmp_path, "SELECT raw FROM dumps")[0][0])) < len(raw) / 10  # type: ignore[call-overload]


def test_raw_stays_when_a_later_state_brings_none(store: Store) -> None:
    save_dump(store, make_article())
    with store.writing() as writer:
        emptied = make_file(raw=None, size=0, digest="e", outcome=Outcome.IGNORED, reason="empty")
        writer.save_dump(writer.open_dump("/dumps/a.txt", NOW), emptied, NOW)
        kept = writer.load_article(live(store)[0].id)
    assert kept is not None
    assert kept.raw == make_file().raw
    assert store.load_digests(["/dumps/a.txt"]).get("/dumps/a.txt") == "e"


def test_touched_dump_keeps_its_digest(store: Store) -> None:
    save_dump(store, make_article())
    with store.writing() as writer:
        writer.touch_dump("/dumps/a.txt", 1, 2)
    assert store.load_files("/dumps") == {"/dumps/a.txt": (1, 2)}
    assert store.load_digests(["/dumps/a.txt"]).get("/dumps/a.txt") == make_file().digest


def test_newest_entries_come_first_and_ids_break_ties(store: Store) -> None:
    articles = [make_article(number, published=PUBLISHED + timedelta(days=number // 2)) for number in range(6)]
    save_dump(store, *articles)
    found = live(store)
    assert found == sorted(found, key=lambda entry: (-entry.published.timestamp(), entry.id))
    assert len(found) == store.count_entries() == 6


def test_counts_and_refused_files(store: Store) -> None:
    assert store.count_dumps() == {"published": 0, "unchanged": 0, "ignored": 0, "quarantined": 0}
    broken = make_file("/dumps/\udcff", outcome=Outcome.QUARANTINED, reason="line is \udcff", line=3)
    with store.writing() as writer:
        for file in [make_file("/dumps/a"), make_file("/dumps/README", outcome=Outcome.IGNORED, reason="no"), broken]:
            writer.save_dump(writer.open_dump(file.path, NOW), file, NOW)
        gone = make_file("/dumps/gone", outcome=Outcome.QUARANTINED)
        writer.save_dump(writer.open_dump(gone.path, NOW), gone, NOW)
        writer.mark_gone(gone.path, NOW, withdraw=False)
    assert store.count_dumps() == {"published": 1, "unchanged": 0, "ignored": 1, "quarantined": 1}
    assert store.load_refused(Outcome.QUARANTINED) == [replace(broken, reason="line is \\udcff", raw=None)]
    assert [file.path for file in store.load_refused(Outcome.IGNORED)] == ["/dumps/README"]


# How entries are known


def test_aliases_belong_to_whoever_came_first(store: Store) -> None:
    first = make_article(link="https://example.org/a")
    save_dump(store, first)
    with store.writing() as writer:
        other = mint_entry(make_article(link="https://example.org/b"), cleaner="")
        dump = writer.open_dump("/dumps/b.txt", NOW)
        writer.save_entry(other, ("https://example.org/a", "alias", "alias"), Place(dump, 0), PUBLISHED, ())
        by_first = writer.load_known(("https://example.org/a",), Place(9, 9), PUBLISHED)
        by_other = writer.load_known(("alias", "https://example.org/a"), Place(9, 9), PUBLISHED)
        assert writer.is_known_as(other.id, ["alias"])
        assert not writer.is_known_as(other.id, identities(first))
    assert by_first is not None
    assert by_other is not None
    assert (by_first.entry.key, by_other.entry.key) == (key_of(first), other.key)


def test_known_tells_where_it_stands_and_what_its_dump_says(store: Store) -> None:
    article = make_article()
    save_dump(store, article)
    names = identities(article)
    with store.writing() as writer:
        dump, other = writer.open_dump("/dumps/a.txt", NOW), writer.open_dump("/dumps/b.txt", NOW)
        known = writer.load_known(names, Place(other, 0), PUBLISHED)
        assert known is not None
        assert (known.owner, known.said, known.retired) == (Place(dump, 0), PUBLISHED, False)
        writer.mark_gone("/dumps/a.txt", NOW, withdraw=False)
        orphan = writer.load_known(names, Place(other, 0), PUBLISHED)
        assert orphan is not None
        assert (orphan.owner, orphan.said) == (None, PUBLISHED)
        back = writer.load_known(names, Place(dump, 0), PUBLISHED)
        assert back is not None
        assert back.owner == Place(dump, 0)


NO_LINK = make_article(link=None)


@pytest.mark.parametrize(
    ("then", "added"),
    [
        ([replace(NO_LINK, title="edited")], 0),
        ([replace(NO_LINK, text="edited")], 0),
        ([replace(NO_LINK, link="https://example.org/late")], 0),
        ([replace(NO_LINK, title="another", published=PUBLISHED + STEP)], 1),
        ([replace(NO_LINK, title="another", published=PUBLISHED + STEP), NO_LINK], 1),
    ],
    ids=["title", "text", "gained a link", "replaced", "one before it"],
)
def test_article_without_link(store: Store, then: Sequence[CleanEntry], added: int) -> None:
    save_dump(store, NO_LINK)
    (before,) = live(store)
    decisions = save_dump(store, *then)
    assert store.count_entries() == 1 + added
    assert [decision.verdict for decision in decisions].count(Verdict.ADDED) == added
    assert before.id in {entry.id for entry in live(store)}


def test_article_without_link_that_moved_is_not_one_that_was_edited(store: Store) -> None:
    save_dump(store, NO_LINK)
    new = replace(NO_LINK, title="new, at the same time")
    with store.writing() as writer:
        place = Place(writer.open_dump("/dumps/a.txt", NOW), 0)
        names, moved = identities(new), identities(NO_LINK)
        assert writer.load_known(names, place, PUBLISHED, {*names, *moved}) is None
        assert writer.load_known(names, place, PUBLISHED, {*names}) is not None


def test_linked_article_in_place_of_another_is_another(store: Store) -> None:
    save_dump(store, make_article(1))
    save_dump(store, make_article(2, published=make_article(1).published))
    assert store.count_entries() == 2


# Dumps that go, come back, and hold less


def test_deleted_dump_keeps_its_entry(store: Store) -> None:
    save_dump(store, make_article())
    with store.writing() as writer:
        assert writer.mark_gone("/dumps/a.txt", NOW, withdraw=False) == []
        assert writer.mark_gone("/dumps/never.txt", NOW, withdraw=True) == []
    assert store.count_entries() == 1
    assert store.load_digests(["/dumps/a.txt"]).get("/dumps/a.txt") is None
    assert store.count_dumps()["published"] == 0


def test_entry_is_withdrawn_with_the_last_dump_that_holds_it(store: Store) -> None:
    article = make_article()
    for path in ["/dumps/a.txt", "/dumps/b.txt", "/dumps/c.txt"]:
        save_dump(store, article, path=path)
    with store.writing() as writer:
        assert writer.mark_gone("/dumps/a.txt", NOW, withdraw=True) == []
        assert writer.mark_gone("/dumps/c.txt", NOW, withdraw=True) == []
        assert writer.mark_gone("/dumps/b.txt", NOW, withdraw=True) == [key_of(article)]
        assert writer.mark_gone("/dumps/b.txt", NOW, withdraw=True) == []
    assert keys(store) == []
    assert store.load_entry(key_of(article)) is None


@pytest.mark.parametrize("path", ["/dumps/a.txt", "/dumps/elsewhere.txt"])
def test_withdrawn_entry_is_reinstated_as_it_was(store: Store, path: str) -> None:
    save_dump(store, make_article(removals=REMOVALS))
    (before,) = live(store)
    with store.writing() as writer:
        writer.mark_gone("/dumps/a.txt", NOW, withdraw=True)
    save_dump(store, make_article(removals=REMOVALS), path=path)
    assert live(store) == [before]
    assert store.load_files("/dumps").keys() == {path}


def test_withdrawn_entry_is_reinstated_by_an_older_dump_with_the_text_it_had(store: Store) -> None:
    save_dump(store, make_article())
    (before,) = live(store)
    with store.writing() as writer:
        writer.mark_gone("/dumps/a.txt", NOW, withdraw=True)
    older = make_article(text="older", published=PUBLISHED - STEP)
    save_dump(store, older, path="/dumps/older.txt")
    assert live(store) == [replace(before, published=older.published)]


def test_many_articles_in_a_dump_then_fewer(store: Store) -> None:
    articles = [make_article(number) for number in range(4)]
    save_dump(store, *articles)
    save_dump(store, articles[2], path="/dumps/b.txt")
    with store.writing() as writer:
        dump = writer.open_dump("/dumps/a.txt", NOW)
        held = writer.load_held(dump)
        assert len(held) == 4
        writer.drop_articles(dump, beyond=1)
        assert writer.load_held(dump) == held[:1]
        assert writer.withdraw_orphans(held) == [key_of(articles[1]), key_of(articles[3])]
        dropped = writer.load_known(identities(articles[2]), Place(dump, 0), PUBLISHED)
    assert keys(store) == [key_of(articles[2]), key_of(articles[0])]
    assert dropped is not None
    assert dropped.owner is None  # any dump may speak for it now


def test_dropped_articles_stay_live(store: Store) -> None:
    save_dump(store, make_article(0), make_article(1))
    before = live(store)
    save_dump(store, make_article(0))
    assert live(store) == before


def test_articles_that_change_places_stay_what_they_are(store: Store) -> None:
    first, second = make_article(0), make_article(1)
    save_dump(store, first, second)
    before = live(store)
    decisions = save_dump(store, make_article(2), second, first)
    assert [decision.verdict for decision in decisions] == [Verdict.ADDED, Verdict.UNCHANGED, Verdict.UNCHANGED]
    assert live(store)[1:] == before
    with store.writing() as writer:
        assert [writer.load_article(entry.id).place.position for entry in live(store)] == [0, 1, 2]  # type: ignore[union-attr]


# Retention


def small_limit(connection: sa.Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 50)


@pytest.mark.parametrize(
    ("before", "beyond", "left"),
    [
        (None, None, [3, 2, 1, 0]),
        (PUBLISHED + timedelta(days=2), None, [3, 2]),
        (None, 1, [3]),
        (None, 0, []),
        (None, 4, [3, 2, 1, 0]),
        (PUBLISHED + timedelta(days=1), 2, [3, 2]),
    ],
)
def test_retention(store: Store, before: datetime | None, beyond: int | None, left: list[int]) -> None:
    articles = [make_article(number, removals=REMOVALS) for number in range(4)]
    save_dump(store, *articles)
    with store.writing() as writer:
        assert writer.retire(before=before, beyond=beyond) == 4 - len(left)
        assert writer.retire(before=before, beyond=beyond) == 0
    assert keys(store) == [key_of(articles[number]) for number in left]


def test_what_was_retired_never_comes_back(store: Store, tmp_path: Path) -> None:
    save_dump(store, make_article(removals=REMOVALS, alternates=(Alternate("https://example.org/en", "en"),)))
    with store.writing() as writer:
        assert writer.retire(before=None, beyond=0) == 1
    assert query(tmp_path, "SELECT content, text, summary, images, alternates, state FROM entries") == [
        ("", "", "", "[]", "[]", "retired")
    ]
    assert query(tmp_path, "SELECT count(*) FROM removals") == [(0,)]
    assert query(tmp_path, "SELECT raw FROM dumps") == [(None,)]
    other_spelling = make_article(link="http://EXAMPLE.org/news/0?id=7&utm_source=x")
    for article in [make_article(), make_article(text="changed"), other_spelling]:
        for path in ["/dumps/a.txt", "/dumps/b.txt"]:
            (decision,) = save_dump(store, article, path=path)
            assert decision.verdict is Verdict.UNCHANGED
    assert keys(store) == []
    assert query(tmp_path, "SELECT content, state FROM entries") == [("", "retired")]


@pytest.mark.slow
def test_withdrawn_entries_are_retired_by_age(store: Store, tmp_path: Path) -> None:
    save_dump(store, make_article())
    with store.writing() as writer:
        writer.mark_gone("/dumps/a.txt", NOW, withdraw=True)
        assert writer.retire(before=NOW, beyond=None) == 1
    assert query(tmp_path, "SELECT content FROM entries") == [("",)]


def test_raw_goes_only_when_nothing_needs_it(store: Store, tmp_path: Path) -> None:
    save_dump(store, make_article(0), make_article(9), path="/dumps/old-and-new")
    save_dump(store, make_article(1), path="/dumps/old")
    with store.writing() as writer:
        broken = make_file("/dumps/broken", outcome=Outcome.QUARANTINED)
        writer.save_dump(writer.open_dump(broken.path, NOW), broken, NOW)
        assert writer.retire(before=PUBLISHED + timedelta(days=5), beyond=None) == 2
    kept = query(tmp_path, "SELECT path FROM dumps WHERE raw IS NOT NULL ORDER BY path")
    assert kept == [(b"/dumps/broken",), (b"/dumps/old-and-new",)]


@pytest.mark.slow
def test_retention_and_withdrawal_of_more_than_sqlite_takes_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedsvc.store.base._CHUNK", 20)
    articles = [make_article(number) for number in range(70)]
    save_dump(store, *articles)
    with store.writing() as writer:
        small_limit(writer.connection)
        assert len(writer.mark_gone("/dumps/a.txt", NOW, withdraw=True)) == 70
    save_dump(store, *articles)
    with store.writing() as writer:
        small_limit(writer.connection)
        assert writer.retire(before=None, beyond=1) == 69


# Cleaning again


def test_outdated_entries_are_the_newest_live_ones_whose_dump_is_kept(store: Store) -> None:
    save_dump(store, *(make_article(number) for number in range(3)))
    save_dump(store, make_article(8), path="/dumps/gone")
    save_dump(store, make_article(9), path="/dumps/withdrawn")
    with store.writing() as writer:
        writer.mark_gone("/dumps/gone", NOW, withdraw=False)
        writer.mark_gone("/dumps/withdrawn", NOW, withdraw=True)
        writer.drop_articles(writer.open_dump("/dumps/a.txt", NOW), beyond=2)
        found = writer.load_outdated("new", 10)
        assert [article.entry.key for article in found] == [key_of(make_article(number)) for number in (8, 1, 0)]
        assert len(writer.load_outdated("new", 2)) == 2
        assert writer.load_outdated(found[0].entry.cleaner, 10) == []


def test_refreshed_entry_keeps_its_removals_where_none_are_given(store: Store) -> None:
    save_dump(store, make_article(removals=REMOVALS))
    (entry,) = live(store)
    with store.writing() as writer:
        writer.refresh_entry(replace(entry, cleaner="new"), None)
    assert store.load_entry(entry.key) == (replace(entry, cleaner="new"), REMOVALS)
    with store.writing() as writer:
        writer.refresh_entry(replace(entry, content="<p>x</p>"), REMOVALS[:1])
    assert store.load_entry(entry.key) == (replace(entry, content="<p>x</p>"), REMOVALS[:1])


def test_article_that_is_not_kept(store: Store) -> None:
    with store.writing() as writer:
        assert writer.load_article("tag:nothing") is None


# Problems and feeds


def test_problems_keep_the_time_they_began(store: Store) -> None:
    later = NOW + STEP
    with store.writing() as writer:
        writer.save_problem("job:b", "first", later)
        writer.save_problem("watch:/\udcff", "no \udcff", NOW)
        writer.save_problem("job:b", "second", later + STEP)
        writer.save_problem("watch:/\udcff", "still no \udcff", later)
    assert store.load_problems() == [
        Problem("watch:/\\udcff", "still no \\udcff", NOW),
        Problem("job:b", "second", later),
    ]
    with store.writing() as writer:
        writer.drop_problem("watch:/\udcff")
        writer.drop_problem("unknown")
    assert [problem.key for problem in store.load_problems()] == ["job:b"]
    with store.writing() as writer:
        writer.drop_problem(None)
    assert store.load_problems() == []


def test_feed_id_is_minted_once(store: Store) -> None:
    record = load_feed(store, "feed", NOW)
    assert record.id.startswith("urn:uuid:")
    assert load_feed(store, "feed", NOW + STEP) == record == FeedRecord(record.id, NOW)
    assert load_feed(store, "other", NOW).id != record.id


@pytest.mark.slow
def test_feed_id_is_minted_once_by_many_at_the_same_time(store: Store, tmp_path: Path) -> None:
    script = (
        "import sys; from datetime import UTC, datetime; from feedsvc.store import Store\n"
        "print(Store(sys.argv[1]).load_feeds(['feed'], datetime.now(UTC))['feed'].id)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url_of(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    start = threading.Barrier(4)

    def load(_number: int) -> str:
        start.wait()
        return load_feed(store, "feed", NOW).id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(load, range(4)))
    ids |= {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(ids) == 1


@pytest.mark.slow
def test_a_new_store_is_made_once_by_many_at_the_same_time(tmp_path: Path) -> None:
    script = "import sys; from feedsvc.store import Store; print(Store(sys.argv[1]).count_entries())"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url_of(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["0\n"] * 3


def test_digest_of_a_feed_is_kept_with_its_time_which_never_goes_back(store: Store) -> None:
    load_feed(store, "feed", NOW)
    assert store.load_feed_digest("feed") == (None, None)
    store.save_feed_digests({"feed": ("a", NOW)})
    assert store.load_feed_digest("feed") == ("a", NOW)
    for since in (NOW, NOW - STEP):  # another process was faster
        store.save_feed_digests({"feed": ("b", since)})
        assert store.load_feed_digest("feed") == ("a", NOW)
    store.save_feed_digests({"feed": ("b", NOW + STEP)})
    assert store.load_feed_digest("feed") == ("b", NOW + STEP)


def test_digest_of_a_feed_that_was_never_loaded(store: Store) -> None:
    store.save_feed_digests({"unknown": ("a", NOW)})
    assert store.load_feed_digest("unknown") == (None, None)


# Transactions, threads, processes


def test_changed_elsewhere(store: Store, tmp_path: Path) -> None:
    other = Store(url_of(tmp_path))
    assert store.changed_elsewhere()  # nothing was looked at before
    assert not store.changed_elsewhere()
    list(live_entries(other))
    assert not store.changed_elsewhere()
    save_dump(other, make_article())
    assert store.changed_elsewhere()
    assert not store.changed_elsewhere()
    other.close()


@pytest.mark.slow
def test_two_stores_write_at_the_same_time_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    other = Store(url_of(tmp_path))
    start = threading.Barrier(4)

    def write(worker: int) -> None:
        start.wait()
        for number in range(25):
            with (store, other)[worker % 2].writing() as writer:
                known = {problem.key: problem.message for problem in store.load_problems()}
                writer.save_problem("count", str(int(known.get("count", "0")) + 1), NOW)
            save_dump((store, other)[worker % 2], make_article(worker * 100 + number), path=f"/dumps/{worker}-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert store.count_entries() == 100
    assert [problem.message for problem in store.load_problems()] == ["100"]
    other.close()


def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    save_dump(store, make_article(0))
    with store.writing() as writer:
        save_article(writer, make_article(1), Place(writer.open_dump("/b", NOW), 0))
        assert store.count_entries() == 1
    assert store.count_entries() == 2


@pytest.mark.slow
def test_reader_that_stopped_halfway_holds_nothing_up(store: Store) -> None:
    save_dump(store, *(make_article(number) for number in range(300)))
    reader = live_entries(store)
    next(reader)
    save_dump(store, make_article(999), path="/dumps/b.txt")
    assert len(list(reader)) == 299  # as it was when the reading began
    assert store.count_entries() == 301


def test_failed_transaction_leaves_nothing(store: Store) -> None:
    def interrupted() -> None:
        with store.writing() as writer:
            save_article(writer, make_article(), Place(writer.open_dump("/a", NOW), 0))
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert store.count_entries() == 0
    assert store.load_files("/") == {}


def test_refused_part_is_undone_on_its_own(store: Store) -> None:
    with store.writing() as writer:
        good = writer.open_dump("/good", NOW)
        save_article(writer, make_article(0), Place(good, 0))
        for bad in [make_article(1, title="\ud800"), make_article(1, text="\udfff")]:
            with pytest.raises(StoreError, match="refuses"), writer.attempt():
                save_article(writer, bad, Place(good, 1))
        with pytest.raises(StoreError, match="NOT NULL"), writer.attempt():
            writer.connection.execute(entries.update().values(title=None))
        with pytest.raises(StoreError, match="refuses"), writer.attempt():
            writer.touch_dump("/good", 2**64, 0)
        save_article(writer, make_article(2), Place(good, 2))
    assert keys(store) == [key_of(make_article(2)), key_of(make_article(0))]


@pytest.mark.slow
def test_process_that_dies_in_a_transaction_leaves_nothing(store: Store, tmp_path: Path) -> None:
    save_dump(store, make_article(0))
    script = (
        "import os, sys; from articles import *; from feedsvc.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "save_dump(store, make_article(1), path='/dumps/b')\n"
        "with store.writing() as writer:\n"
        "    for number in range(2, 100):\n"
        "        save_article(writer, make_article(number), Place(writer.open_dump(f'/dumps/{number}', NOW), 0))\n"
        "    os._exit(9)\n"
    )
    path = os.pathsep.join(sys.path)
    killed = subprocess.run(
        [sys.executable, "-c", script, url_of(tmp_path)], env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert killed.returncode == 9
    store.verify()
    assert keys(store) == [key_of(make_article(1)), key_of(make_article(0))]
    assert store.load_files("/").keys() == {"/dumps/a.txt", "/dumps/b"}
    save_dump(store, make_article(2), path="/dumps/c")
    assert store.count_entries() == 3


@pytest.mark.slow
def test_closed_store_holds_no_file_open(tmp_path: Path) -> None:
    store = Store(url_of(tmp_path))
    save_dump(store, make_article())
    store.changed_elsewhere()
    store.close()
    store.close()
    links = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_open(number)]  # noqa: PTH115, PTH208 - descriptors, not paths
    assert not [link for link in links if link.startswith(str(tmp_path))]
    assert not (tmp_path / "feedsvc.db-wal").exists()


def _is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


def test_settings_of_sqlite(store: Store) -> None:
    with store.writing() as writer:
        settings = [
            writer.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert settings == ["wal", 2, 1, 30_000]


def test_upkeep_shortens_the_log(store: Store, tmp_path: Path) -> None:
    save_dump(store, make_article(content="x" * 500_000))
    assert (tmp_path / "feedsvc.db-wal").stat().st_size > 400_000
    store.optimise()
    assert (tmp_path / "feedsvc.db-wal").stat().st_size == 0
    assert store.count_entries() == 1


# What is wrong with it


def test_store_is_made_with_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "lib" / "what is"
    with closing(Store(url_of(folder))) as store:
        assert store.count_entries() == 0
    assert (folder / "feedsvc.db").exists()


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "feedsvc.db").write_bytes(b"My diary. Do not overwrite. " * 100)
    with pytest.raises(StoreError, match=r"feedsvc\.db: the store cannot be opened: file is not a database"):
        Store(url_of(tmp_path))
    assert (tmp_path / "feedsvc.db").read_bytes().startswith(b"My diary")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the store cannot be opened: .*(Not a directory|File exists)"):
        Store(url_of(tmp_path / "file"))


def test_path_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "feedsvc.db").mkdir()
    with pytest.raises(StoreError, match="unable to open database file"):
        Store(url_of(tmp_path))


@pytest.mark.parametrize("url", ["nonsense://x", "no url at all", "", "postgresql+nodriver://u:secret@h/d"])
def test_unknown_addresses(url: str) -> None:
    with pytest.raises(StoreError, match="the store cannot be opened") as raised:
        Store(url)
    assert "secret" not in str(raised.value)


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Store]:
    """A store of many pages, one of which is overwritten."""
    with closing(Store(url_of(tmp_path))) as store:
        save_dump(store, *(make_article(number, text="x" * 2000) for number in range(100)))
    path = tmp_path / "feedsvc.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096 * 8)
    store = Store(url_of(tmp_path))
    yield store
    store.close()


@pytest.mark.slow
def test_damage_is_found_and_said(damaged: Store) -> None:
    with pytest.raises(StoreError, match=r"feedsvc\.db: the store (is damaged|cannot be read): "):
        damaged.verify()


@pytest.mark.slow
def test_damage_met_while_reading(damaged: Store) -> None:
    with pytest.raises(StoreError, match=r"feedsvc\.db: the store cannot be read: .*malformed"):
        list(live_entries(damaged))


@pytest.mark.slow
def test_damage_met_while_writing(damaged: Store) -> None:
    def write() -> None:
        with damaged.writing() as writer:
            writer.retire(before=NOW + timedelta(days=999), beyond=None)

    with pytest.raises(StoreError, match=r"feedsvc\.db: the store cannot be written: .*malformed"):
        write()


def test_sound_store_is_sound(store: Store) -> None:
    save_dump(store, make_article())
    store.verify()


def test_observer_says_what_is_wrong(store: Store, tmp_path: Path) -> None:
    store.disconnect()
    (tmp_path / "feedsvc.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"feedsvc\.db: the store cannot be read: file is not a database"):
        store.changed_elsewhere()


@pytest.mark.slow
def test_writer_that_finds_the_store_locked(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "feedsvc.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked"), _impatient(store).writing():
            pytest.fail("the lock was not there")


def _impatient(store: Store) -> Store:
    @sa.event.listens_for(store._engine, "checkout")  # noqa: SLF001 - half a minute is too long for a test
    def shorten(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA busy_timeout = 10")

    return store


def test_open_dump_gives_a_path_one_number(store: Store) -> None:
    with store.writing() as writer:
        number = writer.open_dump("/a", NOW)
        assert writer.open_dump("/a", NOW) == number != writer.open_dump("/b", NOW)
        assert writer.connection.scalar(sa.select(sa.func.count()).select_from(dumps)) == 2
