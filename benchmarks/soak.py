"""Watches the memory, files and threads of a daemon while many dumps arrive and entries retire.

Starts a daemon of its own that keeps a fixed number of entries, drops small dumps of invented sources into its folder
in batches, and polls its feeds all the while. A dump's file is deleted once the store has it; its entry stays
(on_delete = "keep") until retention empties it. At regular intervals a line goes to a CSV file. It is enough to draw
the plot again, and a run that ended early leaves its lines.

    python benchmarks/soak.py --dumps 200000 --csv soak.csv --plot docs/soak.svg
    python benchmarks/soak.py --draw soak.csv --plot docs/soak.svg
"""

from __future__ import annotations

import argparse
import csv
import http.client
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from soak_plot import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 400.0  # seconds without any progress before the run is given up
BASELINE = 20_000  # dumps until memory has settled
KEPT = 5000  # entries
START = 1_600_000_000  # seconds; each dump is a minute younger than the one before
ALLOWED = 1.10
TEXT = (
    "after agency air also amount announced area around asked average bank because bridge budget building call case "
    "centre change city coast company council country court day decision director early east economy election energy "
    "evening family farm few field figure fire first flood food forest former found garden government group growth "
    "harbour health high hospital house income industry island judge known lake law leader letter life line local "
    "long loss main market mayor meeting member minister month morning mountain museum national near night north "
    "office open order park part people place plan plant police port power price project public rail rain record "
    "region report research river road rule school sea second service ship south state station storm street summer "
    "support tax team time town trade train tree union university village vote water week west winter woman work year"
)
WORDS = TEXT.split()
SOURCES = ("Harbour Post", "Valley Times", "The Lantern", "Northern Wire", "Daily Ferry", "Field Notes", "Mint Herald")
SIGNS = (
    "Read more from {0}",
    "Follow {0} on all channels",
    "Sign up for the morning letter of {0}",
    "Share this story",
)
PAGES = (
    "/feed.atom",
    "/feed.atom",
    "/feed.atom",
    "/feed.rss",
    "/",
    "/feeds.opml",
    "/feeds/feed/archive/1.atom",
    "/search?q=city",
)


@dataclass(frozen=True)
class Sample:
    """The daemon after so many dumps; memory in KiB, the store in bytes."""

    dumps: int
    seconds: float
    rss: int
    children_rss: int
    children: int
    descriptors: int
    threads: int
    store: int
    polls: int


def article(number: int, dice: random.Random) -> str:
    """A dump of some source, with the boilerplate of that source around the words that only it has."""
    source = SOURCES[number % len(SOURCES)]
    site = f"https://{source.lower().replace(' ', '-')}.example"
    paragraphs = [" ".join(dice.choices(WORDS, k=dice.randint(20, 60))).capitalize() for _ in range(dice.randint(2, 5))]
    title = " ".join(dice.choices(WORDS, k=6)).capitalize()
    tail = "".join(
        f'<p><a href="{site}/more/{place}">{sign.format(source)}</a></p>' for place, sign in enumerate(SIGNS)
    )
    body = "".join(f"<p>{paragraph} {number}.</p>" for paragraph in paragraphs)
    marker = f"<!--{START + 60 * number}000-->\n[{title} {number}]({site}/{number})\n------\n\n"
    return f"{marker}<p>By our desk at {source}</p>{body}{tail}\n"


@contextmanager
def daemon(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A daemon that keeps few entries and retires the rest often."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    (home / "dumps").mkdir()
    (home / "config.toml").write_text(
        f'[watch]\ndirectories = ["dumps"]\n[server]\nlisten = "127.0.0.1:{port}"\n'
        f'[store]\nkeep = "{KEPT} entries"\n[schedule]\nretention = "10 s"\n'
        f'upkeep = "60 s"\nrescan = "60 s"\nregenerate = "1 s"\n',
        "utf-8",
    )
    command = [Path(sys.executable).with_name("feedsvc"), "run"]
    with (home / "log").open("wb") as log, subprocess.Popen(command, cwd=home, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        sys.exit(f"the daemon does not start: {(home / 'log').read_text('utf-8')}")
                    time.sleep(0.05)
            yield process, port
        finally:
            process.terminate()


class Poller(threading.Thread):
    """Asks for feeds and pages, one after the other, with conditional requests."""

    def __init__(self, port: int) -> None:
        """Ask the daemon at this port."""
        super().__init__(name="poller", daemon=True)
        self._port = port
        self.ended = threading.Event()
        self.statuses: Counter[str] = Counter()
        self.times: list[float] = []

    def run(self) -> None:
        """Poll until `ended` is set."""
        held: dict[str, str] = {}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        number = 0
        while not self.ended.wait(0.05):
            path = PAGES[number % len(PAGES)]
            number += 1
            began = time.monotonic()
            try:
                known = {"If-None-Match": held[path]} if path in held else {}
                connection.request("GET", path, headers={"Accept-Encoding": "gzip", **known})
                answer = connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError) as error:
                self.statuses[type(error).__name__] += 1
                connection.close()
                continue
            self.times.append(time.monotonic() - began)
            self.statuses[str(answer.status)] += 1
            if tag := answer.headers["ETag"]:
                held[path] = tag
        connection.close()


class Taken:
    """The dumps that the store has, read from outside."""

    def __init__(self, store: Path) -> None:
        """Look into the store's file."""
        self._store = store
        self._last = 0
        self.count = 0

    def next(self) -> list[str]:
        """The paths of those that came since the last call."""
        try:
            with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True, timeout=30)) as store:
                rows = store.execute("SELECT id, path FROM dumps WHERE id > ? ORDER BY id", (self._last,)).fetchall()
        except sqlite3.OperationalError:
            return []  # not there yet, or without its tables
        if rows:
            self._last = rows[-1][0]
            self.count += len(rows)
        return [os.fsdecode(path) for _, path in rows]


