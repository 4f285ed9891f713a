"""From files to the store: real files, the real parser, the real cleaner."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from articles import NOW, live_entries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import SEEDS
from pools import Here

from feedsvc.clean import Cleaner, load_rules
from feedsvc.clean.learning.learned import Learned, LearnedBlock, Sign
from feedsvc.clean.sandbox import Job, Ticket, clean_job
from feedsvc.errors import CleaningError, StoreError
from feedsvc.intake.ingest import Ingest
from feedsvc.intake.write import Report
from feedsvc.model import CleanEntry, Dump, Entry, Outcome
from feedsvc.store import Store
from feedsvc.watch import Change, Listing
from feedsvc.watch.files import scan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

MARKED = 1712180702000
PUBLISHED = datetime(2024, 4, 3, 21, 45, 2, tzinfo=UTC)
BODY = "<p>第一段，说的是文章。</p><p>第二段。</p>"


def block(name: str = "a", *, body: str = BODY, title: str = "", seconds: int = 0) -> str:
    """One article with a link that ends in `name`."""
    return f"<!--{MARKED + seconds * 1000}-->\n[{title or name}](https://example.org/{name})\n------\n\n{body}\n"


def bare(title: str, *, body: str = BODY, seconds: int = 0) -> str:
    """One article without a link."""
    return f"<!--{MARKED + seconds * 1000}-->\n[{title}]()\n------\n\n{body}\n"


def make_cleaner(folder: Path, *promotions: str) -> Cleaner:
    """The cleaner with rules that remove these texts."""
    folder.mkdir(parents=True)
    rules = [
        f'[[rule]]\nname = "promotion-{number}"\nreason = "test"\ntext = ["{text}"]\n'
        for number, text in enumerate(promotions)
    ]
    (folder / "rules.toml").write_text("\n".join(rules), "utf-8")
    return Cleaner(load_rules(site_rules=False, folders=[folder]))


@dataclass
class Box:
    """A folder of dumps and the store that they go to."""

    folder: Path
    store: Store
    cleaner: Cleaner
    withdraw: bool = False
    now: datetime = NOW
    touched: int = field(default=0)

    @property
    def ingest(self) -> Ingest:
        return self.open()

    def open(self, pool: Here | None = None, retried: Sequence[str] = ()) -> Ingest:
        return Ingest(
            self.store,
            self.cleaner,
            max_bytes=100_000,
            withdraw=self.withdraw,
            clock=lambda: self.now,
            pool=pool or Here(self.cleaner),
            retried=retried,
        )

    def put(self, name: str, content: str | bytes) -> str:
        """Write a file; each has another time than all before."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.touched += 1
        os.utime(path, (1_700_000_000 + self.touched,) * 2)
        return str(path)

    def take(self, name: str, content: str | bytes) -> Report:
        self.now += timedelta(hours=1)
        (report,) = self.ingest.take([Change(self.put(name, content), gone=False)])
        return report

    def delete(self, name: str) -> Report:
        (self.folder / name).unlink()
        (report,) = self.ingest.take([Change(str(self.folder / name), gone=True)])
        return report

    def listing(self, **changes: object) -> Listing:
        files, unreadable = scan(str(self.folder), recursive=True, interrupted=lambda: False)
        listing = Listing(str(self.folder), files, frozenset(), unreadable)
        return replace(listing, **changes)  # type: ignore[arg-type]

    def compare(self, **changes: object) -> list[tuple[str, bool]]:
        return [
            (os.path.relpath(change.path, self.folder), change.gone)
            for change in self.ingest.compare(self.listing(**changes))
        ]

    @property
    def entries(self) -> list[Entry]:
        return list(live_entries(self.store))

    @property
    def titles(self) -> set[str]:
        return {entry.title for entry in self.entries}

    @property
    def only(self) -> Entry:
        (entry,) = self.entries
        return entry


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    folder = tmp_path / "dumps"
    folder.mkdir()
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield Box(folder, store, make_cleaner(tmp_path / "rules"))


# What becomes of a file


