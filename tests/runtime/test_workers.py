"""Work done by several processes, and by none but this one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from feedsvc.runtime.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator


def set_up(task: str) -> dict[str, str]:
    return {"task": task}


def tell(bench: dict[str, str], item: int) -> tuple[str, int, int]:
    return bench["task"], item, os.getpid()


def fail(_bench: dict[str, str], item: int) -> None:
    raise KeyError(item)


@pytest.mark.parametrize("number", [1, 2])
def test_results_come_in_order_and_from_a_bench(number: int) -> None:
    with Workers(number, set_up, "t") as workers:
        found = list(workers.map(tell, iter(range(50))))
        again = list(workers.map(tell, [7]))
    assert [(task, item) for task, item, _ in found] == [("t", item) for item in range(50)]
    assert [item for _, item, _ in again] == [7]
    assert (os.getpid() in {process for *_, process in found}) is (number == 1)


@pytest.mark.parametrize("number", [1, 2])
def test_items_are_taken_as_they_are_needed(number: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    with Workers(number, set_up, "t") as workers:
        next(workers.map(tell, items()))
    assert len(taken) < 10


@pytest.mark.parametrize("number", [1, 2])
def test_no_item_is_taken_after_the_time_is_over(number: int) -> None:
    with Workers(number, set_up, "t") as workers:
        assert len(list(workers.map(tell, range(1000), time.monotonic() - 1))) == 1
        assert len(list(workers.map(tell, range(20), time.monotonic() + 60))) == 20


@pytest.mark.parametrize("number", [1, 2])
def test_what_goes_wrong_is_raised_here(number: int) -> None:
    with Workers(number, set_up, "t") as workers, pytest.raises(KeyError):
        list(workers.map(fail, [1]))
