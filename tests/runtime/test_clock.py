"""The clock with doubts: what it says, and when it forbids to delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feedsvc.runtime.clock import BELIEVE_SECONDS, SETTLE_SECONDS, Clock

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class World:
    """A clock on the wall that can be set, and seconds that only go by."""

    def __init__(self, known: datetime | None = None, wall: datetime = NOON) -> None:
        self.wall = wall
        self.seconds = 1000.0
        self.clock = Clock(lambda: self.wall, lambda: self.seconds, known=known)

    def wait(self, time: timedelta) -> None:
        self.wall += time
        self.seconds += time.total_seconds()


def test_it_follows_the_clock_on_the_wall() -> None:
    world = World()
    for _ in range(100):  # set a little each time
        world.wait(MINUTE)
        world.wall += timedelta(seconds=50)
        assert world.clock() == world.wall
    assert world.clock.doubt() is None


@pytest.mark.parametrize("leap", [YEAR, -YEAR, timedelta(hours=1), timedelta(minutes=-2)])
def test_a_leap_that_is_taken_back_leaves_no_trace(leap: timedelta) -> None:
    world = World()
    world.wall += leap
    assert world.clock() == NOON
    world.wait(MINUTE)
    assert world.clock() == NOON + MINUTE
    assert "leapt" in (world.clock.doubt() or "")
    world.wall -= leap
    assert world.clock() == NOON + MINUTE
    assert world.clock.doubt() is None


@pytest.mark.parametrize("leap", [YEAR, -YEAR])
def test_a_leap_that_stands_is_believed_and_settles_after_a_day(leap: timedelta) -> None:
    world = World()
    world.wall += leap
    assert world.clock() == NOON
    world.wait(timedelta(seconds=BELIEVE_SECONDS))
    assert world.clock() == world.wall
    assert "was set" in (world.clock.doubt() or "")
    world.wait(timedelta(seconds=SETTLE_SECONDS - 1))
    assert world.clock.doubt() is not None
    world.wait(timedelta(seconds=1))
    assert world.clock.doubt() is None


def test_a_clock_that_keeps_leaping_is_not_believed() -> None:
    world = World()
    for number in range(1, 30):
        world.wall += YEAR
        world.wait(MINUTE)
        assert world.clock() == NOON + number * MINUTE


@pytest.mark.parametrize(
    ("known", "says", "doubts"),
    [
        pytest.param(None, NOON, False, id="first start"),
        pytest.param(NOON - DAY, NOON, False, id="off for a day"),
        pytest.param(NOON - YEAR, NOON, True, id="off for a year, or a year ahead"),
        pytest.param(NOON + YEAR, NOON + YEAR, True, id="before it last ran"),
        pytest.param(NOON + timedelta(seconds=30), NOON, False, id="set a little"),
    ],
)
def test_a_start_is_compared_with_the_last_known_time(known: datetime | None, says: datetime, *, doubts: bool) -> None:
    world = World(known)
    assert world.clock() == says
    assert (world.clock.doubt() is not None) == doubts


def test_a_start_without_a_battery_is_set_right_later() -> None:
    world = World(NOON, wall=datetime(1970, 1, 1, tzinfo=UTC))
    assert world.clock() == NOON
    world.wall = NOON + DAY  # the network has told
    assert world.clock() == NOON
    world.wait(timedelta(seconds=BELIEVE_SECONDS))
    assert world.clock() == world.wall
