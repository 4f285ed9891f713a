"""A removal is brought back while the daemon runs: readers see it at once, and nothing as new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waiting import wait_for

from e2e.harness import feedsvc, make_dump

if TYPE_CHECKING:
    from e2e.conftest import Daemons

BODY = '<p>The article.</p><p><a href="https://www.facebook.com/sharer?u=x">tell your friends</a></p>'


def test_restored_and_undone_while_the_daemon_runs(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.drop("a.txt", make_dump("a", body=BODY))
    wait_for(lambda: daemon.feed().titles == ["a"])
    (before,) = daemon.feed().entries
    key = before.id.rpartition(":")[2]
    assert "friends" not in before.content[0].value

    def content() -> str:
        return str(daemon.feed().entries[0].content[0].value)

    done = feedsvc("restore", key, "1", "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: "tell your friends" in content())
    (after,) = daemon.feed().entries
    assert (after.id, after.updated) == (before.id, before.updated)
    assert b"restored" in daemon.get(f"/entries/{key}").body

    # It stays when the dump is read again, and by a daemon that is started anew.
    daemon.stop()
    daemon.drop("a.txt", make_dump("a", body=f"{BODY}<p>More.</p>"))
    daemon.start()
    wait_for(lambda: "More." in content())
    assert "tell your friends" in content()
    done = feedsvc("restore", "--undo", key, "1", "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: "friends" not in content())
