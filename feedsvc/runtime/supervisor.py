"""Looks after the daemon from a thread of its own: tells systemd how it goes, and lets nothing hang unnoticed.

    starting -> serving <-> reloading -> stopping

While it serves, "WATCHDOG=1" is sent only while each part answers; the manager decides about silence. A part without
its threads will not come back: the daemon is told to end, and to say so by its exit code.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from feedsvc.runtime.systemd import ServiceManager

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0  # between two looks at most
SAY_SECONDS = 5.0  # at least between two STATUS lines while all is well
STAGE_SECONDS = 1800.0  # that a stage of the start may take: a migration, the first fill
EXTEND_SECONDS = 60.0  # that the manager is asked to wait on, each time
RELOAD_SECONDS = 120.0  # that a reload may take, before it counts as hung
DEAD_SECONDS = 5.0  # that a part may be without its threads: it may be about to start others
STOP_SECONDS = 30.0  # that a graceful stop may take
HOUR, MINUTE = 3600, 60


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts of the STATUS line; `last_dump` is in monotonic seconds, and None if none came since the start."""

    feeds: int
    entries: int
    problems: int
    last_dump: float | None


class Served(Protocol):
    """The service under one configuration. `check`, `dead` and `summarise` never wait."""

    @property
    def ready(self) -> bool:
        """True once the feed can be served."""

    def check(self) -> Mapping[str, str | None]:
        """Return the reason why each part does not answer, by its name; None for one that does."""

    def dead(self) -> tuple[str, ...]:
        """Return the parts that ended though nobody stopped them."""

    def summarise(self) -> Summary:
        """Return the facts of the STATUS line."""

    def keep_time(self) -> None:
        """Check if the clock was set back."""

    def report(self, key: str, message: str | None) -> None:
        """Note that a problem stands, or has ended (None)."""


