"""Feed readers that people use subscribe to the running daemon."""

from __future__ import annotations

import configparser
import mailbox
import shutil
import sqlite3
import subprocess
from contextlib import closing
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any, Protocol

import feedparser
import pytest

from e2e.harness import SEEDS, environment, make_dump, need, wait_for
from e2e.recorder import recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.conftest import Daemons

TITLES = [
    "北约与亚太外长举行会议 应对俄中伊朗及朝鲜联手挑战",
    "澳新举行首次外长防长“2+2”会谈 深化安全合作关系",
    "北约已邀请4个印太伙伴国出席新年首次军事委员会参谋长级会议",
]
LATER = "an article about something else"


def run(*command: str | Path, home: Path) -> None:
    done = subprocess.run(
        command, env=environment(HOME=str(home)), cwd=home, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Reader(Protocol):
    """A feed reader that is subscribed to one feed."""

    first_conditional: int | None  # its first poll with a precondition, counted from 1; None where there never is one

    def poll(self) -> None:
        """Ask for the feed once."""

    def take_unread(self) -> list[str]:
        """The titles of what is unread; it is read from now on."""


class Newsboat:
    first_conditional: int | None = 3  # at the first it has no place to keep validators yet

    def __init__(self, url: str, home: Path) -> None:
        (home / "urls").write_text(f"{url}\n", "utf-8")
        (home / "config").write_text("auto-reload no\n", "utf-8")
        self._home = home
        self._cache = home / "cache.db"
        program = need("newsboat")
        files = ("-C", home / "config", "-u", home / "urls", "-c", self._cache)
        self._command: tuple[str | Path, ...] = (program, *files)

    def poll(self) -> None:
        run(*self._command, "-x", "reload", home=self._home)

    def take_unread(self) -> list[str]:
        with closing(sqlite3.connect(self._cache)) as cache, cache:
            found = cache.execute("SELECT title FROM rss_item WHERE unread ORDER BY pubDate DESC").fetchall()
            cache.execute("UPDATE rss_item SET unread = 0")
        return [title for (title,) in found]


class Sfeed:
    first_conditional: int | None = None  # its script calls curl without any precondition

    def __init__(self, url: str, home: Path) -> None:
        self._program = need("sfeed_update")
        self._home = home
        self._seen: set[str] = set()
        (home / "sfeedrc").write_text(f'sfeedpath="{home}/feeds"\nfeeds() {{\n feed "news" "{url}"\n}}\n', "utf-8")

    def poll(self) -> None:
        run(self._program, self._home / "sfeedrc", home=self._home)

    def take_unread(self) -> list[str]:
        lines = (self._home / "feeds" / "news").read_text("utf-8").splitlines()
        new = [line for line in lines if line not in self._seen]
        self._seen |= set(lines)
        return [line.split("\t")[1] for line in new]


class Rss2email:
    first_conditional: int | None = 2

    def __init__(self, url: str, home: Path) -> None:
        self._home = home
        self._seen: set[str] = set()
        self._command = (need("r2e"), "-c", home / "rss2email.cfg", "-d", home / "rss2email.json")
        run(*self._command, "new", "reader@example.org", home=home)
        config = configparser.ConfigParser(interpolation=None)
        config.read(home / "rss2email.cfg", "utf-8")
        config["DEFAULT"].update({"email-protocol": "maildir", "maildir-path": str(home), "maildir-mailbox": "mail"})
        with (home / "rss2email.cfg").open("w", encoding="utf-8") as file:
            config.write(file)
        run(*self._command, "add", "news", url, home=home)

    def poll(self) -> None:
        run(*self._command, "run", home=self._home)

    def take_unread(self) -> list[str]:
        with closing(mailbox.Maildir(self._home / "mail")) as mails:
            new = {key: mails[key]["Subject"] for key in mails.keys() if key not in self._seen}  # noqa: SIM118 - iterating over a Maildir gives mails
        self._seen |= new.keys()
        return [str(make_header(decode_header(subject))).replace("\n", "") for subject in new.values()]


class Feedparser:
    first_conditional: int | None = 2

    def __init__(self, url: str, _home: Path) -> None:
        self._url = url
        self._seen: set[str] = set()
        self._last: Any = None

    def poll(self) -> None:
        known = {} if self._last is None else {"etag": self._last.get("etag"), "modified": self._last.get("modified")}
        answer = feedparser.parse(self._url, **known)
        assert not answer.bozo, answer.get("bozo_exception")
        if answer.status == 200:
            self._last = answer

    def take_unread(self) -> list[str]:
        new = [entry for entry in self._last.entries if entry.id not in self._seen]
        self._seen |= {entry.id for entry in new}
        return [entry.title for entry in new]


READERS: tuple[Callable[[str, Path], Reader], ...] = (Newsboat, Sfeed, Rss2email, Feedparser)


@pytest.mark.parametrize("make_reader", READERS, ids=["newsboat", "sfeed", "rss2email", "feedparser"])
def test_a_reader_lists_what_is_new_and_nothing_twice(
    make_reader: Callable[[str, Path], Reader], daemons: Daemons, tmp_path: Path
) -> None:
    home = tmp_path / "reader"
    home.mkdir()
    daemon = daemons.prepare()
    for seed in SEEDS.iterdir():
        shutil.copy(seed, daemon.folder)
    daemon.start()
    with recording(daemon.port) as recorder:
        reader = make_reader(f"{recorder.address}/feed.atom", home)
        reader.poll()
        assert recorder.statuses == [200]
        assert sorted(reader.take_unread()) == sorted(TITLES)

        for number in range(2, (reader.first_conditional or 2) + 1):
            recorder.forget()
            reader.poll()
            assert recorder.statuses == [304 if number == reader.first_conditional else 200]
            assert reader.take_unread() == []

        daemon.drop("later.txt", make_dump(LATER, seconds=1712190000))
        wait_for(lambda: LATER in daemon.feed().titles)
        recorder.forget()
        reader.poll()
        assert recorder.statuses in ([200], [226])  # some ask for deltas (A-IM: feed), and get just this one
        assert reader.take_unread() == [LATER]

        # A restart, and the same dumps again under other names: nobody sees anything as unread.
        daemon.stop()
        for seed in SEEDS.iterdir():
            shutil.copy(seed, daemon.folder / f"again-{seed.name}")
        daemon.start()
        recorder.forget()
        reader.poll()
        assert recorder.statuses == [304 if reader.first_conditional else 200]
        assert reader.take_unread() == []