@pytest.mark.slow
def test_seeds(box: Box) -> None:
    reports = [box.take(path.name, path.read_bytes()) for path in sorted(SEEDS.iterdir())]
    assert [report.outcome for report in reports] == [Outcome.PUBLISHED] * 3
    assert [f"{entry.published:%Y-%m-%d}" for entry in box.entries] == ["2024-04-03", "2024-02-01", "2024-01-04"]
    assert [entry.updated for entry in box.entries] == [entry.published for entry in box.entries]
    for entry in box.entries:
        loaded = box.store.load_entry(entry.key)
        assert loaded is not None
        assert {removal.rule for removal in loaded[1]}


@pytest.mark.slow
def test_added_then_unchanged_then_updated_then_duplicate(box: Box) -> None:
    added = box.take("a.txt", block())
    assert added == Report(str(box.folder / "a.txt"), Outcome.PUBLISHED, None, (box.only.key,))
    first = box.only
    assert (first.published, first.updated) == (PUBLISHED, PUBLISHED)

    (box.folder / "a.txt").touch()
    assert box.ingest.take([Change(added.path, gone=False)]) == [Report(added.path)]
    assert box.compare() == []  # the new time is remembered

    assert box.take("a.txt", block(body=f"<div>{BODY}</div>")).outcome is Outcome.PUBLISHED
    assert box.only.updated == PUBLISHED

    box.take("a.txt", block(body=f"{BODY}<p>第三段。</p>"))
    assert box.only.updated == box.now
    assert (box.only.id, box.only.published) == (first.id, PUBLISHED)
    updated = box.only

    assert box.take("b.txt", block(body=f"{BODY}<p>第三段。</p>")).outcome is Outcome.UNCHANGED
    assert box.only == updated
    assert box.store.count_dumps()["unchanged"] == 1


def test_an_interruption_leaves_the_rest_of_a_batch(box: Box) -> None:
    changes = [Change(box.put(f"{number}.txt", block(str(number))), gone=False) for number in range(3)]
    asked = iter([False, True])
    assert [report.path for report in box.ingest.take(changes, lambda: next(asked))] == [changes[0].path]
    assert [report.outcome for report in box.ingest.take(changes)] == [None, Outcome.PUBLISHED, Outcome.PUBLISHED]


def test_log_has_a_line_for_each_dump(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = box.take("a.txt", block(body=f"{BODY}<p>分享 :</p>")).path
    box.take("README.md", "about")
    box.take("b.txt", "<!--12")
    box.delete("a.txt")
    lines = [(record.getMessage(), record.levelname, record.__dict__["path"]) for record in caplog.records]
    assert lines == [
        ("entry added", "INFO", path),
        ("dump ignored", "INFO", str(box.folder / "README.md")),
        ("dump quarantined", "WARNING", str(box.folder / "b.txt")),
        ("dump deleted", "INFO", path),
    ]
    assert caplog.records[0].__dict__["entry"] == box.only.id
    assert caplog.records[0].__dict__["removed"] == "share-labels"
    assert caplog.records[0].__dict__["ms"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "outcome", "reason", "line"),
    [
        ("README.md", "# About", Outcome.IGNORED, "about a project, not an article", None),
        ("a.jpg", b"\xff\xd8", Outcome.IGNORED, "an image", None),
        (".hidden", block(), Outcome.IGNORED, "a hidden file", None),
        ("notes.txt", "buy milk", Outcome.IGNORED, "it begins neither", 1),
        ("empty.txt", "", Outcome.IGNORED, "empty", None),
        ("broken.txt", "<!--1712180702000-->\n\nno title line", Outcome.QUARANTINED, "below the marker", 3),
        ("large.txt", block(body="x" * 100_000), Outcome.QUARANTINED, "larger than 100000 bytes", 1),
        ("large.log", "x" * 200_000, Outcome.IGNORED, "it begins neither", 1),
    ],
)
def test_file_that_is_no_sound_dump(  # noqa: PLR0917 - columns of the table
    box: Box, name: str, content: str | bytes, outcome: Outcome, reason: str, line: int | None
) -> None:
    report = box.take(name, content)
    assert (report.outcome, report.keys) == (outcome, ())
    (file,) = box.store.load_refused(outcome)
    assert file.path == report.path
    assert report.reason == file.reason
    assert (file.reason or "").startswith(reason)
    assert file.line == line
    assert box.entries == []
    assert box.compare() == []  # known, and not tried again until it changes