def describe(summary: Summary, now: float) -> str:
    """Return the STATUS line at `now` (monotonic): "3 feeds, 1,204 entries, last dump 2 min ago"."""
    parts = [_count(summary.feeds, "feed", "feeds"), _count(summary.entries, "entry", "entries")]
    if summary.last_dump is None:
        parts.append("no dump since the start")
    else:
        parts.append(f"last dump {_ago(now - summary.last_dump)}")
    if summary.problems:
        parts.append(f"{_count(summary.problems, 'problem', 'problems')} (see feedsvc status)")
    return ", ".join(parts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _ago(seconds: float) -> str:
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min ago"
    if seconds < 2 * 24 * HOUR:
        return f"{seconds // HOUR:.0f} h ago"
    return f"{seconds // (24 * HOUR):.0f} days ago"


class Phase(Enum):
    """The phase of the daemon's life."""

    STARTING = auto()
    SERVING = auto()
    RELOADING = auto()
    STOPPING = auto()


def _exit(reason: str) -> None:
    """End the process at once: a thread that hangs would keep it from ending."""
    logger.critical("ended without waiting", extra={"reason": reason})
    logging.shutdown()
    sys.stderr.flush()
    os._exit(1)


class Supervisor:
    """Tells the service manager the state of the daemon; see above."""

    def __init__(
        self, manager: ServiceManager, give_up: Callable[[str], None], *, leave: Callable[[str], None] = _exit
    ) -> None:
        """Begin with a daemon that starts; both callables get the reason.

        `give_up` is called once if the daemon is to stop by itself, `leave` if it must end though something hangs.
        """
        self._manager = manager
        self._give_up = give_up
        self._leave = leave
        self._lock = threading.RLock()
        self._phase = Phase.STARTING
        self._since = time.monotonic()
        self._stage = "reading the configuration"
        self._service: Served | None = None
        self._ready = False  # the manager was told
        self._failing: dict[str, str] = {}
        self._dead_since: float | None = None
        self._last_dump: float | None = None
        self._said, self._said_at = "", -SAY_SECONDS
        self._pinged = -SAY_SECONDS
        self._extended = -EXTEND_SECONDS
        self._end_by = float("inf")
        self._closed = threading.Event()
        # Reports go to the store, and it may hang: a thread of their own waits for it.
        self._reports: queue.SimpleQueue[tuple[Served, str, str | None]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to look, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()
        threading.Thread(target=self._pass_on, name="reports", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def starting(self, stage: str) -> None:
        """Note that a stage of the start begins, such as "opening the store"."""
        with self._lock:
            if self._phase is Phase.STARTING:
                self._stage, self._since = stage, time.monotonic()
                self._say(f"Starting: {stage}", force=True)

    def serving(self, service: Served) -> None:
        """Note that the service runs; the manager is told once its feed can be served."""
        with self._lock:
            self._service = service
            if self._phase is Phase.RELOADING and self._ready:
                self._manager.tell("READY=1")
            self._enter(Phase.SERVING)
            self.look()

    def reloading(self) -> None:
        """Note that the configuration is about to be loaded again; `serving` or `stopping` follows."""
        with self._lock:
            self._enter(Phase.RELOADING)
            self._said, self._said_at = "Reloading", -SAY_SECONDS  # the next line is not held back
            # CLOCK_MONOTONIC, as sd_notify(3) wants it for RELOADING=1
            self._manager.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reloading")

    def ending(self) -> None:
        """Count the time from now on: the daemon was asked to stop. A signal handler may call it."""
        self._end_by = min(self._end_by, time.monotonic() + STOP_SECONDS)

    def stopping(self) -> None:
        """Note that the daemon stops."""
        with self._lock:
            self._enter(Phase.STOPPING)
            self.ending()
            self._manager.tell("STOPPING=1", "STATUS=Stopping: answering what is in flight")

    def look(self) -> float:
        """Look once; return the seconds to the next look."""
        with self._lock:
            now = time.monotonic()
            phase, spent = self._phase, now - self._since
            if phase is Phase.STARTING:
                self._extend(now, spent)
            elif phase is Phase.SERVING and self._service is not None:
                self._look_at(self._service, now)
            elif phase is Phase.RELOADING and spent < RELOAD_SECONDS:
                self._ping(now)
            if now > self._end_by:
                threads = ", ".join(sorted(thread.name for thread in threading.enumerate()))
                self._leave(f"it was to stop within {STOP_SECONDS:.0f} s and has not; these threads run: {threads}")
            if self._manager.watchdog is None:
                return TICK_SECONDS
            return max(0.01, min(TICK_SECONDS, self._pinged + self._manager.watchdog / 2 - now))

    def _run(self) -> None:
        wait = 0.0
        while not self._closed.wait(wait):
            wait = self.look()

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, time.monotonic()

    def _extend(self, now: float, spent: float) -> None:
        if spent < STAGE_SECONDS and now - self._extended > EXTEND_SECONDS / 4:
            self._extended = now
            self._manager.tell(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1e6:.0f}", f"STATUS=Starting: {self._stage}")

    def _look_at(self, service: Served, now: float) -> None:
        service.keep_time()
        failing = {name: reason for name, reason in service.check().items() if reason}
        if failing != self._failing:
            self._note(service, failing)
        if failing:
            self._say("Failing: " + ", ".join(f"{name} {reason}" for name, reason in failing.items()), now=now)
            self._look_for_dead(service, now)
            return
        self._dead_since = None
        summary = service.summarise()
        if summary.last_dump is None:  # of a service that a reload has just started
            summary = Summary(summary.feeds, summary.entries, summary.problems, self._last_dump)
        self._last_dump = summary.last_dump
        line = describe(summary, now)
        if self._ready:
            self._say(line, now=now)
        elif service.ready:
            self._ready = True
            self._said, self._said_at = line, now
            self._manager.tell("READY=1", f"STATUS={line}")
        else:  # it starts, as far as the manager knows
            self._stage = "the feed cannot be served yet; the log says why"
            self._extend(now, now - self._since)
        self._ping(now)

    def _note(self, service: Served, failing: dict[str, str]) -> None:
        """Report the parts that fail, or answer again; the seconds in a reason are no news."""
        begun = {name: reason for name, reason in failing.items() if name not in self._failing}
        ended = self._failing.keys() - failing.keys()
        self._failing = failing
        for name, reason in begun.items():
            logger.error("part does not answer", extra={"part": name, "reason": reason})
            self._reports.put((service, name, f"{name} {reason}"))
        for name in sorted(ended):
            logger.info("part answers again", extra={"part": name})
            self._reports.put((service, name, None))

    def _pass_on(self) -> None:
        while True:
            service, name, message = self._reports.get()
            service.report(f"part:{name}", message)

    def _look_for_dead(self, service: Served, now: float) -> None:
        dead = service.dead()
        if not dead:
            self._dead_since = None
        elif self._dead_since is None:
            self._dead_since = now
        elif now - self._dead_since > DEAD_SECONDS:
            self._dead_since = float("inf")  # said once
            self._give_up(f"{' and '.join(dead)} ended by itself, so the daemon ends as well; the log says why")

    def _ping(self, now: float) -> None:
        if self._manager.watchdog is not None and now >= self._pinged + self._manager.watchdog / 2:
            self._pinged = now
            self._manager.tell("WATCHDOG=1")

    def _say(self, line: str, *, now: float | None = None, force: bool = False) -> None:
        now = time.monotonic() if now is None else now
        if line != self._said and (force or now - self._said_at >= SAY_SECONDS):
            self._said, self._said_at = line, now
            self._manager.tell(f"STATUS={line}")
