"""Timed work, on the real scheduler: waits end with a condition, never with a guess."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from waiting import wait_for

from feedsvc.runtime.schedule import Regenerator, Schedule, parse_trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
SHORT = timedelta(milliseconds=10)
NEVER = timedelta(days=1)


def clock() -> datetime:
    return datetime.now(UTC)


class Reports:
    """What was reported, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str | None]] = []
        self.came = threading.Condition()

    def __call__(self, key: str, message: str | None) -> None:
        with self.came:
            self.all.append((key, message))
            self.came.notify_all()

    def wait_for(self, report: tuple[str, str | None]) -> None:
        with self.came:
            assert self.came.wait_for(lambda: report in self.all, PATIENCE), self.all


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def schedule(reports: Reports) -> Iterator[Schedule]:
    schedule = Schedule(reports, clock)
    schedule.start()
    yield schedule
    schedule.stop()


class Counter:
    """A job that counts its runs, and may hold them up or fail."""

    def __init__(self) -> None:
        self.runs = 0
        self.running = 0
        self.most_at_once = 0
        self.failing = False
        self.changed = threading.Condition()
        self.free = threading.Event()
        self.free.set()

    def __call__(self) -> None:
        with self.changed:
            self.runs += 1
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
            self.changed.notify_all()
        self.free.wait(PATIENCE)
        with self.changed:
            self.running -= 1
        if self.failing:
            raise ValueError("no room")

    def wait_for(self, runs: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.runs >= runs, PATIENCE), self.runs


@pytest.mark.parametrize("when", [timedelta(seconds=1), timedelta(milliseconds=1), timedelta(days=400)])
def test_interval(when: timedelta) -> None:
    trigger = parse_trigger(when)
    assert isinstance(trigger, IntervalTrigger)
    assert trigger.interval == when


def test_cron_expression_is_in_local_time() -> None:
    script = (
        "from datetime import UTC, datetime; from feedsvc.runtime.schedule import parse_trigger\n"
        "due = parse_trigger('30 4 * * *').get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC))\n"
        "print(due.astimezone(UTC).isoformat())"
    )
    # The local time zone is looked up once a process.
    environment = os.environ | {"TZ": "Asia/Shanghai"}
    due = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert due.stdout == "2024-01-01T20:30:00+00:00\n"


