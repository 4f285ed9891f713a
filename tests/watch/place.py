"""Watched folders, and a consumer that logs all that is told of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feedsvc.watch import Change, FileState, Listing, Watcher
from feedsvc.watch.files import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


BOUND = 20.0  # seconds; no test needs them unless it fails
LONG = 60.0  # a settle time that no test survives: what arrives did not wait for it
SHORT = 0.2

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Consumer:
    """Does with Changes and Listings what the pipeline does, and keeps a log of it."""

    def __init__(self) -> None:
        self.log: Counter[tuple[str, str]] = Counter()
        self.known: dict[str, FileState] = {}
        self.content: dict[str, bytes] = {}
        self.listings: list[Listing] = []
        self.reports: list[tuple[str, str | None]] = []
        self.cond = threading.Condition()

    def deliver(self, told: Change | Listing) -> None:
        with self.cond:
            if isinstance(told, Change):
                if told.gone:
                    self._forget(told.path)
                else:
                    self._read(told.path)
            else:
                self.listings.append(told)
                for path, state in told.files.items():
                    if path not in told.unsettled and self.known.get(path) != state:
                        self._read(path)
                below = f"{told.directory}/"
                hidden = tuple(f"{path}/" for path in told.unreadable)
                there = {*told.files, *told.unsettled, *told.unreadable}
                for path in [path for path in self.known if path.startswith(below)]:
                    if path not in there and not path.startswith(hidden):
                        self._forget(path)
            self.cond.notify_all()

    def _read(self, path: str) -> None:
        state = observe(path)
        if state is not None:
            self.known[path] = state
            self.content[path] = Path(path).read_bytes()
        self.log["read", path] += 1

    def _forget(self, path: str) -> None:
        self.known.pop(path, None)
        self.log["gone", path] += 1

    def report(self, key: str, message: str | None) -> None:
        with self.cond:
            self.reports.append((key, message))
            self.cond.notify_all()

    def problem(self, folder: Path) -> str | None:
        return next((message for key, message in reversed(self.reports) if key == f"watch:{folder}"), None)

    def until(self, condition: Callable[[], bool]) -> None:
        with self.cond:
            assert self.cond.wait_for(condition, BOUND), (self.log, self.reports, self.listings[-1:])


@dataclass
class Place:
    """Two watched folders, one that is not watched on the same file system, and a consumer."""

    a: Path
    b: Path
    outside: Path
    consumer: Consumer = field(default_factory=Consumer)
    fences: int = 0

    @contextmanager
    def watch(
        self, *directories: Path, settle: float = SHORT, polling: bool = False, recursive: bool = True
    ) -> Iterator[Watcher]:
        watcher = Watcher(
            directories or (self.a, self.b),
            recursive=recursive,
            polling=polling,
            settle=settle,
            deliver=self.consumer.deliver,
            report=self.consumer.report,
            poll_interval=0.05,
        )
        try:
            watcher.start()
            yield watcher
        finally:
            watcher.stop()

    def fence(self, *folders: Path) -> None:
        """Wait until all that was done before has settled: a linked file has no writer and waits its full time."""
        self.fences += 1
        paths = [folder / f".fence-{self.fences}" for folder in folders]
        source = self.outside / f".fence-{self.fences}"
        write(source)
        for path in paths:
            path.hardlink_to(source)
        self.consumer.until(lambda: all(self.consumer.log["read", str(path)] for path in paths))

    def log(self) -> Counter[tuple[str, str]]:
        """What was done, by path relative to all folders, without the fences."""
        with self.consumer.cond:
            return Counter(
                {
                    (what, os.path.relpath(path, self.a.parent)): count
                    for (what, path), count in self.consumer.log.items()
                    if ".fence-" not in path
                }
            )

    def until_ended(self, folder: Path, problems: int) -> None:
        ended = (f"watch:{folder}", None)
        self.consumer.until(lambda: self.consumer.reports.count(ended) == problems)

    def until(self, **paths: str) -> None:
        wanted = {(what, str(self.a.parent / path)) for what, path in paths.items()}
        self.consumer.until(lambda: all(self.consumer.log[pair] for pair in wanted))


def write(path: Path, text: str = "text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=BOUND)


def tree(*paths: str) -> Callable[[Place], None]:
    def build(place: Place) -> None:
        for path in paths:
            write(place.a.parent / path)

    return build


@contextmanager
def kernel_setting(name: str, value: int) -> Iterator[None]:
    path = Path("/proc/sys", name)
    try:
        before = path.read_text(encoding="ascii")
        path.write_text(str(value), encoding="ascii")
    except OSError as error:
        pytest.skip(f"{path} cannot be set: {error.strerror}")
    try:
        yield
    finally:
        path.write_text(before, encoding="ascii")
