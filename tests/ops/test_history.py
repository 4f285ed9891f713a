"""The history of problems: each time one stood is an occurrence of its own, and a feed tells of them."""

from __future__ import annotations

import re
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import feedparser
import pytest
from articles import NOW, make_file
from feed_checks import atom_faults

from feedsvc.errors import StoreError
from feedsvc.model import Outcome, Problem
from feedsvc.ops import history as module
from feedsvc.ops.history import History, describe_occurrence, follow
from feedsvc.ops.problems import KINDS
from feedsvc.store import Store
from feedsvc.store.operations import Occurrence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LATER = NOW + timedelta(minutes=5)
BASE = "https://feeds.example.org"
JOB = Occurrence(number=1, key="job:rescan", message="no", since=NOW, changed=NOW)
DUMP = Occurrence(number=2, key="dump:/a", message="broken", since=NOW, changed=NOW)


@pytest.mark.parametrize(
    ("known", "problems", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param(
            [],
            [Problem("store", "no")],
            [Occurrence(number=7, key="store", message="no", since=LATER, changed=LATER)],
            id="one begins",
        ),
        pytest.param(
            [],
            [Problem("drift:a:b", "no", NOW), Problem("dump:/b", "no", line=3)],
            [
                Occurrence(number=7, key="drift:a:b", message="no", since=NOW, changed=LATER),
                Occurrence(number=8, key="dump:/b", message="line 3: no", since=LATER, changed=LATER),
            ],
            id="two begin",
        ),
        pytest.param([JOB], [Problem("job:rescan", "no")], [], id="it stands"),
        pytest.param(
            [JOB], [Problem("job:rescan", "never")], [replace(JOB, message="never", changed=LATER)], id="in other words"
        ),
        pytest.param([JOB], [], [replace(JOB, changed=LATER, ended=LATER)], id="it ends"),
        pytest.param([JOB, DUMP], [Problem("job:rescan", "no")], [], id="what cannot be seen does not end"),
    ],
)
def test_follow(known: list[Occurrence], problems: list[Problem], expected: list[Occurrence]) -> None:
    assert follow(known, problems, LATER, unseen=frozenset({"dump"}), first=7) == expected


def test_each_kind_has_a_title_and_advice() -> None:
    source = "\n".join(path.read_text("utf-8") for path in Path(module.__file__).parents[1].rglob("*.py"))
    reported = re.findall(r"report\(f?\"([a-z-]+)[:\"]", source)
    assert len(reported) > 10
    assert set(reported) <= KINDS.keys()
    assert all(kind.title and kind.advice for kind in KINDS.values())


def test_clock_that_went_back_moves_no_date_back() -> None:
    (ended,) = follow([JOB], [], NOW - timedelta(days=1), unseen=frozenset(), first=2)
    assert ended.ended == ended.changed == NOW


@pytest.mark.parametrize("key", ["job:rescan", "store", "entry:abc", "nonsense:x", "dump:/a\udcff\n<b>"])
@pytest.mark.parametrize("ended", [None, LATER])
def test_entry_says_what_and_since_when(key: str, ended: datetime | None) -> None:
    entry = describe_occurrence(replace(JOB, key=key, ended=ended), uuid.UUID(int=0))
    assert entry.text.startswith("no\n\nSince 2024-05-01 12:00:00 UTC.")
    assert entry.title.startswith("Ended: ") is bool(ended)
    assert len(entry.text.split("\n\n")) == (2 if ended else 3)  # what to do comes last
    assert entry.page == ("/entries/abc" if key == "entry:abc" else None)


# With a store


