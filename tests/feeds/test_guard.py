"""What readers know of entries does not change without a reason."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import live_entries, make_article, save_dump
from feed_documents import make_document, make_entry
from lxml import etree

from feedsvc.errors import RenderError
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.guard import Guard, find_lost, find_refused, hold
from feedsvc.feeds.resources import make_resources
from feedsvc.model import Entry, FeedDocument
from feedsvc.store import Store
from feedsvc.store.marks import Mark, State
from feedsvc.store.schema import LIVE, RETIRED, WITHDRAWN, dumps, entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "https://feeds.example.org"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = timedelta(days=1)
ENTRY = make_entry(0)
MARK = Mark(ENTRY.key, ENTRY.id, ENTRY.updated, ENTRY.digest, "dump")
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.mark.parametrize(
    ("entry", "origin", "published", "refused"),
    [
        pytest.param(ENTRY, "dump", ENTRY, None, id="as it was"),
        pytest.param(replace(ENTRY, content="cleaner"), "dump", None, None, id="cleaned again"),
        pytest.param(replace(ENTRY, digest="new"), "new", None, None, id="changed, quietly"),
        pytest.param(
            replace(ENTRY, updated=ENTRY.updated + LATER, digest="new"), "new", None, None, id="article changed"
        ),
        pytest.param(
            replace(ENTRY, updated=ENTRY.updated + LATER, digest="new"), None, None, None, id="of a dump that is gone"
        ),
        pytest.param(
            replace(ENTRY, updated=ENTRY.updated + LATER), "new", ENTRY, "though the article is the same", id="moved"
        ),
        pytest.param(
            replace(ENTRY, updated=ENTRY.updated + LATER, digest="new"),
            "dump",
            replace(ENTRY, digest="new"),
            "though the article is the same",
            id="moved by other cleaning or parsing of the same dump",
        ),
        pytest.param(
            replace(ENTRY, updated=ENTRY.updated - LATER, digest="new"),
            "new",
            replace(ENTRY, digest="new"),
            "is dated back to 2024-01-03T15:45:02+00:00",
            id="dated back",
        ),
        pytest.param(replace(ENTRY, id="tag:x"), "dump", ENTRY, "has the id 'tag:x' now", id="another id"),
        pytest.param(
            replace(ENTRY, id="tag:x", updated=ENTRY.updated + LATER, digest="new"),
            "new",
            replace(ENTRY, updated=ENTRY.updated + LATER, digest="new"),
            "has the id 'tag:x' now",
            id="another id, and the article changed",
        ),
    ],
)
def test_hold(entry: Entry, origin: str | None, published: Entry | None, refused: str | None) -> None:
    held, message = hold(entry, MARK, origin)
    assert held == (published or entry)
    assert message == refused if refused is None or message is None else refused in message


def test_what_was_never_published_is_free() -> None:
    assert hold(ENTRY, None, None) == (ENTRY, None)


def state(number: int, name: str = LIVE) -> State:
    entry = make_entry(number)
    return State(entry.key, entry.id, name, entry.published)


@pytest.mark.parametrize(
    ("name", "states", "left_out", "lost"),
    [
        pytest.param("feed", [state(0)], (), None, id="pushed out"),
        pytest.param("feed", [state(4, WITHDRAWN)], (), None, id="withdrawn"),
        pytest.param("feed", [state(4, RETIRED)], (), None, id="retired"),
        pytest.param("feed", [state(4)], ("k4",), None, id="left out"),
        pytest.param("feed", [state(4)], (), "entry 'tag:example.org,2024:4' is missing", id="newer than others"),
        pytest.param("asia", [state(4)], (), None, id="matches the filter no more"),
        pytest.param("asia", [], (), "entry k4 was published and is not in the store any more", id="not in the store"),
    ],
)
def test_find_lost(name: str, states: list[State], left_out: tuple[str, ...], lost: str | None) -> None:
    document = make_document(make_entry(3), make_entry(2), name=name)
    gone = states[0].key if states else "k4"
    found = find_lost([gone, "k3"], document, {known.key: known for known in states}, left_out)
    assert len(found) == (lost is not None)
    assert lost is None or lost in found[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as made:
        save_dump(made, *(make_article(number) for number in range(4)))
        yield made


class Readers:
    """Publishes what is in the store as the daemon does, and reads it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problems: dict[str, str] = {}
        self.guard = Guard(store, self._report)
        self.guard.look_back()
        self.render = self.guard.checked(FORMATS["atom"])

    def _report(self, key: str, message: str | None) -> None:
        if message is None:
            self.problems.pop(key, None)
        else:
            self.problems[key] = message

    def read(self, *, save: bool = True, **changes: object) -> dict[str, str]:
        """The feed's entries: id to `updated`."""
        body = self.render(self.document(**changes), BASE)
        if save:
            self.guard.save(NOW)
        return {
            str(entry.findtext(f"{ATOM}id")): str(entry.findtext(f"{ATOM}updated"))
            for entry in etree.fromstring(body).findall(f"{ATOM}entry")
        }

    def document(self, **changes: object) -> FeedDocument:
        return make_document(*self.guard.admit(tuple(live_entries(self.store))), **changes)

    def change(self, *which: sa.ColumnElement[bool], **values: object) -> None:
        with self.store.writing() as writer:
            writer.connection.execute(entries.update().where(*which).values(values))


