"""All that one configuration makes run: watcher, intake, schedule, publisher, server."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.archives import Archives
from feedsvc.assemble import Assembler
from feedsvc.clean import Cleaner, load_rules
from feedsvc.errors import FeedsvcError, RenderError, StoreError
from feedsvc.feeds.addresses import EVERYTHING, feed_path
from feedsvc.guard import Guard
from feedsvc.http import Operations, Server, make_app, parse_account
from feedsvc.http.search import PER_PAGE, Found, Query
from feedsvc.incidents import Incidents
from feedsvc.ingest import Ingest
from feedsvc.intake import Intake
from feedsvc.problems import Problems
from feedsvc.publish import Publisher
from feedsvc.readings import take_readings
from feedsvc.rules_diff import make_saved
from feedsvc.schedule import Regenerator, Schedule
from feedsvc.site import MAX_AGE, make_resources
from feedsvc.store import Store
from feedsvc.watch import Watcher
from feedsvc.websub import Pinger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from feedsvc.clean import RuleSet
    from feedsvc.clean.learned import Learned
    from feedsvc.config import Config
    from feedsvc.ingest import Report
    from feedsvc.metrics import Metrics, Readings

__all__ = [
    "Service",
    "load_configured",
    "make_cleaner",
    "make_ingest",
    "read_clock",
]

logger = logging.getLogger(__name__)

# A store without entries gets this long to fill before the first feed is published, so that nobody
# who is quick sees an empty one.
FIRST_FILL_SECONDS = 5.0
LOOK_SECONDS = 0.05  # between two looks whether a signal came meanwhile
DRAIN_SECONDS = 3.0  # for what is in flight when the server stops
SEARCH_SECONDS = 1.0  # that a search may take
INDEX = timedelta(seconds=2)  # how often to take what changed into the search index
INDEX_SECONDS = 1.0  # for which that goes on at most, so that an end of the daemon need not wait long
NOTICE = timedelta(seconds=1)  # how often to look for what another process (an import) wrote
LOOK_AGAIN = timedelta(seconds=5)  # how often at most to take down which problems began and ended
AGE = timedelta(minutes=1)  # how often to look for entries that grew too old for a feed


def read_clock() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def make_cleaner(config: Config, learned: Learned | None = None) -> Cleaner:
    """The cleaner with the rules that the configuration names.

    Args:
        config: The configuration.
        learned: The learned blocks; None for a cleaner that does not learn.

    Raises:
        RuleError: A pack of rules is wrong.
    """
    return Cleaner(load_configured(config), learned=learned)


def load_configured(config: Config, more: Sequence[Path] = ()) -> RuleSet:
    """The rules that the configuration names, and those in more folders.

    Raises:
        RuleError: A pack of rules is wrong.
        StoreError: The store cannot be read.
    """
    folders = [*(Path(folder) for folder in config.clean.rules), *more]
    return load_rules(site_rules=config.clean.site_rules, folders=folders)


def make_ingest(config: Config, store: Store) -> Ingest:
    """The pipeline that the configuration describes. Its rules are the live ones from now on.

    Raises:
        RuleError: A pack of rules is wrong.
        StoreError: The store cannot be written.
    """
    rules = load_configured(config)
    cleaner = Cleaner(rules, learned=store.load_learned() if config.clean.learn else None)
    store.save_live_rules(make_saved(rules, cleaner.digest), read_clock())
    return Ingest(
        store,
        cleaner,
        max_bytes=config.watch.max_bytes,
        withdraw=config.watch.on_delete == "withdraw",
        clock=read_clock,
    )


class Service:
    """Everything that runs under one configuration, on one listening socket."""

    def __init__(self, config: Config, listener: socket.socket, metrics: Metrics) -> None:
        """Make all parts; whatever can be wrong with a configuration shows here, and nothing runs yet.

        Args:
            config: The configuration.
            listener: A listening socket; it stays open.
            metrics: What counts; it outlives the service.

        Raises:
            FeedsvcError: Rules, store or addresses are wrong.
        """
        self.config = config
        self._store = Store(config.store.url)
        self._problems = Problems(self._store, read_clock)
        self.report = report = self._problems.report
        self._metrics = metrics
        self._incidents = Incidents(self._store, self._problems.standing, read_clock, title=config.feed.title)
        try:
            self._guard = Guard(self._store, report)
            self._ingest = make_ingest(config, self._store)
            self._index = self._store.open_search()
        except FeedsvcError:
            self._store.close()
            raise
        self._archives = Archives(self._store, max_age=MAX_AGE, admit=self._guard.admit)
        self._assembler = Assembler(self._store, config.plan, archives=self._archives, admit=self._guard.admit)
        host, port = listener.getsockname()[:2]
        self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._publisher = Publisher(
            lambda name: self._assembler.load(name, read_clock()),
            max_age=MAX_AGE,
            base_url=config.base_url,
            known_bases=[self._address],
            load_archive=self._archives.load,
            measure=metrics.count_render,
        )
        self._schedule = Schedule(report, read_clock)
        self._regenerator = Regenerator(self._schedule, "regenerate", config.schedule.regenerate, self._regenerate)
        self._intake = Intake(self._ingest, changed=self._regenerator.request, report=report, taken=self._count)
        self._watcher = Watcher(
            [Path(folder) for folder in config.watch.directories],
            recursive=config.watch.recursive,
            polling=config.watch.polling,
            settle=config.watch.settle.total_seconds(),
            deliver=self._intake.deliver,
            report=report,
        )
        app = make_app(
            publisher=self._publisher,
            load_entry=self._store.load_entry,
            status=self._status,
            base_url=config.base_url,
            trusted_proxies=config.server.trusted_proxies,
            rate=config.server.rate,
            account=parse_account(config.server.auth) if config.server.auth else None,
            search=self._search,
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
        self._pinger = Pinger(
            config.websub.hubs,
            self._store,
            allow_private=config.websub.allow_private,
            report=report,
            clock=read_clock,
        )

    def start(self, interrupted: Callable[[], bool]) -> None:
        """Start to watch, publish what is in the store, and serve it.

        Args:
            interrupted: Asked while an empty store is filled; where it says True, what is there is served at once.

        Raises:
            FeedsvcError: Something cannot start.
        """
        self._problems.begin()
        self._guard.look_back()
        self._archives.drop_gone(read_clock())
        empty = self._store.count_entries() == 0
        self._intake.start()
        self._watcher.start()
        if empty:
            until = time.monotonic() + FIRST_FILL_SECONDS
            while not (self._intake.wait_idle(LOOK_SECONDS) or interrupted() or time.monotonic() > until):
                pass
        try:
            self._regenerate()
        except RenderError as error:  # what is in the store does not keep the daemon from starting
            self.report("job:regenerate", f"regenerate failed: {error}")
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
        self._server.start()
        self._pinger.start()
        logger.info("serving", extra={"address": self._address, "store": self._store.url})

    def stop_work(self) -> None:
        """Stop to watch, to take dumps in and to publish; what was published is served on."""
        self._watcher.stop()
        self._intake.stop()
        self._schedule.stop()
        self._pinger.stop()
        self._incidents.close()
        try:
            self._guard.save(read_clock())
        except StoreError as error:
            logger.exception(
                "what was published cannot be kept", extra={"store": self._store.url, "reason": str(error)}
            )

    def stop_serving(self) -> None:
        """Answer what is in flight, then close the server and the store."""
        self._server.stop(DRAIN_SECONDS)
        self._store.close()

    def _regenerate(self) -> None:
        changed = self._assembler.refresh(read_clock())
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
            self._guard.save(read_clock())
        if changed:
            more = {"feed": min(changed, key=list(documents).index), "feeds": len(changed)}
            logger.info("published", extra=more | {"entries": len(documents[EVERYTHING].entries)})
        self._metrics.count_publication()
        self._announce(changed)

    def _announce(self, changed: frozenset[str]) -> None:
        """Have hubs told of feeds that changed; see `feedsvc.websub`."""
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
        before = read_clock() - keep if isinstance(keep, timedelta) else None
        beyond = keep if isinstance(keep, int) else None
        with self._store.writing() as writer:
            retired = writer.retire(before=before, beyond=beyond)
        if retired:
            self._archives.drop_gone(read_clock())
            logger.info("retired", extra={"entries": retired, "store": self._store.url})
            self._regenerator.request()

    def _notice(self) -> None:
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
        parts = {"watcher": self._watcher.alive, "intake": self._intake.alive, "schedule": self._schedule.alive}
        return take_readings(
            self._store,
            self._problems.standing(),
            ready=self._publisher.ready and all(parts.values()),
            parts=parts,
            feeds=len(self._publisher.documents),
            queue=self._intake.depth,
            hubs=self.config.websub.hubs,
            clock=read_clock,
        )

    def _status(self) -> dict[str, object]:
        ready = self._publisher.ready and self._watcher.alive and self._intake.alive and self._schedule.alive
        listed = self._publisher.documents.keys() - self._assembler.unlisted
        feeds = {name: len(document.entries) for name, document in self._publisher.documents.items() if name in listed}
        # Paths and reasons are for `feedsvc status`: whoever can read feeds need not know them.
        return {"ready": ready, "feeds": feeds}

    def _catch_up(self) -> None:
        until = time.monotonic() + INDEX_SECONDS
        while self._index.catch_up() and time.monotonic() < until:
            pass

    def _search(self, query: Query) -> Found:
        skip = (query.page - 1) * PER_PAGE
        hits = self._index.find(query.phrases, skip=skip, limit=PER_PAGE, seconds=SEARCH_SECONDS)
        return Found(tuple(self._store.load_entries(hits.numbers)), hits.total, hits.waiting)