def test_size_limit_is_exact(box: Box) -> None:
    text = block(body="<p>x</p>")
    assert box.take("a.txt", text + " " * (100_000 - len(text))).outcome is Outcome.PUBLISHED
    assert box.take("b.txt", text + " " * (100_001 - len(text))).outcome is Outcome.QUARANTINED


def test_quarantined_dump_is_tried_again_when_it_changes(box: Box) -> None:
    box.take("a.txt", block()[:18])
    assert box.store.count_dumps()["quarantined"] == 1
    box.put("a.txt", block())
    assert box.compare() == [("a.txt", False)]
    assert box.take("a.txt", block()).outcome is Outcome.PUBLISHED
    assert box.store.load_refused(Outcome.QUARANTINED) == []
    assert box.only.title == "a"


def test_sound_parts_of_a_broken_dump_are_published(box: Box) -> None:
    report = box.take("a.txt", block("a") + "<!--99-->\n[b](https://example.org/b)\n---\n\nx\n" + block("c"))
    assert report.outcome is Outcome.QUARANTINED
    assert box.titles == {"a", "c"}
    assert len(report.keys) == 2


def test_part_that_breaks_keeps_its_entry(box: Box) -> None:
    box.withdraw = True
    box.take("a.txt", block("a") + block("b") + block("c"))
    before = box.entries
    box.take("a.txt", block("a") + block("b").replace("1712180702000", "99") + block("c"))
    assert box.entries == before
    box.take("a.txt", block("a"))
    assert box.titles == {"a"}


@pytest.mark.parametrize("content", ["", "buy milk", "<!--1712180702000", b"\x00" * 50])
def test_file_that_is_emptied_or_spoilt_keeps_its_entry(box: Box, content: str | bytes) -> None:
    box.withdraw = True
    box.take("a.txt", block())
    before = box.only
    assert box.take("a.txt", content).outcome is not Outcome.PUBLISHED
    assert box.only == before
    assert box.take("a.txt", block()).outcome is Outcome.PUBLISHED
    assert box.only == before


@pytest.mark.slow
def test_fewer_articles_in_a_file(box: Box) -> None:
    box.take("a.txt", block("a") + block("b") + block("c"))
    box.take("a.txt", block("b"))
    assert box.titles == {"a", "b", "c"}
    assert {entry.updated for entry in box.entries} == {PUBLISHED}


@pytest.mark.slow
@pytest.mark.parametrize("left", ["a", "b", "c"])
def test_fewer_articles_in_a_file_where_deleted_ones_are_withdrawn(box: Box, left: str) -> None:
    box.withdraw = True
    names = {"a", "b", "c"}
    box.take("a.txt", block("a") + block("b") + block("c"))
    report = box.take("a.txt", block(left))
    assert box.titles == {left}
    assert len(set(report.keys)) == len(report.keys) == len(names)
    box.take("a.txt", block("a") + block("b") + block("c"))
    assert box.titles == names
    assert {entry.updated for entry in box.entries} == {PUBLISHED}


@pytest.mark.slow
def test_article_put_before_others_moves_nothing(box: Box) -> None:
    box.take("a.txt", bare("one") + bare("two", seconds=5))
    before = box.entries
    box.take("a.txt", bare("new", seconds=9) + bare("newer") + bare("one") + bare("two", seconds=5))
    assert box.titles == {"new", "newer", "one", "two"}
    assert [entry for entry in box.entries if entry.title in {"one", "two"}] == before


@pytest.mark.slow
def test_title_that_is_edited_in_an_article_without_link(box: Box) -> None:
    box.take("a.txt", bare("one") + bare("two"))
    before = {entry.key for entry in box.entries}
    box.take("a.txt", bare("one") + bare("two, edited"))
    assert box.titles == {"one", "two, edited"}
    assert {entry.key for entry in box.entries} == before


@pytest.mark.slow
def test_file_that_is_used_for_one_article_after_the_other(box: Box) -> None:
    for number, name in enumerate("abc"):
        box.take("latest.txt", bare(name, seconds=number))
    assert box.titles == {"a", "b", "c"}


@pytest.mark.slow
def test_article_without_a_time_has_the_files(box: Box) -> None:
    text = "---\ntitle: t\nlink: https://example.org/x\n---\n<p>x</p>"
    box.take("a.txt", text)
    assert box.only.published == datetime.fromtimestamp(1_700_000_001, UTC)
    before = box.only
    box.take("b.txt", text)
    assert box.only == before


