"""Feed readers that people use, each subscribed to one feed, and what they make of it."""

from __future__ import annotations

import configparser
import json
import mailbox
import re
import sqlite3
import subprocess
from calendar import timegm
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import urlopen

import feedparser

from e2e.harness import environment, need

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path


def run(*command: str | Path, home: Path) -> str:
    """Run a program of a reader to its end; what it wrote."""
    done = subprocess.run(
        command, env=environment(HOME=str(home)), cwd=home, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Item:
    """An entry as a reader shows it; None where it does not keep that."""

    id: str
    title: str
    link: str
    date: datetime
    author: str | None


class Reader(Protocol):
    """A feed reader that is subscribed to one feed."""

    first_conditional: int | None  # its first poll with a precondition, counted from 1; None where there never is one

    def poll(self) -> None:
        """Ask for the feed once."""

    def take_unread(self) -> list[str]:
        """The titles of what is unread; it is read from now on."""

    def items(self) -> list[Item]:
        """All that it has read from the feed."""

    def subscribe(self, opml: Path) -> set[str]:
        """Import a list of feeds; the addresses it is subscribed to then."""


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

    def items(self) -> list[Item]:
        with closing(sqlite3.connect(self._cache)) as cache:
            found = cache.execute("SELECT guid, title, url, pubDate, author FROM rss_item").fetchall()
        return [Item(guid, title, url, moment(date), author) for guid, title, url, date, author in found]

    def subscribe(self, opml: Path) -> set[str]:
        run(*self._command, "-i", opml, home=self._home)
        return {line.split()[0] for line in (self._home / "urls").read_text("utf-8").splitlines()}


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
        new = [line for line in self._lines() if line not in self._seen]
        self._seen |= set(new)
        return [line.split("\t")[1] for line in new]

    def items(self) -> list[Item]:
        fields = (line.split("\t") for line in self._lines())
        return [Item(each[5], each[1], each[2], moment(each[0]), each[6]) for each in fields]

    def subscribe(self, opml: Path) -> set[str]:
        command = (need("sfeed_opml_import"),)
        done = subprocess.run(command, input=opml.read_bytes(), capture_output=True, check=True, timeout=60)
        return set(re.findall("https?://[^' ]+", done.stdout.decode()))

    def _lines(self) -> list[str]:
        return (self._home / "feeds" / "news").read_text("utf-8").splitlines()


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
        config["DEFAULT"]["date-header"] = "True"
        with (home / "rss2email.cfg").open("w", encoding="utf-8") as file:
            config.write(file)
        run(*self._command, "add", "news", url, home=home)

    def poll(self) -> None:
        run(*self._command, "run", home=self._home)

    def take_unread(self) -> list[str]:
        new = {key: mail["Subject"] for key, mail in self._mails().items() if key not in self._seen}
        self._seen |= new.keys()
        return [_decoded(subject) for subject in new.values()]

    def items(self) -> list[Item]:
        return [
            Item(
                mail["X-RSS-ID"],
                _decoded(mail["Subject"]),
                mail["X-RSS-URL"],
                parsedate_to_datetime(mail["Date"]).replace(tzinfo=UTC),  # it writes -0000
                None,
            )
            for mail in self._mails().values()
        ]

    def subscribe(self, opml: Path) -> set[str]:
        run(*self._command, "opmlimport", opml, home=self._home)
        return set(re.findall(r"https?://[^ )]+", run(*self._command, "list", home=self._home)))

    def _mails(self) -> dict[str, Message]:
        with closing(mailbox.Maildir(self._home / "mail")) as mails:
            return {key: mails[key] for key in mails.keys()}  # noqa: SIM118 - iterating over a Maildir gives mails


class Feedparser:
    first_conditional: int | None = 2

    def __init__(self, url: str, _home: Path) -> None:
        self._url = url
        self._seen: set[str] = set()
        self._last: Any = None

    def poll(self) -> None:
        etag, modified = (self._last.get("etag"), self._last.get("modified")) if self._last else (None, None)
        answer = feedparser.parse(self._url, etag=etag, modified=modified)
        assert not answer.bozo, answer.get("bozo_exception")
        if answer.status == 200:
            self._last = answer

    def take_unread(self) -> list[str]:
        new = [entry for entry in self._last.entries if entry.id not in self._seen]
        self._seen |= {entry.id for entry in new}
        return [entry.title for entry in new]

    def items(self) -> list[Item]:
        return [
            Item(entry.id, entry.title, entry.link, moment(timegm(entry.published_parsed)), entry.author)
            for entry in self._last.entries
        ]

    def subscribe(self, opml: Path) -> set[str]:
        raise NotImplementedError  # it reads feeds only


class JsonReader:
    """No program of these reads JSON Feed: its members as they are."""

    first_conditional: int | None = None

    def __init__(self, url: str, _home: Path) -> None:
        self._url = url
        self._items: list[Any] = []

    def subscribe(self, opml: Path) -> set[str]:
        raise NotImplementedError

    def poll(self) -> None:
        with urlopen(self._url) as answer:  # noqa: S310 - loopback
            assert answer.headers["Content-Type"] == "application/feed+json"
            self._items = json.load(answer)["items"]

    def take_unread(self) -> list[str]:
        return [item["title"] for item in self._items]

    def items(self) -> list[Item]:
        return [
            Item(
                item["id"],
                item["title"],
                item["url"],
                datetime.fromisoformat(item["date_published"]),
                item["authors"][0]["name"],
            )
            for item in self._items
        ]


def moment(seconds: float | str) -> datetime:
    """A moment, of seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC)


def _decoded(subject: str) -> str:
    return str(make_header(decode_header(subject))).replace("\n", "")
