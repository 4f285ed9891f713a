"""All that one configuration makes run: watcher, intake, schedule, publisher, server."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.app.pipeline import make_ingest
from feedsvc.app.vitals import Vitals
from feedsvc.errors import FeedsvcError, RenderError, StoreError
from feedsvc.feeds.archives import Archives
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.formats.addresses import EVERYTHING, feed_path
from feedsvc.feeds.guard import Guard
from feedsvc.feeds.pages.found import PER_PAGE, Found, Query
from feedsvc.feeds.publish import Publisher
from feedsvc.feeds.resources import MAX_AGE, make_resources
from feedsvc.feeds.websub import Pinger
from feedsvc.http import Operations, Server, make_app, parse_account
from feedsvc.intake.queue import Intake
from feedsvc.ops.incidents import Incidents
from feedsvc.ops.problems import Problems
from feedsvc.ops.readings import take_readings
from feedsvc.runtime.clock import read_clock
from feedsvc.runtime.schedule import Regenerator, Schedule
from feedsvc.store import Store
from feedsvc.store.mend import describe_set_aside
from feedsvc.watch import Watcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from feedsvc.app.config import Config
    from feedsvc.intake.ingest import Report
    from feedsvc.ops.metrics import Metrics, Readings
    from feedsvc.runtime.clock import Clock
    from feedsvc.runtime.supervisor import Summary

__all__ = ["Service"]

logger = logging.getLogger(__name__)

# A store without entries gets this long to fill before the first feed is published, so that nobody
# who is quick sees an empty one.
FIRST_FILL_SECONDS = 15.0
BUSY_SECONDS = 5.0  # for which a write waits for another process; it is tried again
CLEANING_SECONDS = 30.0  # for the processes that clean to start; without them dumps wait, and a problem says so
LOOK_SECONDS = 0.05  # between two looks whether a signal came meanwhile
DRAIN_SECONDS = 3.0  # for what is in flight when the server stops
SEARCH_SECONDS = 1.0  # that a search may take
INDEX = timedelta(seconds=2)  # how often to take what changed into the search index
INDEX_SECONDS = 1.0  # for which that goes on at most, so that an end of the daemon need not wait long
NOTICE = timedelta(seconds=1)  # how often to look for what another process (an import) wrote
LOOK_AGAIN = timedelta(seconds=5)  # how often at most to take down which problems began and ended
AGE = timedelta(minutes=1)  # how often to look for entries that grew too old for a feed


def _reachable(host: str) -> str:
    """Where this machine reaches what listens on an address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound to it here
    return f"[{host}]" if ":" in host else host