@pytest.mark.slow
def test_deleted_file(box: Box) -> None:
    box.take("a.txt", block())
    assert box.delete("a.txt").keys == ()
    assert box.titles == {"a"}
    box.withdraw = True
    box.take("a.txt", block())
    assert box.delete("a.txt").keys != ()
    assert box.titles == set()


def test_deletion_of_what_is_back_already(box: Box) -> None:
    path = box.take("a.txt", block()).path
    assert box.ingest.take([Change(path, gone=True)]) == []
    assert box.compare() == []


def test_file_that_vanished_before_it_could_be_read(box: Box) -> None:
    path = box.put("sub/a.txt", block())
    shutil.rmtree(box.folder / "sub")
    assert box.ingest.take([Change(path, gone=False)]) == []
    box.put("sub", "a file now")
    assert box.ingest.take([Change(path, gone=False)]) == []


@pytest.mark.slow
def test_batch_is_one_transaction(box: Box) -> None:
    paths = [box.put(f"{name}.txt", block(name)) for name in "abc"]
    changes = [Change(path, gone=False) for path in [*paths, paths[0]]]
    reports = box.ingest.take(changes)
    assert [report.path for report in reports] == [change.path for change in changes]
    assert box.titles == {"a", "b", "c"}


@pytest.mark.slow
def test_batch_that_cannot_be_written_leaves_nothing(box: Box) -> None:
    path = box.put("a.txt", block())
    with box.store.writing() as writer:
        writer.connection.exec_driver_sql("DROP TABLE articles")
    with pytest.raises(StoreError, match="no such table"):
        box.ingest.take([Change(path, gone=False)])
    assert box.entries == []
    assert box.compare() == [("a.txt", False)]


# What is no ordinary file


@pytest.mark.slow
def test_fifo_does_not_hang(box: Box) -> None:
    path = str(box.folder / "fifo.txt")
    os.mkfifo(path)
    (report,) = box.ingest.take([Change(path, gone=False)])
    assert (report.outcome, report.reason) == (Outcome.IGNORED, "not a regular file")


def test_folder_is_ignored(box: Box) -> None:
    (report,) = box.ingest.take([Change(str(box.folder), gone=False)])
    assert (report.outcome, report.reason) == (Outcome.IGNORED, "not a regular file")


def test_file_that_cannot_be_read_is_tried_again_with_every_listing(box: Box) -> None:
    # A socket has a place among files but cannot be opened, for root neither.
    with socket.socket(socket.AF_UNIX) as sock:
        path = str(box.folder / "a.txt")
        sock.bind(path)
        (report,) = box.ingest.take([Change(path, gone=False)])
        assert report.outcome is Outcome.QUARANTINED
        assert (report.reason or "").startswith("cannot be read: ")
    state = next(iter(box.listing(files={}).files), None)
    assert state is None
    Path(path).unlink()
    box.put("a.txt", block())
    assert box.compare() == [("a.txt", False)]
    assert box.take("a.txt", block()).outcome is Outcome.PUBLISHED


def test_path_that_is_too_long(box: Box) -> None:
    (report,) = box.ingest.take([Change(str(box.folder / ("a" * 300)), gone=False)])
    assert (report.outcome, report.reason) == (Outcome.QUARANTINED, "cannot be read: File name too long")


@pytest.mark.parametrize("target", ["a.txt", "/etc/hostname"], ids=["round in circles", "out of the folder"])
def test_symbolic_link_is_not_followed(box: Box, target: str) -> None:
    (box.folder / "a.txt").symlink_to(target)
    (report,) = box.ingest.take([Change(str(box.folder / "a.txt"), gone=False)])
    assert (report.outcome, report.reason) == (Outcome.IGNORED, "not a regular file")


def test_paths_that_are_no_utf8(box: Box) -> None:
    name = os.fsdecode(b"\xff\n\xe5.txt")
    box.take(name, block())
    assert box.compare() == []
    assert box.titles == {"a"}
    box.take(name, "<!--12")
    assert box.store.load_refused(Outcome.QUARANTINED)[0].path == str(box.folder / name)


# What goes wrong in one dump


