"""Metrics for Prometheus: counters are kept here, gauges are read at each scrape.

One object lasts as long as the process, so that no counter goes back when the configuration is loaded again.
"""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections import Counter as Number
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from feedsvc import __version__
from feedsvc.errors import StoreError
from feedsvc.model import Outcome
from feedsvc.ops.problems import KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from prometheus_client.core import Metric

    from feedsvc.store import Store

logger = logging.getLogger(__name__)

_LEARNED = "learned"  # stands for all blocks that were learned: there is no end of them
_CLEAN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)  # an article takes some 10 ms
_RENDER = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)  # a feed of 100 entries some 50 ms
_ANSWER = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"

disable_created_metrics()  # type: ignore[no-untyped-call] # one more series for each: nobody asks since when a counter counts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """The state that the store knows; nothing if it cannot be read."""

    readable: bool = False
    entries: int | None = None
    newest_entry_age: float | None = None
    problems: Mapping[str, int] = field(default_factory=dict)
    dumps: Mapping[str, int] = field(default_factory=dict)
    learned: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def _read(store: Store, now: datetime) -> _Stored:
    dumps = store.count_dumps()
    with store.reading() as reader:
        drifting, (stood_back, _) = len(reader.counters.alarms()), reader.removals.stood_back(0)
        tables = reader.operations
        newest, learned, sizes = tables.newest_entry(), tables.count_learned(), tables.sizes()
    return _Stored(
        readable=True,
        entries=store.count_entries(),
        newest_entry_age=(now - newest).total_seconds() if newest else None,
        problems={"drift": drifting, "stood-back": stood_back, "dump": dumps[Outcome.QUARANTINED]},
        dumps=dumps,
        learned=learned,
        sizes=sizes,
    )


def read_gauges(
    store: Store,
    standing: Mapping[str, str],
    *,
    ready: bool,
    parts: Mapping[str, bool],
    feeds: int,
    queue: int,
    hubs: Sequence[str],
    now: datetime,
) -> Iterator[Metric]:
    """Yield the state of a daemon; if the store cannot be read, without the state that it knows.

    `standing` holds the messages of the problems that the daemon reports, by key; `parts` says if each part works.
    """
    stored = _Stored()
    try:
        stored = _read(store, now)
    except StoreError as error:
        logger.warning("metrics without the store", extra={"store": store.url, "reason": str(error)})
    problems = Number(dict.fromkeys(KINDS, 0))
    problems.update(kind_of(key) for key in standing)
    problems.update(stored.problems)
    for name, text, value in (
        ("feedsvc_ready", "1 while the feed is served and all parts work.", ready),
        ("feedsvc_feeds", "Feeds served.", feeds),
        ("feedsvc_intake_queue", "Changes of dumps that wait to be taken in.", queue),
        ("feedsvc_store_readable", "0 while the store cannot be read; what it knows is missing then.", stored.readable),
        ("feedsvc_entries", "Entries that are live.", stored.entries),
        ("feedsvc_newest_entry_age_seconds", "Seconds since the newest entry was published.", stored.newest_entry_age),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, text, value=float(value))
    told = {hub: f"websub:{hub}" not in standing for hub in hubs}
    families: tuple[tuple[str, str, str, Mapping[str, float]], ...] = (
        ("feedsvc_part_up", "1 while a part works.", "part", parts),
        ("feedsvc_problems", "Problems that stand.", "kind", problems),
        ("feedsvc_dumps", "Dumps that are there.", "outcome", stored.dumps),
        ("feedsvc_learned_blocks", "Blocks of boilerplate that are known.", "state", stored.learned),
        ("feedsvc_store_size_bytes", "Size of the store's files.", "file", stored.sizes),
        ("feedsvc_websub_hub_up", "1 while a hub takes what it is told.", "hub", told),
    )
    for name, text, label, values in families:
        family = GaugeMetricFamily(name, text, labels=[label])
        for key, number in values.items():
            family.add_metric([key], float(number))
        yield family


