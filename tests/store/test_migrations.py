"""A store that an older version wrote opens in this one, and nothing in it changes that readers could see."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from articles import CLEANER, NOW, live_entries, load_feed, make_article, make_file, save_dump
from places import DATA

from feedsvc.errors import StoreError
from feedsvc.intake.decide import Verdict, mint_entry
from feedsvc.model import Problem, Removal
from feedsvc.store import MIGRATIONS, Store
from feedsvc.store.schema import metadata

STORES = DATA / "stores"
FEED_ID = "urn:uuid:609c7203-635a-4b2b-98ef-37fd33a00315"

# What every store in STORES holds.
ARTICLES = [
    make_article(1, link=None, author=None, rights=None, images=(), categories=()),
    make_article(0),
]
REMOVED = Removal("share-links", "links that share", "分享 :", "<div>分享 :</div>")


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'feedsvc.db'}"


def restore(folder: Path, version: str) -> None:
    """Make the store that this version wrote."""
    with closing(sqlite3.connect(folder / "feedsvc.db")) as connection:
        connection.executescript((STORES / f"{version}.sql").read_text("utf-8"))


def version_of(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "feedsvc.db")) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted(path.stem for path in STORES.iterdir()))
def test_store_of_each_version_opens(tmp_path: Path, version: str) -> None:
    restore(tmp_path, version)
    with closing(Store(url_of(tmp_path))) as store:
        entries = list(live_entries(store))
        assert entries == [mint_entry(article, cleaner=CLEANER) for article in ARTICLES]
        assert store.load_entry(entries[1].key) == (entries[1], (REMOVED,))
        file = make_file()
        assert store.load_files("/dumps") == {file.path: (file.size, file.mtime_ns)}
        assert load_feed(store, "feed", NOW + timedelta(days=1)).id == FEED_ID
        assert store.load_feed_digest("feed") == ("a" * 64, NOW)
        assert store.load_problems() == [Problem("job:rescan", "rescan failed: no", NOW)]
        with store.writing() as writer:
            kept = writer.load_article(entries[1].id)
        assert kept is not None
        assert kept.raw == file.raw
        again = save_dump(store, ARTICLES[1], ARTICLES[0])
        assert [decision.verdict for decision in again] == [Verdict.UNCHANGED, Verdict.UNCHANGED]
        assert list(live_entries(store)) == entries
        store.verify()


def test_there_is_a_store_of_each_version() -> None:
    versions = {path.name.partition("_")[0] for path in Path(str(MIGRATIONS), "versions").glob("*.py")}
    assert versions == {path.stem for path in STORES.iterdir()}


@pytest.mark.parametrize("version", ["new", *sorted(path.stem for path in STORES.iterdir())])
def test_migrations_lead_to_the_schema(tmp_path: Path, version: str) -> None:
    if version != "new":
        restore(tmp_path, version)
    Store(url_of(tmp_path)).close()
    engine = sa.create_engine(url_of(tmp_path))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


NEWEST = max(path.stem for path in STORES.iterdir())
LATER = f"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{NEWEST}"


def upgrade() -> None:
    with op.batch_alter_table("entries", recreate="always") as table:
        table.add_column(sa.Column("mood", sa.Text, nullable=False, server_default="fine"))
        table.alter_column("title", new_column_name="headline")
"""


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of a later version, which has one more."""
    folder = tmp_path / "100 % later"
    shutil.copytree(str(MIGRATIONS), folder)
    (folder / "versions" / "9999_later.py").write_text(LATER)
    monkeypatch.setattr("feedsvc.store.database.MIGRATIONS", folder)
    return folder / "versions" / "9999_later.py"


@pytest.mark.usefixtures("later")
def test_later_migration_keeps_what_is_there(tmp_path: Path) -> None:
    restore(tmp_path, "0001")
    with closing(Store(url_of(tmp_path))) as store:
        store.verify()
        assert store.count_entries() == 2
    assert version_of(tmp_path) == "9999"
    with closing(sqlite3.connect(tmp_path / "feedsvc.db")) as connection:
        found = connection.execute("SELECT headline, mood FROM entries ORDER BY number").fetchall()
        assert found == [(article.title, "fine") for article in reversed(ARTICLES)]
        assert connection.execute("SELECT count(*) FROM removals").fetchone() == (1,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_migration_that_fails_halfway_leaves_the_store_as_it_was(tmp_path: Path, later: Path) -> None:
    restore(tmp_path, NEWEST)
    later.write_text(LATER + '    op.drop_table("nowhere")\n')
    with pytest.raises(StoreError, match="cannot be opened: no such table: nowhere"):
        Store(url_of(tmp_path))
    assert version_of(tmp_path) == NEWEST
    with closing(sqlite3.connect(tmp_path / "feedsvc.db")) as connection:
        assert connection.execute("SELECT count(title) FROM entries").fetchone() == (2,)


def test_store_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(tmp_path, "0001")
    Store(url_of(tmp_path)).close()
    assert later.exists()
    before = (tmp_path / "feedsvc.db").read_bytes()
    monkeypatch.setattr("feedsvc.store.database.MIGRATIONS", MIGRATIONS)
    with pytest.raises(StoreError, match=r"feedsvc\.db: .*9999.*; was it written by a newer feedsvc\?"):
        Store(url_of(tmp_path))
    assert (tmp_path / "feedsvc.db").read_bytes() == before