@pytest.mark.parametrize("when", [timedelta(0), timedelta(seconds=-1), "61 * * * *", "* * * *", "a b c d e", ""])
def test_what_is_no_time(when: timedelta | str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_trigger(when)


def test_regular_job_runs_again_and_again(schedule: Schedule, reports: Reports) -> None:
    job = Counter()
    schedule.add_regular("rescan", SHORT, job)
    job.wait_for(3)
    reports.wait_for(("job:rescan", None))
    assert job.most_at_once == 1


def test_job_that_takes_longer_than_its_interval_runs_once_at_a_time(schedule: Schedule) -> None:
    job, other = Counter(), Counter()
    job.free.clear()
    schedule.add_regular("slow", SHORT, job)
    job.wait_for(1)
    schedule.add_regular("quick", SHORT, other)
    other.wait_for(5)  # the slow one was due several times by now, and holds nobody up
    assert job.runs == 1
    job.free.set()
    job.wait_for(2)
    assert job.most_at_once == 1


def test_run_that_is_late_is_not_dropped(reports: Reports) -> None:
    schedule = Schedule(reports, lambda: datetime.now(UTC) - timedelta(hours=1))
    job = Counter()
    schedule.add_once("late", timedelta(0), job)  # due an hour before the scheduler first looks
    schedule.start()
    job.wait_for(1)
    schedule.stop()


def test_failing_job_is_reported_and_the_others_go_on(schedule: Schedule, reports: Reports) -> None:
    failing, other = Counter(), Counter()
    failing.failing = True
    schedule.add_regular("retention", SHORT, failing)
    schedule.add_regular("rescan", SHORT, other)
    failing.wait_for(3)
    other.wait_for(3)
    reports.wait_for(("job:retention", "retention failed: no room"))
    assert ("job:retention", None) not in reports.all
    failing.failing = False
    reports.wait_for(("job:retention", None))


def test_schedule_says_whether_it_is_alive(reports: Reports) -> None:
    schedule = Schedule(reports, clock)
    states = [schedule.alive]
    schedule.start()
    states.append(schedule.alive)
    schedule.stop()
    states.append(schedule.alive)
    schedule.stop()
    assert states == [False, True, False]
    Schedule(reports, clock).stop()  # it may never have come to start


def test_stopping_while_jobs_are_due(reports: Reports) -> None:
    # APScheduler's own thread must not die of it, which pytest would tell.
    for _ in range(20):
        schedule = Schedule(reports, clock)
        schedule.start()
        job = Counter()
        regenerator = Regenerator(schedule, "regenerate", timedelta(0), job)
        schedule.add_regular("notice", timedelta(milliseconds=1), regenerator.request)
        job.wait_for(2)
        schedule.stop()
        regenerator.request()
        runs = job.runs
        schedule.stop()
        assert job.runs == runs


def test_stopping_waits_for_the_job_that_is_running(reports: Reports) -> None:
    schedule = Schedule(reports, clock)
    job = Counter()
    job.free.clear()
    schedule.add_once("slow", timedelta(0), job)
    schedule.start()
    job.wait_for(1)
    stopping = threading.Thread(target=schedule.stop)
    stopping.start()
    job.free.set()
    stopping.join(PATIENCE)
    assert job.running == 0
    assert reports.all == [("job:slow", None)]


# Regenerator


def test_first_request_runs_at_once(schedule: Schedule) -> None:
    job = Counter()
    Regenerator(schedule, "regenerate", NEVER, job).request()
    job.wait_for(1)


def test_second_request_waits_for_the_interval(schedule: Schedule, reports: Reports) -> None:
    job = Counter()
    regenerator = Regenerator(schedule, "regenerate", NEVER, job)
    regenerator.request()
    reports.wait_for(("job:regenerate", None))
    regenerator.request()
    regenerator.request()
    other = Counter()
    schedule.add_regular("other", SHORT, other)
    other.wait_for(5)
    assert job.runs == 1


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(milliseconds=50)])
def test_burst_of_requests_ends_in_few_runs_and_includes_the_last_change(
    schedule: Schedule, interval: timedelta
) -> None:
    changes: list[int] = []
    seen: list[int] = []
    came = threading.Condition()

    def job() -> None:
        with came:
            seen.append(len(changes))
            came.notify_all()

    regenerator = Regenerator(schedule, "regenerate", interval, job)

    def ask(number: int) -> None:
        changes.append(number)
        regenerator.request()

    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(1000)))
    with came:
        assert came.wait_for(lambda: seen[-1:] == [1000], PATIENCE), seen
    took = time.monotonic() - begun
    assert len(seen) <= (took / interval.total_seconds() if interval else 1000) + 2


def test_request_during_a_run_leads_to_another(schedule: Schedule) -> None:
    job = Counter()
    job.free.clear()
    regenerator = Regenerator(schedule, "regenerate", timedelta(0), job)
    regenerator.request()
    job.wait_for(1)
    regenerator.request()
    regenerator.request()
    job.free.set()
    job.wait_for(2)
    assert job.most_at_once == 1


def test_no_request_is_refused_while_earlier_runs_are_still_being_wound_up() -> None:
    winding_up = threading.Event()

    def report(_key: str, _message: str | None) -> None:
        winding_up.wait(PATIENCE)

    schedule = Schedule(report, clock)  # as when the store is locked
    schedule.start()
    job = Counter()
    regenerator = Regenerator(schedule, "regenerate", timedelta(0), job)
    for number in range(1, 4):
        regenerator.request()
        job.wait_for(number)
    winding_up.set()
    schedule.stop()


