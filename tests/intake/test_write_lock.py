"""Nothing is cleaned while the store is locked for writing: another process may write at any moment of a cleaning."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW, live_entries
from pools import Here

from feedsvc.clean import Cleaner, load_rules
from feedsvc.intake.ingest import Ingest
from feedsvc.intake.restore import restore_removal
from feedsvc.store import Store
from feedsvc.watch import Change

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    from feedsvc.clean import RuleSet
    from feedsvc.model import CleanEntry, Dump, Entry

RULES = '[[rule]]\nname = "{}"\nreason = "test"\ntext = ["{}.*"]\n'
BODY = "<p>The article says this.</p><p>{}</p><p>promo now</p><p>advert now</p>"


class Interrupted(Cleaner):
    """While it cleans, another connection writes to the store, and waits for nobody."""

    def __init__(self, rules: RuleSet, database: Path) -> None:
        super().__init__(rules)
        self.database = database
        self.cleanings = self.writes = 0

    def clean(self, dump: Dump, published: datetime, restored: Collection[str] = ()) -> CleanEntry:
        self.cleanings += 1
        with closing(sqlite3.connect(self.database, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.writes += 1
            self.meanwhile(other)
            other.execute("COMMIT")
        return super().clean(dump, published, restored)

    def meanwhile(self, other: sqlite3.Connection) -> None:
        """Write nothing."""


class House:
    """A folder, a store, and a pipeline between them whose every cleaning is interrupted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "a.txt"
        self.store = Store(f"sqlite:///{folder}/feedsvc.db")
        self.use(Interrupted, "promo")

    def use(self, kind: type[Interrupted], *promotions: str) -> None:
        """Have rules that remove what begins so."""
        rules = self.folder / "-".join(["rules", kind.__name__, *promotions])
        rules.mkdir()
        (rules / "rules.toml").write_text("".join(RULES.format(word, word) for word in promotions), "utf-8")
        self.cleaner = kind(load_rules(site_rules=False, folders=[rules]), self.folder / "feedsvc.db")
        self.ingest = Ingest(
            self.store, self.cleaner, max_bytes=10_000, withdraw=False, clock=lambda: NOW, pool=Here(self.cleaner)
        )

    def take(self, said: str) -> None:
        text = f"<!--1712180702000-->\n[a](https://example.org/a)\n------\n\n{BODY.format(said)}\n"
        self.path.write_text(text, "utf-8")
        (report,) = self.ingest.take([Change(str(self.path), gone=False)])
        assert report.reason is None

    def restore(self) -> None:
        restore_removal(self.store, self.ingest, self.entry.key, 1, undo=False)

    @property
    def entry(self) -> Entry:
        (entry,) = live_entries(self.store)
        return entry


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with closing(house.store):
        yield house


def written(house: House) -> int:
    """How often another connection wrote while something was cleaned, which must have been each time."""
    assert house.cleaner.writes == house.cleaner.cleanings
    return house.cleaner.writes


def test_dump(house: House) -> None:
    house.take("First.")
    assert written(house) == 1
    assert "promo" not in house.entry.content


def test_removal_is_restored(house: House) -> None:
    house.take("First.")
    house.restore()
    assert written(house) == 2
    assert "promo" in house.entry.content


def test_dump_of_an_entry_with_a_restored_removal(house: House) -> None:
    house.take("First.")
    house.restore()
    house.take("Second.")
    assert written(house) == 4  # by itself, then with what is restored
    assert "Second." in house.entry.content
    assert "promo" in house.entry.content


def test_first_dump_after_a_change_of_rules(house: House) -> None:
    house.take("First.")
    house.use(Interrupted, "promo", "advert")
    house.take("Second.")
    assert written(house) == 2  # and the dump that is stored
    assert "advert" not in house.entry.content
    assert house.entry.cleaner == house.cleaner.digest


def test_first_dump_after_a_change_of_rules_of_an_entry_with_a_restored_removal(house: House) -> None:
    house.take("First.")
    house.restore()
    house.use(Interrupted, "promo", "advert")
    house.take("Second.")
    assert written(house) == 3
    assert "promo" in house.entry.content
    assert "advert" not in house.entry.content


def test_cleaning_again(house: House) -> None:
    house.take("First.")
    house.restore()
    house.use(Interrupted, "promo", "advert")
    assert house.ingest.reclean(9) == [house.entry.key]
    assert written(house) == 1
    assert "promo" in house.entry.content
    assert "advert" not in house.entry.content


class Forgetful(Interrupted):
    """While it cleans for the third time, another connection takes back what was restored."""

    def meanwhile(self, other: sqlite3.Connection) -> None:
        if self.cleanings == 2:
            other.execute("DELETE FROM restored")


class Mindful(Interrupted):
    """While it cleans for the first time, another connection restores what was removed."""

    def meanwhile(self, other: sqlite3.Connection) -> None:
        if self.cleanings == 1:
            other.execute("INSERT INTO restored SELECT entry, digest, rule FROM aside")


@pytest.fixture
def aside(house: House) -> House:
    """A house where a removal was restored, and what says so is set aside."""
    house.take("First.")
    house.restore()
    with house.store.writing() as writer:
        writer.connection.exec_driver_sql("CREATE TABLE aside AS SELECT * FROM restored")
    return house


def test_what_is_no_longer_restored_when_it_is_written_goes(aside: House) -> None:
    aside.use(Forgetful, "promo")
    aside.take("Second.")
    assert "Second." in aside.entry.content
    assert "promo" not in aside.entry.content


def test_what_was_restored_meanwhile_stays(aside: House) -> None:
    with aside.store.writing() as writer:
        writer.connection.exec_driver_sql("DELETE FROM restored")
    aside.use(Mindful, "promo")
    aside.take("Second.")
    assert "Second." in aside.entry.content
    assert "promo" in aside.entry.content
