"""Archives of feeds and the guard before publication, through a daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from lxml import etree
from waiting import wait_for

from e2e.harness import feedsvc, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons
    from e2e.harness import Daemon, Response

ATOM = "{http://www.w3.org/2005/Atom}"
FIRST = 1712180702
QUICK = {"schedule": {"regenerate": 0.05}, "feed": {"entries": 20}, "watch": {"on_delete": "withdraw"}}
BBC = """
[[feeds]]
name = "odd"
title = "Odd ones"
filter = { title = ["odd"] }
"""


def title_of(number: int) -> str:
    return f"{'odd' if number % 2 else 'even'} {number}"


def write(folder: Path, *numbers: int) -> None:
    """Dumps of two sources, one entry each."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        text = make_dump(title_of(number), seconds=FIRST + number)
        source = "BBC News" if number % 3 else "NHK"
        (folder / f"{number}.txt").write_text(f'---\ntitle: "{title_of(number)}"\ntags: [ {source} ]\n---\n{text}')


def link(body: bytes, relation: str) -> str | None:
    found = [str(each.get("href")) for each in etree.fromstring(body).findall(f"{ATOM}link[@rel='{relation}']")]
    assert len(found) <= 1
    return found[0] if found else None


def titles(body: bytes) -> list[str]:
    return [str(title.text) for title in etree.fromstring(body).findall(f"{ATOM}entry/{ATOM}title")]


def walk(daemon: Daemon, path: str) -> Iterator[tuple[str, Response]]:
    """The feed, and all pages that `prev-archive` leads to."""
    while True:
        answer = daemon.get(path)
        assert answer.status == HTTPStatus.OK, path
        assert answer.fields["content-type"] == "application/atom+xml; charset=utf-8"
        yield path, answer
        before = link(answer.body, "prev-archive")
        if before is None:
            return
        path = before.removeprefix(daemon.address)


def is_kept(answer: Response) -> bool:
    return "immutable" in answer.fields["cache-control"]


def walked(daemon: Daemon, path: str) -> list[str]:
    return sorted(title for _, answer in walk(daemon, path) for title in titles(answer.body))


def closed_pages(daemon: Daemon, path: str) -> dict[str, tuple[bytes, str, str]]:
    """The closed pages, once the daemon has kept them all."""
    wait_for(lambda: all(is_kept(answer) for _, answer in walk(daemon, path) if link(answer.body, "next-archive")))
    return {
        path: (answer.body, answer.fields["etag"], answer.fields["last-modified"])
        for path, answer in walk(daemon, path)
        if is_kept(answer)
    }


def expected(*numbers: int) -> list[str]:
    return sorted(title_of(number) for number in numbers)


