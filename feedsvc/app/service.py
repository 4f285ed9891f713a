"""All that runs under one configuration.

    Watcher -> Intake -> Store -> Publication -> Server

The schedule publishes after a change, and does the other timed work.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedsvc.app.make import make_ingest
from feedsvc.app.vitals import Vitals
from feedsvc.errors import FeedsvcError, RenderError, StoreError
from feedsvc.feeds.publication import Publication
from feedsvc.feeds.search import Search
from feedsvc.http import Operations, Server, make_app, parse_credentials
from feedsvc.intake.queue import Intake
from feedsvc.ops.history import History
from feedsvc.ops.metrics import read_gauges
from feedsvc.ops.problems import Problems
from feedsvc.runtime.clock import read_clock
from feedsvc.runtime.schedule import Regenerator, Schedule
from feedsvc.store import Store
from feedsvc.store.mend import describe_set_aside
from feedsvc.watch import Watcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from feedsvc.app.config import Config
    from feedsvc.http.front import Front
    from feedsvc.intake.write import Report
    from feedsvc.ops.metrics import Metrics
    from feedsvc.runtime.clock import Clock
    from feedsvc.runtime.supervisor import Summary

logger = logging.getLogger(__name__)

_FIRST_FILL_SECONDS = 15.0  # for an empty store to fill before it is published: nobody is to see an empty feed
_BUSY_SECONDS = 5.0  # that a write waits for another process; it is tried again
_CLEANING_SECONDS = 30.0  # for the processes that clean to start; without them dumps wait, and a problem says so
_SIGNAL_SECONDS = 0.05  # between two looks for a signal
_DRAIN_SECONDS = 3.0  # for answers in flight when the server stops
_INDEX = timedelta(seconds=2)  # between two updates of the search index
_NOTICE = timedelta(seconds=1)  # between two looks for writes of another process (an import)
_KEEP = timedelta(seconds=1)  # how often to keep archive pages that were asked for
_PROBLEMS = timedelta(seconds=5)  # between two updates of the history of problems
_AGE = timedelta(minutes=1)  # between two looks for entries that grew too old for a feed
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to it here


def _address_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _wait(done: Callable[[float], bool], interrupted: Callable[[], bool], seconds: float) -> None:
    """Wait until `done`, until a signal comes, or for so many seconds."""
    until = time.monotonic() + seconds
    while not (done(_SIGNAL_SECONDS) or interrupted() or time.monotonic() > until):
        pass


class Service:
    """Everything that runs under one configuration, on one listening socket."""

    def __init__(
        self,
        config: Config,
        listener: socket.socket,
        metrics: Metrics,
        *,
        clock: Clock,
        broken: Callable[[str | None], None],
    ) -> None:
        """Make all parts; a mistake in the configuration shows here, and nothing runs yet.

        The listening socket stays open, and the metrics outlive the service. `broken` is told when the store cannot be
        used any more, with its damage; None if its files are gone.

        Raises:
            FeedsvcError: Rules, store or addresses are wrong.
        """
        self.config = config
        self._metrics = metrics
        self._clock = clock
        self._broken = broken
        self._started = self._stopped = False
        self._store = Store(config.store.url, busy_seconds=_BUSY_SECONDS, damaged=broken)
        self._server = Server(listener.dup())
        try:
            self._make_parts(*listener.getsockname()[:2])
        except FeedsvcError:
            self.stop_serving()
            raise

    def _make_parts(self, host: str, port: int) -> None:
        config, store, server, clock, metrics = self.config, self._store, self._server, self._clock, self._metrics
        self._address = _address_of(host, port)
        self._owed: list[Callable[[], None]] = []  # writes of the start that wait until the store takes them
        self._problems = Problems(store, clock)
        self.report = report = self._problems.report
        self._history = History(store, self._problems.standing, clock, title=config.feed.title)
        self._ingest = make_ingest(config, store, report, owe=self._owed.append, clock=clock)
        self._search = Search(store)
        self._publication = Publication(
            store,
            config.plan,
            base_url=config.base_url,
            known_bases=[self._address],
            private=config.restrictions,
            hubs=config.websub.hubs,
            allow_private=config.websub.allow_private,
            clock=clock,
            report=report,
            measure=metrics.count_render,
            published=metrics.count_publication,
        )
        self._schedule = Schedule(report, read_clock)
        self._regenerator = Regenerator(
            self._schedule, "regenerate", config.schedule.regenerate, self._publication.publish
        )
        self._intake = Intake(
            self._ingest,
            changed=self._regenerator.request,
            report=report,
            taken=self._count,
            answered=lambda: server.answered,
        )
        self._watcher = Watcher(
            [Path(folder) for folder in config.watch.directories],
            recursive=config.watch.recursive,
            polling=config.watch.polling,
            settle=config.watch.settle.total_seconds(),
            deliver=self._intake.deliver,
            report=report,
        )
        self._vitals = Vitals(
            watcher=self._watcher,
            intake=self._intake,
            schedule=self._schedule,
            regenerator=self._regenerator,
            store=store,
            server=server,
            address=_address_of(_LOOPBACK.get(host, host), port),
            regenerate=config.schedule.regenerate.total_seconds(),
            report=report,
        )
        self.check, self.dead = self._vitals.health.check, self._vitals.health.dead
        self.keep_time = self._schedule.keep_time

    def _make_app(self) -> Front:
        config = self.config
        return make_app(
            publisher=self._publication.publisher,
            load_entry=self._store.load_entry,
            status=self._status,
            base_url=config.base_url,
            trusted_proxies=config.server.trusted_proxies,
            rate=config.server.rate,
            credentials=parse_credentials(config.server.auth) if config.server.auth else None,
            search=self._search.find,
            health=self.check,
            restrictions=config.restrictions,
            operations=Operations(
                networks=config.server.operators,
                metrics=self._metrics.render,
                problems=self._history.render,
                counter=self._metrics.request_counter,
                observe=self._metrics.count_answer,
            ),
        )

    def start(
        self,
        interrupted: Callable[[], bool],
        ending: Callable[[], bool],
        tell: Callable[[str], None],
        *,
        refill_seconds: float,
    ) -> None:
        """Start to watch, publish and serve. A store that holds entries is served first, even if it cannot be written.

        Args:
            interrupted: Ends the wait for an empty store to fill.
            ending: Leaves out the stages that are left, for the service is to be stopped.
            tell: Told the stage that begins.
            refill_seconds: That a store made anew may take to read the dumps again before it is served.

        Raises:
            FeedsvcError: Something cannot start.
        """
        self._ingest.start()
        self._store.changed_elsewhere()  # from here on the loss of its log is noticed
        self._problems.begin()
        self.report("store:corrupt", describe_set_aside(self.config.store.url))
        self._publication.begin()
        self._owed += [self._publication.drop_gone, self._history.begin]
        self._write_owed()
        empty = self._store.count_entries() == 0
        stages: list[tuple[str, Callable[[], None]]] = [
            ("reading the folders", self._watch),
            ("rendering the feeds", self._serve),
        ]
        if empty or refill_seconds:
            fill = partial(_wait, self._intake.wait_idle, interrupted, max(_FIRST_FILL_SECONDS, refill_seconds))
            stages.insert(1, ("taking in what is in the folders", fill))
        else:
            stages.reverse()
        # A dump that is dropped once all is ready must be served at once.
        ready = partial(_wait, self._ingest.wait_ready, interrupted, _CLEANING_SECONDS)
        stages.append(("starting the processes that clean", ready))
        for stage, work in stages:
            if ending():
                return
            tell(stage)
            work()
        self._schedule_jobs()
        self._publication.start()
        self._vitals.begin()
        self._started = True
        logger.info("serving", extra={"address": self._address, "store": self._store.url})

    def _watch(self) -> None:
        self._intake.start()
        self._watcher.start()

    def _serve(self) -> None:
        try:
            self._publication.publish()
        except (RenderError, StoreError) as error:  # no entry keeps the daemon from starting
            self.report("job:regenerate", f"regenerate failed: {error}")
            self._regenerator.request()  # and again, until it is served
        self._server.start(self._make_app())

    def _schedule_jobs(self) -> None:
        when = self.config.schedule
        self._schedule.add_regular("rescan", when.rescan, self._rescan)
        self._schedule.add_regular("retention", when.retention, self._retire)
        self._schedule.add_regular("upkeep", when.upkeep, self._store.optimise)
        self._schedule.add_regular("notice", _NOTICE, self._notice)
        if any(feed.filter.age for feed in self.config.feeds):
            self._schedule.add_regular("age", _AGE, self._regenerator.request)
        self._schedule.add_regular("keep", _KEEP, self._publication.keep)
        self._schedule.add_regular("problems", _PROBLEMS, self._history.refresh)
        self._schedule.add_regular("index", _INDEX, self._search.catch_up)
        self._schedule.add_regular("index-upkeep", when.upkeep, self._search.tidy)
        self._schedule.start()
        self._metrics.attach(self._read_gauges, lambda: self._watcher.overflows)

    def stop_work(self) -> None:
        """Stop all but the server; that serves on."""
        if self._stopped:
            return
        self._stopped = True
        self._vitals.rest()
        self._watcher.stop()
        self._intake.stop()
        self._ingest.close()
        self._schedule.stop()
        self._publication.stop()
        self._history.close()

    def release_store(self) -> bool:
        """Close the store after `stop_work`; tell if it had lost its files (that may look like damage).

        Such a store is written anew. Published pages are served on.

        Raises:
            StoreError: It cannot be written anew.
        """
        if self._store.closed:
            return False
        lost = not self._store.is_in_place()
        if lost:
            logger.warning("store has lost its files, they are written anew", extra={"store": self._store.url})
            self._store.rescue()
        self._store.close()
        return lost

    def stop_serving(self) -> None:
        """Answer the requests in flight, then close the server and the store."""
        self._server.stop(_DRAIN_SECONDS)
        self._store.close()

    def _write_owed(self) -> None:
        try:
            while self._owed:
                self._owed[0]()
                del self._owed[0]
        except StoreError as error:
            self.report("store:start", f"{error}; until then what is there is served")
        else:
            self.report("store:start", None)
        self._problems.save()

    def _rescan(self) -> None:
        self._watcher.rescan()
        self._regenerator.request()  # one that failed is tried again

    def _retire(self) -> None:
        keep = self.config.store.keep
        doubt = self._clock.doubt() if isinstance(keep, timedelta) else None
        if doubt is not None:
            self.report("retention", f"nothing is retired for its age at present: {doubt}")
            return
        self.report("retention", None)
        before = self._clock() - keep if isinstance(keep, timedelta) else None
        beyond = keep if isinstance(keep, int) else None
        with self._store.writing() as writer:
            retired = writer.retire(before=before, beyond=beyond)
        if retired:
            self._publication.drop_gone()
            logger.info("retired", extra={"entries": retired, "store": self._store.url})
            self._regenerator.request()

    def _notice(self) -> None:
        if not self._store.is_in_place():
            self._broken(None)
            return
        self._write_owed()
        if self._store.changed_elsewhere():
            self._history.expire()
            if not self._ingest.is_current():
                self._intake.look_again()
            # This process wrote most of it; to publish that again would delay the next change.
            if self._publication.is_stale():
                self._regenerator.request()

    def _count(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.outcome:
                self._metrics.count_dump(report.outcome, report.removed, report.seconds)

    def _read_gauges(self) -> Iterator[Any]:
        return read_gauges(
            self._store,
            self._problems.standing(),
            ready=self._is_well(),
            parts={name: reason is None for name, reason in self.check().items()},
            feeds=len(self._publication.publisher.documents),
            queue=self._intake.depth,
            hubs=self.config.websub.hubs,
            now=self._clock(),
        )

    def _status(self) -> dict[str, object]:
        """Return the facts that /readyz shows. Paths and reasons are for operators."""
        feeds = {name: len(document.entries) for name, document in self._publication.listed.items()}
        return {"ready": self._is_well(), "feeds": feeds}

    def _is_well(self) -> bool:
        return self.ready and self._vitals.fresh and not any(self.check().values())

    @property
    def ready(self) -> bool:
        """All has started and a feed can be served."""
        return self._started and self._publication.publisher.ready

    def summarise(self) -> Summary:
        """Return the STATUS line's facts from memory."""
        return self._vitals.summarise(len(self._publication.listed))