def test_first_publication_reports_nothing(store: Store) -> None:
    readers = Readers(store)
    assert len(readers.read()) == 4
    assert readers.problems == {}
    assert find_refused(store) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"updated": NOW},
        {"updated": NOW - timedelta(days=10_000)},
        {"digest": "other", "updated": NOW},
        {"id": "tag:other.example,2024:" + entries.c.key},
    ],
    ids=["moved", "dated back", "moved with the digest", "new ids"],
)
def test_upgrade_that_makes_old_entries_unread_is_refused(store: Store, values: dict[str, object]) -> None:
    before = Readers(store).read()
    Readers(store).change(**values)
    readers = Readers(store)  # after the upgrade
    assert "4 entries keep the id and date that readers know" in readers.problems["guard:refused"]
    assert "run `feedsvc accept`" in readers.problems["guard:refused"]
    assert set(find_refused(store)) == set(before)
    for again in (readers, Readers(store)):
        assert again.read() == before
        assert again.read() == before
        assert "guard:refused" in again.problems
    with store.writing() as writer:
        assert writer.marks.drop_marks() == 4
    accepted = Readers(store)
    assert accepted.read() != before
    assert accepted.problems == {}


def test_article_that_changes_afterwards_is_published(store: Store) -> None:
    readers = Readers(store)
    before = readers.read()
    readers.change(updated=NOW)
    assert readers.read() == before
    key = next(live_entries(store)).key
    with store.writing() as writer:
        writer.connection.execute(dumps.update().values(digest="e" * 64))
    readers.change(entries.c.key == key, digest="new", updated=NOW + LATER)
    after = readers.read()
    assert [entry_id for entry_id in before if before[entry_id] != after[entry_id]] == [next(live_entries(store)).id]
    assert "3 entries keep" in readers.problems["guard:refused"]


def test_refusal_ends_with_its_cause(store: Store) -> None:
    readers = Readers(store)
    readers.read()
    first = next(live_entries(store))
    readers.change(entries.c.key == first.key, updated=NOW)
    readers.read()
    assert first.id in readers.problems["guard:refused"]
    readers.change(entries.c.key == first.key, updated=first.updated)
    readers.read()
    assert readers.problems == {}


def test_before_it_is_saved_it_holds_as_well(store: Store) -> None:
    readers = Readers(store)
    before = readers.read(save=False)
    readers.change(updated=NOW)
    assert readers.read(save=False) == before
    readers.guard.save(NOW)
    assert Readers(store).read() == before


