"""A job that was handed in, and what does it without a process of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from feedsvc.clean.sandbox.work import clean_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.clean import Cleaner
    from feedsvc.clean.learning.learned import Learned
    from feedsvc.clean.sandbox.work import Cleaned, Job

__all__ = ["Here", "Ticket"]


class Ticket:
    """A job that was handed in, and what becomes of it.

    Attributes:
        cleaned: None until it is done.
        learned: By what it was cleaned.
        seconds: How long that took.
    """

    def __init__(self, job: Job) -> None:
        """Nothing is done yet."""
        self.job = job
        self.cleaned: Cleaned | None = None
        self.learned: Learned | None = None
        self.seconds = 0.0
        self.began: float | None = None  # monotonic, while it is in hand
        self.spent = 0.0  # seconds of processor time
        self.tries = 0
        self.is_slow = False
        self.is_dropped = False


class Here:
    """Stands where a `Pool` stands, and cleans in this process, without bounds."""

    looks_ahead = False
    patience: float | None = None

    def __init__(self, cleaner: Cleaner) -> None:
        """Clean by `cleaner`."""
        self._cleaner = cleaner

    def start(self) -> None:
        """Nothing is to be started."""

    def wait_ready(self, timeout: float) -> bool:  # noqa: ARG002 - as a pool's
        """It is ready."""
        return True

    def put(self, job: Job, *, urgent: bool = True) -> Ticket:  # noqa: ARG002 - as a pool's
        """Do a job."""
        ticket = Ticket(job)
        started = time.monotonic()
        ticket.learned = self._cleaner.learned
        ticket.cleaned = clean_job(job, self._cleaner)
        ticket.seconds = time.monotonic() - started
        return ticket

    def wait(
        self,
        tickets: Iterable[Ticket],
        interrupted: Callable[[], bool] = lambda: False,
        patience: float | None = None,
    ) -> None:
        """Nothing is waited for: all are done."""

    def drop(self, ticket: Ticket) -> None:
        """It is done already."""

    def close(self) -> None:
        """Nothing is left."""
