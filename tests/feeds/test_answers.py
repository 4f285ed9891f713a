"""Answers over a store that changes: they write nothing, and a delta is a part of the feed under the same ETag."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from articles import NOW, make_article, save_dump
from hypothesis import given, settings
from hypothesis import strategies as st

from feedsvc.feeds.archives import Archives
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.guard import Guard
from feedsvc.feeds.pages.found import parse_query
from feedsvc.feeds.plan import FeedSettings, Plan
from feedsvc.feeds.publisher import Publisher
from feedsvc.feeds.resources import make_resources
from feedsvc.feeds.search import Search
from feedsvc.store import Store

if TYPE_CHECKING:
    from pathlib import Path

BASE = "https://feeds.example.org"
PLAN = Plan(FeedSettings(title="News", subtitle=None, author="x", language=None, entries=4, max_bytes=None))
# A number, and a text: the dump of this number has it, or is gone if there is none.
CHANGE = st.tuples(st.integers(0, 12), st.sampled_from(("one", "two", "</entry>", None)))


class Readers:
    """A store, its feeds, and readers that remember all that they were sent."""

    def __init__(self, folder: str) -> None:
        url = f"sqlite:///{folder}/feedsvc.db"
        self.now = NOW
        self.store = Store(url)
        self.guard = Guard(self.store, lambda _key, _message: None)
        self.archives = Archives(self.store, max_age=60, admit=self.guard.admit, page_entries=2, reserve=1)
        self.assembler = Assembler(self.store, PLAN, archives=self.archives, admit=self.guard.admit)
        self.publisher = Publisher(
            lambda name: self.assembler.load(name, self.now),
            max_age=60,
            base_url=BASE,
            load_archive=self.archives.load,
        )
        self.search = Search(self.store)
        self.witness = sqlite3.connect(f"{folder}/feedsvc.db")
        self.sent: dict[str, dict[str, dict[str, bytes]]] = {}

    def close(self) -> None:
        self.witness.close()
        self.store.close()

    def change(self, number: int, text: str | None) -> None:
        self.now += timedelta(minutes=1)
        path = f"/dumps/{number}"
        if text is None:
            with self.store.writing() as writer:
                writer.mark_gone(path, self.now, withdraw=True)
        else:
            article = make_article(number, title=f"{number} {text}", text=text, content=text, source="ab"[number % 2])
            save_dump(self.store, article, path=path, now=self.now)

    def publish(self) -> None:
        changed = self.assembler.refresh(self.now)
        resources = make_resources(self.assembler.formats, guard=self.guard)
        self.publisher.publish(self.assembler.documents, resources, changed)
        self.guard.save(self.now)
        self.assembler.save()
        self.archives.keep()

    def version(self) -> int:
        """Another number when somebody has written the store."""
        return int(self.witness.execute("PRAGMA data_version").fetchone()[0])

    def poll(self) -> None:
        before = self.version()
        for address in self.publisher.addresses:
            self.poll_one(address)
        for number in range(8):
            self.publisher.representation(f"/feeds/feed/archive/{number}.atom", BASE)
        self.search.find(parse_query({"q": "two"}))
        for entry in self.assembler.documents["feed"].entries:
            self.store.load_entry(entry.key)
        assert self.version() == before

    def poll_one(self, address: str) -> None:
        whole = self.publisher.representation(address, BASE)
        assert whole
        form = FORMATS.get(address.rpartition(".")[2])
        if form is None:
            return
        sent = self.sent.setdefault(address, {})
        sent[whole.etag] = form.split(whole.body)
        found = self.publisher.delta(address, BASE, sent)
        if found:
            held, delta = found
            entries = form.split(delta.body)
            assert delta.etag == whole.etag
            assert entries.items() < sent[delta.etag].items()
            assert entries.items() >= sent[delta.etag].items() - sent[held].items()
            assert form.inspect(delta.body) == []


@given(st.lists(st.tuples(st.lists(CHANGE, max_size=5), st.booleans()), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_deltas_are_parts_of_the_feed_and_no_answer_writes(
    steps: list[tuple[list[tuple[int, str | None]], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Readers(folder)) as readers:
        for number in range(8):
            readers.change(number, "one")
        readers.publish()
        readers.poll()
        for changes, published in steps:
            for number, text in changes:
                readers.change(number, text)
            if published:
                readers.publish()
            readers.poll()


def test_answers_while_another_process_writes(tmp_path: Path) -> None:
    with closing(Readers(str(tmp_path))) as readers:
        for number in range(8):
            readers.change(number, "one")
        readers.publish()
        with closing(Store(readers.store.url)) as other, other.writing():
            readers.poll()


def test_time_of_a_change_that_an_answer_showed_stays(tmp_path: Path) -> None:
    with closing(Readers(str(tmp_path))) as readers:
        readers.change(0, "one")
        readers.publish()
        first = readers.assembler.load("a", readers.now)[1]
        readers.change(0, "two")
        readers.assembler.refresh(readers.now)
        second = readers.assembler.load("a", readers.now)[1]
        assert second > first
        later = readers.now + timedelta(hours=1)
        assert readers.assembler.load("a", later)[1] == second
        readers.assembler.save()
        again = Assembler(readers.store, PLAN, archives=readers.archives, admit=readers.guard.admit)
        again.refresh(later)
        assert again.load("a", later)[1] == second
