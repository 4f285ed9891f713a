"""Every command, its exit codes, and errors that say what to do instead of showing a traceback."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import sqlite3
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
from waiting import wait_for

from e2e.harness import SEEDS, feedsvc, free_port, make_dump, write_toml
from feedsvc import __version__

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from e2e.conftest import Daemons

BROKEN = "<!--1712180702000-->\n(https://news.example.org/broken)\n------\n<p>text</p>\n"
FIELDS = [
    "path", "title", "link", "id", "author", "language", "published", "updated", "content", "summary", "rights",
    "removed", "error",
]  # fmt: skip


class Place:
    """A folder with a configuration, dumps and what commands make of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dumps = home / "dumps"
        self.store = home / "feedsvc.db"
        self.port = free_port()
        shutil.copytree(SEEDS, self.dumps)
        self.configure()

    def configure(self, sections: Mapping[str, Mapping[str, object]] | None = None) -> None:
        known: dict[str, dict[str, object]] = {
            "watch": {"directories": ["dumps"]},
            "store": {"url": "sqlite:///feedsvc.db"},
            "server": {"listen": f"127.0.0.1:{self.port}"},
        }
        for name, section in (sections or {}).items():
            known.setdefault(name, {}).update(section)
        (self.home / "config.toml").write_text(write_toml(known), "utf-8")

    def run(self, *arguments: str | Path, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        done = feedsvc(*arguments, cwd=self.home, **more)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def rows(self, *arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("clean", "--jsonl", *arguments, code=code).stdout.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_version(place: Place) -> None:
    assert place.run("--version").stdout == f"feedsvc {__version__}\n"


def test_help_names_all_commands(place: Place) -> None:
    shown = place.run("--help").stdout
    for command in ("run", "clean", "import", "build", "check", "status"):
        assert command in shown


class TestClean:
    def test_a_folder_gives_a_line_an_article_and_what_was_removed(self, place: Place) -> None:
        shown = place.run("clean", "dumps").stdout
        assert shown.count("000_1fddeb10f9e1ef9b.txt: 北约与亚太外长举行会议") == 1
        assert shown.count("\n    ") >= 9
        assert not place.store.exists()

    def test_jsonl_has_the_fields_of_the_interface(self, place: Place) -> None:
        rows = place.rows("dumps")
        assert [list(row) for row in rows] == [FIELDS] * 3
        assert [row["path"] for row in rows] == sorted(path.name for path in SEEDS.iterdir())
        for row in rows:
            assert row["id"].startswith("tag:")
            assert row["published"] == row["updated"]
            assert row["error"] is None
            assert row["removed"]
            assert all(set(item) == {"rule", "reason", "text"} for item in row["removed"])
            assert "feedx" not in row["content"]
        assert not place.store.exists()

    def test_jsonl_tells_of_what_is_broken(self, place: Place) -> None:
        (place.dumps / "broken.txt").write_text(BROKEN, "utf-8")
        (place.dumps / "README.md").write_text("No dump.\n", "utf-8")
        (broken,) = (row for row in place.rows("dumps", code=1) if row["error"])
        assert broken["path"] == "broken.txt"
        assert broken["content"] is None
        assert broken["error"].startswith("line ")

    def test_a_file_that_is_named_is_never_passed_over(self, place: Place) -> None:
        (place.dumps / "README.md").write_text("No dump.\n", "utf-8")
        (row,) = place.rows("dumps/README.md", code=1)
        assert row["path"] == "dumps/README.md"
        assert row["error"]

    def test_explain_shows_what_went_and_what_is_left(self, place: Place) -> None:
        shown = place.run("clean", "--explain", "dumps/000_1fddeb10f9e1ef9b.txt").stdout
        assert "分享" in shown
        assert "北约与亚太的合作也带来许多好处" in shown
        for row in place.rows("dumps/000_1fddeb10f9e1ef9b.txt")[0]["removed"]:
            assert row["rule"] in shown

    def test_ids_are_those_of_the_daemon(self, place: Place, daemons: Daemons) -> None:
        daemon = daemons.prepare()
        shutil.copytree(SEEDS, daemon.folder, dirs_exist_ok=True)
        daemon.start()
        assert sorted(row["id"] for row in place.rows("dumps")) == sorted(daemon.feed().ids)


class TestImport:
    def test_a_second_run_knows_them_all(self, place: Place) -> None:
        assert "published: 3, unchanged: 0, ignored: 0, quarantined: 0, known: 0" in place.run("import", "dumps").stdout
        assert "published: 0, unchanged: 0, ignored: 0, quarantined: 0, known: 3" in place.run("import", "dumps").stdout

    def test_the_same_article_again_is_counted_as_unchanged(self, place: Place) -> None:
        shutil.copytree(place.dumps, place.dumps / "again")
        assert "published: 3, unchanged: 3" in place.run("import", "dumps").stdout

    def test_a_broken_dump_does_not_stop_the_rest(self, place: Place) -> None:
        (place.dumps / "broken.txt").write_text(BROKEN, "utf-8")
        done = place.run("import", "dumps", code=1)
        assert "published: 3" in done.stdout
        assert "quarantined: 1" in done.stdout
        assert "broken.txt" in done.stderr

    def test_a_running_daemon_serves_what_is_imported(self, daemons: Daemons, tmp_path: Path) -> None:
        daemon = daemons.start()
        shutil.copytree(SEEDS, tmp_path / "elsewhere")
        done = feedsvc("import", tmp_path / "elsewhere", "--config", daemon.config, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        wait_for(lambda: len(daemon.feed().titles) == 3)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serves the folder "site" as any web server would; its address."""
    handler = partial(Quiet, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class TestBuild:
    def test_twice_gives_the_same_files(self, place: Place) -> None:
        assert "files in" in place.run("build", "site").stdout
        first = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (place.home / "site").rglob("*.*")}
        place.run("build", "site")
        assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first} == first
        assert {"feed.atom", "index.html", "style.css", "icon.png"} <= {path.name for path in first}

    def test_any_web_server_can_serve_it(self, place: Place, site: str) -> None:
        place.run("build", "site", FEEDSVC_BASE_URL=site)
        feed = feedparser.parse(f"{site}/feed.atom")
        assert len(feed.entries) == 3
        assert feed.feed.links[0].href.startswith(site)
        pages = [path.parent.name for path in (place.home / "site" / "entries").glob("*/index.html")]
        assert len(pages) == 3
        front = (place.home / "site" / "index.html").read_text("utf-8")
        assert all(f'href="/entries/{key}"' in front for key in pages)

    def test_what_is_no_longer_part_of_it_is_deleted(self, place: Place) -> None:
        place.configure({"watch": {"on_delete": "withdraw"}})
        place.run("build", "site")
        (place.home / "site" / "mine.html").write_text("kept", "utf-8")
        next(place.dumps.iterdir()).unlink()
        place.run("build", "site")
        assert len(list((place.home / "site" / "entries").glob("*/index.html"))) == 2
        assert (place.home / "site" / "mine.html").exists()


class TestCheck:
    def test_all_is_well(self, place: Place) -> None:
        shown = place.run("check").stdout
        assert "error" not in shown
        for part in ("rules", str(place.dumps), "feedsvc.db", f"127.0.0.1:{place.port}"):
            assert part in shown
        assert not place.store.exists()

    def test_a_running_daemon_is_well_too(self, daemons: Daemons) -> None:
        daemon = daemons.start()
        done = feedsvc("check", "--config", daemon.config, cwd=daemon.home)
        assert done.returncode == 0, done.stdout
        assert "running" in done.stdout

    def test_everything_wrong_is_named(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            place.configure({
                "watch": {"directories": ["nowhere"]},
                "store": {"url": "sqlite:///config.toml/feedsvc.db"},
                "server": {"listen": address},
                "clean": {"rules": ["no-rules"]},
            })  # fmt: skip
            shown = place.run("check", code=1).stdout
        assert shown.count("error") >= 4
        for part in ("nowhere", "no such folder", "config.toml/feedsvc.db", address, "no-rules"):
            assert part in shown

    def test_a_damaged_store_is_named(self, place: Place) -> None:
        place.store.write_bytes(b"this is no database, whatever its name says" * 100)
        assert "feedsvc.db" in place.run("check", code=1).stdout


class TestStatus:
    def test_of_a_running_daemon(self, daemons: Daemons) -> None:
        daemon = daemons.start()
        daemon.serve("an article")
        status = daemon.status()
        assert {"entries", "feeds", "dumps", "problems", "ready"} <= status.keys()
        assert (status["entries"], status["feeds"]) == (1, {"feed": 1})
        assert status["dumps"] == {"published": 1, "unchanged": 0, "ignored": 0, "quarantined": 0}
        assert (status["problems"], status["ready"]) == ([], True)
        done = feedsvc("status", "--config", daemon.config, cwd=daemon.home)
        assert done.returncode == 0
        assert "feed: 1 entries" in done.stdout

    def test_without_a_daemon(self, place: Place) -> None:
        place.run("import", "dumps")
        done = place.run("status", "--json", code=1)
        status = json.loads(done.stdout)
        assert (status["entries"], status["ready"]) == (3, False)
        assert f"127.0.0.1:{place.port}" in status["problems"][0]["message"]
        assert "no feedsvc answers" in place.run("status", code=1).stdout

    def test_where_somebody_else_answers(self, place: Place, site: str) -> None:
        place.configure({"server": {"listen": site.removeprefix("http://")}})
        assert json.loads(place.run("status", "--json", code=1).stdout)["ready"] is False


class TestMistakes:
    """Exit code and a part of what is said."""

    def wrong_key(self, place: Place) -> None:
        place.configure({"watch": {"directorys": ["dumps"]}})

    def wrong_value(self, place: Place) -> None:
        place.configure({"watch": {"settle": "a while"}})

    def wrong_toml(self, place: Place) -> None:
        (place.home / "config.toml").write_text("[watch\n", "utf-8")

    def wrong_rule(self, place: Place) -> None:
        (place.home / "rules").mkdir()
        (place.home / "rules" / "mine.toml").write_text('[[rule]]\nname = "mine"\nresaon = "typo"\n', "utf-8")
        place.configure({"clean": {"rules": ["rules"]}})

    def wrong_store(self, place: Place) -> None:
        place.configure({"store": {"url": "sqlite:////proc/nowhere/feedsvc.db"}})

    def damaged_store(self, place: Place) -> None:
        place.store.write_bytes(b"this is no database, whatever its name says" * 100)

    def wrong_folder(self, place: Place) -> None:
        place.configure({"watch": {"directories": ["no\0name"]}})

    def wrong_listen(self, place: Place) -> None:
        place.configure({"server": {"listen": "8080"}})

    def nothing(self, place: Place) -> None:
        """The configuration is right."""

    @pytest.mark.parametrize(
        ("prepare", "arguments", "code", "said"),
        [
            (nothing, ["run", "--config", "missing.toml"], 2, "missing.toml: cannot be read"),
            (wrong_key, ["run"], 2, "config.toml: watch.directorys: no such key; the nearest known one is directories"),
            (wrong_value, ["run"], 2, "watch.settle: give seconds"),
            (wrong_toml, ["run"], 2, "config.toml: not valid TOML"),
            (wrong_rule, ["run"], 2, "mine.toml"),
            (wrong_rule, ["clean", "dumps"], 2, "mine.toml"),
            (wrong_store, ["run"], 3, "/proc/nowhere/feedsvc.db"),
            (wrong_store, ["import", "dumps"], 3, "/proc/nowhere/feedsvc.db"),
            (damaged_store, ["import", "dumps"], 3, "feedsvc.db"),
            (wrong_folder, ["run"], 3, "can be no folder's name"),
            (wrong_listen, ["run"], 3, "write HOST:PORT"),
            (nothing, ["clean", "missing.txt"], 2, "missing.txt"),
            (nothing, ["clean"], 2, "PATH"),
            (nothing, ["clean", "--jsonl", "--explain", "dumps"], 2, "do not go together"),
            (nothing, ["build", "/proc/nowhere"], 3, "/proc/nowhere: cannot be written"),
            (nothing, ["unknown"], 2, "unknown"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else getattr(value, "__name__", None),
    )
    def test_is_explained(
        self, prepare: Callable[[object, Place], None], arguments: list[str], code: int, said: str, place: Place
    ) -> None:
        prepare(self, place)
        done = place.run(*arguments, code=code)
        assert said in done.stderr
        assert len(done.stderr.splitlines()) < 10

    def test_a_port_in_use_is_explained(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", place.port)):
            done = place.run("run", code=3)
        assert f"127.0.0.1:{place.port}" in done.stderr
        assert "another program listens there" in done.stderr

    def test_an_unknown_variable_is_explained(self, place: Place) -> None:
        done = place.run("check", code=2, FEEDSVC_SERVER_LISTEM="127.0.0.1:1")
        assert "FEEDSVC_SERVER_LISTEM: no such key; the nearest known one is FEEDSVC_SERVER_LISTEN" in done.stderr

    def test_a_store_of_a_newer_version_is_explained(self, place: Place) -> None:
        place.run("import", "dumps")
        with sqlite3.connect(place.store) as store:
            store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.close()
        assert "feedsvc.db" in place.run("import", "dumps", code=3).stderr


def test_a_variable_overrides_the_file(place: Place) -> None:
    (place.home / "other").mkdir()
    (place.home / "other" / "a.txt").write_text(make_dump("an article"), "utf-8")
    place.run("build", "site", FEEDSVC_WATCH_DIRECTORIES='["other"]', FEEDSVC_FEED_TITLE="Overridden")
    feed = feedparser.parse((place.home / "site" / "feed.atom").read_bytes())
    assert feed.feed.title == "Overridden"
    assert [entry.title for entry in feed.entries] == ["an article"]
