"""Counts the bytes of a week of hourly polls: plain, compressed, conditional, with deltas, and together.

Serves a feed of 100 entries that gets some 20 new ones a day, and polls it every hour of a simulated week. It counts
the bytes that cross the socket, heads included, and checks that a reader with deltas knows every entry at the end.
Takes some seconds.

    python benchmarks/polling.py
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import sys
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from feed_documents import Shelf, everything, make_document, make_entry

from feedsvc.feeds.formats.atom import MEDIA_TYPE, render_atom
from feedsvc.http import Server, bind, make_app

HELD = 100  # entries
START = datetime(2024, 4, 4, tzinfo=UTC)
WORDS = ["feed", "entry", "people", "city", "water", "minister", "market", "today", "because", "between", "report"]
KINDS = {
    "plain": set[str](),
    "gzip": {"gzip"},
    "conditional": {"conditional"},
    "deltas": {"conditional", "deltas"},
    "conditional, gzip": {"conditional", "gzip"},
    "deltas, gzip": {"conditional", "deltas", "gzip"},
}


@dataclass
class Reader:
    """Polls in one way, and counts."""

    port: int
    ways: set[str]
    etag: str = ""
    sent: int = 0
    received: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def poll(self) -> None:
        """Ask once, on a connection of its own, as readers that come once an hour do."""
        fields = ["GET /feed.atom HTTP/1.1", "Host: feeds.example", "User-Agent: reader/1.0", "Accept: */*"]
        if "gzip" in self.ways:
            fields.append("Accept-Encoding: gzip")
        if "deltas" in self.ways:
            fields.append("A-IM: feed")
        if "conditional" in self.ways and self.etag:
            fields.append(f"If-None-Match: {self.etag}")
        request = "\r\n".join([*fields, "Connection: close", "", ""]).encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        self.sent += len(request)
        self.received += len(answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = lines[0].split()[1]
        self.statuses[status] = self.statuses.get(status, 0) + 1
        named = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.etag = named["etag"]
        text = zlib.decompress(body, 31) if named.get("content-encoding") == "gzip" else body
        self.known |= set(re.findall(r"<id>(tag:[^<]+:\d+)</id>", text.decode()))


def article(number: int) -> str:
    """Some 3 KB of text that does not repeat as a whole."""
    dice = random.Random(number)  # noqa: S311 - the same articles in every run
    words = (f"{dice.choice(WORDS)}{dice.randrange(300) or ''}" for _ in range(400))
    return f"<p>{' '.join(words)}</p>"


def main() -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7, help="how long is polled (default: 7)")
    parser.add_argument("--new", type=int, default=20, help="how many entries a day are new (default: 20)")
    given = parser.parse_args()
    shelf = Shelf(everything({"/feed.atom": (MEDIA_TYPE, render_atom)}), "http://feeds.example")
    sock = bind("127.0.0.1:0")
    app = make_app(
        publisher=shelf.publisher, load_entry=lambda _key: None, status=dict, base_url="http://feeds.example"
    )
    server = Server(sock)
    readers = {name: Reader(sock.getsockname()[1], ways) for name, ways in KINDS.items()}
    entries = [make_entry(number, content=article(number)) for number in range(HELD, 0, -1)]
    arrivals = random.Random(1)  # noqa: S311 - the same week in every run
    shelf.publish(make_document(*entries), at=START)
    server.start(app)
    try:
        for hour in range(24 * given.days):
            # A few at once, or none; none before the first poll.
            new = sum(arrivals.random() < given.new / 24 / 4 for _ in range(4)) if hour else 0
            for _ in range(new):
                number = int(entries[0].id.rpartition(":")[2]) + 1
                entries = [make_entry(number, content=article(number)), *entries][:HELD]
            if new:
                shelf.publish(make_document(*entries), at=START + timedelta(hours=hour))
            for reader in readers.values():
                reader.poll()
    finally:
        server.stop(1)
    total = int(entries[0].id.rpartition(":")[2])
    plain = readers["plain"].received
    print(f"{24 * given.days} hourly polls of {HELD} entries, {total - HELD} new ones; bytes on the wire")
    print(f"{'':20}{'received':>12}{'sent':>9}{'of plain':>10}   answers")
    for name, reader in readers.items():
        assert len(reader.known) == total, f"{name}: {total - len(reader.known)} entries were never seen"
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(reader.statuses.items()))
        print(f"{name:20}{reader.received:12}{reader.sent:9}{reader.received / plain:10.2%}   {answers}")


if __name__ == "__main__":
    main()
