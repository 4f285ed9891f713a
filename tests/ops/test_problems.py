"""Problems stand until they end: in the store, and in the log when they begin and end."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW

from feedsvc.model import Problem
from feedsvc.ops.problems import Problems
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'feedsvc.db'}")) as opened:
        yield opened


@pytest.fixture
def problems(store: Store) -> Problems:
    made = Problems(store, lambda: NOW)
    made.begin()
    return made


def test_stands_until_it_ends(store: Store, problems: Problems, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    problems.report("job:rescan", "rescan failed: no")
    problems.report("job:rescan", "rescan failed: no")
    assert store.load_problems() == [Problem("job:rescan", "rescan failed: no", NOW)]
    problems.report("job:rescan", None)
    problems.report("job:rescan", None)
    assert store.load_problems() == []
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "problem"),
        ("INFO", "problem ended"),
    ]


def test_takes_the_newest_message(store: Store, problems: Problems) -> None:
    problems.report("store", "one")
    problems.report("store", "two")
    assert [problem.message for problem in store.load_problems()] == ["two"]


def test_those_of_an_earlier_run_are_forgotten(store: Store, problems: Problems) -> None:
    problems.report("store", "full")
    Problems(store, lambda: NOW).begin()
    assert store.load_problems() == []


def test_a_store_that_cannot_be_written_is_said(
    store: Store, problems: Problems, caplog: pytest.LogCaptureFixture
) -> None:
    with store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE problems RENAME TO elsewhere")
    problems.report("store", "full")
    problems.report("other", "ended meanwhile")
    problems.report("other", None)
    problems.save()
    assert caplog.text.count("problems cannot be kept in the store yet") == 1
    with store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO problems")
    problems.save()
    assert store.load_problems() == [Problem("store", "full", NOW)]
