"""Metrics: counters that last, readings at each scrape, text that Prometheus reads."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from articles import NOW, PUBLISHED, make_article, make_file, save_dump
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from feedsvc.model import Outcome
from feedsvc.ops.metrics import Metrics, read_gauges
from feedsvc.ops.problems import KINDS
from feedsvc.store import Store
from feedsvc.store.schema import learned_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HUB = "https://hub.example.org/"


def scrape(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Name and label values to value."""
    _, text = metrics.render("")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def read(store: Store, *standing: str, **changes: Any) -> dict[tuple[str, ...], float]:  # noqa: ANN401 - any argument
    """The gauges of a daemon that reports these problems."""
    given: dict[str, Any] = {
        "ready": True,
        "parts": {"watcher": True, "intake": False},
        "feeds": 2,
        "queue": 4,
        "hubs": [HUB],
        "now": PUBLISHED + timedelta(days=1, hours=1),
    }
    metrics = Metrics()
    metrics.attach(lambda: read_gauges(store, dict.fromkeys(standing, "no"), **given | changes), int)
    return scrape(metrics)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'feedsvc.db'}")) as opened:
        yield opened


def test_dumps_and_removals_are_counted() -> None:
    metrics = Metrics()
    assert scrape(metrics)["feedsvc_dumps_taken_total", "quarantined"] == 0
    metrics.count_dump(Outcome.PUBLISHED, {"share-links": 2, "learned-block": 1, "learned-other": 4}, 0.02)
    metrics.count_dump(Outcome.PUBLISHED, {"share-links": 1}, 7.0)
    found = scrape(metrics)
    assert found["feedsvc_dumps_taken_total", "published"] == 2
    assert found["feedsvc_removals_total", "share-links"] == 3
    assert found["feedsvc_removals_total", "learned"] == 5
    assert found["feedsvc_clean_seconds_count",] == 2
    assert found["feedsvc_clean_seconds_bucket", "0.025"] == 1
    assert [key[1] for key in found if key[0] == "feedsvc_removals_total"] == ["share-links", "learned"]


@pytest.mark.parametrize(
    ("address", "form"), [("/feed.atom", "atom"), ("/feeds/asia.json", "json"), ("/", "html"), ("/feeds.opml", "opml")]
)
def test_renders_are_counted_by_format(address: str, form: str) -> None:
    metrics = Metrics()
    metrics.count_render(address, 0.03)
    assert scrape(metrics)["feedsvc_render_seconds_count", form] == 1


def test_requests_are_counted() -> None:
    metrics = Metrics()
    for status in (200, 200, 304):
        metrics.request_counter("/feed.atom", "GET", status)[0] += 1
    metrics.count_answer("/search", 0.2)
    found = scrape(metrics)
    assert found["feedsvc_http_requests_total", "GET", "/feed.atom", "200"] == 2
    assert found["feedsvc_http_requests_total", "GET", "/feed.atom", "304"] == 1
    assert found["feedsvc_http_answer_seconds_sum", "/search"] == pytest.approx(0.2)


def test_counters_do_not_go_back_when_another_service_follows() -> None:
    metrics, overflows = Metrics(), 3
    metrics.attach(list, lambda: overflows)
    assert scrape(metrics)["feedsvc_watcher_overflows_total",] == 3
    metrics.attach(list, lambda: 0)
    assert scrape(metrics)["feedsvc_watcher_overflows_total",] == 3
    metrics.attach(list, lambda: 2)
    assert scrape(metrics)["feedsvc_watcher_overflows_total",] == 5


def test_age_of_the_feed_is_that_of_the_last_publication() -> None:
    metrics = Metrics()
    assert ("feedsvc_feed_age_seconds",) not in scrape(metrics)
    metrics.count_publication()
    first = scrape(metrics)["feedsvc_feed_age_seconds",]
    assert first >= 0
    assert scrape(metrics)["feedsvc_feed_age_seconds",] > first
    metrics.count_publication()
    assert scrape(metrics)["feedsvc_feed_age_seconds",] >= 0