def _wait(done: Callable[[float], bool], interrupted: Callable[[], bool], seconds: float) -> None:
    """Wait for something, for so many seconds at most, or until a signal comes."""
    until = time.monotonic() + seconds
    while not (done(LOOK_SECONDS) or interrupted() or time.monotonic() > until):
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
        """Make all parts; whatever can be wrong with a configuration shows here, and nothing runs yet.

        Args:
            config: The configuration.
            listener: A listening socket; it stays open.
            metrics: What counts; it outlives the service.
            clock: The time.
            broken: Told when the store cannot be used any more, with its damage; None where its files are gone.

        Raises:
            FeedsvcError: Rules, store or addresses are wrong.
        """
        self.config = config
        self._broken = broken
        self._clock = clock
        self._store = Store(config.store.url, busy_seconds=BUSY_SECONDS, damaged=broken)
        self._owed: list[Callable[[], None]] = []  # writes of the start that wait until the store takes them
        self._stopped = False
        self._problems = Problems(self._store, self._clock)
        self.report = report = self._problems.report
        self._metrics = metrics
        self._incidents = Incidents(self._store, self._problems.standing, self._clock, title=config.feed.title)
        try:
            self._guard = Guard(self._store, report)
            self._ingest = make_ingest(config, self._store, report, owe=self._owed.append, clock=self._clock)
            self._index = self._store.open_search()
        except FeedsvcError:
            self._store.close()
            raise
        self._archives = Archives(self._store, max_age=MAX_AGE, admit=self._guard.admit)
        self._assembler = Assembler(self._store, config.plan, archives=self._archives, admit=self._guard.admit)
        host, port = listener.getsockname()[:2]
        self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._publisher = Publisher(
            lambda name: self._assembler.load(name, self._clock()),
            max_age=MAX_AGE,
            base_url=config.base_url,
            known_bases=[self._address],
            load_archive=self._archives.load,
            measure=metrics.count_render,
        )
        self._schedule = Schedule(report, read_clock)
        self._regenerator = Regenerator(self._schedule, "regenerate", config.schedule.regenerate, self._regenerate)
        self._intake = Intake(
            self._ingest,
            changed=self._regenerator.request,
            report=report,
            taken=self._count,
            answered=lambda: self._server.answered,
        )
        self._watcher = Watcher(
            [Path(folder) for folder in config.watch.directories],
            recursive=config.watch.recursive,
            polling=config.watch.polling,
            settle=config.watch.settle.total_seconds(),
            deliver=self._intake.deliver,
            report=report,
        )
        self._started = False
        app = make_app(
            publisher=self._publisher,
            load_entry=self._store.load_entry,
            status=self._status,
            base_url=config.base_url,
            trusted_proxies=config.server.trusted_proxies,
            rate=config.server.rate,
            account=parse_account(config.server.auth) if config.server.auth else None,
            search=self._search,
            health=self.check,
            guards=config.guards,
            operations=Operations(
                networks=config.server.operators,
                metrics=metrics.render,
                problems=self._incidents.render,
                counter=metrics.request_counter,
                observe=metrics.count_answer,
            ),
        )
        self._server = Server(app, listener.dup())
        self._vitals = Vitals(
            watcher=self._watcher,
            intake=self._intake,
            schedule=self._schedule,
            regenerator=self._regenerator,
            store=self._store,
            server=self._server,
            address=f"http://{_reachable(host)}:{port}",
            regenerate=config.schedule.regenerate.total_seconds(),
            report=report,
        )
        self._pinger = Pinger(
            config.websub.hubs,
            self._store,
            allow_private=config.websub.allow_private,
            report=report,
            clock=self._clock,
        )

    def start(
        self,
        interrupted: Callable[[], bool],
        ending: Callable[[], bool] = lambda: False,
        tell: Callable[[str], None] = lambda _stage: None,
        *,
        refill_seconds: float = 0.0,
    ) -> None:
        """Start to watch, publish what is in the store, and serve it. A store that holds entries is served first.

        A store that cannot be written is served as it is; what had to be written is as soon as it can be.

        Args:
            interrupted: Asked while an empty store is filled; where it says True, what is there is served at once.
            ending: Asked between the stages; where it says True, the rest is left out, for all is to be stopped.
            tell: Told which stage begins.
            refill_seconds: How long a store that was made anew may take to read the dumps again, before it is served.

        Raises:
            FeedsvcError: Something cannot start.
        """
        self._ingest.start()
        self._store.changed_elsewhere()  # from here on it is noticed where its log is lost
        self._problems.begin()
        self.report("store:corrupt", describe_set_aside(self.config.store.url))
        self._guard.look_back()
        self._owed.append(lambda: self._archives.drop_gone(self._clock()))
        self._write_owed()
        empty = self._store.count_entries() == 0
        stages: list[tuple[str, Callable[[], None]]] = [
            ("reading the folders", self._watch),
            ("rendering the feeds", self._serve),
        ]
        if empty or refill_seconds:
            fill = partial(_wait, self._intake.wait_idle, interrupted, max(FIRST_FILL_SECONDS, refill_seconds))
            stages.insert(1, ("taking in what is in the folders", fill))
        else:
            stages.reverse()
        # Who is told that all is ready may drop a dump at once, and see it served as promised.
        ready = partial(_wait, self._ingest.wait_ready, interrupted, CLEANING_SECONDS)
        stages.append(("starting the processes that clean", ready))
        for stage, work in stages:
            if ending():
                return
            tell(stage)
            work()
        self._schedule_jobs()
        self._pinger.start()
        self._vitals.begin()
        self._started = True
        logger.info("serving", extra={"address": self._address, "store": self._store.url})

    def _watch(self) -> None:
        self._intake.start()
        self._watcher.start()

    def _serve(self) -> None:
        try:
            self._regenerate()
        except (RenderError, StoreError) as error:  # what is in the store does not keep the daemon from starting
            self.report("job:regenerate", f"regenerate failed: {error}")
            self._regenerator.request()  # and again, until it is served
        self._server.start()

    def _schedule_jobs(self) -> None:
        when = self.config.schedule
        self._schedule.add_regular("rescan", when.rescan, self._rescan)
        self._schedule.add_regular("retention", when.retention, self._retire)
        self._schedule.add_regular("upkeep", when.upkeep, self._store.optimise)
        self._schedule.add_regular("notice", NOTICE, self._notice)
        if any(feed.filter.age for feed in self.config.feeds):
            self._schedule.add_regular("age", AGE, self._regenerator.request)
        self._schedule.add_regular("problems", LOOK_AGAIN, self._incidents.refresh)
        self._schedule.add_regular("index", INDEX, self._catch_up)
        self._schedule.add_regular("index-upkeep", when.upkeep, self._index.tidy)
        self._schedule.start()
        self._metrics.attach(self._take_readings, lambda: self._watcher.overflows)

    def stop_work(self) -> None:
        """Stop to watch, to take dumps in and to publish; what was published is served on."""
        if self._stopped:
            return
        self._stopped = True
        self._vitals.rest()
        self._watcher.stop()
        self._intake.stop()
        self._ingest.close()
        self._schedule.stop()
        self._pinger.stop()
        self._incidents.close()
        try:
            self._guard.save(self._clock())
        except StoreError as error:
            more = {"store": self._store.url, "reason": str(error)}
            logger.error("what was published cannot be kept", extra=more)  # noqa: TRY400 - the reason says it all

    def release_store(self) -> bool:
        """Let go of the store, after `stop_work`; what is rendered is served on. What lost its files is written anew.

        Returns:
            Whether it was: then what looked like damage may have been that.

        Raises:
            StoreError: That cannot be written.
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
        """Answer what is in flight, then close the server and the store."""
        self._server.stop(DRAIN_SECONDS)
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

    def _regenerate(self) -> None:
        changed = self._assembler.refresh(self._clock())
        documents = self._assembler.documents
        resources = make_resources(
            self._assembler.formats,
            title=self.config.feed.title,
            guard=self._guard,
            unlisted=self._assembler.unlisted,
        )
        try:
            self._publisher.publish(documents, resources, changed)
        finally:
            self._guard.save(self._clock())
        if changed:
            more = {"feed": min(changed, key=list(documents).index), "feeds": len(changed)}
            logger.info("published", extra=more | {"entries": len(documents[EVERYTHING].entries)})
        self._metrics.count_publication()
        self._announce(changed)

    def _announce(self, changed: frozenset[str]) -> None:
        """Have hubs told of feeds that changed; see `feedsvc.feeds.websub`."""
        base_url = self.config.base_url
        if base_url and self.config.websub.hubs:
            self._pinger.announce(
                {
                    base_url + feed_path(name, extension): self._assembler.version(name)
                    for name in changed - self.config.guards.keys()
                    for extension in self._assembler.formats[name]
                }
            )

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
            self._archives.drop_gone(self._clock())
            logger.info("retired", extra={"entries": retired, "store": self._store.url})
            self._regenerator.request()

    def _notice(self) -> None:
        if not self._store.is_in_place():
            self._broken(None)
            return
        self._write_owed()
        if self._store.changed_elsewhere():
            self._incidents.expire()
            if not self._ingest.is_current():
                self._intake.look_again()
            # Most of it is what this process wrote itself; asking for that again would delay the next change.
            if self._assembler.is_stale():
                self._regenerator.request()

    def _count(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.outcome:
                self._metrics.count_dump(report.outcome, report.removed, report.seconds)

    def _take_readings(self) -> Readings:
        return take_readings(
            self._store,
            self._problems.standing(),
            ready=self._is_well(),
            parts={name: reason is None for name, reason in self.check().items()},
            feeds=len(self._publisher.documents),
            queue=self._intake.depth,
            hubs=self.config.websub.hubs,
            clock=self._clock,
        )

    def _status(self) -> dict[str, object]:
        """What /readyz shows. Paths and reasons are for `feedsvc status`: whoever reads feeds need not know them."""
        documents, unlisted = self._publisher.documents, self._assembler.unlisted
        feeds = {name: len(document.entries) for name, document in documents.items() if name not in unlisted}
        return {"ready": self._is_well(), "feeds": feeds}

    def _is_well(self) -> bool:
        return self.ready and self._vitals.fresh and not any(self.check().values())

    @property
    def ready(self) -> bool:
        """Whether all has started and a feed can be served."""
        return self._started and self._publisher.ready

    def check(self) -> dict[str, str | None]:
        """Why each part does not answer, by its name; None for one that does. Never waits."""
        return self._vitals.health.check()

    def dead(self) -> tuple[str, ...]:
        """The parts that ended though nobody stopped them. Never waits."""
        return self._vitals.health.dead()

    def keep_time(self) -> None:
        """Let no job wait because the clock was set back."""
        self._schedule.keep_time()

    def summarise(self) -> Summary:
        """What the STATUS line says, as far as it is known: nothing is read."""
        return self._vitals.summarise(len(self._publisher.documents.keys() - self._assembler.unlisted))

    def _catch_up(self) -> None:
        until = time.monotonic() + INDEX_SECONDS
        while self._index.catch_up() and time.monotonic() < until:
            pass

    def _search(self, query: Query) -> Found:
        skip = (query.page - 1) * PER_PAGE
        hits = self._index.find(query.phrases, skip=skip, limit=PER_PAGE, seconds=SEARCH_SECONDS)
        return Found(tuple(self._store.load_entries(hits.numbers)), hits.total, hits.waiting)
