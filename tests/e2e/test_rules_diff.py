"""`feedsvc rules diff`, and what becomes of a store when the rules change under a running daemon."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

from e2e.harness import Daemon, feedsvc, make_dump

if TYPE_CHECKING:
    import subprocess

    from e2e.conftest import Daemons

NUMBER = 70  # more than are cleaned again at once
PACK = """
[[rule]]
name = "own-footer"
reason = "the footer"
text = ['A footer of ours']
"""
GREEDY = """
[[rule]]
name = "greedy"
reason = "a mistake"
css = ["p"]
hosts = ["news.example.org"]
"""


def body(number: int) -> str:
    return f"<p>This is what article {number} has to say.</p><p>A footer of ours</p>"


@pytest.fixture
def daemon(daemons: Daemons) -> Daemon:
    daemon = daemons.prepare({"clean": {"rules": ["own"]}})
    (daemon.home / "own").mkdir()
    for number in range(NUMBER):
        daemon.drop(f"{number}.txt", make_dump(f"article {number}", body=body(number), seconds=1712180702 + number))
    return daemon


def run(daemon: Daemon, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = feedsvc("rules", "diff", *arguments, "--config", str(daemon.config), cwd=daemon.home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def found(daemon: Daemon, *arguments: str, code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(daemon, "--json", *arguments, code=code).stdout)
    return answer


def take_in(daemon: Daemon) -> None:
    done = feedsvc("import", "dumps", "--config", str(daemon.config), cwd=daemon.home)
    assert done.returncode == 0, done.stderr


def rows(daemon: Daemon) -> dict[str, tuple[str, int]]:
    with closing(sqlite3.connect(f"file:{daemon.store}?mode=ro", uri=True)) as store:
        return {
            title: (text, updated) for title, text, updated in store.execute("SELECT title, text, updated FROM entries")
        }


def test_rules_change_under_load_and_all_is_cleaned_again(daemon: Daemon) -> None:
    daemon.start()
    wait_for(lambda: len(daemon.titles_stored()) == NUMBER)
    before = rows(daemon)
    (daemon.home / "own" / "own.toml").write_text(PACK, "utf-8")
    would = found(daemon, "--all")
    assert would["rules"] == {"added": ["own-footer"], "removed": [], "changed": []}
    assert (would["looked_at"], would["affected"], would["changed_in_all"], would["exact"]) == (NUMBER,) * 3 + (True,)
    assert rows(daemon) == before

    daemon.process.send_signal(signal.SIGHUP)
    for number in range(NUMBER, 2 * NUMBER):
        daemon.drop(f"{number}.txt", make_dump(f"article {number}", body=body(number)))
    wait_for(lambda: len(daemon.titles_stored()) == 2 * NUMBER)
    wait_for(lambda: not any("footer" in text for text, _ in rows(daemon).values()))
    after = rows(daemon)
    for title, (text, updated) in before.items():
        assert after[title] == (text.removesuffix("\nA footer of ours"), updated)
    assert "nothing would change" in run(daemon).stdout


def test_what_would_go_is_shown(daemon: Daemon) -> None:
    take_in(daemon)
    assert "nothing would change" in run(daemon).stdout
    (daemon.home / "own" / "own.toml").write_text(PACK, "utf-8")
    shown = run(daemon, "--limit", "3").stdout
    for part in ("own-footer", "A footer of ours", f"{NUMBER}", "entries that would change: 3 of"):
        assert part in shown


def test_a_rule_that_takes_too_much_fails(daemon: Daemon) -> None:
    take_in(daemon)
    (daemon.home / "planned").mkdir()
    (daemon.home / "planned" / "site.toml").write_text(GREEDY.replace('"p"', '"p:first-child"'), "utf-8")
    would = found(daemon, "--with", "planned", "--limit", "1", code=1)
    (entry,) = would["entries"]
    assert entry["alarm"]
    assert entry["share"] > 0.5
    assert "much" in run(daemon, "--with", "planned", code=1).stdout
    assert found(daemon)["changed"] == 0


def test_time_bounds_the_work(daemon: Daemon) -> None:
    take_in(daemon)
    (daemon.home / "own" / "own.toml").write_text(PACK, "utf-8")
    would = found(daemon, "--seconds", "0")
    assert not would["exact"]
    assert would["cleaned"] < would["affected"] == would["changed_in_all"] == NUMBER
    assert f"about {NUMBER}" in run(daemon, "--seconds", "0").stdout


def test_wrong_calls(daemon: Daemon) -> None:
    assert "not known which rules are live" in run(daemon, code=3).stderr
    take_in(daemon)
    (daemon.home / "own" / "own.toml").write_text(PACK.replace("text", "texts"), "utf-8")
    assert "own.toml" in run(daemon, code=2).stderr
    run(daemon, "--with", "nowhere", code=2)
