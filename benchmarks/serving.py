"""Counts the requests that the daemon answers in a second, beside nginx with the same bytes, and while dumps arrive.

Starts a daemon and nginx (one worker, a static file and its gzip twin) on this machine and asks both with wrk, 32
connections, in turns. Then it drops dumps into the daemon's folder, and later has another process import some, and asks
the daemon all the while. Needs nginx and wrk; all traffic stays on 127.0.0.1; takes about a minute.

    python benchmarks/serving.py
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FEEDSVC = Path(sys.executable).with_name("feedsvc")
CONNECTIONS = 32
PATIENCE = 60.0  # seconds
KINDS = {
    "304": ["If-None-Match: *"],
    "200 gzip": ["Accept-Encoding: gzip"],
}
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
ASKED = {"idle ratio": 0.2, "idle p99": 5.0, "busy ratio": 0.5, "busy p99": 50.0}
NGINX = """
daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1; {user}
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    types {{ "application/atom+xml; charset=utf-8" atom; }}
    client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
    uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
    gzip_static on;
    add_header Cache-Control "public, max-age=60, stale-while-revalidate=600";
    add_header Vary "Accept, Accept-Encoding, A-IM";
    server {{ listen 127.0.0.1:{port}; root {home}/www; }}
}}
"""


class Load(NamedTuple):
    """Figures from wrk: requests a second, and the 99th percentile in milliseconds."""

    rate: float
    p99: float


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def write_dumps(folder: Path, numbers: range) -> None:
    """Articles of some 3 KB, each with its own words."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        dice = random.Random(number)  # noqa: S311 - the same articles in every run
        words = [f"{dice.choice('bdfgklmnprst')}{dice.choice('aeiou')}{dice.randrange(400)}" for _ in range(450)]
        paragraphs = "".join(f"<p>{' '.join(words[start : start + 50])}.</p>\n" for start in range(0, 450, 50))
        title = f"[Article {number}](https://news.example.org/{number % 7}/{number})"
        text = f"<!--{1_700_000_000 + 60 * number}000-->\n{title}\n------\n\n{paragraphs}"
        (folder / f"{number}.txt").write_text(text, "utf-8")


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {PATIENCE} s")
        time.sleep(0.05)


def get(port: int, *, gzip: bool = False) -> bytes | None:
    """The feed's bytes; None while nobody serves it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/feed.atom", headers={"Accept-Encoding": "gzip" if gzip else "identity"})
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    return body if answer.status == http.client.OK else None


@contextmanager
def running(command: list[str | Path], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended at the end."""
    with (cwd / "log").open("ab") as log, subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def daemon(home: Path) -> Iterator[int]:
    """A daemon with 100 entries; its port."""
    port = free_port()
    write_dumps(home / "dumps", range(100))
    (home / "config.toml").write_text(
        f'[watch]\ndirectories = ["dumps"]\n[server]\nlisten = "127.0.0.1:{port}"\n', "utf-8"
    )
    with running([FEEDSVC, "run"], home):
        wait(lambda: (get(port) or b"").count(b"<entry>") == 100, "the daemon serves 100 entries")  # noqa: PLR2004
        yield port


@contextmanager
def nginx(home: Path, source: int) -> Iterator[int]:
    """Serve the daemon's bytes with nginx; yield its port."""
    port = free_port()
    (home / "www").mkdir()
    (home / "www" / "feed.atom").write_bytes(get(source) or b"")
    (home / "www" / "feed.atom.gz").write_bytes(get(source, gzip=True) or b"")
    user = "user root;" if Path("/proc/self").owner() == "root" else ""
    (home / "nginx.conf").write_text(NGINX.format(home=home, port=port, user=user), "utf-8")
    with running(["nginx", "-e", home / "error.log", "-c", home / "nginx.conf"], home):
        wait(lambda: get(port), "nginx serves the feed")
        yield port


def load(port: int, kind: str, seconds: int) -> Load:
    """Ask for a while as fast as answers come."""
    fields = [part for field in KINDS[kind] for part in ("-H", field)]
    address = f"http://127.0.0.1:{port}/feed.atom"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *fields, address]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    assert rate, out
    assert p99, out
    if "Socket errors" in out or "Non-2xx or 3xx" in out:
        sys.exit(f"not all were answered:\n{out}")
    return Load(float(rate[1]), float(p99[1]) * UNITS[p99[2]])


