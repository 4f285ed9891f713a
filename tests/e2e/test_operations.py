"""What operators see of a running daemon: metrics, problems, status, and who may see them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
import yaml
from feed_checks import atom_faults
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_for

from e2e.harness import PROJECT, make_dump

if TYPE_CHECKING:
    from e2e.conftest import Daemons
    from e2e.harness import Daemon

BROKEN = "<!--1712180702000\n[Never closed](https://news.example.org/)\n"
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


def test_metrics_count_what_happens_and_outlive_a_reload(daemons: Daemons) -> None:
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
    daemon.reload()
    reloaded = scrape(daemon)
    for name, labels in after:
        if name.endswith(("_total", "_count")) and name.startswith("feedsvc_"):
            assert reloaded[name, labels] >= after[name, labels]
    assert value(reloaded, "feedsvc_entries") == 2
    check_alerts(daemon)


def test_quarantined_dump_is_told_of_until_it_is_mended(daemons: Daemons) -> None:
    daemon = daemons.start()
    path = daemon.drop("broken.txt", BROKEN)
    wait_for(lambda: value(scrape(daemon), "feedsvc_problems", kind="dump") == 1)
    # Nobody need have asked: what ended by the time that somebody does is told of as well.
    wait_for(lambda: b"dump:/" in daemon.store.read_bytes() + Path(f"{daemon.store}-wal").read_bytes())
    (begun,) = problems(daemon)
    assert begun.title == f"Dump quarantined: {path}"
    assert "the marker is not closed" in begun.content[0].value
    assert "feedsvc clean --explain" in begun.content[0].value
    status = daemon.status()
    assert [problem["about"] for problem in status["problems"]] == [str(path)]
    assert all(state == "ok" for state in status["parts"].values())
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


def answers(daemon: Daemon, **fields: str) -> tuple[int, int]:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return daemon.get("/metrics", given).status, daemon.get("/problems.atom", given).status


def test_only_operators_are_answered(daemons: Daemons) -> None:
    daemon = daemons.start()
    assert answers(daemon) == (200, 200)
    for address in ("127.0.0.1", "192.0.2.7"):
        assert answers(daemon, X_Forwarded_For=address) == (404, 404)
        assert answers(daemon, Forwarded=f"for={address}") == (404, 404)
    refused = daemon.get("/metrics", {"Via": "1.1 proxy"})
    assert refused.body == daemon.get("/nothing", {"Via": "1.1 proxy"}).body
    for page in ("/", "/feeds.opml", "/feed.atom"):
        assert b"problems.atom" not in daemon.get(page).body
    daemon.configure({"server": {"trusted_proxies": ["127.0.0.1/32"], "operators": ["192.0.2.0/24"]}})
    daemon.reload()
    assert answers(daemon) == (404, 404)
    assert answers(daemon, X_Forwarded_For="192.0.2.7") == (200, 200)
    assert answers(daemon, X_Forwarded_For="192.0.2.7, 198.51.100.1") == (404, 404)


def test_standard_error_that_is_the_journal(daemons: Daemons, tmp_path: Path) -> None:
    """Without the journal's socket lines bear priorities; what the socket gets is in tests/test_journal.py."""
    if Path("/run/systemd/journal/socket").exists():
        pytest.skip("this machine has a journal of its own, which would be written to")
    log = tmp_path / "stderr"
    log.touch()
    status = log.stat()
    daemon = daemons.prepare({}, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    daemon.log_file = log
    daemon.drop("broken.txt", BROKEN)
    daemon.start()
    line = daemon.wait_for_log("quarantined")
    assert line.startswith(f"<4>dump quarantined path={daemon.folder}/broken.txt ")
    assert all(re.match("<[0-7]>[a-z]", line) for line in daemon.log.splitlines())


def families(daemon: Daemon) -> set[str]:
    return {
        name
        for family in text_string_to_metric_families(daemon.get("/metrics").body.decode())
        for name in (family.name, *(sample.name for sample in family.samples))
    }


def check_alerts(daemon: Daemon) -> None:
    """Whether each alert asks for metrics that there are, and says why."""
    rules = yaml.safe_load((PROJECT / "docs" / "alerts.yml").read_text("utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 8
    known = families(daemon)
    for alert in alerts:
        named = set(re.findall(r"\b(?:feedsvc|process)_[a-z_]+", alert["expr"]))
        assert named, alert
        assert named <= known, alert["alert"]
        assert {"summary", "description"} <= alert["annotations"].keys(), alert["alert"]
