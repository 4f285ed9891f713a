"""Power goes at any moment: what was committed is there, and nothing of what was not.

A process writes a commit after the other and says so. It is stopped at random moments, and the files of its store are
copied as they are, or as a power loss could have left them: with the log cut off or torn where it had not been flushed,
or with pages of the store torn that were being copied out of the log. FEEDSVC_POWER_LOSSES sets how often.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from articles import NOW

from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMES = int(os.environ.get("FEEDSVC_POWER_LOSSES", "20"))
PAGE = 4096
EACH = 3  # entries a commit adds; it changes one more
WRITER = f"""
import sys
from datetime import timedelta
from articles import NOW, make_article, save_dump
from feedsvc.store import Store
store = Store(sys.argv[1])
for number in range(1, 100_000):
    new = [make_article(number * {EACH} + more, text="x" * 3000) for more in range({EACH})]
    changed = make_article(0, text=str(number))
    save_dump(store, changed, *new, path="/dumps/a.txt", now=NOW + timedelta(seconds=number))
    if number % 40 == 0:
        store.optimise()  # the log is copied into the store, and cut
    print(number, flush=True)
"""


@dataclass(frozen=True)
class Found:
    """What a copy holds: how many commits, by the entries added and by the entry changed."""

    added: int
    changed: int


class Writer:
    """The process that writes."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "feedsvc.db"
        path = os.pathsep.join(sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, f"sqlite:///{self.store}"],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said = 0

    def run(self, commits: int, seconds: float) -> int:
        """Let it go on for some commits and some time more, and stop it; answers the last commit that it told of."""
        assert self._process.stdout is not None
        for _ in range(commits):
            self._said = int(self._process.stdout.readline())
        time.sleep(seconds)
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        return self._said

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    (tmp_path / "live").mkdir()
    started = Writer(tmp_path / "live")
    yield started
    started.end()


def look_into(store: Path) -> Found:
    with closing(sqlite3.connect(store)) as copy:
        assert copy.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        counted = copy.execute("SELECT count(*), count(DISTINCT id), min(length(content)) FROM entries").fetchone()
        (updated,) = copy.execute("SELECT coalesce(max(updated), 0) FROM entries WHERE title = '北约 0'").fetchone()
    entries, ids, shortest = counted
    assert entries == ids
    assert not entries or (entries - 1) % EACH == 0  # a commit is there as a whole, or not at all
    assert not entries or shortest > 0
    # The first commit adds it with the time that its dump gives.
    return Found(max(entries - 1, 0) // EACH, max(updated - int(NOW.timestamp()), 1) if entries else 0)


def flushed_end(log: bytes) -> int:
    """Where the last commit in a log ends: up to there it has been flushed (the log's format: sqlite.org/walformat)."""
    salt, end = log[16:24], 32
    for start in range(32, len(log) - PAGE - 23, PAGE + 24):
        (_, size), frame_salt = struct.unpack(">II", log[start : start + 8]), log[start + 8 : start + 16]
        if frame_salt != salt:
            break
        if size:
            end = start + PAGE + 24
    return end


def is_being_copied(store: Path) -> bool:
    """Whether pages of the log were copied into the store (nBackfillAttempted: sqlite.org/walformat, section 2.2)."""
    shared = store.with_name(f"{store.name}-shm").read_bytes()
    return any(shared[128:132])


def as_it_is(_store: Path, _log: Path, _chance: random.Random) -> bool:
    return True


def lose_what_was_not_flushed(_store: Path, log: Path, chance: random.Random) -> bool:
    data = log.read_bytes()
    end = flushed_end(data)
    log.write_bytes(data[: chance.randint(end, len(data))])
    return True


def tear_what_was_not_flushed(_store: Path, log: Path, chance: random.Random) -> bool:
    data = log.read_bytes()
    end = flushed_end(data)
    log.write_bytes(data[:end] + chance.randbytes(len(data) - end) + chance.randbytes(chance.randrange(3 * PAGE)))
    return True


def tear_pages_that_are_in_the_log(store: Path, log: Path, chance: random.Random) -> bool:
    data = log.read_bytes()
    end = flushed_end(data)
    pages = {struct.unpack(">I", data[start : start + 4])[0] for start in range(32, end, PAGE + 24)}
    size = store.stat().st_size // PAGE
    with store.open("r+b") as file:
        for page in sorted(page for page in pages if page <= size):
            file.seek((page - 1) * PAGE)
            file.write(chance.randbytes(chance.randrange(1, PAGE)))
    return True


def cut_the_log_anywhere(_store: Path, log: Path, chance: random.Random) -> bool:
    """No power loss does this, but a disk that says it has flushed and has not: commits are lost, none in part."""
    data = log.read_bytes()
    log.write_bytes(data[: chance.randint(0, len(data))])
    return False


def tear_the_log_anywhere(_store: Path, log: Path, chance: random.Random) -> bool:
    data = bytearray(log.read_bytes())
    if data:
        start = chance.randrange(len(data))
        data[start : start + 512] = chance.randbytes(len(data[start : start + 512]))
    log.write_bytes(data)
    return False


LOSSES: list[Callable[[Path, Path, random.Random], bool]] = [
    as_it_is,
    lose_what_was_not_flushed,
    tear_what_was_not_flushed,
    tear_pages_that_are_in_the_log,
    cut_the_log_anywhere,
    tear_the_log_anywhere,
]


@pytest.mark.slow
def test_what_was_committed_survives_and_nothing_else_does(writer: Writer, tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 - not a secret
    kept = lost = 0
    writer.run(1, 0.0)
    writer.go_on()
    for number in range(TIMES):
        said = writer.run(chance.randrange(1, 8), chance.random() / 50)
        empty = not writer.store.with_name("feedsvc.db-wal").stat().st_size  # all is in the store
        # Who copies from a log that the disk then loses has half of two states: no database stands that.
        possible = LOSSES[:1] if empty else LOSSES[:-2] if is_being_copied(writer.store) else LOSSES
        for loss in possible:
            copy = tmp_path / f"{number}-{loss.__name__}"
            copy.mkdir()
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{writer.store}{suffix}", copy / f"feedsvc.db{suffix}")
            keeps = loss(copy / "feedsvc.db", copy / "feedsvc.db-wal", chance)
            found = look_into(copy / "feedsvc.db")
            assert found.added == found.changed, (number, loss.__name__, found)
            if keeps:
                assert found.added >= said, (number, loss.__name__, found, said)
                kept += 1
            else:
                lost += found.added < said
            if number == 0:
                Store(f"sqlite:///{copy}/feedsvc.db").close()
            shutil.rmtree(copy)
        writer.go_on()
    sys.stdout.write(f"{kept} copies held every commit; {lost} of a disk that lies held fewer, each one whole\n")