class Desk:
    """A history over a store, with what the daemon reports and a clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.standing: dict[str, str] = {}
        self.now = NOW
        self.begin()

    def begin(self) -> None:
        self.history = History(self.store, lambda: self.standing, lambda: self.now, title="News & more")
        self.history.begin()

    def quarantine(self, path: str, outcome: Outcome = Outcome.QUARANTINED) -> None:
        with self.store.writing() as writer:
            file = make_file(path, outcome=outcome, reason="the marker is not closed", line=1)
            writer.save_dump(writer.open_dump(path, NOW), file, NOW)

    def feed(self) -> Any:  # noqa: ANN401 - feedparser has no types
        body = self.history.render(BASE).body
        assert atom_faults(body) == []
        return feedparser.parse(body)

    def kept(self) -> list[Occurrence]:
        with self.store.reading() as reader:
            return reader.operations.load_occurrences()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Store(f"sqlite:///{tmp_path / 'feedsvc.db'}")) as store:
        yield Desk(store)


def test_empty_feed(desk: Desk) -> None:
    feed = desk.feed()
    assert feed.feed.title == "Problems of News & more"
    assert feed.feed.id.startswith("urn:uuid:")
    assert feed.entries == []


def test_problem_that_comes_again_is_a_new_entry(desk: Desk) -> None:
    desk.standing = {"job:rescan": "rescan failed: no"}
    first = desk.feed().entries[0]
    desk.now = LATER
    desk.standing = {}
    (ended,) = desk.feed().entries
    assert (ended.id, ended.title) == (first.id, "Ended: Job fails: rescan")
    assert ended.updated_parsed > first.updated_parsed
    desk.standing = {"job:rescan": "rescan failed: no"}
    again, before = desk.feed().entries
    assert (before.id, before.title) == (ended.id, ended.title)
    assert again.id != first.id
    assert again.title == "Job fails: rescan"


def test_quarantined_dump_and_its_end(desk: Desk) -> None:
    desk.quarantine("/dumps/a\udcff.txt")
    (entry,) = desk.feed().entries
    assert entry.title == "Dump quarantined: /dumps/a\\udcff.txt"
    assert "line 1: the marker is not closed" in entry.content[0].value
    assert "read again as soon as it changes" in entry.content[0].value
    assert entry.content[0].type == "text/plain"
    desk.quarantine("/dumps/a\udcff.txt", Outcome.PUBLISHED)
    assert desk.feed().entries[0].title.startswith("Ended: ")


def test_same_bytes_while_nothing_changes_and_after_a_restart(desk: Desk) -> None:
    desk.quarantine("/dumps/a.txt")
    desk.standing = {"websub:https://hub.example.org/": "no"}
    made = desk.history.render(BASE)
    desk.now = LATER
    assert desk.history.render(BASE) is made
    desk.history.refresh()
    desk.begin()
    assert desk.history.render(BASE) == made
    assert len(desk.kept()) == 2


def test_rendering_leaves_writing_to_the_next_refresh(desk: Desk, tmp_path: Path) -> None:
    desk.standing = {"store": "no"}
    with closing(sqlite3.connect(tmp_path / "feedsvc.db")) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        desk.history.render(BASE)
        assert other.execute("PRAGMA data_version").fetchone() == before
    assert desk.kept() == []
    desk.history.refresh()
    assert [one.key for one in desk.kept()] == ["store"]


def test_history_that_is_not_begun_is_not_begun_by_a_request(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'other.db'}")) as store:
        history = History(store, dict, lambda: NOW, title="News")
        with pytest.raises(StoreError, match="not begun yet"):
            history.render(BASE)
        history.begin()
        assert history.render(BASE).body


def test_numbers_are_not_given_twice(desk: Desk) -> None:
    desk.standing = {"store": "no"}
    desk.history.catch_up()
    desk.begin()
    desk.standing = {"store": "no", "job:age": "no"}
    desk.history.catch_up()
    assert [(one.number, one.key) for one in desk.kept()] == [(1, "store"), (2, "job:age")]


def test_history_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENDED", 3)
    monkeypatch.setattr(module, "_MOST_SHOWN", 3)
    desk.standing = {"watch:/old": "no"}
    desk.history.catch_up()
    for number in range(6):
        desk.now += timedelta(seconds=1)
        desk.standing = {"watch:/old": "no", f"job:{number}": "no"}
        desk.history.catch_up()
    assert [one.key for one in desk.kept()] == ["watch:/old", "job:2", "job:3", "job:4", "job:5"]
    titles = [entry.title for entry in desk.feed().entries]
    assert titles == ["Job fails: 5", "Folder cannot be watched: /old", "Ended: Job fails: 4"]


def test_refresh_waits_for_a_change(desk: Desk) -> None:
    desk.history.refresh()
    desk.standing = {"store": "no"}
    desk.history.refresh()
    assert desk.kept() == []
    desk.history.expire()
    desk.history.refresh()
    assert len(desk.kept()) == 1


def test_closed_history_leaves_the_store_to_its_successor(desk: Desk) -> None:
    desk.history.close()
    desk.standing = {"store": "no"}
    desk.history.catch_up()
    assert desk.kept() == []


def test_store_that_fails_is_told_of_nevertheless(desk: Desk) -> None:
    desk.quarantine("/dumps/a.txt")
    desk.feed()
    with desk.store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE dumps RENAME TO elsewhere")
        writer.connection.exec_driver_sql("ALTER TABLE incidents RENAME TO nowhere")
    desk.standing = {"store": "the store cannot be written: disk is full"}
    with pytest.raises(StoreError):
        desk.history.catch_up()
    assert [entry.title for entry in desk.feed().entries] == ["Store cannot be used", "Dump quarantined: /dumps/a.txt"]
    with desk.store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO dumps")
        writer.connection.exec_driver_sql("ALTER TABLE nowhere RENAME TO incidents")
    desk.standing = {}
    desk.history.refresh()
    assert [(one.key, bool(one.ended)) for one in desk.kept()] == [("dump:/dumps/a.txt", False), ("store", True)]


def test_store_that_never_could_be_read(desk: Desk) -> None:
    with desk.store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE incidents RENAME TO nowhere")
    with pytest.raises(StoreError):
        desk.history.render(BASE)
