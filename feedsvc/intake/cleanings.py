"""The cleanings whose outcome nobody took yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedsvc.clean.learning.learned import census_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feedsvc.clean import Cleaner
    from feedsvc.clean.sandbox.pool import Pool
    from feedsvc.clean.sandbox.ticket import Here, Ticket
    from feedsvc.clean.sandbox.work import Job

__all__ = ["Cleanings"]


class Cleanings:
    """Finds again what was begun before, so that nothing is cleaned twice: one of each file, one of each article."""

    def __init__(self, pool: Pool | Here, cleaner: Cleaner) -> None:
        """Have `pool` clean; what it did is up to date as long as `cleaner` has learned nothing else."""
        self._pool = pool
        self._cleaner = cleaner
        self._tickets: dict[tuple[str, int | None], Ticket] = {}

    def begin(self, job: Job, *, urgent: bool = True) -> Ticket:
        """Have a job done, unless the same was begun before and is up to date."""
        key = (job.path, job.position)
        ticket = self._tickets.get(key)
        if ticket is not None:
            if ticket.job == job and self.is_up_to_date(ticket):
                return ticket
            self._pool.drop(ticket)
        ticket = self._tickets[key] = self._pool.put(job, urgent=urgent)
        return ticket

    def forget(self, path: str, position: int | None = None) -> None:
        """Nobody will ask for this cleaning any more."""
        ticket = self._tickets.pop((path, position), None)
        if ticket is not None:
            self._pool.drop(ticket)

    def keep_again(self, jobs: Iterable[Job]) -> None:
        """Forget cleanings of single articles but for these."""
        kept = {(job.path, job.position) for job in jobs}
        for path, position in [key for key in self._tickets if key[1] is not None and key not in kept]:
            self.forget(path, position)

    def is_done(self, path: str) -> bool:
        """Whether a file's cleaning, if it was begun, is done."""
        ticket = self._tickets.get((path, None))
        return ticket is None or ticket.cleaned is not None

    def is_up_to_date(self, ticket: Ticket) -> bool:
        """Whether a dump was cleaned by what is learned now, as far as it concerns it; True until it is done."""
        before, now = ticket.learned, self._cleaner.learned
        if ticket.cleaned is None or before is now or before is None or now is None:
            return True
        sources = {census_source(article.source, article.link) for _, article in ticket.cleaned.articles}
        return all(before.of(source) == now.of(source) for source in sources)
