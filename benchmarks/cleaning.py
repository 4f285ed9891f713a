"""Counts the dumps that are cleaned in a second on one core, beside other libraries.

All clean the same dumps in turns, a dump at a time. The fastest round of each dump counts, so that other work of the
machine disturbs little and all alike. The rows: feedsvc with every rule; trafilatura and readability-lxml, if they are
installed; and two lower bounds, Beautiful Soup parsing and writing a dump, and the sanitiser alone.

    python benchmarks/cleaning.py FOLDER
    pip install trafilatura readability-lxml    # or: uv pip install, should pip find no versions that go together
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import nh3
from bs4 import BeautifulSoup

from feedsvc.clean import Cleaner, load_rules
from feedsvc.clean.learning.census import Census
from feedsvc.clean.learning.learned import Learned
from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, NotADump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from feedsvc.model import Dump

SEEDS = Path(__file__).parent.parent / "seeds"
FEWEST = 50  # dumps; fewer are repeated
NOW = datetime.now(UTC)


def feedsvc(dumps: Iterable[Dump]) -> Callable[[Dump], object]:
    """Clean as the daemon does: every rule, learned blocks, and sightings for learning from each dump."""
    cleaner = Cleaner(load_rules(site_rules=True), learned=Learned())
    census = Census()
    for dump in dumps:
        census.add(cleaner.clean(dump, dump.published or NOW))
    cleaner.learned = census.learned()
    return lambda dump: cleaner.clean(dump, dump.published or NOW)


def trafilatura(*, fast: bool) -> Callable[[Dump], object]:
    """To HTML, with all that it can keep of an article."""
    extract = importlib.import_module("trafilatura").extract
    kept = {"favor_recall": True, "include_images": True, "include_links": True}
    return lambda dump: extract(page(dump), output_format="html", fast=fast, **kept)


def readability() -> Callable[[Dump], object]:
    """To HTML."""
    document = importlib.import_module("readability").Document

    def summary(dump: Dump) -> None:
        # A page without text is Unparseable; broken markup raises all kinds of errors.
        with contextlib.suppress(Exception):
            document(page(dump)).summary()

    return summary


def beautiful_soup() -> Callable[[Dump], object]:
    """Parsed and written again, nothing else."""
    return lambda dump: str(BeautifulSoup(dump.html, "lxml"))


def sanitiser() -> Callable[[Dump], object]:
    """Its own defaults."""
    return lambda dump: nh3.clean(dump.html)


OTHERS: dict[str, Callable[[], Callable[[Dump], object]]] = {
    "trafilatura": lambda: trafilatura(fast=False),
    "trafilatura, fast": lambda: trafilatura(fast=True),
    "readability-lxml": readability,
    "Beautiful Soup alone": beautiful_soup,
    "nh3 alone": sanitiser,
}


def page(dump: Dump) -> str:
    """Wrap a dump as a page, for libraries that expect one."""
    return f"<html><body>{dump.html}</body></html>"


def dumps(paths: list[Path]) -> Iterator[Dump]:
    """Those that have a body."""
    for path in paths:
        try:
            found = parse_dump(path.read_bytes(), str(path))
        except NotADump:
            continue
        except BrokenDump as error:
            found = list(error.dumps)
        yield from (dump for dump in found if dump.html.strip())


def seconds(clean: Callable[[Dump], object], dump: Dump) -> float:
    """Seconds for one dump."""
    start = time.perf_counter()
    clean(dump)
    return time.perf_counter() - start


def installed() -> Iterator[tuple[str, Callable[[Dump], object]]]:
    """Make the other cleaners; print the names of missing ones."""
    for name, make in OTHERS.items():
        try:
            yield name, make()
        except ImportError as error:
            print(f"{name} is not measured: {error}. To install it: pip install {name.partition(',')[0]}")


def pin() -> str:
    """Keep to one core where the system lets a process do so."""
    if not hasattr(os, "sched_setaffinity"):
        return "any core"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"core {core}"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=SEEDS, help="dumps (default: the seeds, repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each dump is cleaned (default: 5)")
    options = parser.parse_args()
    logging.disable()
    measured = list(dumps(sorted(path for path in options.folder.rglob("*") if path.is_file())))
    if not measured:
        sys.exit(f"no dumps in {options.folder}")
    measured *= -(-FEWEST // len(measured))
    core = pin()
    cleaners = {"feedsvc": feedsvc(measured), **dict(installed())}
    best = {name: [float("inf")] * len(measured) for name in cleaners}
    for _ in range(options.rounds):
        for number, dump in enumerate(measured):
            for name, clean in cleaners.items():
                best[name][number] = min(best[name][number], seconds(clean, dump))
    size = sum(len(dump.html) for dump in measured) / len(measured)
    print(f"{len(measured)} dumps of {size:,.0f} characters on average, {options.rounds} rounds, {core}")
    print(f"{'':22}{'dumps/s':>9}{'feedsvc is':>14}")
    ours = sum(best["feedsvc"])
    for name, times in best.items():
        print(f"{name:22}{len(measured) / sum(times):9.0f}{sum(times) / ours:8.2f} times as fast")


if __name__ == "__main__":
    main()