class Moody(Cleaner):
    """Fails on what says so."""

    def clean(self, dump: Dump, published: datetime, restored: Collection[str] = ()) -> CleanEntry:
        if "explode" in dump.html:
            raise ZeroDivisionError("boom")
        if "refuse" in dump.html:
            raise CleaningError(dump.path, "nested too deeply", dump.line)
        article = super().clean(dump, published, restored)
        if "surrogate" in dump.html:
            return replace(article, text="\ud800")
        return article


def test_failure_in_one_dump_does_not_stop_the_others(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.cleaner = Moody(load_rules(site_rules=False))
    bodies = ["fine", "explode", "refuse", "surrogate", "fine too"]
    paths = [box.put(f"{number}.txt", block(str(number), body=f"<p>{body}</p>")) for number, body in enumerate(bodies)]
    reports = box.ingest.take([Change(path, gone=False) for path in paths])
    assert box.titles == {"0", "4"}
    assert [(report.outcome, report.reason) for report in reports[1:4]] == [
        (Outcome.QUARANTINED, "cleaning failed: ZeroDivisionError: boom"),
        (Outcome.QUARANTINED, "nested too deeply"),
        (Outcome.QUARANTINED, reports[3].reason),
    ]
    assert "the store refuses it" in (reports[3].reason or "")
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert logged.__dict__["path"] == paths[1]
    assert box.compare() == []


def test_failure_in_one_article_does_not_stop_the_others_of_the_file(box: Box) -> None:
    box.cleaner = Moody(load_rules(site_rules=False))
    text = block("a") + block("b", body="explode") + block("c") + block("d", body="refuse")
    report = box.take("a.txt", text)
    assert (report.outcome, report.reason) == (Outcome.QUARANTINED, "cleaning failed: ZeroDivisionError: boom")
    assert box.titles == {"a", "c"}


def test_failure_of_the_parser_is_quarantined(monkeypatch: pytest.MonkeyPatch, box: Box) -> None:
    def parse(_data: bytes, _path: str) -> list[Dump]:
        raise RecursionError("too deep")

    monkeypatch.setattr("feedsvc.clean.sandbox.work.parse_dump", parse)
    report = box.take("a.txt", block())
    assert (report.outcome, report.reason) == (Outcome.QUARANTINED, "parsing failed: RecursionError: too deep")
    assert box.take("b.txt", "x" * 200_000).outcome is Outcome.QUARANTINED


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '---\ntitle: "t \\ud800"\nauthor: "\\udfff"\ntags: ["\\ud83d"]\nfrom: "\\u0000"\ndate: 2024-01-01\n---\nx',
        "---\ntitle: t\ndate: 2024-01-01\ntags: " + "[" * 3000 + "\n---\n<p>x</p>",
        block(title="a\x00b\x0bc", body="<p>\x00\x08\ufffe</p>"),
        block(body="<div>" * 3000),
        "<!--99999999999999999999999-->\n[t](http://example.org)\n---\n",
        block(name="\udcff" * 3).encode("utf-8", "surrogateescape"),
    ],
    ids=["surrogates", "deep YAML", "controls", "deep HTML", "far future", "no UTF-8"],
)
def test_hostile_dump_is_taken_or_quarantined(box: Box, text: str | bytes) -> None:
    assert box.take("a.txt", text).outcome in {Outcome.PUBLISHED, Outcome.QUARANTINED, Outcome.IGNORED}
    assert "the store refuses it" not in str(box.store.load_refused(Outcome.QUARANTINED))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: block(body=text).encode("utf-8", "surrogatepass"))
    | st.text(max_size=60).map(lambda text: bare(text).encode("utf-8", "surrogatepass"))
    | st.text(max_size=60).map(lambda text: f"---\ntitle: {text}\ndate: 2024-01-01\n---\n".encode())
)
def test_any_bytes_end_in_an_outcome(box: Box, content: bytes) -> None:
    box.put("a.txt", content)
    for report in box.ingest.take([Change(str(box.folder / "a.txt"), gone=False)]):
        assert report.outcome is not None or box.store.load_digests([report.path]).get(report.path)
        assert "refuses" not in (report.reason or "")


# Other rules


@pytest.fixture
def new_rules(tmp_path: Path) -> Cleaner:
    return make_cleaner(tmp_path / "new", "PROMOTION.*")