def test_job_that_fails_does_not_wedge_the_regenerator(schedule: Schedule, reports: Reports) -> None:
    job = Counter()
    job.failing = True
    regenerator = Regenerator(schedule, "regenerate", SHORT, job)
    regenerator.request()
    reports.wait_for(("job:regenerate", "regenerate failed: no room"))
    job.failing = False
    regenerator.request()
    reports.wait_for(("job:regenerate", None))
    assert job.runs == 2


def test_failed_job_is_run_again_by_itself(
    schedule: Schedule, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedsvc.runtime.schedule._RETRY_SECONDS", (0.01, 0.02))
    job = Counter()
    job.failing = True
    regenerator = Regenerator(schedule, "regenerate", timedelta(0), job)
    assert regenerator.waiting() == 0
    regenerator.request()
    job.wait_for(4)
    assert regenerator.waiting() > 0
    job.failing = False
    reports.wait_for(("job:regenerate", None))
    runs = job.runs
    other = Counter()
    schedule.add_regular("other", SHORT, other)
    other.wait_for(5)
    assert job.runs == runs
    assert regenerator.waiting() == 0


def test_change_waits_from_the_first_request_until_a_run_has_met_it(schedule: Schedule, reports: Reports) -> None:
    job = Counter()
    job.free.clear()
    regenerator = Regenerator(schedule, "regenerate", timedelta(0), job)
    regenerator.request()
    job.wait_for(1)
    first = regenerator.waiting()
    assert first > 0
    regenerator.request()  # it waits for another run, and for a shorter time
    assert regenerator.waiting() >= first
    job.free.set()
    job.wait_for(2)
    reports.wait_for(("job:regenerate", None))


# Whether it answers


@pytest.mark.slow
def test_heart_beats_however_many_jobs_hang(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.runtime.schedule.JOB_SECONDS", 0.05)
    job = Counter()
    job.free.clear()
    assert schedule.overdue() is None
    for number in range(8):  # more than run at once
        schedule.add_once(f"slow {number}", timedelta(0), job)
    job.wait_for(4)
    schedule.pulse.last -= 1000
    wait_for(lambda: schedule.pulse.age() < 1000)
    wait_for(schedule.overdue)
    assert re.fullmatch(r"the job slow \d has been running for \d+ s", schedule.overdue() or "")
    job.free.set()
    job.wait_for(8)
    wait_for(lambda: schedule.overdue() is None)


@pytest.mark.slow
def test_clock_that_is_set_back_holds_up_no_job(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = timedelta(0)
    schedule = Schedule(reports, lambda: clock() - ahead)
    schedule.start()
    regular, once = Counter(), Counter()
    schedule.add_regular("regular", SHORT, regular)
    regular.wait_for(1)
    # APScheduler reads the clock itself: instead of the clock, what is due is moved.
    ahead = timedelta(hours=1)
    schedule.add_once("once", timedelta(hours=2), once)
    scheduler = schedule._scheduler  # noqa: SLF001 - as above
    for job in scheduler.get_jobs():
        job.modify(next_run_time=clock() + ahead)
    runs = regular.runs
    schedule.keep_time()
    regular.wait_for(runs + 2)
    once.wait_for(1)
    schedule.pulse.last -= 1000
    wait_for(lambda: schedule.pulse.age() < 1000)
    monkeypatch.setattr(scheduler, "get_jobs", None)  # a clock that goes on as before is left alone
    schedule.keep_time()
    schedule.stop()
    ahead = timedelta(hours=3)
    schedule.keep_time()


def test_what_fails_again_for_the_same_reason_is_said_once(
    schedule: Schedule, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    job = Counter()
    job.failing = True
    schedule.add_regular("flaky", SHORT, job)
    job.wait_for(5)
    schedule.stop()
    assert reports.all.count(("job:flaky", "flaky failed: no room")) >= 4
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["job failed"]
