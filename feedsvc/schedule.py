"""All timed work, on APScheduler 3."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from feedsvc.errors import FeedsvcError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from apscheduler.triggers.base import BaseTrigger

__all__ = ["Regenerator", "Schedule", "parse_trigger"]

logger = logging.getLogger(__name__)


LOOK_SECONDS = 1.0  # between two looks at the clock
LEAP_SECONDS = 10.0  # by which it is off then, where it leapt


def parse_trigger(when: timedelta | str) -> BaseTrigger:
    """An interval, or a cron expression of five fields in local time, as APScheduler knows it.

    Raises:
        ValueError: The interval is not positive, or the expression is none.
    """
    if isinstance(when, timedelta):
        if when <= timedelta(0):
            raise ValueError("an interval must be longer than nothing")
        return IntervalTrigger(seconds=when.total_seconds())
    return CronTrigger.from_crontab(when)


class Schedule:
    """Runs jobs when they are due; one that fails is reported and runs again at its next time."""

    def __init__(self, report: Callable[[str, str | None], None], clock: Callable[[], datetime]) -> None:
        """Make a schedule that is not yet running.

        Args:
            report: Told of a job that fails, as ("job:NAME", message), and with None once it is well again.
            clock: The time, aware.
        """
        self._report = report
        self._clock = clock
        self._adding = threading.Lock()  # guards the next
        self._stopping = False
        self._stopped = threading.Event()
        self._watching = threading.Thread(target=self._watch_clock, name="schedule-clock")
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(4)},
            # No run is dropped for being late, and several missed ones become one.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def add_regular(self, name: str, when: timedelta | str, job: Callable[[], None]) -> None:
        """Run `job` at every `when`."""
        self._scheduler.add_job(self._guarded(name, job), parse_trigger(when), id=name, name=name)

    def add_once(self, name: str, delay: timedelta, job: Callable[[], None]) -> None:
        """Run `job` once, `delay` from now."""
        with self._adding:
            if not self._stopping:
                # No id: APScheduler refuses another run under the same one while earlier ones are being wound up.
                self._scheduler.add_job(self._guarded(name, job), DateTrigger(self._clock() + delay), name=name)

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.start()
        self._watching.start()

    def stop(self) -> None:
        """Wait for the jobs that are running, and run no more."""
        with self._adding:
            self._stopping = True
        self._stopped.set()
        if self._watching.ident is not None:
            self._watching.join()
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()  # APScheduler stumbles over what is due while it shuts down
            self._scheduler.shutdown(wait=True)

    @property
    def alive(self) -> bool:
        """Whether jobs are being run."""
        return bool(self._scheduler.running)

    def _watch_clock(self) -> None:
        """Let no job wait for a time that the clock left again."""
        before = self._clock(), time.monotonic()
        while not self._stopped.wait(LOOK_SECONDS):
            now = self._clock(), time.monotonic()
            leap = (now[0] - before[0]).total_seconds() - (now[1] - before[1])
            if abs(leap) > LEAP_SECONDS:
                self.realign()
            before = now

    def realign(self) -> None:
        """Have all jobs run by the time that it is now."""
        now = self._clock()
        for job in self._scheduler.get_jobs():
            if isinstance(job.trigger, DateTrigger):
                due = now
            elif isinstance(job.trigger, IntervalTrigger):
                due = now + job.trigger.interval
            else:
                due = job.trigger.get_next_fire_time(None, now)
            with suppress(JobLookupError):  # done meanwhile
                job.modify(next_run_time=due)

    def _guarded(self, name: str, job: Callable[[], None]) -> Callable[[], None]:
        said: list[str] = []

        def run() -> None:
            try:
                job()
            except Exception as error:  # a job that fails must not stop the others
                reason = str(error)
                if said != [reason]:  # what fails every second for the same reason is said once
                    expected = isinstance(error, FeedsvcError)
                    logger.log(
                        logging.ERROR, "job failed", exc_info=not expected, extra={"job": name, "reason": reason}
                    )
                said[:] = [reason]
                self._report(f"job:{name}", f"{name} failed: {reason}")
            else:
                said.clear()
                self._report(f"job:{name}", None)

        return run


class Regenerator:
    """Runs a job at once when asked, but never more often than an interval allows.

    What is asked for meanwhile is one run at the end of the interval, so the last change is included.
    """

    def __init__(self, schedule: Schedule, name: str, interval: timedelta, job: Callable[[], None]) -> None:
        """Run `job` through `schedule`, under `name`, at most once an `interval`."""
        self._schedule = schedule
        self._name = name
        self._interval = interval
        self._job = job
        self._lock = threading.Lock()  # guards the two below
        self._asked = False
        self._earliest = time.monotonic()
        self._running = threading.Lock()  # one run at a time

    def request(self) -> None:
        """Ask for a run that begins after this call."""
        with self._lock:
            if self._asked:
                return
            self._asked = True
            delay = max(0.0, self._earliest - time.monotonic())
        self._schedule.add_once(self._name, timedelta(seconds=delay), self._run)

    def _run(self) -> None:
        with self._running:
            with self._lock:  # whoever asks from here on wants another run
                self._asked = False
                self._earliest = time.monotonic() + self._interval.total_seconds()
            self._job()
