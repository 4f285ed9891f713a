"""SIGKILL at any moment loses nothing and doubles nothing."""

from __future__ import annotations

import subprocess
from threading import Event, Thread
from typing import TYPE_CHECKING

from e2e.harness import FEEDSVC, GENEROUS, environment, make_dump, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

COUNT = 500
BODY = "".join(f"<p>Paragraph {number} of an article with <b>some</b> length.</p>" for number in range(10))


def title(number: int) -> str:
    return f"article {number}"


def text(number: int) -> str:
    return make_dump(title(number), body=BODY, seconds=1712180702 + number)


def all_once(daemon: Daemon, count: int) -> bool:
    if daemon.get("/feed.atom").body.count(b"<entry>") < count:
        return False
    feed = daemon.feed()
    assert sorted(feed.titles) == sorted(title(number) for number in range(count))
    assert len(set(feed.ids)) == count
    return True


def test_an_import_that_is_killed_is_finished_by_the_daemon(daemons: Daemons) -> None:
    daemon = daemons.prepare({"feed": {"entries": 2 * COUNT}})
    for number in range(COUNT):
        daemon.drop(f"{number}.txt", text(number))
    command: list[str | Path] = [FEEDSVC, "import", daemon.folder, "--config", daemon.config]
    with subprocess.Popen(command, cwd=daemon.home, env=environment(), stderr=subprocess.DEVNULL) as importing:
        wait_for(lambda: daemon.titles_stored() or importing.poll() is not None)
        importing.kill()
    assert 0 < len(daemon.titles_stored()) < COUNT
    daemon.start()
    wait_for(lambda: all_once(daemon, COUNT), within=2 * GENEROUS)
    assert len(daemon.titles_stored()) == COUNT
    assert daemon.status()["dumps"]["published"] == COUNT


def test_a_daemon_that_is_killed_while_dumps_arrive_goes_on_where_it_was(daemons: Daemons) -> None:
    count = 100
    daemon = daemons.start({"feed": {"entries": 2 * COUNT}})
    killed = Event()

    def write() -> None:
        for number in range(count):
            if number == count // 2:
                killed.wait(GENEROUS)
            daemon.drop(f"{number}.txt", text(number))

    writing = Thread(target=write)
    writing.start()
    try:
        wait_for(lambda: len(daemon.feed().titles) > 10)
        before = {entry.id: (entry.title, entry.updated) for entry in daemon.feed().entries}
        daemon.kill()
    finally:
        killed.set()
        writing.join()
    assert len(before) < count
    daemon.start()
    wait_for(lambda: all_once(daemon, count))
    after = {entry.id: (entry.title, entry.updated) for entry in daemon.feed().entries}
    assert before.items() <= after.items()


def test_a_kill_leaves_the_last_feed_to_be_served_at_once(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.serve("an article")
    before = daemon.get("/feed.atom")
    for _ in range(2):
        daemon.kill()
        daemon.start()
        after = daemon.get("/feed.atom")
        assert after.body == before.body
        assert after.fields["etag"] == before.fields["etag"]
        assert after.fields["last-modified"] == before.fields["last-modified"]
