"""What operators see of a running daemon: metrics, problems, status, and who may see them."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
import yaml
from feed_checks import atom_faults
from prometheus_client.parser import text_string_to_metric_families

from e2e.harness import PROJECT, feedsvc, make_dump, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

BROKEN = "<!--1712180702000 never closed\n"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(daemon: Daemon) -> Samples:
    answer = daemon.get("/metrics")
    assert answer.status == 200
    assert answer.fields["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def problems(daemon: Daemon) -> list[Any]:
    answer = daemon.get("/problems.atom")
    assert answer.status == 200
    assert answer.fields["content-type"] == "application/atom+xml; charset=utf-8"
    assert atom_faults(answer.body) == []
    return list(feedparser.parse(answer.body).entries)


def test_metrics_count_what_happens(daemons: Daemons) -> None:
    daemon = daemons.start()
    body = '<p>An article that is long enough.</p><p><a href="https://www.facebook.com/sharer/sharer.php?u=x">Share</a></p>'
    daemon.drop("a.txt", make_dump("first", body=body))
    daemon.drop("README.md", "# About this project\n\nNothing to read.\n")
    daemon.serve("second")
    wait_for(lambda: value(scrape(daemon), "feedsvc_dumps_taken_total", outcome="ignored") == 1)
    before = scrape(daemon)
    assert value(before, "feedsvc_dumps_taken_total", outcome="published") == 2
    assert value(before, "feedsvc_dumps", outcome="published") == 2
    assert value(before, "feedsvc_entries") == 2
    assert value(before, "feedsvc_feeds") == 1
    assert value(before, "feedsvc_ready") == 1
    assert value(before, "feedsvc_intake_queue") == 0
    assert value(before, "feedsvc_clean_seconds_count") >= 2
    assert value(before, "feedsvc_render_seconds_count", format="atom") >= 1
    assert value(before, "feedsvc_newest_entry_age_seconds") > 0
    assert 0 <= value(before, "feedsvc_feed_age_seconds") < 3600
    assert value(before, "process_resident_memory_bytes") > 0
    assert value(before, "feedsvc_store_size_bytes", file="main") > 0
    assert sum(number for (name, _), number in before.items() if name == "feedsvc_removals_total") >= 1
    daemon.get("/feed.atom")
    daemon.get("/entries/nothing-of-the-kind")
    daemon.get("/wp-login.php?x=1")
    after = scrape(daemon)
    feed = {"route": "/feed.atom", "method": "GET", "status": "200"}
    assert value(after, "feedsvc_http_requests_total", **feed) > value(before, "feedsvc_http_requests_total", **feed)
    entry = {"route": "/entries/{key}", "method": "GET", "status": "404"}
    assert value(after, "feedsvc_http_requests_total", **entry) == 1
    assert value(after, "feedsvc_http_requests_total", route="other", method="GET", status="404") == 1
    assert value(after, "feedsvc_http_answer_seconds_count", route="/entries/{key}") == 1
    assert "wp-login" not in daemon.get("/metrics").body.decode()


def test_counters_outlive_a_reload(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.serve("first")
    before = scrape(daemon)
    served = daemon.log.count("event=serving")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.log.count("event=serving") > served)
    daemon.disconnect()
    after = wait_for(lambda: scrape(daemon))
    for name, labels in before:
        if name.endswith(("_total", "_count")) and name.startswith("feedsvc_"):
            assert after[name, labels] >= before[name, labels]
    assert value(after, "feedsvc_dumps_taken_total", outcome="published") == 1
    assert value(after, "feedsvc_entries") == 1


def test_quarantined_dump_is_told_of_until_it_is_mended(daemons: Daemons) -> None:
    daemon = daemons.start()
    path = daemon.drop("broken.txt", BROKEN)
    wait_for(lambda: value(scrape(daemon), "feedsvc_problems", kind="dump") == 1)
    (begun,) = problems(daemon)
    assert begun.title == f"Dump quarantined: {path}"
    assert "the marker is not closed" in begun.content[0].value
    assert "feedsvc clean --explain" in begun.content[0].value
    assert [problem["about"] for problem in daemon.status()["problems"]] == [str(path)]
    etag = daemon.get("/problems.atom").fields["etag"]
    assert daemon.get("/problems.atom", {"If-None-Match": etag}).status == 304
    daemon.drop("broken.txt", make_dump("mended"))
    wait_for(lambda: "mended" in daemon.feed().titles)
    (ended,) = problems(daemon)
    assert ended.id == begun.id
    assert ended.title == f"Ended: Dump quarantined: {path}"
    assert daemon.get("/problems.atom", {"If-None-Match": etag}).status == 200
    assert value(scrape(daemon), "feedsvc_problems", kind="dump") == 0
    assert daemon.status()["problems"] == []
    daemon.drop("broken.txt", BROKEN)
    wait_for(lambda: len(problems(daemon)) == 2)
    again = next(entry for entry in problems(daemon) if not entry.title.startswith("Ended"))
    assert again.id != begun.id
    known = {entry.id: entry.title for entry in problems(daemon)}
    daemon.stop()
    daemon.start()
    assert {entry.id: entry.title for entry in problems(daemon)} == known


def test_problems_are_taken_down_though_nobody_asks(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.drop("broken.txt", BROKEN)
    wait_for(lambda: value(scrape(daemon), "feedsvc_problems", kind="dump") == 1)
    wait_for(lambda: b"dump:" in daemon.store.read_bytes() + Path(f"{daemon.store}-wal").read_bytes())


@pytest.mark.parametrize("path", ["/metrics", "/problems.atom"])
def test_only_operators_are_answered(daemons: Daemons, path: str) -> None:
    daemon = daemons.start()
    assert daemon.get(path).status == 200
    for fields in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-For": "192.0.2.7"}):
        answer = daemon.get(path, fields)
        assert answer.status == 404
        assert answer.body == daemon.get("/nothing", fields).body
    for page in ("/", "/feeds.opml", "/feed.atom"):
        assert path.encode() not in daemon.get(page).body


@pytest.mark.parametrize(
    ("server", "fields", "status"),
    [
        ({"operators": []}, {}, 404),
        ({"operators": ["192.0.2.0/24"]}, {}, 404),
        ({"trusted_proxies": ["127.0.0.1/32"]}, {}, 200),
        ({"trusted_proxies": ["127.0.0.1/32"]}, {"X-Forwarded-For": "192.0.2.7"}, 404),
        ({"trusted_proxies": ["127.0.0.1/32"]}, {"X-Forwarded-For": "127.0.0.1, 192.0.2.7"}, 404),
        ({"trusted_proxies": ["127.0.0.1/32"], "operators": ["192.0.2.0/24"]}, {"X-Forwarded-For": "192.0.2.7"}, 200),
    ],
)
def test_operators_are_configured(
    daemons: Daemons, server: Mapping[str, object], fields: Mapping[str, str], status: int
) -> None:
    daemon = daemons.start({"server": server})
    assert daemon.get("/metrics", fields).status == status
    assert daemon.get("/problems.atom", fields).status == status


def test_status_of_a_daemon(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.serve("first")
    found = daemon.status()
    assert (found["entries"], found["ready"], found["problems"]) == (1, True, [])
    assert all(state == "ok" for state in found["parts"].values())
    done = feedsvc("status", "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0
    assert re.search(r"ready +yes", done.stdout)


def test_standard_error_that_is_the_journal(daemons: Daemons, tmp_path: Path) -> None:
    """Without the journal's socket at its place, lines bear priorities; with one, see tests/test_journal.py."""
    if Path("/run/systemd/journal/socket").exists():
        pytest.skip("this machine has a journal of its own, which would be written to")
    log = tmp_path / "daemon0" / "log"
    daemon = daemons.prepare()
    log.touch()
    status = log.stat()
    daemon = daemons.prepare({}, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    daemon.log_file = log
    daemon.start()
    daemon.drop("broken.txt", BROKEN)
    line = daemon.wait_for_log("quarantined")
    assert line.startswith(f"<4>dump quarantined path={daemon.folder}/broken.txt ")
    assert all(re.match("<[0-7]>[a-z]", line) for line in daemon.log.splitlines())


# What is told to Prometheus


def families(daemon: Daemon) -> set[str]:
    return {
        name
        for family in text_string_to_metric_families(daemon.get("/metrics").body.decode())
        for name in (family.name, *(sample.name for sample in family.samples))
    }


def test_alerts_name_metrics_that_there_are(daemons: Daemons) -> None:
    rules = yaml.safe_load((PROJECT / "docs" / "alerts.yml").read_text("utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 8
    daemon = daemons.start(
        {"base_url": "http://127.0.0.1", "websub": {"hubs": [f"http://{socket.gethostname()}.invalid/"]}}
    )
    daemon.serve("first")
    known = families(daemon)
    for alert in alerts:
        named = set(re.findall(r"\b(?:feedsvc|process)_[a-z_]+", alert["expr"]))
        assert named, alert
        assert named <= known | {"up"}, alert["alert"]
        assert {"summary", "description"} <= alert["annotations"].keys(), alert["alert"]
