"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

# Time is measured in benchmarks/, not here. In CI the same few examples run every time: a change is judged by what it
# changed, coverage slows them down, and new examples are looked for wherever else the tests run.
IN_CI = "CI" in os.environ
settings.register_profile("tests", deadline=None, derandomize=IN_CI, max_examples=30 if IN_CI else 100)
settings.register_profile("quick", deadline=None, max_examples=10)  # of `make quick`
settings.load_profile("tests")

E2E = Path(__file__).parent / "e2e"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark all end-to-end tests as slow: each starts a daemon or a command."""
    if E2E in item.path.parents:
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test logged sendable: a worker cannot send the lone surrogates of a path that is not UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
