"""What the store keeps of learning, and what the pipeline and the command line make of it."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from articles import live_entries
from pools import Here
from typer.testing import CliRunner

from feedsvc.app.cli import app
from feedsvc.clean import Cleaner, RuleSet
from feedsvc.clean.learning.census import BUCKET, OLD, Census, SourceCensus
from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.sandbox import Job, clean_job
from feedsvc.errors import StoreError
from feedsvc.intake.ingest import Ingest
from feedsvc.model import Outcome, Sighting
from feedsvc.store import Store, Writer
from feedsvc.store.peek import read_learned
from feedsvc.store.schema import learned_sources, sighted_blocks, sighted_shapes
from feedsvc.watch import Change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feedsvc.model import Entry
    from feedsvc.store import DumpFile
    from feedsvc.store.learned import LearnedRow

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
PROMOTION = '<div class="promo-box">下载应用</div>'
CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁"


def dump(number: int, below: str = PROMOTION, link: int | None = None) -> str:
    """One dump with a text of its own."""
    prose = "".join(random.Random(number).choices(CHARACTERS, k=40))  # noqa: S311
    link = number if link is None else link
    marker = f"<!--{1712180702000 + number * 1000}-->"
    front = "---\ntags: [ 例报 ]\n---\n"
    return f"{front}{marker}\n[题 {link}](https://example.org/{link})\n------\n<p>{prose}。</p>{below}\n"


class Box:
    """A store, and a pipeline into it that learns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/feedsvc.db"
        self.store = Store(self.url)
        self.ingest = self.open()

    def open(self) -> Ingest:
        """A pipeline as a new process has it."""
        cleaner = Cleaner(RuleSet(()), learned=self.store.load_learned())
        return Ingest(self.store, cleaner, max_bytes=10_000, withdraw=False, clock=lambda: NOW, pool=Here(cleaner))

    def put(self, numbers: range, below: str = PROMOTION) -> list[Change]:
        """Write dumps."""
        changes = []
        for number in numbers:
            path = self.folder / f"{number}.md"
            path.write_text(dump(number, below), "utf-8")
            changes.append(Change(str(path), gone=False))
        return changes

    def take(self, numbers: range, below: str = PROMOTION) -> None:
        self.ingest.take(self.put(numbers, below))

    def reclean(self) -> int:
        number = 0
        while keys := self.ingest.reclean(7):
            number += len(keys)
        return number

    @property
    def entries(self) -> list[Entry]:
        return list(live_entries(self.store))

    @property
    def promoted(self) -> int:
        """How many entries show the promotion."""
        return sum("下载应用" in entry.content for entry in self.entries)

    def rows(self, fewest: int = 0) -> list[LearnedRow]:
        with self.store.writing() as writer:
            return writer.learned.rows(None, fewest)

    def counted(self) -> int | None:
        with self.store.writing() as writer:
            return writer.connection.scalar(sa.select(learned_sources.c.dumps))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    with closing(box.store):
        yield box


@pytest.mark.slow
def test_earlier_entries_are_cleaned_again_and_updated_stays(box: Box) -> None:
    box.take(range(19))
    assert not box.ingest.learned_anew()
    assert (box.promoted, box.rows()) == (19, [])
    before = {entry.id: entry.updated for entry in box.entries}
    box.take(range(19, 21))
    assert box.ingest.learned_anew()
    assert not box.ingest.learned_anew()
    assert box.promoted == 21
    assert box.reclean() == 21
    assert box.promoted == 0
    after = {entry.id: entry.updated for entry in box.entries}
    assert before.items() <= after.items()
    ((_, removed),) = [box.store.load_entry(entry.key) for entry in box.entries[:1]]  # type: ignore[misc]
    (row,) = box.rows()
    assert [removal.rule for removal in removed] == [f"learned-{row.block[:8]}"]
    assert (row.source, row.state, row.sign, row.count, row.dumps) == ("例报", "learned", "shape", 21, 21)
    box.take(range(21, 22))  # from now on at once
    assert (box.promoted, box.reclean()) == (0, 0)


def test_stale_entry_that_arrives_again_is_not_updated(box: Box) -> None:
    box.take(range(21))
    before = {entry.id: entry.updated for entry in box.entries}
    changes = box.put(range(5), PROMOTION + " ")
    box.ingest.take(changes)
    assert {entry.id: entry.updated for entry in box.entries} == before
    assert box.promoted == 16


