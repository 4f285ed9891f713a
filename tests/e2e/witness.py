"""Somebody who polls a daemon that is killed again and again, and remembers all that it ever said."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from typing import TYPE_CHECKING

from feed_checks import atom_faults
from lxml import etree

from e2e.harness import Client

if TYPE_CHECKING:
    from e2e.harness import Daemon, Response

ATOM = "{http://www.w3.org/2005/Atom}"
HISTORY = "{http://purl.org/syndication/history/1.0}"  # of pages of an archive (RFC 5005)
FEED = "/feed.atom"


class Witness(threading.Thread):
    """Polls the feed and its archive on kept-alive connections, with conditions; what is wrong stands in `faults`.

    Attributes:
        titles: The title of each id that was ever served.
        served: The titles in the feed as it was served last.
    """

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(name="witness", daemon=True)
        self._port = daemon.port
        self._address = daemon.address
        self.ended = threading.Event()
        self.faults: list[str] = []
        self.answers: Counter[str] = Counter()
        self.titles: dict[str, str] = {}
        self.served: frozenset[str] = frozenset()
        self.pages: dict[str, bytes] = {}
        self._ids: dict[str, str] = {}  # by title
        self._updated: dict[str, str] = {}  # by id; a feed has the newest of its entries, which may leave it
        self._held: dict[str, Response] = {}
        self._walk: list[str] = []

    def run(self) -> None:
        client = Client(self._port)
        while not self.ended.is_set():
            path = self._walk.pop() if self._walk else FEED
            known = self._held.get(path)
            try:
                answer = client.get(path, {"If-None-Match": known.fields["etag"]} if known else {})
            except (http.client.HTTPException, OSError) as error:  # it was killed, or is not there yet
                self.answers[type(error).__name__] += 1
                client.close()
                self.ended.wait(0.02)
                continue
            self.answers[str(answer.status)] += 1
            if answer.status == http.client.OK:
                self._look(path, answer, known)
                self._held[path] = answer
            elif answer.status not in {http.client.NOT_MODIFIED, http.client.SERVICE_UNAVAILABLE}:
                self.faults.append(f"{path}: {answer.status}")
            self.ended.wait(0.01)
        client.close()

    def _look(self, path: str, answer: Response, known: Response | None) -> None:
        found = (fault for fault in atom_faults(answer.body) if f"feed has {HISTORY}" not in fault)
        self.faults += [f"{path}: {fault}" for fault in found]
        try:
            feed = etree.fromstring(answer.body)
        except etree.XMLSyntaxError as error:
            self.faults.append(f"{path}: {error}")
            return
        if "immutable" in answer.fields["cache-control"]:
            self.pages[path] = answer.body
        if known is not None and "immutable" in known.fields["cache-control"] and known.body != answer.body:
            self.faults.append(f"{path}: a closed page has other bytes")
        entries = feed.findall(f"{ATOM}entry")
        for entry in entries:
            self._identify(path, entry)
        if path == FEED:
            self.served = frozenset(str(entry.findtext(f"{ATOM}title")) for entry in entries)
            before = feed.find(f"{ATOM}link[@rel='prev-archive']")
            if before is not None and not self._walk:
                newest = int(str(before.get("href")).rpartition("/")[2].partition(".")[0])
                self._walk = [f"/feeds/feed/archive/{number}.atom" for number in {newest, max(1, newest - 1), 1}]

    def _identify(self, path: str, entry: etree._Element) -> None:
        name, title = (str(entry.findtext(f"{ATOM}{part}")) for part in ("id", "title"))
        if self.titles.setdefault(name, title) != title:
            self.faults.append(f"{path}: {name} was {self.titles[name]!r}, is {title!r}")
        if self._ids.setdefault(title, name) != name:
            self.faults.append(f"{path}: {title!r} was {self._ids[title]}, is {name}")
        if path == FEED:  # a closed page shows an entry as it was
            updated = str(entry.findtext(f"{ATOM}updated"))  # all are of one form, in UTC: text sorts them
            if updated < self._updated.get(name, ""):
                self.faults.append(f"{path}: {name} was updated {self._updated[name]}, is {updated}")
            self._updated[name] = updated
