"""The cleanings in hand, so that nothing is cleaned twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedsvc.clean.learning.learned import census_source
from feedsvc.clean.sandbox import Job

if TYPE_CHECKING:
    from collections.abc import Collection

    from feedsvc.clean import Cleaner
    from feedsvc.clean.sandbox import Pool, Ticket
    from feedsvc.store import Article


class Cleanings:
    """The tickets of the jobs that were begun, by owner: a dump file's path, or an entry's id."""

    def __init__(self, pool: Pool, cleaner: Cleaner) -> None:
        """Have `pool` clean. A result is up to date until `cleaner` learns something else about its sources."""
        self._pool = pool
        self._cleaner = cleaner
        self._tickets: dict[str, dict[Job, Ticket]] = {}

    def begin(self, owner: str, job: Job, *, urgent: bool = True) -> Ticket:
        """Begin a job, unless it is begun already and up to date."""
        tickets = self._tickets.setdefault(owner, {})
        ticket = tickets.get(job)
        if ticket is None or not self.is_up_to_date(ticket):
            if ticket is not None:
                self._pool.drop(ticket)
            ticket = tickets[job] = self._pool.put(job, urgent=urgent)
        return ticket

    def renew(self, owner: str) -> list[Ticket]:
        """Begin the owner's outdated jobs again; give all its tickets."""
        return [self.begin(owner, job) for job in list(self._tickets.get(owner, ()))]

    def has(self, owner: str, job: Job) -> bool:
        """True if the owner's job is begun."""
        return job in self._tickets.get(owner, ())

    def result(self, owner: str, job: Job) -> Ticket | None:
        """Give the ticket of an owner's job that is done and up to date; None if there is none."""
        ticket = self._tickets.get(owner, {}).get(job)
        return ticket if ticket is not None and ticket.cleaned is not None and self.is_up_to_date(ticket) else None

    def forget(self, owner: str) -> None:
        """Drop the jobs of an owner."""
        for ticket in self._tickets.pop(owner, {}).values():
            self._pool.drop(ticket)

    def forget_others(self, owners: Collection[str]) -> None:
        """Drop the jobs of all other owners."""
        for owner in self._tickets.keys() - owners:
            self.forget(owner)

    def is_done(self, owner: str) -> bool:
        """True if all jobs of an owner are done."""
        return all(ticket.cleaned is not None for ticket in self._tickets.get(owner, {}).values())

    def is_up_to_date(self, ticket: Ticket) -> bool:
        """False if something else is learned about a job's sources since it was done; True until it is done."""
        before, now = ticket.learned, self._cleaner.learned
        if ticket.cleaned is None or before is now or before is None or now is None:
            return True
        sources = {census_source(article.source, article.link) for _, article in ticket.cleaned.articles}
        return all(before.of(source) == now.of(source) for source in sources)


def job_again(stored: Article) -> Job:
    """Make the job that cleans a stored entry's own dump again."""
    return Job(stored.path, stored.raw, stored.mtime_ns, stored.place.position, stored.restored)
