"""The bookkeeping of what settles: no threads, no files, no clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.watch.files import Change, FileState
from feedsvc.watch.settle import Settling

SETTLE = 1.0
OLD, NEW = FileState(1, 1, 1), FileState(2, 2, 1)

# What happens at which time to the file at "p"; what is seen there from then on; and when what is told of it.
Told = list[tuple[float, bool]]
ROWS: dict[str, tuple[list[tuple[float, str, FileState | None]], Told]] = {
    "an untouched file settles": ([(0, "offer", NEW)], [(1.0, False)]),
    "a finished file is due at once": ([(0, "finish", NEW)], [(0.0, False)]),
    "a touch begins the wait anew": ([(0, "offer", OLD), (0.75, "offer", NEW)], [(1.75, False)]),
    "a change without news begins it anew too": ([(0, "offer", OLD), (0.5, "see", NEW)], [(2.0, False)]),
    "finished while waiting": ([(0, "offer", OLD), (0.5, "finish", NEW)], [(0.5, False)]),
    "told once for many touches": ([(t / 4, "offer", NEW) for t in range(9)], [(3.0, False)]),
    "told twice for two changes": ([(0, "finish", OLD), (2, "finish", NEW)], [(0.0, False), (2.0, False)]),
    "an absent file is gone": ([(0, "offer", None)], [(1.0, True)]),
    "replaced in two steps": ([(0, "offer", None), (0.5, "finish", NEW)], [(0.5, False)]),
    "back without news": ([(0, "offer", None), (0.5, "see", NEW)], [(2.0, False)]),
    "finished, but not there": ([(0, "finish", None)], [(1.0, True)]),
    "gone while waiting": ([(0, "offer", NEW), (0.5, "offer", None)], [(1.5, True)]),
}


@pytest.mark.parametrize(("script", "expected"), ROWS.values(), ids=ROWS)
def test_what_is_told_when(script: list[tuple[float, str, FileState | None]], expected: Told) -> None:
    settling, told = Settling(SETTLE), []
    steps = {time: (verb, state) for time, verb, state in script}
    seen: FileState | None = None
    for quarter in range(24):
        now = quarter / 4
        verb, seen = steps.get(now, ("see", seen))
        if verb == "offer":
            settling.offer("p", seen, now)
        elif verb == "finish":
            settling.finish("p", now)
        told += [(now, change.gone) for change in settling.collect(now, lambda _, seen=seen: seen)]  # type: ignore[misc]  # bound early
    assert told == expected
    assert settling.next_due() == math.inf


def test_paths_come_in_the_order_in_which_they_fell_due() -> None:
    settling = Settling(SETTLE)
    settling.offer("b", NEW, 0.0)
    settling.offer("a", NEW, 0.5)
    settling.finish("c", 0.6)
    assert [change.path for change in settling.collect(2.0, lambda _: NEW)] == ["c", "b", "a"]


def test_discarded_paths_are_forgotten_and_may_come_again() -> None:
    settling = Settling(SETTLE)
    settling.offer("/a/x", NEW, 0.0)
    settling.offer("/ab", NEW, 0.0)
    assert len(settling) == 2
    settling.discard("/a/")
    assert len(settling) == 1
    assert "/a/x" not in settling
    assert settling.below("/") == {"/ab"}
    settling.offer("/a/x", NEW, 0.0)
    assert {change.path for change in settling.collect(1.0, lambda _: NEW)} == {"/a/x", "/ab"}


def test_what_cannot_be_looked_at_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(path: str) -> FileState | None:
        raise PermissionError(13, "Permission denied", path)

    settling = Settling(SETTLE)
    settling.finish("/a/x", 0.0)
    assert settling.collect(0.0, refuse) == []
    assert settling.next_due() == math.inf
    assert [record.__dict__["path"] for record in caplog.records] == ["/a/x"]


def test_what_was_told_is_remembered_for_a_moment() -> None:
    settling = Settling(SETTLE)
    settling.finish("x", 0.0)
    settling.collect(0.0, lambda _: NEW)
    assert settling.told("x", NEW)
    assert not settling.told("x", OLD)
    settling.collect(4 * SETTLE + 0.5, lambda _: NEW)
    assert not settling.told("x", NEW)


def test_a_file_that_is_finished_all_the_time_is_told_seldom_and_once_it_rests() -> None:
    settling, told = Settling(SETTLE), []
    for quarter in range(400):
        settling.finish("p", quarter / 4)
        told += settling.collect(quarter / 4, lambda _: NEW)
    assert len(told) == 8
    assert settling.collect(99.75 + SETTLE, lambda _: NEW) == [Change("p", gone=False)]


def test_a_file_that_is_finished_now_and_then_is_told_ever_more_seldom() -> None:
    settling, told = Settling(SETTLE), []
    for quarter in range(4000):
        if quarter % 6 == 0:
            settling.finish("p", quarter / 4)
        told += [quarter / 4] * len(settling.collect(quarter / 4, lambda _: NEW))
    assert len(told) == 9
    assert settling.collect(1000.0 + 2 * SETTLE, lambda _: NEW) == [Change("p", gone=False)]


def test_files_that_never_settle_are_named_oldest_first() -> None:
    settling = Settling(SETTLE)
    for quarter in range(40):
        for path, start in (("/a/y", 1), ("/a/x", 0), ("/b/z", 0), ("/a/late", 30)):
            if quarter >= start:
                settling.offer(path, FileState(quarter, quarter, 1), quarter / 4)
        settling.collect(quarter / 4, lambda _: NEW)
    assert settling.restless("/a/", 10.0, 5.0) == ["/a/x", "/a/y"]
    assert settling.restless("/a/", 10.0, 20.0) == []


def test_a_file_that_changes_without_news_is_restless_too() -> None:
    settling = Settling(SETTLE)
    settling.offer("p", NEW, 0.0)
    for second in range(1, 20):
        settling.collect(second, lambda _, second=second: FileState(second, second, 1))  # type: ignore[misc]
    assert settling.restless("", 19.0, 18.0) == ["p"]


PATHS = st.sampled_from(["a", "b", "c"])
STATES = st.sampled_from([None, OLD, NEW])
STEPS = st.lists(st.tuples(st.sampled_from(["offer", "finish", "see"]), PATHS, STATES, st.sampled_from([0, 0.3, 1.2])))


@given(STEPS)
def test_whatever_happens_all_news_is_told_once_and_not_too_early(
    steps: list[tuple[str, str, FileState | None, float]],
) -> None:
    settling = Settling(SETTLE)
    seen: dict[str, FileState | None] = {}
    asked: dict[str, float] = {}  # paths of which something is still to be told, and since when they are unchanged
    last: dict[str, FileState | None] = {}
    now = 0.0

    def collect() -> None:
        for change in settling.collect(now, seen.get):
            assert isinstance(change, Change)
            assert change.gone == (seen.get(change.path) is None)
            assert now >= asked.pop(change.path)  # told for a reason, once, and not too early
            last[change.path] = seen.get(change.path)
        # Nothing that is due is left, and whoever waits is woken in time.
        assert settling.next_due() > now
        assert all(path in settling for path in asked)

    offered = set()
    for verb, path, state, pause in steps:
        if seen.get(path) != state and path in asked:
            asked[path] = max(asked[path], now)  # a change without news: no earlier than now
        seen[path] = state
        if verb == "offer":
            settling.offer(path, state, now)
            asked[path] = now + SETTLE
            offered.add(path)
        elif verb == "finish":
            settling.finish(path, now)
            asked[path] = now if state is not None else now + SETTLE
            offered.add(path)
        collect()
        now += pause
    for _ in range(40):  # one that was told again and again has to rest for long
        now += SETTLE
        collect()
    assert asked == {}
    assert settling.next_due() == math.inf
    assert set(last) == offered
