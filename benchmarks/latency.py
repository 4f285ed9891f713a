"""Measures the time from a change in the watched folder until the change is served.

Starts a daemon of its own and changes its folder as programs do, in several ways. The clock runs from just before the
last file operation until a feed reader has the article. The lower bound beside it: the same operations in another
folder, until a bare process that blocks on inotify has seen the last event and the file.

    python benchmarks/latency.py --rounds 10
"""

from __future__ import annotations

import argparse
import ctypes
import http.client
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import feedparser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

PATIENCE = 30.0  # seconds
REST = 0.8  # seconds between two rounds: longer than [schedule] regenerate, so that no round waits for another
EVENTS = 0x2 | 0x8 | 0x80 | 0x100  # IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE


def dump(token: str) -> str:
    """An article that is known by its token."""
    title = f"[article {token}](https://news.example.org/{token})"
    return f"<!--{int(time.time())}000-->\n{title}\n------\n\n<p>The token of this article is {token}.</p>\n"


# Each puts an article into a folder and answers when its last file operation began (monotonic seconds).


def created(folder: Path, text: str) -> float:
    """Written in one go."""
    with (folder / "a.txt").open("w", encoding="utf-8") as file:
        file.write(text)
        return time.monotonic()


def renamed_in(folder: Path, text: str) -> float:
    """Written under a hidden name, then renamed into place."""
    temporary = folder / ".a.txt.tmp"
    temporary.write_text(text, "utf-8")
    last = time.monotonic()
    temporary.rename(folder / "a.txt")
    return last


def replaced(folder: Path, text: str) -> float:
    """Written outside, then renamed over the dump that is there."""
    temporary = folder.with_name("outside.txt")
    temporary.write_text(text, "utf-8")
    last = time.monotonic()
    temporary.replace(folder / "replaced.txt")
    return last


def written_slowly(folder: Path, text: str) -> float:
    """Written in pieces, with pauses, then closed."""
    with (folder / "a.txt").open("w", encoding="utf-8") as file:
        for start in range(0, len(text), len(text) // 3):
            file.write(text[start : start + len(text) // 3])
            file.flush()
            time.sleep(0.1)
        return time.monotonic()


def held_open(folder: Path, text: str) -> float:
    """Written, and not closed before it has settled."""
    file = (folder / "a.txt").open("w", encoding="utf-8")
    file.write(text)
    last = time.monotonic()
    file.flush()
    held_open.file = file  # type: ignore[attr-defined]  # the next round closes it
    return last


def folder_moved_in(folder: Path, text: str) -> float:
    """A folder that holds the dump, renamed into the watched one."""
    outside = folder.with_name("outside")
    outside.mkdir()
    (outside / "a.txt").write_text(text, "utf-8")
    last = time.monotonic()
    outside.rename(folder / "inside")
    return last


KINDS: tuple[Callable[[Path, str], float], ...] = (
    created,
    renamed_in,
    replaced,
    written_slowly,
    held_open,
    folder_moved_in,
)


@contextmanager
def daemon(home: Path) -> Iterator[tuple[Path, http.client.HTTPConnection]]:
    """A daemon with the defaults: its folder, and a connection to it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    folder = home / "dumps"
    folder.mkdir()
    (home / "config.toml").write_text(
        f'[watch]\ndirectories = ["dumps"]\n[server]\nlisten = "127.0.0.1:{port}"\n', "utf-8"
    )
    with (home / "log").open("wb") as log, subprocess.Popen(
        [Path(sys.executable).with_name("feedsvc"), "run"], cwd=home, stderr=log
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            while True:
                try:
                    connection.connect()
                    break
                except ConnectionRefusedError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        sys.exit(f"the daemon does not start: {(home / 'log').read_text('utf-8')}")
                    time.sleep(0.05)
            yield folder, connection
            connection.close()
        finally:
            process.terminate()


def served(connection: http.client.HTTPConnection, token: str) -> float:
    """Poll the feed until the article of this token is in it; answers when that was."""
    etag = ""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection.request("GET", "/feed.atom", headers={"If-None-Match": etag or '""'})
        answer = connection.getresponse()
        body = answer.read()
        now = time.monotonic()
        if answer.status == http.client.OK:
            etag = answer.headers["ETag"]
            if any(token in entry.content[0].value for entry in feedparser.parse(body).entries):
                return now
        time.sleep(0.002)
    sys.exit(f"the article {token} was not served within {PATIENCE} s")


def watch_barely(folder: Path, seen: Connection) -> None:
    """Send the time of each event, once the file it is about was looked at."""
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init()
    libc.inotify_add_watch(queue, os.fsencode(folder), EVENTS)
    seen.send(0.0)
    while True:
        os.read(queue, 65536)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # renamed meanwhile
                path.stat()
        seen.send(time.monotonic())


@contextmanager
def floor(folder: Path) -> Iterator[Connection]:
    """A process that does nothing but wait for events of a folder."""
    folder.mkdir()
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=watch_barely, args=(folder, theirs), daemon=True)
    process.start()
    try:
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join()


def seen_last(events: Connection) -> float:
    """The time of the last event, when no other has followed for a while."""
    last = 0.0
    while events.poll(0.1):
        last = events.recv()
    return last


def tidy(folder: Path) -> None:
    """Delete the files of a round, but for those that the next round replaces."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "replaced.txt":
            path.unlink()
    if (file := getattr(held_open, "file", None)) is not None:
        file.close()


def main() -> None:
    """Measure, and print a table in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often each kind is measured (default: 10)")
    rounds = parser.parse_args().rounds
    print(f"milliseconds to be served, {rounds} rounds each; floor: a bare process that waits for inotify events")
    print(f"{'':18}{'min':>8}{'median':>8}{'max':>8}{'floor':>8}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        home, bare = Path(name) / "daemon", Path(name) / "bare"
        home.mkdir()
        bare.mkdir()
        with floor(bare / "dumps") as events, daemon(home) as (folder, connection):
            for kind in KINDS:
                times, floors = [], []
                for number in range(rounds):
                    token = f"{kind.__name__}-{number}-{os.getpid()}".replace("_", "-")
                    last = kind(bare / "dumps", dump(token))
                    floors.append(seen_last(events) - last)
                    tidy(bare / "dumps")
                    seen_last(events)
                    last = kind(folder, dump(token))
                    times.append(served(connection, token) - last)
                    tidy(folder)
                    time.sleep(REST)
                middle, bottom = statistics.median(times), statistics.median(floors)
                cells = [1000 * seconds for seconds in (min(times), middle, max(times))]
                shown = "".join(f"{cell:8.1f}" for cell in cells)
                label = kind.__name__.replace("_", " ")
                print(f"{label:18}{shown}{1000 * bottom:8.2f}{middle / bottom:8.0f}", flush=True)


if __name__ == "__main__":
    main()