def children_of(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text("ascii").split()):
                found += [child, *children_of(child)]
    except OSError:
        return found  # it ended meanwhile
    return found


def of_status(pid: int, name: str) -> int:
    """A number of /proc/PID/status; 0 where the process ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def measure(pid: int, home: Path, dumps: int, seconds: float, polls: int) -> Sample:
    """Look at the daemon from outside."""
    children = children_of(pid)
    return Sample(
        dumps=dumps,
        seconds=round(seconds, 1),
        rss=of_status(pid, "VmRSS"),
        children_rss=sum(of_status(child, "VmRSS") for child in children),
        children=len(children),
        descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        threads=of_status(pid, "Threads"),
        store=sum(path.stat().st_size for path in (home / "var").glob("feedsvc.db*")),
        polls=polls,
    )


def soak(home: Path, given: argparse.Namespace) -> tuple[list[Sample], Poller]:
    """Drop dumps, delete those taken in, sample; return when the last one is taken in and the folder is at rest."""
    dice = random.Random(given.seed)  # noqa: S311 - the same dumps in every run
    taken, samples = Taken(home / "var" / "feedsvc.db"), list[Sample]()
    outside = home / "outside"
    outside.mkdir()
    with daemon(home) as (process, port), given.csv.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Sample)])
        poller = Poller(port)
        poller.start()
        began = last = time.monotonic()
        dropped, due = 0, 0
        while taken.count < given.dumps:
            while dropped < given.dumps and dropped - taken.count < given.flight:
                whole = outside / f"{dropped}.txt"
                whole.write_text(article(dropped, dice), "utf-8")
                whole.rename(home / "dumps" / whole.name)
                dropped += 1
            for path in (here := taken.next()):
                (home / path).unlink(missing_ok=True)
            now = time.monotonic()
            last = now if here else last
            if process.poll() is not None or now - last > PATIENCE:
                sys.exit(f"nothing arrives any more after {taken.count} dumps: {tail(home / 'log')}")
            if taken.count >= due or taken.count >= given.dumps:
                due = taken.count - taken.count % given.every + given.every
                samples.append(measure(process.pid, home, taken.count, now - began, len(poller.times)))
                writer.writerow(asdict(samples[-1]).values())
                file.flush()
            time.sleep(0.02)
        poller.ended.set()
        poller.join()
    return samples, poller


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text("utf-8", "replace")[-2000:]


def load(path: Path) -> list[Sample]:
    """Read the CSV file of a run."""
    kinds = {"seconds": float}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Sample(**{name: kinds.get(name, int)(value) for name, value in row.items()}) for row in csv.DictReader(file)
        ]


def at(samples: list[Sample], dumps: int) -> Sample:
    """The first sample after so many dumps, else the last."""
    return next((sample for sample in samples if sample.dumps >= dumps), samples[-1])


def report(samples: list[Sample]) -> None:
    """Print the figures to compare."""
    base, end = at(samples, BASELINE), samples[-1]
    later = [sample for sample in samples if sample.dumps >= base.dumps]
    print(f"{end.dumps} dumps in {end.seconds:.0f} s, {1000 * end.seconds / max(end.dumps, 1):.1f} ms each")
    for name, first, last in (("daemon", base.rss, end.rss), ("its processes", base.children_rss, end.children_rss)):
        if first:
            highest = max(sample.rss if name == "daemon" else sample.children_rss for sample in later)
            ratio = f"ratio {last / first:.3f}, highest {highest / 1024:.1f}"
            print(
                f"memory of {name}: {first / 1024:.1f} MiB at {base.dumps}, {last / 1024:.1f} MiB at the end, {ratio}"
            )
    both = (base.rss + base.children_rss, end.rss + end.children_rss)
    verdict = "as asked" if both[1] <= ALLOWED * both[0] else "MORE than asked"
    print(f"memory in all: ratio {both[1] / both[0]:.3f}, at most {ALLOWED} is asked: {verdict}")
    for name in ("descriptors", "threads", "children"):
        values = [getattr(sample, name) for sample in later]
        print(f"{name}: {min(values)} to {max(values)}, {getattr(base, name)} then and {getattr(end, name)} now")
    print(f"store: {base.store / 2**20:.1f} MiB then, {end.store / 2**20:.1f} MiB now")


def main() -> None:
    """Run, or draw the CSV file of an earlier run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dumps", type=int, default=200_000, help="how many arrive (default: 200000)")
    parser.add_argument("--flight", type=int, default=500, help="files that wait in the folder at most (default: 500)")
    parser.add_argument("--every", type=int, default=1000, help="dumps between two samples (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the dumps' words (default: 1)")
    parser.add_argument("--dir", type=Path, help="where the store and the folder are made, for the time of the run")
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"), help="what is written (default: soak.csv)")
    parser.add_argument("--plot", type=Path, help="an SVG file to draw")
    parser.add_argument("--draw", type=Path, metavar="CSV", help="run nothing: draw and report what a run wrote")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))  # and the daemon with it
    if given.draw:
        samples = load(given.draw)
    else:
        with tempfile.TemporaryDirectory(dir=given.dir, prefix="soak") as name:
            samples, poller = soak(Path(name), given)
        times = sorted(poller.times)
        print(f"{len(times)} polls: {dict(poller.statuses)}; ", end="")
        print(f"median {1000 * statistics.median(times):.1f} ms, p99 {1000 * times[int(len(times) * 0.99)]:.1f} ms")
    report(samples)
    if given.plot:
        given.plot.write_text(draw([asdict(sample) for sample in samples], BASELINE, ALLOWED), "utf-8")


if __name__ == "__main__":
    main()
