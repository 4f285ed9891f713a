"""`feedsvc check` names what the guard refuses, and `feedsvc accept` lets it pass."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from articles import live_entries, make_article, save_dump
from feed_documents import make_document
from typer.testing import CliRunner

from feedsvc.app.check import Level, check_all
from feedsvc.app.cli import app
from feedsvc.app.config import load_config
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.guard import Guard
from feedsvc.store import Store
from feedsvc.store.schema import entries

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.slow
def test_check_and_accept(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[server]\nlisten = "127.0.0.1:0"\n[watch]\ndirectories = ["seeds"]\n')
    (tmp_path / "seeds").mkdir()
    config = load_config(path, {})

    def warnings() -> list[str]:
        return [finding.message for finding in check_all(config) if finding.level is Level.WARNING]

    assert warnings() == []
    assert not (tmp_path / "var").exists()
    with closing(Store(config.store.url)) as store:
        save_dump(store, make_article())
        guard = Guard(store, lambda _key, _message: None)
        guard.checked(FORMATS["atom"])(make_document(*live_entries(store)), "https://feeds.example.org")
        guard.save(NOW)
        assert warnings() == []
        with store.writing() as writer:
            writer.connection.execute(entries.update().values(updated=NOW))
    [warning] = warnings()
    assert warning.startswith("1 entry keeps the id and date that readers know: tag:example.org,2024-04-03:")
    assert "is dated 2030-01-01T00:00:00+00:00 now though the article is the same; if that is meant, run" in warning
    done = CliRunner().invoke(app, ["accept", "--config", str(path)], catch_exceptions=False)
    assert (done.exit_code, done.output) == (
        0,
        "1 entry will be published as stored; restart feedsvc to do so at once\n",
    )
    assert warnings() == []
