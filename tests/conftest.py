"""What holds for all tests."""

from __future__ import annotations

import os
import random
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


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "run modules, and the tests of each, in random order"
    parser.addoption("--shuffle", type=int, nargs="?", const=0, metavar="SEED", help=help_)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed here: workers get it with the other options, and must collect in the same order."""
    if config.option.shuffle == 0:
        config.option.shuffle = random.randrange(1, 10**6)  # noqa: S311 - no secret


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.option.shuffle
    return f"in random order: --shuffle={seed}" if seed else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.shuffle:
        return
    chance = random.Random(config.option.shuffle)  # noqa: S311 - no secret
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    for tests in modules.values():
        if not tests[0].get_closest_marker("in_order"):
            chance.shuffle(tests)
    order = list(modules)
    chance.shuffle(order)
    items[:] = [item for path in order for item in modules[path]]


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