PROMOTED = f"{BODY}<p>PROMOTION one</p>"


def test_cleaning_again_is_quiet(box: Box, new_rules: Cleaner) -> None:
    box.take("a.txt", block("a", body=PROMOTED) + block("b", seconds=1))
    before = {entry.title: entry for entry in box.entries}
    assert box.ingest.reclean(10) == []
    box.cleaner = new_rules
    assert box.ingest.reclean(1) == [before["b"].key]  # the newest first
    assert box.ingest.reclean(10) == [before["a"].key]
    assert box.ingest.reclean(10) == []
    after = {entry.title: entry for entry in box.entries}
    assert "PROMOTION" in before["a"].content
    assert "PROMOTION" not in after["a"].content + after["a"].text + after["a"].summary
    for title, entry in after.items():
        assert entry.cleaner == new_rules.digest
        stays = ("id", "key", "published", "updated", "link", "title")
        assert [getattr(entry, name) for name in stays] == [getattr(before[title], name) for name in stays]
    loaded = box.store.load_entry(after["a"].key)
    assert loaded is not None
    assert [removal.rule for removal in loaded[1]] == ["promotion-0"]


def test_dump_that_changed_only_in_what_new_rules_remove_is_unchanged(box: Box, new_rules: Cleaner) -> None:
    box.take("a.txt", block(body=PROMOTED))
    box.cleaner = new_rules
    box.take("a.txt", block(body=PROMOTED.replace("one", "two")))
    assert box.only.updated == PUBLISHED
    assert box.only.cleaner == new_rules.digest
    box.take("a.txt", block(body=PROMOTED.replace("第二段", "改了")))
    assert box.only.updated == box.now


def test_duplicate_under_new_rules_is_no_update(box: Box, new_rules: Cleaner) -> None:
    box.take("a.txt", block(body=PROMOTED))
    box.cleaner = new_rules
    report = box.take("b.txt", block(body=PROMOTED, seconds=60))
    assert report.outcome is Outcome.UNCHANGED
    assert (box.only.updated, box.only.cleaner) == (PUBLISHED, new_rules.digest)


def test_entry_that_no_dump_holds_is_taken_over_under_new_rules(box: Box, new_rules: Cleaner) -> None:
    box.take("a.txt", block("a") + block("b"))
    before = box.entries
    box.take("a.txt", block("a"))
    box.cleaner = new_rules
    assert box.take("b.txt", block("b")).outcome is Outcome.PUBLISHED
    assert [entry.updated for entry in box.entries] == [entry.updated for entry in before]


def test_retired_entry_stays_without_content_under_new_rules(box: Box, new_rules: Cleaner, tmp_path: Path) -> None:
    box.take("a.txt", block("a", body=PROMOTED) + block("b", seconds=60))
    with box.store.writing() as writer:
        assert writer.retire(before=None, beyond=1) == 1
    box.cleaner = new_rules
    box.take("a.txt", block("a", body=PROMOTED.replace("one", "two")) + block("b", seconds=60))
    assert box.titles == {"b"}
    assert PROMOTED.encode() not in (tmp_path / "feedsvc.db").read_bytes()
    with box.store.writing() as writer:
        contents = writer.connection.exec_driver_sql("SELECT content FROM entries WHERE state = 'retired'")
        assert contents.scalars().all() == [""]


@pytest.mark.parametrize(
    "then",
    [
        block("a").replace("1712180702000", "99"),
        block("z", body="explode"),
        block("z", body="refuse"),
        "<!--12",
    ],
    ids=["broken", "another that explodes", "another that is refused", "nothing left"],
)
def test_entry_whose_dump_broke_stays_as_it_is_under_new_rules(box: Box, new_rules: Cleaner, then: str) -> None:
    box.take("a.txt", block("a", body=PROMOTED))
    before = box.only
    box.cleaner = Moody(load_rules(site_rules=False))
    box.take("a.txt", then)
    box.cleaner = new_rules  # which could clean all of them
    assert box.ingest.reclean(10) == [before.key]
    assert box.only == replace(before, cleaner=new_rules.digest)
    assert box.ingest.reclean(10) == []


