"""Waiting for something that another thread or process does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

GENEROUS = 60.0  # seconds; a bound for what has no promised time


def wait_for(condition: Callable[[], T], within: float = GENEROUS) -> T:
    """Ask every 5 ms until the answer is true, and return it.

    Args:
        condition: Asked at least once.
        within: Seconds after which the test fails.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {within} s")
        time.sleep(0.005)
    return answer
