"""From the store to the feed's document: the same store, the same document, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from articles import NOW, PUBLISHED, assemble_feed, load_feed, make_article, save_dump

from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.plan import FeedSettings, Plan
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.model import FeedDocument

SETTINGS = FeedSettings(title="News", subtitle="of the day", author="张三", language="zh-CN", entries=3, max_bytes=None)
LATER = NOW + timedelta(days=1)
STEP = timedelta(seconds=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield store


def test_document_says_what_the_settings_and_the_store_say(store: Store) -> None:
    save_dump(store, *(make_article(number) for number in range(5)))
    document, last_modified = assemble_feed(store, SETTINGS, NOW)
    assert (document.name, document.title, document.subtitle) == ("feed", "News", "of the day")
    assert (document.author, document.language) == ("张三", "zh-CN")
    assert document.id == load_feed(store, "feed", LATER).id
    assert [entry.title for entry in document.entries] == ["北约 4", "北约 3", "北约 2"]
    assert document.updated == document.entries[0].updated
    assert last_modified == NOW


def test_document_was_updated_with_its_latest_entry_wherever_that_stands(store: Store) -> None:
    save_dump(store, make_article(0), make_article(1))
    save_dump(store, make_article(0, text="corrected"), make_article(1), now=NOW)
    document, _ = assemble_feed(store, SETTINGS, LATER)
    assert document.updated == document.entries[1].updated == NOW


def test_feed_without_entries_was_updated_when_it_was_born(store: Store) -> None:
    document, last_modified = assemble_feed(store, SETTINGS, NOW)
    assert (document.entries, document.updated, last_modified) == ((), NOW, NOW)
    assert assemble_feed(store, SETTINGS, LATER) == (document, NOW)


def test_last_modified_moves_with_any_change_of_the_document(store: Store) -> None:
    save_dump(store, make_article(0))
    first, since = assemble_feed(store, SETTINGS, NOW)
    assert assemble_feed(store, SETTINGS, LATER) == (first, since)
    _, renamed = assemble_feed(store, replace(SETTINGS, title="Olds"), LATER)
    assert renamed == LATER
    save_dump(store, make_article(0, content="<div>other markup</div>"))
    quiet, changed = assemble_feed(store, replace(SETTINGS, title="Olds"), NOW)  # the clock went back
    assert quiet.updated == first.updated
    assert changed == LATER + STEP


def test_other_rules_that_lead_to_the_same_are_no_change(store: Store) -> None:
    save_dump(store, make_article(0))
    document, since = assemble_feed(store, SETTINGS, NOW)
    with store.writing() as writer:
        writer.refresh_entry(replace(document.entries[0], cleaner="new"), None)
    again, still = assemble_feed(store, SETTINGS, LATER)
    assert (again.entries[0].cleaner, still) == ("new", since)


def loaded(store: Store, **changes: Any) -> FeedDocument:  # noqa: ANN401 - any setting
    return assemble_feed(store, replace(SETTINGS, **changes), NOW)[0]


def test_number_and_size_of_entries_are_limited(store: Store) -> None:
    save_dump(store, *(make_article(number, content="x" * 10_000) for number in range(5)))
    assert len(loaded(store, entries=2).entries) == 2
    assert len(loaded(store, entries=50).entries) == 5
    assert len(loaded(store, entries=50, max_bytes=35_000).entries) == 3
    assert loaded(store, entries=1).entries[0].published == PUBLISHED + timedelta(days=4)


@pytest.mark.parametrize("max_bytes", [None, 35_000])
def test_entries_of_a_listed_feed_are_read_when_they_are_asked_for(store: Store, max_bytes: int | None) -> None:
    save_dump(store, *(make_article(number, content="x" * 10_000) for number in range(5)))
    assembler = Assembler(store, Plan(replace(SETTINGS, entries=4, max_bytes=max_bytes)))
    assembler.refresh(NOW)
    listed = assembler.documents["feed"]
    whole, _ = assembler.load("feed", NOW)
    assert len(listed.entries) == len(whole.entries) == (4 if max_bytes is None else 3)
    assert tuple(listed.entries) == whole.entries
    assert listed.entries[0] == whole.entries[0]
    assert listed.entries[-1] == whole.entries[-1]
    assert listed.entries[1:3] == whole.entries[1:3]
    assert replace(listed, entries=whole.entries) == whole
    with pytest.raises(IndexError):
        _ = listed.entries[4]


def test_feeds_that_did_not_change_keep_their_documents(store: Store) -> None:
    save_dump(store, make_article(0, source="a"), make_article(1, source="b"))
    assembler = Assembler(store, Plan(SETTINGS))
    assembler.refresh(NOW)
    before = dict(assembler.documents)
    save_dump(store, make_article(2, source="a"), path="/dumps/b")
    assert assembler.refresh(NOW) == {"feed", "a"}
    assert assembler.documents["b"] is before["b"]
    assert (len(before["a"].entries), len(assembler.documents["a"].entries)) == (1, 2)
    assert {document.id for document in before.values()} == {each.id for each in assembler.documents.values()}
    assert len({document.id for document in before.values()}) == 3


def test_each_feed_has_a_last_modified_of_its_own(store: Store) -> None:
    save_dump(store, make_article(0, source="a"), make_article(1, source="b"))
    assembler = Assembler(store, Plan(SETTINGS))
    assembler.refresh(NOW)
    assert [assembler.load(name, NOW)[1] for name in ("feed", "a", "b")] == [NOW] * 3
    save_dump(store, make_article(2, source="a"), path="/dumps/b")
    assembler.refresh(LATER)
    assert [assembler.load(name, LATER)[1] for name in ("feed", "a", "b")] == [LATER, LATER, NOW]
    assembler.save()
    again = Assembler(store, Plan(SETTINGS))
    again.refresh(LATER + STEP)
    assert [again.load(name, LATER + STEP) for name in ("feed", "a", "b")] == [
        assembler.load(name, LATER) for name in ("feed", "a", "b")
    ]


def test_what_a_store_that_failed_could_not_tell_is_told_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save_dump(store, make_article(0, source="a"))
    assembler = Assembler(store, Plan(SETTINGS))
    assembler.refresh(NOW)
    save_dump(store, make_article(1, source="b"), path="/dumps/b")
    for name in ("load_source_names", "load_feeds"):
        with monkeypatch.context() as patch:
            patch.delattr(Store, name)
            with pytest.raises(AttributeError):
                assembler.refresh(NOW)
        assert set(assembler.documents) == {"feed", "a"}
    assert assembler.refresh(NOW) == {"feed", "b"}


@pytest.mark.slow
def test_two_processes_see_the_same_document(store: Store, tmp_path: Path) -> None:
    save_dump(store, *(make_article(number, categories=("b", "a", "c")) for number in range(3)))
    script = (
        "import hashlib, sys; from test_assemble import *\n"
        "document, since = assemble_feed(Store(sys.argv[1]), SETTINGS, LATER)\n"
        "print(since, hashlib.sha256(repr(document).encode()).hexdigest())"
    )
    _, since = assemble_feed(store, SETTINGS, NOW)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    said = {
        subprocess.run(
            [sys.executable, "-c", script, f"sqlite:///{tmp_path}/feedsvc.db"],
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert said.pop().startswith(str(since))  # the digest was the same as well