class Metrics(Collector):
    """The counters, and the gauges of the service that runs. Safe for threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._registry = registry = CollectorRegistry()
        # Feeds are answered by the ten thousand a second: the library's counters would take a few percent of that.
        self._requests: dict[tuple[str, str, int], list[int]] = {}
        self._lock = threading.Lock()  # guards the next three
        self._read: Callable[[], Iterable[Metric]] | None = None
        self._overflows: Callable[[], int] = int
        self._overflows_before = 0
        self._published: float | None = None  # monotonic
        self._dumps = Counter("feedsvc_dumps_taken", "Dumps taken in.", ["outcome"], registry=registry)
        for outcome in Outcome:
            self._dumps.labels(outcome)  # 0 rather than nothing, so that the first one is seen as an increase
        self._removals = Counter("feedsvc_removals", "What cleaning removed from dumps.", ["rule"], registry=registry)
        self._clean = Histogram("feedsvc_clean_seconds", "To read and clean a dump.", registry=registry, buckets=_CLEAN)
        self._render = Histogram(
            "feedsvc_render_seconds",
            "To render and compress what is at an address.",
            ["format"],
            registry=registry,
            buckets=_RENDER,
        )
        self._answers = Histogram(
            "feedsvc_http_answer_seconds",
            "To answer what was not ready in memory.",
            ["route"],
            registry=registry,
            buckets=_ANSWER,
        )
        Info("feedsvc_build", "What runs.", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)
        registry.register(self)

    # Counters

    def count_dump(self, outcome: str, removed: Mapping[str, int], seconds: float) -> None:
        """Count a dump that was taken in: its `Outcome`, removals by rule, the seconds to read and clean it."""
        self._dumps.labels(outcome).inc()
        self._clean.observe(seconds)
        bounded: Number[str] = Number()
        for rule, number in removed.items():
            bounded[_LEARNED if rule.startswith(_LEARNED) else rule] += number
        for rule, number in bounded.items():
            self._removals.labels(rule).inc(number)

    def count_render(self, address: str, seconds: float) -> None:
        """Count a rendering of an address."""
        _, dot, extension = address.rpartition(".")
        self._render.labels(extension if dot else "html").observe(seconds)

    def request_counter(self, route: str, method: str, status: int) -> list[int]:
        """Return the number of requests that were answered so, to be added to in place.

        It has no lock: one server counts, and the moment with two of them, at a reload, may cost a request's count.
        """
        return self._requests.setdefault((route, method, int(status)), [0])

    def count_answer(self, route: str, seconds: float) -> None:
        """Count an answer that was not ready in memory."""
        self._answers.labels(route).observe(seconds)

    def count_publication(self) -> None:
        """Note that all feeds are up to date."""
        with self._lock:
            self._published = time.monotonic()

    # Gauges

    def attach(self, read: Callable[[], Iterable[Metric]], overflows: Callable[[], int]) -> None:
        """Read from these from now on: the gauges of `read_gauges` at each scrape, and the watcher's lost events.

        The count of the watcher before it is added.
        """
        with self._lock:
            self._overflows_before += self._overflows()
            self._read, self._overflows = read, overflows

    def collect(self) -> Iterator[Metric]:
        """Yield the values read at a scrape; the registry calls it."""
        with self._lock:
            read, published = self._read, self._published
            overflows = self._overflows_before + self._overflows()
        lost = "How often the kernel's queue was full and events of folders were lost."
        yield CounterMetricFamily("feedsvc_watcher_overflows", lost, value=overflows)
        family = CounterMetricFamily(
            "feedsvc_http_requests", "HTTP requests answered.", labels=["route", "method", "status"]
        )
        for (route, method, status), number in tuple(self._requests.items()):
            family.add_metric([route, method, str(status)], number[0])
        yield family
        threads = "Threads of the process."
        yield GaugeMetricFamily("feedsvc_threads", threads, value=threading.active_count())
        if published is not None:
            age = "Seconds since all feeds were brought up to date."
            yield GaugeMetricFamily("feedsvc_feed_age_seconds", age, value=time.monotonic() - published)
        if read is not None:
            yield from read()

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return the media type and the bytes: OpenMetrics if the Accept field asks for it, else Prometheus text."""
        # The library fails on a malformed version, and would repeat the version in a field of the answer.
        encode, media_type = choose_encoder(_OPENMETRICS if _OPENMETRICS.partition(";")[0] in accept else "")
        return media_type, encode(self._registry)