@pytest.mark.slow
def test_entry_at_fault_is_left_out_until_it_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = make_entry(9, content="x" * 4_000_001)
    with store.writing() as writer:
        values = {field.name: getattr(bad, field.name) for field in fields(Entry)}
        writer.connection.execute(entries.insert().values(state=LIVE, **values))
    readers = Readers(store)
    rest = readers.read()
    assert len(rest) == 4
    assert set(readers.problems) == {f"entry:{bad.key}"}
    assert "4000001 characters" in readers.problems[f"entry:{bad.key}"]
    again = Readers(store)
    assert set(again.problems) == {f"entry:{bad.key}"}
    assert bad.key not in {entry.key for entry in again.guard.admit(again.document().entries)}
    assert again.read() == rest
    with monkeypatch.context() as patch:
        patch.setattr("feedsvc.feeds.guard.__version__", "99")
        assert bad.key in {entry.key for entry in Readers(store).guard.admit(again.document().entries)}
    again.change(entries.c.key == bad.key, content="short")
    assert set(again.read()) == {*rest, bad.id}
    assert again.problems == {}
    assert Readers(store).problems == {}


def test_feed_that_lost_an_entry_is_refused(store: Store) -> None:
    readers = Readers(store)
    readers.read()
    whole = readers.document()
    newest, *others = whole.entries
    with pytest.raises(RenderError, match=rf"feed feed: entry '{newest.id}' is missing"):
        readers.render(replace(whole, entries=tuple(others)), BASE)
    assert readers.render(replace(whole, entries=whole.entries[:-1]), BASE)  # the oldest was pushed out
    readers.change(entries.c.key == newest.key, state=WITHDRAWN)
    assert readers.render(replace(whole, entries=tuple(others)), BASE)


def test_store_that_lost_entries_is_reported(store: Store) -> None:
    before = Readers(store).read()
    first = next(live_entries(store))
    with store.writing() as writer:
        writer.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        writer.connection.execute(sa.text("DELETE FROM aliases"))
        writer.connection.execute(sa.text("DELETE FROM articles"))
        writer.connection.execute(entries.delete().where(entries.c.key == first.key))
    readers = Readers(store)
    assert readers.problems["guard:lost"].startswith(
        f"1 entry published before and not in the store any more: {first.id}; "
    )
    assert set(readers.read()) == set(before) - {first.id}


def test_rendering_only_reads(store: Store) -> None:
    """It must not wait for an import that writes."""
    readers = Readers(store)
    with closing(Store(store.url)) as other, other.writing():
        assert len(readers.read(save=False)) == 4


def test_feed_that_lost_entries_is_refused(store: Store) -> None:
    readers = Readers(store)
    before = readers.read()
    whole = readers.document()
    oldest = replace(whole, entries=whole.entries[-1:])
    resources = make_resources({"feed": ("atom", "rss")}, guard=readers.guard)
    for address, end in (("/feed.atom", b"</entry>"), ("/feed.rss", b"</item>")):
        resource = resources[address]
        with pytest.raises(RenderError, match="is missing"):
            resource.render(oldest, BASE)
        assert resource.render(whole, BASE).count(end) == len(before)
    assert readers.read() == before


def test_entry_that_another_format_cannot_say_is_left_out_and_said(store: Store) -> None:
    readers = Readers(store)
    assert len(readers.read()) == 4
    bad = next(live_entries(store))
    rss = FORMATS["rss"]

    def render(document: FeedDocument, base_url: str) -> bytes:
        if any(entry.id == bad.id for entry in document.entries):
            raise ValueError("Invalid IPv6 URL")
        return rss.render(document, base_url)

    body = readers.guard.checked(replace(rss, render=render))(readers.document(), BASE)
    assert len(etree.fromstring(body)[0].findall("item")) == 3
    readers.guard.save(NOW)
    assert "Invalid IPv6 URL" in readers.problems[f"entry:{bad.key}"]
    assert bad.id not in readers.read()
    readers.change(entries.c.key == bad.key, title="another")
    assert bad.id in readers.read()
    assert readers.problems == {}