def take_in(daemon: Daemon, *numbers: int) -> None:
    """Import dumps beside the daemon, and wait until they are served."""
    write(daemon.folder, *numbers)
    done = feedsvc("import", daemon.folder, "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    newest = title_of(max(numbers))
    wait_for(lambda: newest in daemon.feed().titles and walked(daemon, "/feed.atom").count(newest) == 1)


def prepare(daemons: Daemons) -> Daemon:
    daemon = daemons.prepare(QUICK)
    daemon.config.write_text(daemon.config.read_text("utf-8") + BBC, "utf-8")
    return daemon


def test_walk_holds_every_entry_once_through_arrivals_restart_and_withdrawal(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    daemon.start()
    take_in(daemon, *range(400))
    feeds = {
        "/feed.atom": range(400),
        "/feeds/odd.atom": range(1, 400, 2),
        "/feeds/nhk.atom": range(0, 400, 3),
        "/feeds/bbc-news.atom": [number for number in range(400) if number % 3],
    }
    for path, numbers in feeds.items():
        assert walked(daemon, path) == expected(*numbers), path
    before = {path: closed_pages(daemon, path) for path in feeds}
    assert [len(pages) for pages in before.values()] == [3, 1, 0, 1]

    take_in(daemon, *range(400, 520))
    assert walked(daemon, "/feed.atom") == expected(*range(520))
    assert walked(daemon, "/feeds/odd.atom") == expected(*range(1, 520, 2))
    for path, pages in before.items():
        assert closed_pages(daemon, path).items() >= pages.items()
    whole = {path: list(walk(daemon, path)) for path in feeds}

    daemon.stop()
    daemon.start()
    for path, answers in whole.items():
        for (old_path, old), (new_path, new) in zip(answers, walk(daemon, path), strict=True):
            assert (new_path, new.body) == (old_path, old.body)
            for name in ("etag", "last-modified", "cache-control"):
                assert new.fields[name] == old.fields[name], (new_path, name)

    (daemon.folder / "3.txt").unlink()
    wait_for(lambda: title_of(3) not in walked(daemon, "/feed.atom"))
    assert walked(daemon, "/feed.atom") == expected(*(number for number in range(520) if number != 3))
    assert walked(daemon, "/feeds/odd.atom") == expected(*(number for number in range(1, 520, 2) if number != 3))


def test_pages_over_http(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    daemon.start()
    take_in(daemon, *range(200))
    assert wait_for(lambda: is_kept(daemon.get("/feeds/feed/archive/1.atom")))
    page = daemon.get("/feeds/feed/archive/1.atom")
    assert page.fields["cache-control"] == "public, max-age=31536000, immutable"
    assert page.fields["access-control-allow-origin"] == "*"
    assert page.fields["vary"] == "Accept-Encoding"
    again = daemon.get("/feeds/feed/archive/1.atom", {"If-None-Match": page.fields["etag"]})
    assert again.status == HTTPStatus.NOT_MODIFIED
    packed = daemon.get("/feeds/feed/archive/1.atom", {"Accept-Encoding": "gzip"})
    assert packed.fields["content-encoding"] == "gzip"
    open_page = daemon.get("/feeds/feed/archive/2.atom")
    assert "immutable" not in open_page.fields["cache-control"]
    assert link(page.body, "next-archive") == f"{daemon.address}/feeds/feed/archive/2.atom"
    assert link(page.body, "current") == f"{daemon.address}/feed.atom"
    for path in ("/feeds/feed/archive/3.atom", "/feeds/feed/archive/0.atom", "/feeds/other/archive/1.atom"):
        assert daemon.get(path).status == HTTPStatus.NOT_FOUND, path


def test_filter_that_changes_begins_its_archive_anew(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    daemon.start()
    take_in(daemon, *range(400))
    before = closed_pages(daemon, "/feeds/odd.atom")
    daemon.stop()
    daemon.config.write_text(daemon.config.read_text("utf-8").replace('title = ["odd"]', 'title = ["even"]'), "utf-8")
    daemon.start()
    assert walked(daemon, "/feeds/odd.atom") == expected(*range(0, 400, 2))
    for path, (body, etag, _) in before.items():  # for those who know its address
        answer = daemon.get(path)
        assert (answer.body, answer.fields["etag"]) == (body, etag)


def test_entry_that_does_not_match_any_more_leaves_the_archive(daemons: Daemons) -> None:
    daemon = prepare(daemons)
    daemon.start()
    take_in(daemon, *range(100))
    assert title_of(1) in walked(daemon, "/feeds/odd.atom")
    path = daemon.folder / "1.txt"
    path.write_text(path.read_text("utf-8").replace("odd 1", "another"), "utf-8")
    wait_for(lambda: "another" in walked(daemon, "/feed.atom"))
    wait_for(lambda: title_of(1) not in walked(daemon, "/feeds/odd.atom"))
    assert walked(daemon, "/feeds/odd.atom") == expected(*range(3, 100, 2))


def test_dates_that_moved_without_their_articles_are_refused_until_accepted(daemons: Daemons) -> None:
    daemon = daemons.prepare(QUICK)
    write(daemon.folder, *range(5))
    daemon.start()
    wait_for(lambda: len(daemon.feed().titles) == 5)
    before = daemon.feed()
    daemon.stop()
    later = int(datetime(2031, 5, 5, tzinfo=UTC).timestamp())
    with closing(sqlite3.connect(daemon.store)) as store, store:
        store.execute("UPDATE entries SET updated = ?", (later,))
    daemon.start()
    answer = daemon.get("/feed.atom")
    assert (answer.body, answer.fields["etag"]) == (before.body, before.fields["etag"])
    for path in ("/feed.rss", "/feed.json"):
        assert b"2031" not in daemon.get(path).body
    [problem] = [each for each in daemon.status()["problems"] if each["about"] == "guard:refused"]
    assert "5 entries keep the id and date that readers know" in problem["message"]
    assert "feedsvc accept" in problem["message"]
    done = feedsvc("accept", "--config", daemon.config, cwd=daemon.home)
    assert done.stdout.startswith("5 entries will be published as stored")
    daemon.stop()
    daemon.start()
    assert {entry.updated for entry in daemon.feed().entries} == {"2031-05-05T00:00:00+00:00"}
    assert not [each for each in daemon.status()["problems"] if each["about"].startswith("guard:")]


def test_static_site_holds_the_same_archives(daemons: Daemons, tmp_path: Path) -> None:
    daemon = prepare(daemons)
    daemon.config.write_text(f'base_url = "{daemon.address}"\n' + daemon.config.read_text("utf-8"), "utf-8")
    write(daemon.folder, *range(200))
    done = feedsvc("build", tmp_path / "site", "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    daemon.start()
    for path in ("/feed.atom", "/feeds/odd.atom"):
        for address, answer in walk(daemon, path):
            assert (tmp_path / "site" / address.partition("?")[0].strip("/")).read_bytes() == answer.body, address
