"""The archives of feeds: the walk over them, and what may change a page."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import assemble_feed
from feed_documents import FIRST, make_entry
from lxml import etree
from places import DATA
from starlette.requests import Request

from feedsvc.feeds.archives import _FOR_EVER, Archives, Membership
from feedsvc.feeds.formats.addresses import archive_path, feed_path, parse_archive_path
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.formats.history import HISTORY
from feedsvc.feeds.plan import FeedSettings
from feedsvc.http.respond import respond
from feedsvc.model import Entry
from feedsvc.store import Store
from feedsvc.store.schema import LIVE, WITHDRAWN, entries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from feedsvc.model import FeedDocument, Representation

BASE = "https://feeds.example.org"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"
SETTINGS = FeedSettings(
    title="Example", subtitle=None, author="The Editors", language=None, entries=100, max_bytes=None
)


def save(store: Store, *added: Entry) -> list[str]:
    """Write entries as they are, in this order; answers their ids."""
    rows = [{field.name: getattr(entry, field.name) for field in fields(Entry)} for entry in added]
    with store.writing() as writer:
        for start in range(0, len(rows), 1000):
            some = rows[start : start + 1000]
            writer.connection.execute(entries.insert().values(state=LIVE), some)
    return [entry.id for entry in added]


def change(store: Store, entry_id: str, **values: object) -> None:
    with store.writing() as writer:
        writer.connection.execute(entries.update().where(entries.c.id == entry_id).values(values))


def numbers(store: Store) -> dict[str, int]:
    with store.writing() as writer:
        return {row.id: row.number for row in writer.connection.execute(sa.select(entries.c.id, entries.c.number))}


class Site:
    """A feed and its archive, as the daemon keeps them."""

    def __init__(
        self, store: Store, settings: FeedSettings = SETTINGS, page_entries: int = 100, reserve: int = 50
    ) -> None:
        self.store = store
        self.settings = settings
        self.archives = Archives(store, max_age=60, page_entries=page_entries, reserve=reserve)
        self.document = self.publish(None)

    def publish(
        self, joined: Collection[str] | None, left: Collection[str] = (), rule: str = "", now: datetime = NOW
    ) -> FeedDocument:
        document, _ = assemble_feed(self.store, self.settings, now)
        return self.update(document, joined, left, rule, now)

    def update(
        self,
        document: FeedDocument,
        joined: Collection[str] | None,
        left: Collection[str] = (),
        rule: str = "",
        now: datetime = NOW,
    ) -> FeedDocument:
        number = numbers(self.store)
        shown = [number[entry.id] for entry in document.entries]
        new = number.values() if joined is None else [number[entry_id] for entry_id in joined]
        gone = [number[entry_id] for entry_id in left]
        self.archives.update([Membership(document.name, shown, new, gone, rule)], now, since=0, until=0)
        self.document = self.archives.linked(document)
        return self.document

    def page(self, number: int, base: str = BASE) -> Representation:
        """A page that was asked for before, so that it is kept."""
        self.archives.load(self.document, number, base)
        self.archives.keep()
        found = self.archives.load(self.document, number, base)
        assert found is not None
        return found

    def pages(self) -> dict[int, bytes]:
        """The closed pages that the feed leads to."""
        found = {}
        for body in self.walk():
            feed = etree.fromstring(body)
            if link(feed, "next-archive"):
                found[number_of(link(feed, "self"))] = body
        return found

    def walk(self) -> Iterator[bytes]:
        """The bytes of the feed, and of each page that `prev-archive` leads to."""
        body = render_atom(self.document, BASE)
        while True:
            yield body
            feed = etree.fromstring(body)
            assert link(feed, "current") in (None, BASE + feed_path(self.document.name, "atom"))
            before = link(feed, "prev-archive")
            if before is None:
                return
            body = self.page(number_of(before)).body
            page = etree.fromstring(body)
            assert page.find(f"{{{HISTORY}}}archive") is not None
            assert link(page, "self") == before

    def ids(self) -> list[str]:
        return [entry_id for body in self.walk() for entry_id in ids_in(body)]


def link(feed: etree._Element, relation: str) -> str | None:
    found = [str(element.get("href")) for element in feed.findall(f"{ATOM}link") if element.get("rel") == relation]
    assert len(found) <= 1
    return found[0] if found else None


def number_of(address: str | None) -> int:
    assert address is not None
    found = parse_archive_path(address.removeprefix(BASE).partition("?")[0])
    assert found is not None
    return found[1]


def ids_in(body: bytes) -> list[str]:
    return [str(entry.findtext(f"{ATOM}id")) for entry in etree.fromstring(body).findall(f"{ATOM}entry")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as made:
        yield made


def small(store: Store) -> Site:
    """A feed of 4 entries with pages of 5, and 2 in reserve."""
    return Site(store, replace(SETTINGS, entries=4), page_entries=5, reserve=2)


@pytest.mark.slow
def test_walk_yields_every_entry_once_and_closed_pages_stay(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(10_000)))
    site = Site(store)
    before = list(site.walk())
    assert sorted(entry_id for body in before for entry_id in ids_in(body)) == sorted(ids)
    assert len(before) == 2 + 98  # 100 in the feed, 50 in reserve, 50 that do not fill a page
    first = site.page(1)
    for start in range(10_000, 11_000, 100):
        new = save(store, *(make_entry(number) for number in range(start, start + 100)))
        site.publish(new)
        ids += new
    after = list(site.walk())
    assert sorted(entry_id for body in after for entry_id in ids_in(body)) == sorted(ids)
    assert after[-98:] == before[-98:]
    assert len(after) == 2 + 108
    assert site.page(1) == first  # ETag and Last-Modified too


@pytest.mark.slow
def test_first_page_is_the_oldest_and_numbers_have_no_gap(store: Store) -> None:
    save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    assert ids_in(site.page(1).body) == [f"tag:example.org,2024:{number}" for number in (4, 3, 2, 1, 0)]
    assert sorted(site.pages()) == [1, 2, 3, 4]
    assert site.archives.load(site.document, 0, BASE) is None
    assert site.archives.load(site.document, 6, BASE) is None


def test_what_caches_may_do(store: Store) -> None:
    save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    assert (site.page(1).immutable, site.page(1).max_age) == (True, _FOR_EVER)
    assert (site.page(5).immutable, site.page(5).max_age) == (False, 60)
    assert site.page(1) is site.page(1)
    assert site.page(5) is site.page(5)
    request = Request({"type": "http", "method": "GET", "headers": []})
    assert respond(request, site.page(1)).fields["Cache-Control"] == "public, max-age=31536000, immutable"
    assert respond(request, site.page(5)).fields["Cache-Control"] == "public, max-age=60, stale-while-revalidate=600"


def test_answer_writes_nothing_and_closed_pages_may_change_until_they_are_kept(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    with closing(Store(store.url)) as other, other.writing():  # nobody else can write meanwhile
        pages = [site.archives.load(site.document, number, BASE) for number in range(1, 6)]
    assert all(page and (page.immutable, page.max_age) == (False, 60) for page in pages)
    change(store, ids[2], title="Corrected", updated=NOW)
    site.publish([ids[2]])
    first = site.archives.load(site.document, 1, BASE)
    assert first
    assert b"Corrected" in first.body
    site.archives.keep()
    kept = site.archives.load(site.document, 1, BASE)
    assert kept
    assert (kept.immutable, kept.max_age) == (True, _FOR_EVER)
    assert (kept.body, kept.etag, kept.last_modified) == (first.body, first.etag, first.last_modified)


def test_page_that_cannot_be_kept_yet_is_kept_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    site.archives.load(site.document, 1, BASE)
    with monkeypatch.context() as patch:
        patch.setattr("feedsvc.store.archives.ArchiveWriter.save_page", None)
        with pytest.raises(TypeError):
            site.archives.keep()
    site.archives.keep()
    with store.reading() as reader:
        archive = reader.archives.find("feed")
        assert archive
        assert reader.archives.load_page(archive, 1)


def test_few_entries_need_no_archive(store: Store) -> None:
    site = small(store)
    assert site.ids() == []
    ids = save(store, *(make_entry(number) for number in range(4)))
    site.publish(ids)
    assert site.document.previous is None
    assert site.archives.load(site.document, 1, BASE) is None
    assert sorted(site.ids()) == ids


@pytest.mark.slow
def test_open_page_has_an_address_for_each_state(store: Store) -> None:
    """A reader that knows a page does not look at it again."""
    ids = save(store, *(make_entry(number) for number in range(5)))
    site = small(store)
    seen = set()
    for number in range(5, 40):
        ids += save(store, make_entry(number))
        site.publish(ids[-1:])
        assert site.document.previous is not None
        seen.add(archive_path("feed", site.document.previous, site.document.open_state))
        assert sorted(site.ids()) == sorted(ids)
    assert len(seen) == 35
    assert "/feeds/feed/archive/1.atom" not in seen


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_late_entries_change_no_closed_page(store: Store, order: int) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)[::order]))
    site = small(store)
    before = site.pages()
    for number in range(100, 120):
        late = make_entry(number, published=FIRST - timedelta(days=number), updated=FIRST)
        ids += save(store, late)
        site.publish([late.id])
        assert sorted(site.ids()) == sorted(ids)
    after = site.pages()
    assert len(after) == len(before) + 4
    assert {number: after[number] for number in before} == before


@pytest.mark.slow
def test_arrivals_one_by_one_lead_to_the_same_pages(store: Store, tmp_path: Path) -> None:
    added = [make_entry(number) for number in range(40)]
    one, bulk = small(store), Store(f"sqlite:///{tmp_path}/bulk.db")
    for entry in added:
        one.publish(save(store, entry))
    save(bulk, *added)
    with closing(bulk):
        assert [ids_in(body) for body in one.pages().values()] == [
            ids_in(body) for body in small(bulk).pages().values()
        ]


def test_entry_that_is_updated_is_listed_again(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    change(store, ids[2], title="Corrected", updated=NOW)
    site.publish([ids[2]])
    site.publish([ids[2]])  # known already
    assert {number: site.pages()[number] for number in before} == before
    assert sorted(site.ids()) == sorted([*ids, ids[2]])
    newest = next(body for body in site.walk() if ids[2] in ids_in(body))
    assert b"Corrected" in newest


def test_page_that_nobody_saw_shows_entries_as_they_are(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    change(store, ids[2], title="Corrected", updated=NOW)
    change(store, ids[3], state=WITHDRAWN)
    site.publish([ids[2]], left=[ids[3]])
    assert b"Corrected" in site.page(1).body
    assert sorted(site.ids()) == sorted(set(ids) - {ids[3]})


def test_entry_that_is_cleaned_again_leaves_its_page_alone(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    change(store, ids[2], content="<p>cleaner</p>", cleaner="d")
    site.publish([ids[2]])
    assert site.pages() == before
    assert sorted(site.ids()) == sorted(ids)


@pytest.mark.slow
def test_withdrawn_entry_leaves_its_page_and_comes_back_in_another(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    change(store, ids[2], state=WITHDRAWN)
    site.publish([], left=[ids[2]])
    assert sorted(site.ids()) == sorted(set(ids) - {ids[2]})
    after = site.pages()
    assert ids_in(after[1]) == [ids[4], ids[3], ids[1], ids[0]]
    cut = re.search(rb"<entry><id>%b</id>.*?</entry>" % ids[2].encode(), before[1])
    assert cut is not None
    assert after[1] == before[1].replace(cut[0], b"")
    assert {number: after[number] for number in (2, 3, 4)} == {number: before[number] for number in (2, 3, 4)}
    change(store, ids[2], state=LIVE)
    site.publish([ids[2]])
    assert sorted(site.ids()) == sorted(ids)
    assert {number: site.pages()[number] for number in after} == after


def test_chain_holds_when_a_whole_page_goes(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    etag, modified = site.page(2).etag, site.page(2).last_modified
    site.pages()
    with store.writing() as writer:
        assert writer.retire(before=FIRST + timedelta(days=12), beyond=None) == 12
    site.archives.drop_gone(NOW)
    site.publish(None)
    assert sorted(site.ids()) == sorted(ids[12:])
    assert sorted(site.pages()) == [1, 2, 3, 4]
    assert ids_in(site.page(2).body) == []
    assert site.page(2).etag != etag
    assert modified is not None
    assert site.page(2).last_modified == NOW


def test_withdrawals_from_the_feed_are_filled_from_the_reserve(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    gone = ids[-2:]
    for entry_id in gone:
        change(store, entry_id, state=WITHDRAWN)
    site.publish([], left=gone)
    assert [entry.id for entry in site.document.entries] == ids[27:23:-1]
    assert sorted(site.ids()) == sorted(ids[:-2])


def test_longer_feed_repeats_what_pages_hold(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    site.settings = replace(SETTINGS, entries=15)
    site.publish(None)
    assert set(site.ids()) == set(ids)
    assert site.pages() == before


@pytest.mark.slow
def test_restart_and_another_process_give_the_same_bytes(store: Store) -> None:
    save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    bodies = list(site.walk())
    with closing(Store(store.url)) as other:
        assert list(small(other).walk()) == bodies
    program = (
        "import sys; sys.path[:0] = ['tests', 'tests/feeds']\n"
        "from contextlib import closing; from test_archives import *\n"
        f"with closing(Store({store.url!r})) as store: sys.stdout.buffer.write(b''.join(small(store).walk()))\n"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert done.stdout == b"".join(bodies)


def test_change_of_title_or_renderer_leaves_pages_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    site.settings = replace(site.settings, title="Another")
    site.publish([])
    monkeypatch.setattr("feedsvc.feeds.formats.atom.__version__", "99")
    site.archives = Archives(store, max_age=60, page_entries=3, reserve=2)
    assert site.pages() == before


def test_another_rule_begins_the_archive_anew(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    site = small(store)
    before = site.pages()
    site.publish(ids, rule="source = Example News")
    assert sorted(site.ids()) == sorted(ids)
    assert sorted(site.pages()) == [5, 6, 7, 8]
    assert {number: site.page(number).body for number in before} == before  # for those who know their addresses
    site.publish(ids, rule="source = Example News")
    assert sorted(site.pages()) == [5, 6, 7, 8]


def test_feed_of_some_entries(store: Store) -> None:
    ids = save(store, *(make_entry(number) for number in range(40)))
    site = small(store)
    odd = ids[1::2]
    document = replace(
        site.document, name="odd", id="urn:odd", entries=tuple(make_entry(number) for number in (39, 37, 35, 33))
    )
    site.update(document, odd, rule="odd")
    assert sorted(site.ids()) == sorted(odd)
    before = site.pages()
    site.update(document, (), left=[odd[0], odd[-6]], rule="odd")
    assert sorted(site.ids()) == sorted(set(odd) - {odd[-6]})  # the other is in a page that was seen
    assert site.pages() == before


def test_pages_hold_the_base_url_of_the_request(store: Store) -> None:
    save(store, *(make_entry(number, link=None) for number in range(30)))
    site = small(store)
    other = "http://localhost:8080/a&b"
    for number in (1, 5):
        page, same = site.page(number), site.page(number, other)
        assert page.etag != same.etag
        assert b"feedsvc.invalid" not in page.body + same.body
        feed = etree.fromstring(same.body)
        assert str(link(feed, "current")) == f"{other}/feed.atom"
        assert str(feed.findall(f"{ATOM}entry/{ATOM}link")[0].get("href")).startswith(f"{other}/entries/k")


def test_entry_that_cannot_be_shown_is_left_out(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    ids = save(store, *(make_entry(number) for number in range(30)))
    save(store, make_entry(3, id="not absolute", key="bad"))
    ids += save(store, *(make_entry(number) for number in range(30, 50)))
    site = small(store)
    assert sorted(site.ids()) == sorted(ids)
    assert "not absolute" in {getattr(record, "entry", None) for record in caplog.records}


def test_import_of_many_closes_pages_without_rendering_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, *(make_entry(number) for number in range(500)))
    monkeypatch.setattr("feedsvc.feeds.archives.render_atom", None)
    site = small(store)
    assert site.document.previous == 99
    with store.reading() as reader:
        archive = reader.archives.find("feed")
        assert archive is not None
        assert [reader.archives.load_page(archive, number) for number in (1, 98)] == [None, None]


@pytest.mark.slow
def test_page_that_an_older_version_gave_out_keeps_its_bytes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "feedsvc.db")) as connection:
        connection.executescript((DATA / "stores" / "0004.sql").read_text("utf-8"))
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        page = small(store).page(1)
    assert page.etag == "c0ff999fe0eb48d2d5472f6ac2b859a5"
    assert page.last_modified == datetime(2024, 4, 3, 22, 31, 42, tzinfo=UTC)
