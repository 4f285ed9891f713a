"""What goes wrong with the store: what is served meanwhile, what is said, and how it mends; see docs/faults.md."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e.harness import Daemon, feedsvc, lack, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons

LONG = "".join(f"<p>Paragraph {number} of an article with <b>some</b> length.</p>" for number in range(40))
PAGE = 4096  # bytes


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        lack("only root may mount")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        lack(f"mount {' '.join(options)}: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "feedsvc-test") as disk:
        yield disk


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, PAGE, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler


def drop_some(daemon: Daemon, count: int, first: int = 0) -> list[str]:
    titles = [f"article {number}" for number in range(first, first + count)]
    for number, title in enumerate(titles, first):
        daemon.drop(f"{number}.txt", make_dump(title, body=LONG, seconds=1712180702 + number))
    return titles


def serves(daemon: Daemon, titles: list[str]) -> bool:
    return set(titles) == set(daemon.feed().titles)


def known(daemon: Daemon) -> dict[str, tuple[str, str, str]]:
    """What readers know of each entry."""
    return {entry.id: (entry.title, entry.published, entry.updated) for entry in daemon.feed().entries}


def said_in_status(daemon: Daemon, key: str) -> str:
    return next((each["message"] for each in daemon.status()["problems"] if each["about"] == key), "")


def found_by_check(daemon: Daemon) -> str:
    return feedsvc("check", "--config", daemon.config, cwd=daemon.home).stdout


def set_aside(daemon: Daemon) -> list[Path]:
    return sorted(daemon.store.parent.glob("feedsvc.db.corrupt-*Z"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of forty dumps and the store that holds them."""
    daemon = Daemon(tmp_path_factory.mktemp("model"), {})
    drop_some(daemon, 40)
    done = feedsvc("import", daemon.folder, "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    return daemon.home


@pytest.fixture
def stopped(daemons: Daemons, model: Path) -> Daemon:
    """A daemon that does not run, whose store holds forty entries."""
    daemon = daemons.prepare({"feed": {"entries": 1000}})
    shutil.copytree(model / "dumps", daemon.folder, dirs_exist_ok=True)
    shutil.copytree(model / "var", daemon.store.parent)
    with closing(sqlite3.connect(daemon.store)) as store:
        named = [(str(daemon.folder / os.path.basename(path)).encode(), path) for path in os_paths(store)]  # noqa: PTH119
        store.executemany("UPDATE dumps SET path = ? WHERE path = ?", [(new, os.fsencode(old)) for new, old in named])
        store.commit()
    return daemon


def os_paths(store: sqlite3.Connection) -> list[str]:
    return [os.fsdecode(path) for (path,) in store.execute("SELECT path FROM dumps")]


@pytest.fixture
def filled(stopped: Daemon) -> Daemon:
    """The same while it runs."""
    stopped.start()
    return stopped


# No room


def test_a_full_disk_below_the_store(daemons: Daemons) -> None:
    daemon = daemons.prepare({"feed": {"entries": 1000}})
    with small_disk(daemon.store.parent) as disk:
        daemon.start()
        titles = drop_some(daemon, 5)
        wait_for(lambda: serves(daemon, titles))
        before = daemon.feed()
        filler = fill(disk)
        more = drop_some(daemon, 100, first=5)
        daemon.wait_for_log("problem=store", "database or disk is full", "free some space")
        assert daemon.feed().body == before.body
        assert "ready" in daemon.status()  # the store can still be read
        # Nor does a start need room.
        daemon.kill()
        daemon.start()
        assert known(daemon).keys() == {entry.id for entry in before.entries}
        filler.unlink()
        wait_for(lambda: serves(daemon, titles + more))
        assert len(daemon.titles_stored()) == len(set(daemon.titles_stored())) == 105
        wait_for(lambda: said_in_status(daemon, "store") == "")
        daemon.stop()


def test_a_start_after_an_end_on_a_full_disk(daemons: Daemons) -> None:
    daemon = daemons.prepare()
    with small_disk(daemon.store.parent) as disk:
        daemon.start()
        titles = drop_some(daemon, 3)
        wait_for(lambda: serves(daemon, titles))
        before = known(daemon)
        daemon.stop()
        filler = fill(disk)
        more = drop_some(daemon, 3, first=3)
        daemon.start()
        assert known(daemon) == before
        daemon.wait_for_log("problem=store", "until then what is there is served")
        filler.unlink()
        wait_for(lambda: serves(daemon, titles + more))
        daemon.stop()


def test_no_room_for_temporary_files(daemons: Daemons, tmp_path: Path) -> None:
    with small_disk(tmp_path / "temporary", "64k") as disk:
        fill(disk)
        daemon = daemons.start({"feed": {"entries": 1000}}, TMPDIR=str(disk), SQLITE_TMPDIR=str(disk))
        titles = drop_some(daemon, 100)
        wait_for(lambda: serves(daemon, titles))
        daemon.stop()


# Not to be written


def test_a_store_on_a_disk_that_is_read_only(filled: Daemon) -> None:
    before = known(filled)
    filled.stop()
    folder = filled.store.parent
    more = drop_some(filled, 1, first=40)
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        filled.start()
        assert known(filled) == before
        filled.wait_for_log("problem=store", "readonly database", "mounted read-only")
        assert "mounted read-only" in found_by_check(filled) or "store holds" in found_by_check(filled)
        subprocess.run(["mount", "-o", "remount,bind,rw", folder], check=True)
        wait_for(lambda: more[0] in filled.feed().titles)
        assert before.items() <= known(filled).items()
        filled.stop()


def test_a_store_that_another_process_keeps_locked(filled: Daemon) -> None:
    before = filled.feed()
    with closing(sqlite3.connect(filled.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        more = drop_some(filled, 1, first=40)
        filled.wait_for_log("problem=store", "database is locked", "let it finish")
        assert filled.feed().body == before.body
        filled.kill()
        filled.start()  # beside it
        assert filled.feed().ids == before.ids
        other.execute("ROLLBACK")
    wait_for(lambda: more[0] in filled.feed().titles)
    wait_for(lambda: said_in_status(filled, "store") == "")


def test_a_start_while_nobody_else_may_read_the_store(filled: Daemon) -> None:
    before = known(filled)
    filled.stop()
    with closing(sqlite3.connect(filled.store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE problems SET message = message")
        filled.launch()
        filled.wait_for_log("waiting for the store", "database is locked")
    wait_for(lambda: "serving" in filled.log.rpartition("waiting for the store")[2])
    assert known(filled) == before


# Damaged


def test_damage_that_a_start_finds(filled: Daemon) -> None:
    before = known(filled)
    filled.kill()  # its log stays, so the next start looks
    with closing(sqlite3.connect(filled.store)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.execute("UPDATE problems SET message = ''")  # and leave a log
        store.execute("INSERT INTO problems VALUES ('', '', 0)")
        store.commit()
        damage(filled.store, random.Random(1))  # noqa: S311 - the same damage each time
        filled.launch()
        filled.wait_for_log("store is damaged")
    wait_for(lambda: "serving" in filled.log.rpartition("store is damaged")[2])
    wait_for(lambda: known(filled) == before)
    (aside,) = set_aside(filled)
    assert str(aside) in said_in_status(filled, "store:corrupt")


def test_damage_that_is_met_while_it_runs(filled: Daemon) -> None:
    body = filled.feed().body
    before = known(filled)
    with closing(sqlite3.connect(filled.store)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for seed in range(3):
        damage(filled.store, random.Random(seed))  # noqa: S311 - the same damage each time
    more = drop_some(filled, 1, first=40)
    while "store cannot be used any more" not in filled.log:
        assert filled.get("/feed.atom").body == body or more[0] in filled.feed().titles
        if more[0] in filled.feed().titles:  # it was lucky so far
            more = drop_some(filled, 1, first=int(more[0].split()[1]) + 1)
    wait_for(lambda: more[0] in filled.feed().titles)
    assert before.items() <= known(filled).items()
    assert len(set_aside(filled)) == 1
    assert str(set_aside(filled)[0]) in said_in_status(filled, "store:corrupt")


def damage(store: Path, chance: random.Random) -> None:
    """Overwrite a tenth of a store's pages, but the first few, which say what is where."""
    pages = store.stat().st_size // PAGE
    with store.open("r+b") as file:
        for page in chance.sample(range(60, pages), max(1, pages // 10)):
            file.seek(page * PAGE)
            file.write(chance.randbytes(PAGE))


def test_files_of_the_store_that_are_deleted_while_it_runs(filled: Daemon) -> None:
    before = known(filled)
    for number, names in enumerate((["feedsvc.db", "feedsvc.db-wal", "feedsvc.db-shm"], ["feedsvc.db-wal"])):
        seen = filled.log.count("its files are gone")
        for name in names:
            (filled.store.parent / name).unlink()
        wait_for(lambda seen=seen: filled.log.count("its files are gone") > seen)  # type: ignore[misc]
        assert filled.feed().ids
        (title,) = drop_some(filled, 1, first=40 + number)
        wait_for(lambda title=title: title in filled.feed().titles)  # type: ignore[misc]
        assert before.items() <= known(filled).items()
    assert set_aside(filled) == []
    assert len(filled.titles_stored()) == 42


def test_a_store_that_is_none(filled: Daemon) -> None:
    before = known(filled)
    filled.stop()
    filled.store.write_bytes(b"this is no database " * 1000)
    checked = found_by_check(filled)
    assert "file is not a database" in checked
    assert "sets it aside when it starts" in checked
    asked = feedsvc("status", "--config", filled.config, cwd=filled.home)
    assert "sets it aside when it starts" in asked.stdout + asked.stderr
    filled.start()
    assert known(filled) == before  # ids and dates are those of the dumps
    assert len(set_aside(filled)) == 1


def test_a_store_of_a_newer_version(stopped: Daemon) -> None:
    with closing(sqlite3.connect(stopped.store)) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    done = feedsvc("run", "--config", stopped.config, cwd=stopped.home)
    assert done.returncode == 3
    assert "was it written by a newer feedsvc? Install that version" in done.stderr
    assert set_aside(stopped) == []


# Renders and jobs


def change(daemon: Daemon, statement: str, *values: object, forget: bool = False) -> None:
    """Change an entry behind the daemon's back, as a bug would, so that it sees that there was a change."""
    with closing(sqlite3.connect(daemon.store, timeout=30)) as store, store:
        store.execute("UPDATE revisions SET number = number + 1")
        if forget:
            store.execute("DELETE FROM published")
        store.execute(f"UPDATE entries SET {statement}, revision = (SELECT number FROM revisions)", values)  # noqa: S608


def test_an_entry_that_cannot_be_rendered_and_a_feed_that_cannot(filled: Daemon) -> None:
    first = known(filled)
    body = filled.feed().body
    # An entry, with an id that is none and that nobody remembers to be another.
    (own,) = (entry for entry, (title, *_) in first.items() if title == "article 7")
    change(filled, "id = CASE id WHEN ? THEN 'none' ELSE id END", own, forget=True)
    filled.wait_for_log("entry left out", "which is no absolute IRI")
    wait_for(lambda: set(filled.feed().ids) == first.keys() - {own})
    change(filled, "id = CASE id WHEN 'none' THEN ? ELSE id END", own)
    wait_for(lambda: filled.feed().body == body)
    # A whole feed, again and again.
    change(filled, "published = published + ?", 10**15)
    filled.wait_for_log("problem=job:regenerate")
    assert filled.feed().body == body
    wait_for(lambda: is_said(filled))
    change(filled, "published = published - ?", 10**15)
    (title,) = drop_some(filled, 1, first=40)
    wait_for(lambda: title in filled.feed().titles)
    assert first.items() <= known(filled).items()
    assert filled.log.count("job failed") <= 3  # it failed more often than it was said
    filled.kill()


def is_said(daemon: Daemon) -> bool:
    with closing(sqlite3.connect(daemon.store)) as store:
        return bool(store.execute("SELECT 1 FROM problems WHERE key = 'job:regenerate'").fetchone())


def test_a_job_that_raises_stops_no_other(filled: Daemon) -> None:
    with closing(sqlite3.connect(filled.store, timeout=30)) as store:
        store.execute("ALTER TABLE search_queue RENAME TO elsewhere")  # the triggers go with it
        store.execute("CREATE VIEW search_queue AS SELECT 1 AS wrong")
    filled.wait_for_log("problem=job:index")
    (title,) = drop_some(filled, 1, first=40)
    wait_for(lambda: title in filled.feed().titles)
    assert "index failed" in said_in_status(filled, "job:index")
    with closing(sqlite3.connect(filled.store, timeout=30)) as store:
        store.execute("DROP VIEW search_queue")
        store.execute("ALTER TABLE elsewhere RENAME TO search_queue")
    wait_for(lambda: said_in_status(filled, "job:index") == "")


# The clock
