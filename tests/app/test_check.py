"""Every finding of `feedsvc check`."""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from articles import make_article, save_dump

from feedsvc.app import check
from feedsvc.app.check import Check, Level, check_all
from feedsvc.app.config import Config, load_config
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FREE = 'listen = "127.0.0.1:0"'


def load(folder: Path, *, server: str = FREE, watch: str = "", rest: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(f"{rest}\n[server]\n{server}\n[watch]\ndirectories = ['seeds']\n{watch}\n", "utf-8")
    return load_config(path, {})


def findings(config: Config) -> dict[str, Check]:
    return {finding.about: finding for finding in check_all(config)}


def wrong(config: Config) -> list[tuple[Level, str, str]]:
    return [(item.level, item.about, item.message) for item in check_all(config) if item.level is not Level.FINE]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seeds").mkdir()
    return tmp_path


def test_everything_is_fine(folder: Path) -> None:
    found = findings(load(folder))
    assert {finding.level for finding in found.values()} == {Level.FINE}
    assert re.fullmatch(r"\d+ rules", found["rules"].message)
    assert found[f"{folder}/seeds"].message == "watched folder is there"
    assert found[f"sqlite:///{folder}/var/feedsvc.db"].message == "store will be made at the first start"
    assert found["127.0.0.1:0"].message == "address is free"
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml", "seeds"]  # nothing was made


# Rules


def test_own_rules(folder: Path) -> None:
    (folder / "rules").mkdir()
    before = findings(load(folder))["rules"].message
    (folder / "rules" / "mine.toml").write_text('[[rule]]\nname = "mine"\nreason = "x"\ntext = ["x"]\n')
    after = findings(load(folder, rest='[clean]\nrules = ["rules"]'))["rules"].message
    assert int(after.split()[0]) == int(before.split()[0]) + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[rule]]\nname = "mine"\nreason = "x"\ntext = ["("]\n', "mine"),
        ("[[rule", "mine.toml"),
    ],
)
def test_wrong_rules(folder: Path, text: str, expected: str) -> None:
    (folder / "rules").mkdir()
    (folder / "rules" / "mine.toml").write_text(text)
    ((level, about, message),) = wrong(load(folder, rest='[clean]\nrules = ["rules"]'))
    assert (level, about) == (Level.ERROR, "rules")
    assert expected in message


SAMPLE = """
[[rule]]
name = "mine"
reason = "x"
text = ["Buy this"]

[[test]]
html = "<p>News.</p><p>Buy this</p>"
gone = ["Buy this"]
left = ["News."]
"""


def test_samples_of_own_rules(folder: Path) -> None:
    (folder / "rules").mkdir()
    pack = folder / "rules" / "mine.toml"
    config = load(folder, rest='[clean]\nrules = ["rules"]')
    pack.write_text(SAMPLE)
    assert wrong(config) == []
    pack.write_text(
        SAMPLE.replace('gone = ["Buy this"]', 'gone = ["News."]').replace('left = ["News."]', 'left = ["Buy"]')
    )
    ((level, about, message),) = wrong(config)
    assert (level, about) == (Level.ERROR, "rules")
    assert message == f'{pack}: test 1: "News." should be gone, but is left; "Buy" should be left, but is gone'


def test_sample_dump_beside_own_rules(folder: Path) -> None:
    (folder / "rules").mkdir()
    pack = folder / "rules" / "mine.toml"
    config = load(folder, rest='[clean]\nrules = ["rules"]')
    pack.write_text(SAMPLE.replace('html = "<p>News.</p><p>Buy this</p>"', 'dump = "a.md"'))
    assert "dump a.md cannot be read" in wrong(config)[0][2]
    (folder / "rules" / "a.md").write_text("no dump")
    assert "mine.toml: dump a.md" in wrong(config)[0][2]
    html = "<p>News.</p><p>Buy this</p>"
    (folder / "rules" / "a.md").write_text(f"<!--1712180702000-->\n[t](https://h.example/)\n---\n{html}\n")
    assert wrong(config) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('html = "<p>News.</p><p>Buy this</p>"', ""), "test 1: give exactly one of html, dump"),
        (('gone = ["Buy this"]\nleft = ["News."]', ""), "test 1: say what is gone, left or in rights"),
        (("gone", "gonne"), 'test 1: unknown key "gonne"; did you mean "gone"?'),
    ],
)
def test_wrong_sample(folder: Path, change: tuple[str, str], says: str) -> None:
    (folder / "rules").mkdir()
    (folder / "rules" / "mine.toml").write_text(SAMPLE.replace(*change))
    assert says in wrong(load(folder, rest='[clean]\nrules = ["rules"]'))[0][2]


def test_folder_of_rules_that_is_missing(folder: Path) -> None:
    ((level, about, message),) = wrong(load(folder, rest='[clean]\nrules = ["none"]'))
    assert (level, about) == (Level.ERROR, "rules")
    assert f"{folder}/none" in message


# Folders


def test_folder_that_is_missing(folder: Path) -> None:
    (folder / "seeds").rmdir()
    expected = "no such folder; create it, or change watch.directories"
    assert wrong(load(folder)) == [(Level.ERROR, f"{folder}/seeds", expected)]
    (folder / "seeds").write_text("a file")
    assert wrong(load(folder)) == [(Level.ERROR, f"{folder}/seeds", expected)]