def test_entry_that_new_rules_cannot_clean_stays_as_it_is(box: Box) -> None:
    box.take("a.txt", block(body="<p>explode</p>"))
    before = box.only
    box.cleaner = Moody(load_rules(site_rules=True))
    assert box.ingest.reclean(10) == [before.key]
    assert box.only == replace(before, cleaner=box.cleaner.digest)


@pytest.mark.slow
def test_entry_whose_dump_was_deleted_is_cleaned_again(box: Box, new_rules: Cleaner) -> None:
    box.take("a.txt", block(body=PROMOTED))
    box.delete("a.txt")
    box.cleaner = new_rules
    box.ingest.reclean(10)
    assert "PROMOTION" not in box.only.content


# Listings


def test_listing_against_what_is_known(box: Box) -> None:
    for name in ["same", "changed", "touched", "gone", "sub/gone", "sub/same"]:
        box.take(f"{name}.txt", block(name))
    box.put("new.txt", block("new"))
    box.put("changed.txt", block("changed, longer"))
    box.put("touched.txt", block("touched"))
    (box.folder / "gone.txt").unlink()
    (box.folder / "sub/gone.txt").unlink()
    assert sorted(box.compare()) == [
        ("changed.txt", False),
        ("gone.txt", True),
        ("new.txt", False),
        ("sub/gone.txt", True),
        ("touched.txt", False),
    ]
    box.ingest.take(box.ingest.compare(box.listing()))
    assert box.compare() == []


def test_what_has_not_settled_is_left_to_the_change_that_follows(box: Box) -> None:
    for name in ["a", "b"]:
        box.take(f"{name}.txt", block(name))
    writing, vanished = box.put("a.txt", block("a")[:20]), str(box.folder / "b.txt")
    Path(vanished).unlink()
    assert box.compare(unsettled=frozenset({writing, vanished})) == []


def test_what_cannot_be_looked_at_is_not_gone(box: Box) -> None:
    for name in ["a", "sub/b", "sub2/c"]:
        box.take(f"{name}.txt", block(name))
    shutil.rmtree(box.folder / "sub")
    shutil.rmtree(box.folder / "sub2")
    (box.folder / "a.txt").unlink()
    box.put("d.txt", block("d"))
    unreadable = frozenset({str(box.folder / "sub"), str(box.folder / "a.txt")})
    assert sorted(box.compare(unreadable=unreadable)) == [("d.txt", False), ("sub2/c.txt", True)]