def entries(home: Path) -> int:
    """Count the entries in the daemon's store."""
    with closing(sqlite3.connect(f"file:{home}/var/feedsvc.db?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM entries").fetchone()[0])


def verdict(value: float, bound: float, *, least: bool) -> str:
    """Mark a figure that misses its bound."""
    return "" if (value >= bound if least else value <= bound) else "   NOT WITHIN"


def compare_idle(port: int, other: int, seconds: int, rounds: int) -> dict[str, float]:
    """The daemon beside nginx; answers the daemon's rates."""
    print(f"{'idle':22}{'nginx/s':>9}{'p99 ms':>8}{'feedsvc/s':>11}{'p99 ms':>8}{'ratio':>7}")
    rates = {}
    for kind in KINDS:
        pairs = [(load(other, kind, seconds), load(port, kind, seconds)) for _ in range(rounds)]
        theirs, ours = (
            Load(statistics.median(one.rate for one in side), statistics.median(one.p99 for one in side))
            for side in zip(*pairs, strict=True)
        )
        ratio = statistics.median(mine.rate / its.rate for its, mine in pairs)
        rates[kind] = ours.rate
        missed = verdict(ratio, ASKED["idle ratio"], least=True) or verdict(ours.p99, ASKED["idle p99"], least=False)
        cells = f"{theirs.rate:9.0f}{theirs.p99:8.2f}{ours.rate:11.0f}{ours.p99:8.2f}{ratio:7.2f}"
        print(f"  {kind:20}{cells}{missed}", flush=True)
    return rates


def compare_busy(
    label: str, port: int, idle: dict[str, float], *, seconds: int, rounds: int, busy: Callable[[], bool]
) -> None:
    """The daemon beside itself, while dumps are taken in."""
    for kind in KINDS:
        found = []
        for _ in range(rounds):
            found.append(load(port, kind, seconds))
            if not busy():
                sys.exit(f"{label}: all was taken in before it was measured; give more --dumps")
        rate, p99 = statistics.median(one.rate for one in found), max(one.p99 for one in found)
        ratio = rate / idle[kind]
        missed = verdict(ratio, ASKED["busy ratio"], least=True) or verdict(p99, ASKED["busy p99"], least=False)
        print(f"  {label:18}{kind:10}{'':11}{rate:11.0f}{p99:8.2f}{ratio:7.2f}{missed}", flush=True)


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dumps", type=int, default=5000, help="how many are taken in, each time (default: 5000)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is made (default: 3)")
    given = parser.parse_args()
    for program in ("nginx", "wrk"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors: what else runs here disturbs")
    with tempfile.TemporaryDirectory(prefix="serving") as name:
        home, static, later = (Path(name) / part for part in ("daemon", "nginx", "later"))
        home.mkdir()
        static.mkdir()
        write_dumps(later / "dropped", range(100, 100 + given.dumps))
        write_dumps(later / "imported", range(100 + given.dumps, 100 + 2 * given.dumps))
        with daemon(home) as port:
            with nginx(static, port) as other:
                idle = compare_idle(port, other, given.seconds, given.rounds)
            print(f"{'while taken in':22}{'':17}{'feedsvc/s':>11}{'p99 ms':>8}{'of idle':>8}")
            (later / "dropped").rename(home / "dumps" / "dropped")
            wait(lambda: entries(home) > 100, "dropped dumps are taken in")  # noqa: PLR2004
            total = 100 + given.dumps
            compare_busy(
                "dropped",
                port,
                idle,
                seconds=given.seconds,
                rounds=given.rounds,
                busy=lambda: entries(home) < total,
            )
            shutil.rmtree(home / "dumps" / "dropped")
            with running([FEEDSVC, "import", later / "imported"], home) as process:
                before = entries(home)
                wait(lambda: entries(home) > before, "dumps are imported")
                compare_busy(
                    "imported",
                    port,
                    idle,
                    seconds=given.seconds,
                    rounds=given.rounds,
                    busy=lambda: process.poll() is None,
                )


if __name__ == "__main__":
    main()
