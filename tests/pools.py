"""A pool without processes, for the tests of what uses one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from feedsvc.clean.sandbox import Limits, Pool, Ticket, clean_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.clean import Cleaner
    from feedsvc.clean.sandbox import Job

__all__ = ["Here"]


class Here(Pool):
    """Cleans in this process, without bounds."""

    def __init__(self, cleaner: Cleaner) -> None:
        super().__init__(cleaner, Limits(), number=0)
        self.cleaner = cleaner

    def put(self, job: Job, *, urgent: bool = True) -> Ticket:  # noqa: ARG002 - as a pool's
        ticket = Ticket(job)
        started = time.monotonic()
        ticket.learned = self.cleaner.learned
        ticket.cleaned = clean_job(job, self.cleaner)
        ticket.seconds = time.monotonic() - started
        return ticket

    def wait(
        self,
        tickets: Iterable[Ticket],
        interrupted: Callable[[], bool] = lambda: False,
        patience: float | None = None,
    ) -> None:
        """All are done."""

    def drop(self, ticket: Ticket) -> None:
        """It is done already."""
