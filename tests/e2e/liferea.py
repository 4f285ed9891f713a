"""Liferea, a feed reader with windows."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import feedparser
from waiting import wait_for

from e2e.harness import environment, need
from e2e.readers import Item, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Liferea:
    """A reader with windows, on a display and a message bus of its own; each poll is a start of the program."""

    first_conditional: int | None = None  # not looked at: it polls by its own clock

    def __init__(self, url: str, home: Path) -> None:
        self._url = url
        self._home = home
        self._list = home / "config" / "liferea" / "feedlist.opml"
        self._store = home / "data" / "liferea" / "liferea.db"
        display = str(100 + os.getpid() % 10_000)  # other tests look for a free one at the same time
        self._command = (need("xvfb-run"), "-n", display, "-a", need("dbus-run-session"), "--", need("liferea"))
        self._list.parent.mkdir(parents=True)
        outline = (
            f'<outline title="news" text="news" type="rss" xmlUrl={quoteattr(url)} htmlUrl="" updateInterval="-1"/>'
        )
        self._list.write_text(f'<opml version="1.0"><head/><body>{outline}</body></opml>', "utf-8")

    def poll(self) -> None:
        expected = len(feedparser.parse(self._url).entries)  # it stores one after the other
        self._run_until(lambda: len(self._rows()) >= expected)

    def subscribe(self, opml: Path) -> set[str]:
        shutil.copy(opml, self._list)
        expected = opml.read_text("utf-8").count("<outline ")
        self._run_until(lambda: len(self._subscriptions()) >= expected)
        return self._subscriptions()

    def _run_until(self, condition: Callable[[], bool]) -> None:
        folders = {f"XDG_{name}_HOME": str(self._home / name.lower()) for name in ("CONFIG", "DATA", "CACHE")}
        with (
            (self._home / "log").open("wb") as log,
            subprocess.Popen(
                self._command,
                cwd=self._home,
                env=environment(
                    HOME=str(self._home),
                    GSETTINGS_BACKEND="memory",
                    WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS="1",  # its own name; there is none for root
                    **folders,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                wait_for(condition)
            finally:
                with suppress(ProcessLookupError):  # it ended by itself
                    os.killpg(process.pid, signal.SIGTERM)  # display and bus as well

    def take_unread(self) -> list[str]:
        return [title for _, title, *_ in self._rows()]

    def items(self) -> list[Item]:
        return [
            Item(source_id, title, source, moment(date), author)
            for source_id, title, source, date, author in self._rows()
        ]

    def _rows(self) -> list[Any]:
        author = "(SELECT value FROM metadata WHERE metadata.item_id = items.item_id AND key IN ('author', 'creator'))"
        return self._select(f"SELECT source_id, title, source, date, {author} FROM items")  # noqa: S608 - no value in it

    def _subscriptions(self) -> set[str]:
        return {source for (source,) in self._select("SELECT source FROM subscription")}

    def _select(self, query: str) -> list[Any]:
        try:
            with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as store:
                return store.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []  # not there, or without its tables yet
