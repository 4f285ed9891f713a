"""Many feeds from one daemon: sources, filters, other processes, reloads and restarts."""

from __future__ import annotations

import base64
import shutil
import signal
from http import HTTPStatus
from typing import TYPE_CHECKING

from waiting import wait_for

from e2e.harness import PROJECT, feedsvc, make_dump

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

ASIA = """
[[feeds]]
name = "asia"
title = "Asia, without sport"
formats = ["atom"]
filter = { title = ["北约", "tokyo"] }
exclude = { source = "Sport" }
"""
SPORT = """
[[feeds]]
name = "sport"
title = "Only sport"
filter = { source = "sport" }
"""


def from_source(source: str, title: str, *, seconds: int = 1712180702) -> str:
    return f'---\ntitle: "{title}"\ntags: [ {source} ]\n---\n{make_dump(title, seconds=seconds)}'


def titles(daemon: Daemon, name: str) -> list[str]:
    answer = daemon.get(f"/feeds/{name}.atom")
    assert answer.status == HTTPStatus.OK
    return answer.titles


def configure(daemon: Daemon, feeds: str) -> None:
    daemon.configure({"schedule": {"regenerate": 0.05}})
    daemon.config.write_text(daemon.config.read_text("utf-8") + feeds, "utf-8")


def prepare(daemons: Daemons, feeds: str = ASIA) -> Daemon:
    """A daemon with three sources that has taken in what they hold."""
    daemon = daemons.prepare()
    configure(daemon, feeds)
    for number, (source, title) in enumerate(
        [("BBC News", "Tokyo today"), ("Sport", "Tokyo wins"), ("联合早报", "北约之会"), ("BBC News", "Nothing else")]
    ):
        daemon.drop(f"{number}.txt", from_source(source, title, seconds=1712180702 + number))
    daemon.start()
    wait_for(lambda: len(daemon.feed().titles) == 4)
    return daemon


def test_sources_and_filters_have_feeds(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    assert daemon.status()["feeds"] == {"feed": 4, "asia": 2, "bbc-news": 2, "sport": 1, "szxztk": 1}
    assert titles(daemon, "asia") == ["北约之会", "Tokyo today"]
    assert titles(daemon, "bbc-news") == ["Nothing else", "Tokyo today"]
    assert titles(daemon, "szxztk") == ["北约之会"]
    assert daemon.get("/feeds/bbc-news").status == HTTPStatus.OK
    for address in ("/feeds/other.atom", "/feeds/feed.atom", "/feeds/asia.rss", "/feeds/asia.atom/", "/feeds/"):
        assert daemon.get(address).status == HTTPStatus.NOT_FOUND


def test_private_feeds(daemons: Daemons) -> None:
    password = feedsvc("password", "reader", cwd=PROJECT, stdin="open sesame\n").stdout.strip()
    secret = "0123456789abcdef"  # noqa: S105 - of a test
    feeds = ASIA + f'secret = "{secret}"\n' + SPORT.replace('"sport"', '"games"', 1) + f"auth = '{password}'\n"
    daemon = prepare(daemons, feeds)
    right = {"Authorization": f"Basic {base64.b64encode(b'reader:open sesame').decode()}"}
    for address, fields in ((f"/feeds/asia-{secret}.atom", {}), ("/feeds/games.atom", right)):
        answer = daemon.get(address, fields)
        assert answer.status == HTTPStatus.OK
        assert answer.entries
        assert "private" in answer.fields["cache-control"]
    assert daemon.get("/feeds/games.atom").status == HTTPStatus.UNAUTHORIZED
    assert daemon.get("/feeds/asia.atom").status == HTTPStatus.NOT_FOUND
    for address in ("/", "/feeds.opml", "/readyz", "/feed.atom", "/feeds/bbc-news"):
        assert secret.encode() not in daemon.get(address).body
    assert f"asia-{secret}" in daemon.status()["feeds"]
    done = feedsvc("build", "site", "--config", daemon.config, cwd=daemon.home, FEEDSVC_BASE_URL="https://example.org")
    assert done.returncode == 0, done.stderr
    built = {path.name for path in (daemon.home / "site" / "feeds").iterdir()}
    assert "bbc-news.atom" in built
    assert not any(name.startswith(("asia", "games")) for name in built)


def test_change_moves_only_the_feeds_that_show_it(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    names = ("asia", "bbc-news", "sport", "szxztk")
    before = {name: daemon.get(f"/feeds/{name}.atom") for name in names}
    daemon.drop("new.txt", from_source("Sport", "Tokyo loses", seconds=1712190000))
    wait_for(lambda: "Tokyo loses" in daemon.feed().titles and "Tokyo loses" in titles(daemon, "sport"))
    for name in names:
        answer = daemon.get(f"/feeds/{name}.atom", {"If-None-Match": before[name].fields["etag"]})
        assert answer.status == (HTTPStatus.OK if name == "sport" else HTTPStatus.NOT_MODIFIED)


def test_import_by_another_process(daemons: Daemons, tmp_path: Path) -> None:
    daemon = prepare(daemons)
    assert titles(daemon, "asia") == ["北约之会", "Tokyo today"]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text(from_source("NHK", "Good morning, Tokyo", seconds=1712190000), "utf-8")
    done = feedsvc("import", tmp_path / "more", "--config", daemon.config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: "Good morning, Tokyo" in titles(daemon, "asia"))
    assert titles(daemon, "nhk") == ["Good morning, Tokyo"]


def test_reload_adds_feeds_and_takes_them_away(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    bbc, automatic = daemon.get("/feeds/bbc-news.atom"), daemon.get("/feeds/sport.atom")
    assert automatic.titles == ["Tokyo wins"]
    configure(daemon, SPORT)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.get("/feeds/asia.atom").status == HTTPStatus.NOT_FOUND)
    sport = daemon.get("/feeds/sport.atom")
    assert b"<title>Only sport</title>" in sport.body
    assert sport.ids == automatic.ids
    assert daemon.get("/feeds/bbc-news.atom", {"If-None-Match": bbc.fields["etag"]}).status == HTTPStatus.NOT_MODIFIED
    configure(daemon, '[[feeds]]\nname = "feed"\ntitle = "x"\n')
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("[[feeds]] number 1: name: is the name of the feed of everything")
    assert b"<title>Only sport</title>" in daemon.get("/feeds/sport.atom").body


def test_same_store_serves_the_same_feeds_in_any_process(daemons: Daemons) -> None:
    daemon = prepare(daemons, ASIA + SPORT)
    addresses = ["/feed.atom", *(f"/feeds/{name}.atom" for name in ("asia", "bbc-news", "sport", "szxztk"))]
    host = {"Host": "feeds.example.org"}
    before = [daemon.get(address, host) for address in addresses]
    daemon.stop()
    for seed in ("1", "2"):
        other = daemons.prepare(PYTHONHASHSEED=seed)
        configure(other, ASIA + SPORT)
        shutil.copytree(daemon.store.parent, other.store.parent)
        other.start()
        for address, old in zip(addresses, before, strict=True):
            answer = other.get(address, host)
            assert answer.body == old.body
            assert [answer.fields[name] for name in ("etag", "last-modified")] == [
                old.fields[name] for name in ("etag", "last-modified")
            ]
        other.stop()