def test_empty_folder_is_taken_for_one_that_is_not_mounted(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    assert box.compare() == []
    assert not caplog.records
    box.take("a.txt", block())
    (box.folder / "a.txt").unlink()
    assert box.compare() == []
    assert [record.getMessage() for record in caplog.records] == ["folder is empty, its entries stay"]
    assert box.compare(unsettled=frozenset({str(box.folder / "new.txt")})) == [("a.txt", True)]


def test_deleted_dump_that_is_back_is_new_to_the_listing(box: Box) -> None:
    box.take("a.txt", block())
    before = box.only
    box.delete("a.txt")
    box.take("b.txt", block("b"))
    box.put("a.txt", block())
    assert box.compare() == [("a.txt", False)]
    box.ingest.take(box.ingest.compare(box.listing()))
    assert before in box.entries


# What takes long to clean


class Slow(Here):
    """Cleans what is called slow when it is told to, and looks ahead."""

    def __init__(self, cleaner: Cleaner) -> None:
        super().__init__(cleaner)
        self.patience = 0.0
        self.begun: list[Ticket] = []
        self.dropped: list[Ticket] = []

    def put(self, job: Job, *, urgent: bool = True) -> Ticket:
        ticket = Ticket(job) if Path(job.path).name == "slow" else super().put(job, urgent=urgent)
        self.begun.append(ticket)
        return ticket

    def drop(self, ticket: Ticket) -> None:
        self.dropped.append(ticket)

    def finish(self) -> None:
        for ticket in self.begun:
            if ticket.cleaned is None:
                ticket.learned = self.cleaner.learned
                ticket.cleaned = clean_job(ticket.job, self.cleaner)

    @property
    def names(self) -> list[str]:
        return [Path(ticket.job.path).name for ticket in self.begun]


@dataclass
class Line:
    """A pipeline with a slow pool."""

    box: Box
    slow: Slow
    ingest: Ingest

    def put(self, *names: str) -> list[Change]:
        return [Change(self.box.put(name, block(name)), gone=False) for name in names]


@pytest.fixture
def line(box: Box) -> Line:
    slow = Slow(box.cleaner)
    return Line(box, slow, box.open(slow))


def test_slow_dump_is_left_to_a_later_batch(line: Line) -> None:
    changes = line.put("a", "slow", "b")
    assert [Path(report.path).name for report in line.ingest.take(changes)] == ["a", "b"]
    waits = [line.ingest.waits]
    assert line.ingest.late() == []
    assert line.box.compare() == [("slow", False)]  # a daemon that is killed now finds it again
    line.slow.finish()
    late = line.ingest.late()
    assert late == [changes[1]]
    assert [*waits, line.ingest.waits] == [True, False]
    assert [report.outcome for report in line.ingest.take(late)] == [Outcome.PUBLISHED]
    assert line.box.titles == {"a", "slow", "b"}
    assert line.slow.names == ["a", "slow", "b"]


def test_slow_dump_that_changes_meanwhile(line: Line) -> None:
    line.ingest.take(line.put("slow"))
    again = [Change(line.box.put("slow", block("mended")), gone=False)]
    assert line.ingest.take(again) == []
    assert line.slow.dropped == line.slow.begun[:1]
    line.slow.finish()
    line.ingest.take(line.ingest.late())
    assert line.box.titles == {"mended"}


@pytest.mark.parametrize("said", [True, False])
def test_slow_dump_that_is_deleted_meanwhile(line: Line, *, said: bool) -> None:
    (change,) = line.put("slow")
    line.ingest.take([change])
    Path(change.path).unlink()
    assert line.ingest.take([Change(change.path, gone=said)]) == ([Report(change.path)] if said else [])
    assert not line.ingest.waits
    assert line.slow.dropped == line.slow.begun


def test_what_comes_next_is_cleaned_once(line: Line) -> None:
    first, second = line.put("a"), line.put("b")
    line.ingest.take(first, then=second)
    assert line.slow.names == ["a", "b"]
    line.ingest.take(second)
    assert line.slow.names == ["a", "b"]
    assert line.box.titles == {"a", "b"}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "expected"), [("example.org", ["a", "b", "b"]), ("other.org", ["a", "b"])])
def test_what_was_begun_before_its_source_learned_is_cleaned_again(
    line: Line, source: str, expected: list[str]
) -> None:
    line.box.cleaner.learned = line.box.store.load_learned()
    first, second = line.put("a"), line.put("b")
    line.ingest.take(first, then=second)
    known = {source: {"x": LearnedBlock("x", Sign.SHAPE, None, "x")}}
    line.box.cleaner.learned = Learned(known, line.box.cleaner.learned.version)
    line.ingest.take(second)
    assert line.slow.names == expected


def test_interrupted_batch_leaves_out_what_is_not_cleaned(line: Line) -> None:
    changes = line.put("a", "slow")
    asked = iter([False, False, True, True, True])
    assert [Path(report.path).name for report in line.ingest.take(changes, lambda: next(asked))] == ["a"]
    assert not line.ingest.waits


def test_cleaning_again_goes_on_where_it_was_interrupted(line: Line) -> None:
    line.ingest.take(line.put("a", "slow"))
    line.slow.finish()
    line.ingest.take(line.ingest.late())
    line.box.cleaner.digest = "other"
    before = len(line.slow.begun)
    assert len(line.ingest.reclean(9)) == 2
    assert {entry.title for entry in line.box.entries if entry.cleaner == "other"} == {"a"}
    assert len(line.ingest.reclean(9)) == 1
    line.slow.finish()
    assert len(line.ingest.reclean(9)) == 1
    assert line.ingest.reclean(9) == []
    assert {entry.cleaner for entry in line.box.entries} == {"other"}
    assert len(line.slow.begun) == before + 2


def test_quarantined_dump_is_tried_again_when_told(box: Box) -> None:
    path = box.put("a", "<!--12")
    box.ingest.take([Change(path, gone=False)])
    assert box.compare() == []
    ingest = box.open(retried=[path])
    (change,) = ingest.compare(box.listing())
    assert [report.outcome for report in ingest.take([change])] == [Outcome.QUARANTINED]
    assert ingest.compare(box.listing()) == []