def test_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def access(path: str, _mode: int) -> bool:
        return not str(path).endswith("seeds")

    monkeypatch.setattr(os, "access", access)  # root may read everything
    expected = "cannot be read; give this user read and search permission"
    assert wrong(load(folder)) == [(Level.ERROR, f"{folder}/seeds", expected)]


def test_more_folders_than_inotify_may_watch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = folder / "max_user_watches"
    limit.write_text("3\n")
    monkeypatch.setattr(check, "_INOTIFY_WATCHES", limit)
    (folder / "seeds" / "a").mkdir()
    assert wrong(load(folder)) == []
    (folder / "seeds" / "b").mkdir()
    ((level, about, message),) = wrong(load(folder))
    assert (level, about) == (Level.ERROR, f"{folder}/seeds")
    assert message.startswith("holds 3 folders, more than inotify may watch; ")
    assert wrong(load(folder, watch="polling = true")) == []
    limit.unlink()  # no Linux
    assert wrong(load(folder)) == []


# Store


def test_store_that_is_there(folder: Path) -> None:
    with closing(Store(f"sqlite:///{folder}/var/feedsvc.db")) as store:
        save_dump(store, make_article(0), make_article(1))
    found = findings(load(folder))[f"sqlite:///{folder}/var/feedsvc.db"]
    assert (found.level, found.message) == (Level.FINE, "store holds 2 entries")


def test_store_that_is_none(folder: Path) -> None:
    (folder / "var").mkdir()
    (folder / "var" / "feedsvc.db").write_text("my diary" * 100)
    ((level, _, message),) = wrong(load(folder))
    assert level is Level.ERROR
    assert "file is not a database" in message


@pytest.mark.slow
def test_store_that_is_damaged(folder: Path) -> None:
    with closing(Store(f"sqlite:///{folder}/var/feedsvc.db")) as store:
        save_dump(store, *(make_article(number, text="x" * 2000) for number in range(100)))
    path = folder / "var" / "feedsvc.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096 * 8)
    ((level, about, message),) = wrong(load(folder))
    assert (level, about) == (Level.ERROR, f"sqlite:///{path}")
    assert re.search(r"store (is damaged|cannot be read)", message)


def test_store_that_cannot_be_made(folder: Path) -> None:
    (folder / "file").write_text("")
    ((level, about, message),) = wrong(load(folder, rest='[store]\nurl = "sqlite:///file/feedsvc.db"'))
    assert (level, about) == (Level.ERROR, f"sqlite:///{folder}/file/feedsvc.db")
    assert message == f"store cannot be made: {folder}/file is not writable; change store.url"


def test_store_at_an_unknown_address(folder: Path) -> None:
    ((level, about, message),) = wrong(load(folder, rest='[store]\nurl = "nonsense://x"'))
    assert (level, about) == (Level.ERROR, "nonsense://x")
    assert "cannot be opened" in message


# Address


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_feedsvc_is_running_there(folder: Path) -> None:
    with answering(b'{"ready": true}') as address:
        found = findings(load(folder, server=f'listen = "{address}"'))[address]
    assert (found.level, found.message) == (Level.FINE, "feedsvc is running there")


def test_somebody_else_listens_there(folder: Path) -> None:
    with answering(b"<html>") as address:
        ((level, about, message),) = wrong(load(folder, server=f'listen = "{address}"'))
    assert (level, about) == (Level.ERROR, address)
    assert "another program listens there" in message


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999", "203.0.113.1:8080", ""])
def test_address_that_cannot_be_used(folder: Path, listen: str) -> None:
    ((level, about, message),) = wrong(load(folder, server=f'listen = "{listen}"'))
    assert (level, about) == (Level.ERROR, listen)
    assert message.startswith(f"cannot listen on {listen!r}: ")


def test_address_is_free_afterwards(folder: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*sock.getsockname())
    assert wrong(load(folder, server=f'listen = "{address}"')) == []
    assert wrong(load(folder, server=f'listen = "{address}"')) == []


def test_others_can_reach_it_and_no_base_url_is_set(folder: Path) -> None:
    ((level, about, message),) = wrong(load(folder, server='listen = "0.0.0.0:0"'))
    assert (level, about) == (Level.WARNING, "0.0.0.0:0")
    assert "set base_url" in message
    assert wrong(load(folder, server='listen = "0.0.0.0:0"', rest='base_url = "https://x.example"')) == []


# Feeds


def test_filters_of_feeds(folder: Path) -> None:
    feeds = """
        [[feeds]]
        name = "a"
        title = "A"
        filter = { source = "example NEWS", age = "1 s" }
        [[feeds]]
        name = "b"
        title = "B"
        filter = { source = "Exmaple" }
    """
    config = load(folder, rest=feeds)
    assert wrong(config) == []  # without a store nobody knows
    with closing(Store(config.store.url)) as store:
        assert wrong(config) == []
        save_dump(store, make_article(0))
    ((level, about, message),) = wrong(config)
    assert (level, about) == (Level.WARNING, '[[feeds]] "b"')
    assert message == "no entry in the store matches its filter, whatever its age; is it spelt as in the entries?"
    assert findings(config)['[[feeds]] "a"'].level is Level.FINE
    with closing(Store(config.store.url)) as store, store.reading() as reader:
        assert (reader.feeds.source_names(), reader.feeds.records()) == ({}, {})  # nothing was changed
