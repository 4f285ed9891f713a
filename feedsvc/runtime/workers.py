"""The same work done by several processes, or by none but this one."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Task = TypeVar("Task")
Bench = TypeVar("Bench")
Given = TypeVar("Given")
Made = TypeVar("Made")

_bench: Any = None  # of this worker process


class Workers(Generic[Bench]):
    """Processes that each set up a bench once, and then work on the items that they get.

    They are forked: a new interpreter would import the command line first, and that takes longer than most work here.
    So no thread may run and no connection to a store may be open when one is made.
    """

    def __init__(self, number: int, set_up: Callable[[Task], Bench], task: Task) -> None:
        """Start the processes; with a `number` of 1, this process does the work itself.

        `set_up`, a function of a module, makes the bench of `task`, and that can be pickled.
        """
        self._number = number
        self._here: Bench | None = None
        self._pool: ProcessPoolExecutor | None = None
        if number == 1:
            self._here = set_up(task)
        else:
            context = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(number, context, _begin, (set_up, task))
            self._pool.submit(_nothing)  # the first call starts them all

    def __enter__(self) -> Workers[Bench]:
        """Nothing is left to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; items that were not begun are left out."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(
        self, work: Callable[[Bench, Given], Made], items: Iterable[Given], until: float | None = None
    ) -> Iterator[Made]:
        """Do `work`, a function of a module, on each item; results come in the order of the items.

        Items are taken as they are needed, and none after `until` (monotonic seconds).
        """
        waiting: deque[Any] = deque()
        for item in items:
            if self._pool is None:
                assert self._here is not None  # noqa: S101 - one of both is there
                yield work(self._here, item)
            else:
                waiting.append(self._pool.submit(_do, work, item))
                if len(waiting) > 2 * self._number:
                    yield waiting.popleft().result()
            if until is not None and time.monotonic() > until:
                break
        while waiting:
            yield waiting.popleft().result()


def _begin(set_up: Callable[[Any], Any], task: object) -> None:
    global _bench  # noqa: PLW0603 - an initializer has no other way to hand something on
    _bench = set_up(task)


def _nothing() -> None:
    pass


def _do(work: Callable[[Any, Any], Any], item: object) -> object:
    return work(_bench, item)
