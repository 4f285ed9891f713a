"""Processes that clean, and the order of their jobs.

A thread for each process hands it one job after the other. Jobs are begun in the order of their coming. A slow one
goes on beside the others, and must give way only if it would leave them no process at all: then it is begun again once
no other slow one is in hand. So a dump that takes for ever holds up the others for `Pool.patience`, and no longer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from feedsvc.clean.sandbox.process import Died, GaveWay, Limits, Process
from feedsvc.clean.sandbox.work import Cleaned
from feedsvc.errors import CleaningError, ProcessError
from feedsvc.runtime.backoff import RETRY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.clean import Cleaner
    from feedsvc.clean.learning.learned import Learned
    from feedsvc.clean.sandbox.work import Job

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05  # between two questions to `interrupted`
_MOST_TRIES: Final = 2  # for a dump that ends its process
_MOST_PATIENCE: Final = 5.0  # seconds by the clock to wait for a job that gets no processor time
_MOST_STARTS: Final = 3  # that may fail in a row if there is nobody to report to


class Ticket:
    """A job that was handed in.

    Attributes:
        cleaned: Its result; None until it is done.
        learned: The learned blocks that it was done by.
        seconds: That it took.
        began: In monotonic seconds, while it is in hand.
        spent: Seconds of processor time.
    """

    def __init__(self, job: Job) -> None:
        """Nothing is done yet."""
        self.job = job
        self.cleaned: Cleaned | None = None
        self.learned: Learned | None = None
        self.seconds = 0.0
        self.began: float | None = None
        self.spent = 0.0
        self.tries = 0
        self.is_slow = False
        self.is_dropped = False


class Pool:
    """Processes that clean, all by the same rules.

    Attributes:
        patience: Seconds of processor time that a slow job may hold up others; None for ever. By the clock, good
            jobs too would be slow on a busy machine.
    """

    def __init__(
        self,
        cleaner: Cleaner,
        limits: Limits,
        *,
        number: int,
        patience: float | None = None,
        report: Callable[[str, str | None], None] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            cleaner: Its rules, and before each job its learned blocks, are the processes'.
            limits: Of a job.
            number: Of processes.
            patience: See the class. Needs two processes.
            report: Told as ("cleaning", message) while no process can be started, and with None afterwards; if it is
                None, `wait` raises instead.
        """
        self.patience = patience
        self._cleaner = cleaner
        self._limits = limits
        self._number = number
        self._report = report
        self._changed = threading.Condition()
        self._fresh: deque[Ticket] = deque()
        self._slow: deque[Ticket] = deque()
        self._later: deque[Ticket] = deque()
        self._in_hand: list[Ticket] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._begun = threading.Event()  # a process was ready once
        self._broken: str | None = None
        self._failures = 0

    def start(self) -> None:
        """Start all processes, instead of each when it is needed; they get ready on their own."""
        with self._changed:
            while len(self._threads) < self._number:
                self._start_thread()

    def wait_ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the first process is ready; tell if it is."""
        return self._begun.wait(timeout)

    def put(self, job: Job, *, urgent: bool = True) -> Ticket:
        """Hand in a job; one that is not urgent is begun when no other waits."""
        ticket = Ticket(job)
        with self._changed:
            (self._fresh if urgent else self._later).append(ticket)
            wanted = len(self._fresh) + len(self._later) + len(self._in_hand)
            if len(self._threads) < min(wanted, self._number):
                self._start_thread()
            self._changed.notify_all()
        return ticket

    def wait(
        self,
        tickets: Iterable[Ticket],
        interrupted: Callable[[], bool] = lambda: False,
        patience: float | None = None,
    ) -> None:
        """Wait until jobs are done, or `interrupted`, asked now and then, says True.

        Jobs in hand are waited for no more after `patience` seconds of processor time; None to wait for all.

        Raises:
            ProcessError: No process can be started.
        """
        left = list(tickets)
        with self._changed:
            while left := [ticket for ticket in left if ticket.cleaned is None]:
                if self._broken is not None and self._report is None:
                    raise ProcessError(self._broken)
                if interrupted() or self._closing.is_set():
                    return
                if patience is not None and all(ticket.is_slow or self._is_late(ticket, patience) for ticket in left):
                    return
                self._changed.wait(_LOOK_SECONDS)

    def drop(self, ticket: Ticket) -> None:
        """Nobody wants a job done any more."""
        with self._changed:
            ticket.is_dropped = True
            for waiting in (self._fresh, self._slow, self._later):
                if ticket in waiting:
                    waiting.remove(ticket)

    def close(self) -> None:
        """End the processes, and the jobs in hand."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        # If this process ends without closing the pool, they must not keep it.
        thread = threading.Thread(target=self._run, name=f"cleaning-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _is_late(ticket: Ticket, patience: float) -> bool:
        if ticket.began is None:
            return False
        return ticket.spent > patience or time.monotonic() - ticket.began > _MOST_PATIENCE

    def _run(self) -> None:
        """Keep one process, and hand it job after job."""
        process: Process | None = None
        while not self._closing.is_set():
            if process is None or not process.alive:
                if process is not None:
                    process.kill()
                process = self._start_process()
            elif (ticket := self._next(process)) is not None:
                self._do(process, ticket)
        if process is not None:
            process.end()

    def _start_process(self) -> Process | None:
        process: Process | None = None
        try:
            process = Process(self._cleaner, self._limits)
            process.get_ready(self._closing.is_set)
        except GaveWay:
            return None
        except (Died, OSError) as error:
            if process is not None:
                process.kill()
            self._say(f"the process that cleans cannot be started: {error}")
            self._closing.wait(RETRY_SECONDS)
            return None
        self._say(None)
        self._begun.set()
        return process

    def _say(self, message: str | None) -> None:
        with self._changed:
            self._failures = 0 if message is None else self._failures + 1
            ended = message is None and self._broken is not None
            if message is None or self._failures >= _MOST_STARTS:
                self._broken = message
            self._changed.notify_all()
        if self._report is not None and (message or ended):
            self._report("cleaning", message)

    def _next(self, process: Process) -> Ticket | None:
        """Begin the next job; None if the process ended while it had nothing to do, or is to end."""
        with self._changed:
            while not self._closing.is_set() and process.alive:
                waiting = self._fresh or (self._slow if self._may_be_slow() else None) or self._later
                if waiting:
                    ticket = waiting.popleft()
                    ticket.began = time.monotonic()
                    self._in_hand.append(ticket)
                    return ticket
                self._changed.wait()
        return None

    def _may_be_slow(self) -> bool:
        """True if a slow job would leave a process for the others."""
        return sum(map(self._drags, self._in_hand)) < max(1, self._number - 1)

    def _drags(self, ticket: Ticket) -> bool:
        return ticket.is_slow or (self.patience is not None and ticket.spent > self.patience)

    def _do(self, process: Process, ticket: Ticket) -> None:
        ticket.learned = self._cleaner.learned
        ticket.tries += 1
        cleaned: Cleaned | None = None
        before = process.spent

        def gives_way() -> bool:
            ticket.spent = process.spent - before
            return self._gives_way(ticket)

        try:
            cleaned = process.clean(ticket.job, ticket.learned, gives_way)
        except GaveWay:
            ticket.tries -= 1
        except Died as error:
            logger.warning(
                "the process that cleans ended",
                extra={"path": ticket.job.path, "reason": str(error), "tries": ticket.tries},
            )
            if ticket.tries >= _MOST_TRIES:
                reason = f"ends the process that cleans it: {error}; mend or remove it"
                cleaned = Cleaned((), CleaningError(ticket.job.path, reason))
        with self._changed:
            self._in_hand.remove(ticket)
            if ticket.began is not None:
                ticket.seconds = time.monotonic() - ticket.began
            ticket.began, ticket.spent = None, 0.0
            ticket.cleaned = cleaned
            if cleaned is None and not ticket.is_dropped:
                ticket.is_slow = True  # once more, when it can do no harm
                self._slow.append(ticket)
            self._changed.notify_all()

    def _gives_way(self, ticket: Ticket) -> bool:
        """True if a job in hand is to be left: nobody wants it any more, or it holds up all others."""
        with self._changed:
            if self._closing.is_set() or ticket.is_dropped:
                return True
            if self.patience is None or not self._fresh or len(self._in_hand) < self._number:
                return False
            # The one that was begun last; those before it have come further.
            last = max(self._in_hand, key=lambda each: each.began or 0.0)
            return ticket is last and all(map(self._drags, self._in_hand))