def test_the_process_is_measured() -> None:
    found = scrape(Metrics())
    assert found["process_resident_memory_bytes",] > 0
    assert found["process_open_fds",] > 0
    assert found["feedsvc_threads",] > 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=bad", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_plain_text_unless_asked_otherwise(accept: str, media_type: str) -> None:
    found, text = Metrics().render(accept)
    assert found == media_type
    assert list(text_string_to_metric_families(text.decode()))


@pytest.mark.parametrize("version", ["1.0.0", "bad", "9\r\nX-Evil: 1"])
def test_openmetrics_where_it_is_asked_for(version: str) -> None:
    media_type, text = Metrics().render(f"application/openmetrics-text; version={version}, text/plain;q=0.5")
    assert media_type.startswith("application/openmetrics-text; version=1.0.0;")
    families = parse_openmetrics(text.decode())  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"feedsvc_dumps_taken", "feedsvc_build"}


# Gauges


def test_gauges_are_read_at_each_scrape() -> None:
    metrics, values = Metrics(), [3.0, 5.0]
    metrics.attach(lambda: [GaugeMetricFamily("queue", "Changes.", value=values.pop(0))], int)
    assert scrape(metrics)["queue",] == 3
    assert scrape(metrics)["queue",] == 5


def test_store_is_read(store: Store) -> None:
    save_dump(store, make_article(0), make_article(1))
    with store.writing() as writer:
        file = make_file("/dumps/b", outcome=Outcome.QUARANTINED, reason="broken")
        writer.save_dump(writer.open_dump(file.path, NOW), file, NOW)
        block = {"source": "x", "block": "0" * 16, "state": "learned", "sign": "short", "text": "Share"}
        writer.connection.execute(learned_blocks.insert(), block)
    found = read(store, "job:rescan", "nonsense")
    expected = {
        ("feedsvc_ready",): 1,
        ("feedsvc_feeds",): 2,
        ("feedsvc_intake_queue",): 4,
        ("feedsvc_part_up", "watcher"): 1,
        ("feedsvc_part_up", "intake"): 0,
        ("feedsvc_websub_hub_up", HUB): 1,
        ("feedsvc_entries",): 2,
        ("feedsvc_dumps", "published"): 1,
        ("feedsvc_dumps", "unchanged"): 0,
        ("feedsvc_dumps", "ignored"): 0,
        ("feedsvc_dumps", "quarantined"): 1,
        ("feedsvc_learned_blocks", "learned"): 1,
        ("feedsvc_newest_entry_age_seconds",): 3600,
        ("feedsvc_store_readable",): 1,
    }
    assert expected.items() <= found.items()
    problems = {key[1]: number for key, number in found.items() if key[0] == "feedsvc_problems"}
    assert problems.keys() == KINDS.keys()
    assert {kind: number for kind, number in problems.items() if number} == {"dump": 1, "job": 1, "other": 1}
    assert {key[1] for key in found if key[0] == "feedsvc_store_size_bytes"} == {"main", "wal"}
    assert found["feedsvc_store_size_bytes", "main"] > 0


def test_hub_that_fails(store: Store) -> None:
    assert read(store, f"websub:{HUB}")["feedsvc_websub_hub_up", HUB] == 0


def test_empty_store_has_no_newest_entry(store: Store) -> None:
    found = read(store)
    assert found["feedsvc_entries",] == 0
    assert ("feedsvc_newest_entry_age_seconds",) not in found


def test_store_that_cannot_be_read(store: Store) -> None:
    with store.writing() as writer:
        writer.connection.exec_driver_sql("ALTER TABLE dumps RENAME TO elsewhere")
    found = read(store, "store")
    assert found["feedsvc_store_readable",] == 0
    assert ("feedsvc_entries",) not in found
    assert found["feedsvc_problems", "store"] == 1
