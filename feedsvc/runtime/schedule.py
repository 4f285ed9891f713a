"""All timed work, on APScheduler 3."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from feedsvc.errors import FeedsvcError
from feedsvc.runtime.backoff import backoff
from feedsvc.runtime.health import BEAT_SECONDS, Pulse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from apscheduler.triggers.base import BaseTrigger

logger = logging.getLogger(__name__)

JOB_SECONDS = 900.0  # a job that runs for longer hangs
_RETRY_SECONDS = (5.0, 300.0)  # until a failed run is repeated, at first and at most
JUMP_SECONDS = 2.0  # a clock that goes back by more was set


def parse_trigger(when: timedelta | str) -> BaseTrigger:
    """Return the trigger of an interval, or of a cron expression of five fields in local time.

    Raises:
        ValueError: The interval is not positive, or the expression is none.
    """
    if isinstance(when, timedelta):
        if when <= timedelta(0):
            raise ValueError("an interval must be longer than nothing")
        return IntervalTrigger(seconds=when.total_seconds())
    return CronTrigger.from_crontab(when)


def _executor(threads: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, {"thread_name_prefix": name})


class Schedule:
    """Runs jobs when they are due; one that fails is reported and runs again at its next time.

    Its `pulse` beats while jobs are started when they are due, however long others take.
    """

    def __init__(self, report: Callable[[str, str | None], None], clock: Callable[[], datetime]) -> None:
        """Make a schedule that is not yet running.

        `report` is told of a job that fails, as ("job:NAME", message), and with None once it is well again.
        """
        self.pulse = Pulse()
        self._report = report
        self._clock = clock
        self._adding = threading.Lock()  # guards the next
        self._stopping = False
        self._regular: dict[str, timedelta | str] = {}
        self._running: dict[int, tuple[str, float]] = {}  # thread to job, and since when: monotonic seconds
        self._checked = (clock(), time.monotonic())  # when the clock was last looked at
        self._scheduler = BackgroundScheduler(
            # Jobs that wait for the store must not hold up the proof that others would be started.
            executors={"default": _executor(4, "jobs"), "heartbeat": _executor(1, "heartbeat")},
            # No run is dropped for being late, and several missed ones become one.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def add_regular(self, name: str, when: timedelta | str, job: Callable[[], None]) -> None:
        """Run `job` at every `when`."""
        self._regular[name] = when
        self._scheduler.add_job(self._guarded(name, job), parse_trigger(when), id=name, name=name)

    def add_once(self, name: str, delay: timedelta, job: Callable[[], None]) -> None:
        """Run `job` once, `delay` from now."""
        with self._adding:
            if not self._stopping:
                # No id: APScheduler refuses another run under the same one while earlier ones are being wound up.
                self._scheduler.add_job(self._guarded(name, job), DateTrigger(self._clock() + delay), name=name)

    def start(self) -> None:
        """Begin to run jobs."""
        self._regular["heartbeat"] = every = timedelta(seconds=BEAT_SECONDS)
        self._scheduler.add_job(self.pulse.beat, parse_trigger(every), id="heartbeat", executor="heartbeat")
        self._scheduler.start()

    def stop(self) -> None:
        """Wait for the jobs that are running, and run no more."""
        with self._adding:
            self._stopping = True
        if self._scheduler.running:
            self._scheduler.remove_all_jobs()  # APScheduler stumbles over jobs that fall due while it shuts down
            self._scheduler.shutdown(wait=True)

    @property
    def alive(self) -> bool:
        """True while jobs are run."""
        return bool(self._scheduler.running)

    def overdue(self) -> str | None:
        """Name a job that hangs, in a few words; None if none does."""
        now = time.monotonic()
        for name, since in tuple(self._running.values()):
            if now - since > JOB_SECONDS:
                return f"the job {name} has been running for {now - since:.0f} s"
        return None

    def keep_time(self) -> None:
        """If the clock was set back, let no job wait until it has caught up: APScheduler goes by the wall clock."""
        now, monotonic = self._clock(), time.monotonic()
        (then, earlier), self._checked = self._checked, (now, monotonic)
        lost = (monotonic - earlier) - (now - then).total_seconds()
        if lost <= JUMP_SECONDS or not self._scheduler.running:
            return
        logger.warning("the clock was set back, jobs are scheduled anew", extra={"seconds": round(lost)})
        for job in self._scheduler.get_jobs():
            when = self._regular.get(job.id)
            try:
                if when is None:
                    self._scheduler.modify_job(job.id, next_run_time=now)
                else:
                    self._scheduler.reschedule_job(job.id, trigger=parse_trigger(when))
            except JobLookupError:  # it ran meanwhile
                continue

    def _guarded(self, name: str, job: Callable[[], None]) -> Callable[[], None]:
        said: list[str] = []

        def run() -> None:
            self._running[threading.get_ident()] = (name, time.monotonic())
            try:
                job()
            except Exception as error:  # a job that fails must not stop the others
                reason = str(error)
                if said != [reason]:  # a job may fail every second for the same reason: that is said once
                    expected = isinstance(error, FeedsvcError)
                    logger.log(
                        logging.ERROR, "job failed", exc_info=not expected, extra={"job": name, "reason": reason}
                    )
                said[:] = [reason]
                self._report(f"job:{name}", f"{name} failed: {reason}")
            else:
                said.clear()
                self._report(f"job:{name}", None)
            finally:
                del self._running[threading.get_ident()]

        return run


class Regenerator:
    """Runs a job at once when asked, but never more often than an interval allows.

    All requests meanwhile lead to one run at the end of the interval, so the last change is included. A run that fails
    is made again, after a pause that grows.
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
        self._since: float | None = None  # when the oldest request was made that no run has met
        self._meeting: float | None = None  # the same of the requests that the present run is to meet
        self._failures = 0  # in a row
        self._retrying = False
        self._running = threading.Lock()  # one run at a time

    def request(self) -> None:
        """Ask for a run that begins after this call."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
            if self._asked:
                return
            self._asked = True
            delay = max(0.0, self._earliest - time.monotonic())
        self._schedule.add_once(self._name, timedelta(seconds=delay), self._run)

    def waiting(self) -> float:
        """Return the seconds that the oldest request not yet met has waited; 0 if there is none."""
        with self._lock:
            since = self._since if self._meeting is None else self._meeting
            return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        with self._running:
            with self._lock:  # a request from here on wants another run
                self._asked = False
                self._earliest = time.monotonic() + self._interval.total_seconds()
                since, self._since = self._since, None
                self._meeting = since
            try:
                self._job()
            except BaseException:
                self._fail(since)
                raise
            with self._lock:
                self._meeting, self._failures = None, 0

    def _fail(self, since: float | None) -> None:
        with self._lock:
            self._since, self._meeting = since or self._since, None
            self._failures += 1
            first, longest = _RETRY_SECONDS
            pause = backoff(self._failures, first=first, longest=longest)
            if self._retrying:
                return
            self._retrying = True
        self._schedule.add_once(self._name, timedelta(seconds=pause), self._retry)

    def _retry(self) -> None:
        with self._lock:
            self._retrying = False
            failing = self._failures > 0
        if failing:  # else a later request was met
            self._run()
