"""Measures how soon a feed is answered while thousands of slow clients hold connections, and their cost.

Starts a daemon of its own with a feed of 100 entries, then polls it on one kept-alive connection and on new ones in
turn: alone, beside clients that send a byte a second, beside clients that read a byte a second, and beside clients
that are silent. A client that is cut off connects again. Times run from the first byte sent, or from connecting, to the
last byte received, in milliseconds.

    python benchmarks/slow_clients.py --clients 2000 --seconds 30
"""

from __future__ import annotations

import argparse
import http.client
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from e2e.crowd import Crowd, take_files

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("none", "sending", "reading", "silent")
ENTRIES = 100
PATIENCE = 60.0
REST = 0.02  # seconds between two polls


@contextmanager
def daemon(home: Path) -> Iterator[tuple[int, int]]:
    """A daemon that serves a feed; its process and its port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    (home / "dumps").mkdir()
    for number in range(ENTRIES):
        words = " ".join(f"word{number}-{place}" for place in range(300))
        head = f"<!--{1_700_000_000 + number}000-->\n[Article {number}](https://news.example.org/{number})\n------\n\n"
        (home / "dumps" / f"{number}.txt").write_text(f"{head}<p>{words}</p>\n", "utf-8")
    settings = f'[watch]\ndirectories = ["dumps"]\n[server]\nlisten = "127.0.0.1:{port}"\n'
    (home / "config.toml").write_text(settings, "utf-8")
    command = [Path(sys.executable).with_name("feedsvc"), "run"]
    with (home / "log").open("wb") as log, subprocess.Popen(command, cwd=home, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while ask(port) < ENTRIES:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"the daemon does not start: {(home / 'log').read_text('utf-8')}")
                time.sleep(0.1)
            yield process.pid, port
        finally:
            process.terminate()


def ask(port: int) -> int:
    """Count the entries of the feed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/feed.atom")
        return connection.getresponse().read().count(b"<entry>")
    return 0


def poll(port: int, seconds: float) -> tuple[list[float], list[float], int]:
    """Ask again and again; times on one connection, on new ones, and how many requests failed."""
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    kept.connect()
    old, new, failed = list[float](), list[float](), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for times, connection in (
            (old, kept),
            (new, http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)),
        ):
            began = time.monotonic()
            try:
                connection.request("GET", "/feed.atom")
                answer = connection.getresponse()
                whole = b"</feed>" in answer.read()[-20:]
                failed += answer.status != http.client.OK or not whole
            except (OSError, http.client.HTTPException):
                failed += 1
                connection.close()
            times.append(time.monotonic() - began)
            if connection is not kept:
                connection.close()
            time.sleep(REST)
    kept.close()
    return old, new, failed


def show(times: list[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(times)
    cells = (statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))], ordered[-1])
    return "".join(f"{1000 * cell:9.1f}" for cell in cells)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=2000, help="slow ones of each kind (default: 2000)")
    parser.add_argument("--seconds", type=float, default=30, help="for which each kind is measured (default: 30)")
    given = parser.parse_args()
    take_files()
    print(f"{given.clients} slow clients; milliseconds of others: median, p99, max, kept-alive and on new connections")
    print(f"{'':9}{'kept alive':>27}{'new':>27}{'asked':>8}{'failed':>8}{'cut off':>9}{'files':>7}{'MiB':>8}")
    with tempfile.TemporaryDirectory() as name, daemon(Path(name)) as (pid, port):
        for kind in KINDS:
            crowd = Crowd(kind, port, given.clients)
            if kind != "none":
                crowd.start()
                assert crowd.full.wait(PATIENCE), f"there is no room for {given.clients} {kind} clients"
            old, new, failed = poll(port, given.seconds)
            files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
            rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
            counts = f"{len(old) + len(new):8}{failed:8}{crowd.cut:9}{files:7}{rss:8.1f}"
            print(f"{kind:9}{show(old)}{show(new)}{counts}", flush=True)
            if kind != "none":
                crowd.ended.set()
                crowd.join()


if __name__ == "__main__":
    main()