@pytest.mark.slow
def test_only_what_is_added_is_counted(box: Box) -> None:
    box.take(range(3))
    assert box.counted() == 3
    box.take(range(3), PROMOTION + PROMOTION)  # updates
    (box.folder / "again.md").write_text(dump(50, link=1), "utf-8")
    box.ingest.take([Change(str(box.folder / "again.md"), gone=False)])  # a duplicate
    cleaner = Cleaner(RuleSet(()), learned=Learned())
    box.ingest = Ingest(box.store, cleaner, max_bytes=10_000, withdraw=False, clock=lambda: NOW, pool=Here(cleaner))
    box.reclean()
    assert box.counted() == 3


def test_what_the_store_refuses_is_not_counted(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Writer.save_dump

    def refuse(writer: Writer, number: int, file: DumpFile, now: datetime) -> None:
        if file.outcome is Outcome.PUBLISHED:
            raise sa.exc.IntegrityError("", {}, ValueError("refused"))
        save(writer, number, file, now)

    with monkeypatch.context() as patch:
        patch.setattr("feedsvc.store.Writer.save_dump", refuse)
        box.take(range(2))
    assert box.counted() is None


def test_transaction_that_is_undone_counts_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.take(range(19))
    with monkeypatch.context() as patch:
        patch.setattr("feedsvc.store.learned.LearnedWriter.mark_changed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            box.take(range(19, 25))
    assert box.counted() == 19
    assert (len(box.entries), box.rows()) == (19, [])
    assert not box.ingest.learned_anew()
    box.take(range(19, 25))
    assert (box.counted(), len(box.rows())) == (25, 1)


def test_restart_keeps_what_was_counted_and_learned(box: Box) -> None:
    box.take(range(12))
    box.ingest = box.open()
    box.take(range(12, 21))
    assert len(box.rows()) == 1
    box.ingest = box.open()
    box.reclean()
    assert box.promoted == 0
    box.take(range(30, 32))
    assert (box.promoted, box.reclean()) == (0, 0)


def test_another_process_learns(box: Box) -> None:
    other = box.open()
    box.take(range(15))
    assert other.is_current()
    box.take(range(15, 21))
    assert not other.is_current()
    other.take(box.put(range(40, 41)))
    assert other.is_current()
    assert box.promoted == 21  # the new one was cleaned by what the other had learned
    box.ingest = other
    box.reclean()
    assert box.promoted == 0


def test_dumps_without_source_are_cleaned_again(box: Box) -> None:
    changes = box.put(range(21))
    for change in changes:
        with open(change.path, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read().replace("tags: [ 例报 ]\n", "title: t\n")
        with open(change.path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    box.ingest.take(changes)
    assert {entry.source for entry in box.entries} == {None}
    assert [row.source for row in box.rows()] == ["example.org"]
    box.reclean()
    assert box.promoted == 0


# Hands


@pytest.mark.slow
def test_veto_and_reset(box: Box) -> None:
    box.take(range(21))
    box.reclean()
    (row,) = box.rows()
    for state, promoted in (("vetoed", 22), (None, 0)):
        with box.store.writing() as writer:
            writer.learned.rule(row, state)
        assert not box.ingest.is_current()
        box.take(range(40, 41))  # the census does not overrule it
        box.reclean()
        assert box.promoted == promoted
        assert [each.state for each in box.rows()] == [state or "learned"]


def test_pin_and_reset(box: Box) -> None:
    box.take(range(3))
    (row,) = [each for each in box.rows(1) if each.text == "下载应用"]
    assert (row.state, row.sign) == ("candidate", "")
    for state, promoted in (("pinned", 0), (None, 3)):
        with box.store.writing() as writer:
            writer.learned.rule(row, state)
        box.reclean()
        assert box.promoted == promoted


# The tables hold what the census in memory holds


@pytest.mark.slow
def test_store_and_memory_learn_the_same(box: Box) -> None:
    labels = ("订阅简报", "下载应用", "相关阅读", "关注我们")
    rng = random.Random(3)  # noqa: S311
    census = Census()
    for start in range(0, 2 * BUCKET + 20, 20):
        numbers = range(start, start + 20)
        changes = []
        for number in numbers:
            below = "".join(
                f'<div class="box-{label} small">{label}</div>'
                for at, label in enumerate(labels)
                if rng.random() < 0.05 * at
            )
            changes += box.put(range(number, number + 1), below)
        box.ingest.take(changes)
    cleaner = Cleaner(RuleSet(()), learned=Learned())
    for number in range(2 * BUCKET + 20):
        data = (box.folder / f"{number}.md").read_bytes()
        for _, article in clean_job(Job("/a", data, 0), cleaner).articles:
            census.add(article)
    learned = census.learned()
    assert {block.text for block in learned.of("例报").values()} == {"下载应用", "相关阅读", "关注我们"}
    assert box.store.load_learned().of("例报") == learned.of("例报")


@pytest.mark.slow
def test_rows_are_forgotten_as_in_memory(box: Box) -> None:
    rng = random.Random(5)  # noqa: S311
    census = SourceCensus()
    dumps = []
    for number in range(OLD + 2 * BUCKET):
        blocks = {f"{number:x}", f"r{rng.randrange(400)}", "promo"}
        dumps.append(
            tuple(
                Sighting(block=each, shape=f"p.{each}", links="", text=each, edge=True, closes=True, leads=False)
                for each in sorted(blocks)
            )
        )
        if census.add(dumps[-1]):
            census.forget()
    with box.store.writing() as writer:
        for start in range(0, len(dumps), 130):
            writer.learned.count("例报", dumps[start : start + 130], Learned())
        columns = [sighted_blocks.c[name] for name in ("block", "shape", "count", "missed", "edge", "closes", "same")]
        rows = {(row[0], row[1]): tuple(row[2:]) for row in writer.connection.execute(sa.select(*columns))}
        shapes = {
            row.shape: (row.seen, row.fresh, row.missed) for row in writer.connection.execute(sa.select(sighted_shapes))
        }
    assert box.counted() == census.dumps < OLD
    assert rows == {
        key: (each.count, each.missed, each.edge, each.closes, each.same) for key, each in census.blocks.items()
    }
    assert shapes == {key: (each.seen, each.fresh, each.missed) for key, each in census.shapes.items()}
    assert len(rows) < 4 * BUCKET


# Reading without a store


def test_reading_makes_no_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    assert read_learned(url) == Learned()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "none.db").write_text("this is no database, and it is long enough to be seen as such" * 20)
    with pytest.raises(StoreError, match="cannot be read"):
        read_learned(url)


def test_reading_what_a_store_has_learned(box: Box) -> None:
    box.take(range(21))
    assert read_learned(box.url) == box.store.load_learned()
    assert read_learned(box.url).version == 1


# The command line


@pytest.fixture
def config(box: Box) -> Path:
    path = box.folder / "config.toml"
    path.write_text('[store]\nurl = "sqlite:///feedsvc.db"\n', "utf-8")
    return path


def call(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.slow
def test_command(box: Box, config: Path) -> None:
    assert "下载应用" not in call("learned", "--config", config)
    box.take(range(15))
    assert "candidate" in call("learned", "--all", "--config", config)
    box.take(range(15, 21))
    (row,) = box.rows()
    shown = call("learned", "--config", config)
    for part in (row.block[:8], "例报", "21/21", "shape", "learned", "下载应用"):
        assert part in shown
    assert "下载应用" not in call("learned", "--source", "另一报", "--config", config)
    assert "vetoed" in call("learned", "--veto", f"learned-{row.block[:8]}", "--config", config)
    assert "pinned" in call("learned", "--pin", row.block, "--config", config)
    assert "learned" in call("learned", "--reset", row.block[:4], "--config", config)
    assert box.rows() == [row]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--pin", "zz"), "no block has the key zz"), (("--veto", "a", "--pin", "b"), "give one of")],
)
def test_command_that_is_wrong(box: Box, config: Path, arguments: tuple[str, ...], message: str) -> None:
    box.take(range(3))
    assert message in call("learned", *arguments, "--config", config, code=2)


@pytest.mark.slow
def test_key_that_means_more_than_one_block(box: Box, config: Path) -> None:
    box.take(range(40))
    beginnings = [row.block[0] for row in box.rows(1)]
    digit = max(beginnings, key=beginnings.count)
    assert "blocks have a key that begins so" in call("learned", "--pin", digit, "--config", config, code=2)


def contents(output: str) -> str:
    return "".join(json.loads(line)["content"] for line in output.splitlines())


@pytest.mark.slow
def test_clean_learns_from_a_folder(box: Box, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(21):
        (folder / f"{number}.md").write_text(dump(number), "utf-8")
    common = ("clean", "--jsonl", "--config", config)
    assert "下载应用" not in contents(call(*common, folder))
    assert "下载应用" not in contents(call(*common, "--no-rules", folder))
    assert "下载应用" in contents(call(*common, "--no-learn", folder))
    assert "下载应用" in contents(call(*common, folder / "1.md"))
    assert box.entries == []  # nothing was stored
    box.take(range(30, 51))
    assert "下载应用" not in contents(call(*common, folder / "1.md"))  # by what the store has learned


@pytest.mark.slow
def test_clean_without_rules(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(dump(1, '<p>分享：</p><div class="m-block-ad">x</div>'), "utf-8")
    common = ("clean", "--jsonl", "--config", config, path)
    assert "分享" not in contents(call(*common))
    assert "分享" not in contents(call(*common, "--no-site-rules"))
    assert "分享" in contents(call(*common, "--no-rules"))
