"""A damaged store is set aside and made anew; what can be read of it is kept."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from articles import NOW, live_entries, load_feed, make_article, save_dump

from feedsvc.errors import StoreDamaged, StoreError, StoreLocked
from feedsvc.store import Store
from feedsvc.store.marks import Mark
from feedsvc.store.mend import describe_set_aside, last_written, mend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from feedsvc.model import Entry

PAGE = 4096
ARTICLES = [make_article(number, text=f"{number} " + "x" * 2000) for number in range(100)]
ASIDE = f"feedsvc.db.corrupt-{NOW:%Y%m%dT%H%M%SZ}"


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/feedsvc.db"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a hundred entries, ten to a dump."""
    folder = tmp_path_factory.mktemp("sound")
    with closing(Store(url_of(folder))) as store:
        for number in range(0, 100, 10):
            save_dump(store, *ARTICLES[number : number + 10], path=f"/dumps/{number}.txt")
        save_dump(store, *(make_article(number, text="corrected") for number in range(10)), path="/dumps/0.txt")
        load_feed(store, "feed", NOW)
        with store.writing() as writer:
            writer.marks.save_marks([Mark(entry.key, entry.id, NOW, "", None) for entry in live_entries(store)])
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copyfile(sound / "feedsvc.db", tmp_path / "feedsvc.db")
    return tmp_path


def entries_of(folder: Path) -> dict[str, Entry]:
    with closing(Store(url_of(folder))) as store:
        store.verify()
        return {entry.id: entry for entry in live_entries(store)}


def overwrite(path: Path, pages: list[int], chance: random.Random) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(chance.randbytes(PAGE))


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "feedsvc.db")) as store:
        return store.execute(query).fetchall()


def table_page(folder: Path, table: str) -> int:
    (root,) = rows(folder, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")[0]  # noqa: S608 - ours
    assert isinstance(root, int)
    return root - 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_what_can_be_read_is_kept_as_it_was(folder: Path, seed: int) -> None:
    before = entries_of(folder)
    path = folder / "feedsvc.db"
    chance = random.Random(seed)  # noqa: S311 - the same damage each time
    pages = path.stat().st_size // PAGE
    overwrite(path, chance.sample(range(40, pages), 5), chance)
    assert mend(url_of(folder), NOW, damage="malformed") == folder / ASIDE
    after = entries_of(folder)
    assert after.items() <= before.items()
    assert len(after) >= 50
    assert (folder / ASIDE).stat().st_size == pages * PAGE


def test_a_gap_in_a_table_costs_no_more_than_what_stood_in_it(folder: Path) -> None:
    before = entries_of(folder)
    overwrite(folder / "feedsvc.db", [table_page(folder, "entries_by_published")], random.Random(0))  # noqa: S311
    mend(url_of(folder), NOW, damage="malformed")
    assert entries_of(folder) == before


@pytest.mark.slow
def test_all_dumps_are_read_again_and_fill_the_gaps(folder: Path) -> None:
    before = entries_of(folder)
    overwrite(folder / "feedsvc.db", [table_page(folder, "aliases")], random.Random(0))  # noqa: S311
    mend(url_of(folder), NOW, damage="malformed")
    with closing(Store(url_of(folder))) as store:
        assert set(store.load_files("/dumps").values()) <= {(size, -1) for size in range(10_000)}
        assert store.load_digests(["/dumps/0.txt"]).get("/dumps/0.txt") == ""
        # Found again though their names are lost: nothing is there twice, and no date goes back.
        save_dump(store, *(make_article(number, text="corrected") for number in range(10)), path="/dumps/0.txt")
    assert entries_of(folder) == before


def test_what_readers_know_is_kept(folder: Path) -> None:
    marks = rows(folder, "SELECT * FROM published ORDER BY key")
    feeds = rows(folder, "SELECT name, id, born FROM feeds")
    overwrite(folder / "feedsvc.db", [table_page(folder, "entries")], random.Random(0))  # noqa: S311
    mend(url_of(folder), NOW, damage="malformed")
    assert entries_of(folder) == {}
    assert rows(folder, "SELECT * FROM published ORDER BY key") == marks
    assert rows(folder, "SELECT name, id, born FROM feeds") == feeds
    assert rows(folder, "PRAGMA foreign_key_check") == []


def spoil_start(path: Path) -> None:
    overwrite(path, [0], random.Random(0))  # noqa: S311


@pytest.mark.parametrize(
    ("spoil", "left_open"),
    [
        pytest.param(spoil_start, False, id="its first page"),
        pytest.param(lambda path: path.write_bytes(b"no database" * 1000), False, id="another file"),
        pytest.param(lambda path: overwrite(path, list(range(20, 60)), random.Random(0)), True, id="left open"),  # noqa: S311
    ],
)
def test_a_start_finds_damage(folder: Path, spoil: Callable[[Path], None], *, left_open: bool) -> None:
    path = folder / "feedsvc.db"
    spoil(path)
    if left_open:
        (folder / "feedsvc.db-wal").write_bytes(b"x")
    damaged = path.read_bytes()
    assert mend(url_of(folder), NOW) == folder / ASIDE
    assert (folder / ASIDE).read_bytes() == damaged
    entries_of(folder)  # and it is sound
    assert str(folder / ASIDE) in (describe_set_aside(url_of(folder)) or "")


def test_a_store_that_is_sound_is_left_alone(folder: Path) -> None:
    before = (folder / "feedsvc.db").read_bytes()
    assert mend(url_of(folder), NOW) is None
    assert mend("sqlite://", NOW) is None
    assert (folder / "feedsvc.db").read_bytes() == before
    assert describe_set_aside(url_of(folder)) is None


@pytest.mark.parametrize("content", [None, b""])
def test_no_store_and_an_empty_file_are_begun_anew(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "feedsvc.db").write_bytes(content)
    assert mend(url_of(tmp_path), NOW) is None
    assert last_written(url_of(tmp_path)) is None
    assert entries_of(tmp_path) == {}


def test_a_newer_version_is_not_damage(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "feedsvc.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    assert mend(url_of(folder), NOW) is None
    with pytest.raises(StoreError, match="written by a newer feedsvc") as raised:
        Store(url_of(folder))
    assert not isinstance(raised.value, StoreDamaged)


def test_an_end_between_the_last_two_steps_is_made_good(folder: Path) -> None:
    before = entries_of(folder)
    (folder / "feedsvc.db").rename(folder / "feedsvc.db.new")
    (folder / "feedsvc.db-wal").write_bytes(b"of the damaged one")
    mend(url_of(folder), NOW)
    assert entries_of(folder) == before


def test_a_store_that_cannot_be_made_anew_stays_where_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("feedsvc.store.salvage.salvage", refuse)
    before = (folder / "feedsvc.db").read_bytes()
    with pytest.raises(StoreDamaged, match=r"malformed.*cannot be made anew: database or disk is full; free some"):
        mend(url_of(folder), NOW, damage="malformed")
    assert (folder / "feedsvc.db").read_bytes() == before


def test_last_written(folder: Path) -> None:
    written = last_written(url_of(folder))
    assert written is not None
    assert abs((datetime.now(UTC) - written).total_seconds()) < 600


# The database itself


def test_damage_is_told(folder: Path) -> None:
    told: list[str] = []
    overwrite(folder / "feedsvc.db", [table_page(folder, "entries")], random.Random(0))  # noqa: S311
    with closing(Store(url_of(folder), damaged=told.append)) as store:
        with pytest.raises(StoreDamaged, match="sets it aside when it starts"):
            list(live_entries(store))
        with pytest.raises(StoreDamaged, match="the store "):
            store.optimise()
    assert "malformed" in told[0]


def test_a_locked_store_says_so(folder: Path) -> None:
    with (
        closing(Store(url_of(folder), busy_seconds=0.01)) as store,
        closing(sqlite3.connect(folder / "feedsvc.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="let it finish, or end it"), store.writing():
            pytest.fail("the lock was not there")


def test_a_closed_store_stays_closed(folder: Path) -> None:
    store = Store(url_of(folder))
    store.close()
    with pytest.raises(StoreError, match="it is closed"):
        store.count_entries()


def lose_all(folder: Path) -> None:
    for path in folder.glob("feedsvc.db*"):
        path.unlink()


def lose_log(folder: Path) -> None:
    (folder / "feedsvc.db-wal").unlink()


def lose_log_for_another(folder: Path) -> None:
    """As where the next connection is made before anybody looks: SQLite makes a log anew."""
    lose_log(folder)
    with closing(sqlite3.connect(folder / "feedsvc.db")) as other, pytest.raises(sqlite3.OperationalError):
        other.execute("SELECT count(*) FROM entries").fetchone()  # what it looks for in the log is not there
    assert (folder / "feedsvc.db-wal").exists()


@pytest.mark.parametrize("lose", [lose_all, lose_log, lose_log_for_another])
def test_a_store_without_its_files_is_written_anew(folder: Path, lose: Callable[[Path], None]) -> None:
    store = Store(url_of(folder))
    store.changed_elsewhere()
    save_dump(store, make_article(1000), path="/dumps/late.txt")  # is in its log alone
    before = {entry.id for entry in live_entries(store)}
    assert store.is_in_place()
    lose(folder)
    assert not store.is_in_place()
    assert store.rescue()
    store.close()
    assert entries_of(folder).keys() == before
