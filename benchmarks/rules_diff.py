"""Times `feedsvc rules diff` over a large store.

Fills a store with the dumps of a folder, copied under other links and titles, and times the command from start to end
for three changes of rules: a site rule that matches one dump in ten of the source with the most dumps, a site rule that
matches most of its dumps, and a generic rule about text.

    python benchmarks/rules_diff.py FOLDER --dumps 60000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import sqlalchemy as sa

from feedsvc.clean import Cleaner, load_rules
from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, CleaningError, NotADump
from feedsvc.intake.decide import identities, mint_entry
from feedsvc.intake.rules_diff import make_saved
from feedsvc.links import tidy_link
from feedsvc.model import Entry, Outcome
from feedsvc.store import Store, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feedsvc.model import CleanEntry, Dump

CORPUS = Path(__file__).parents[1] / "tests" / "quality" / "corpus"
BATCH = 1000
NOW = datetime(2024, 4, 3, tzinfo=UTC)
GENERIC = """
[[rule]]
name = "text"
reason = "a test"
text = ['延伸閱讀', 'related stories?:?']
"""
CLASS = re.compile(r"class=\"([A-Za-z][\w-]+)\"")
TABLES = ("dumps", "entries", "articles", "aliases", "removals")
ENTRY_FIELDS = [field.name for field in fields(Entry)]


@dataclass(frozen=True, slots=True)
class Original:
    """A dump that can be copied, with its entry."""

    text: str
    dump: Dump
    article: CleanEntry

    def copy(self, number: int) -> tuple[bytes, CleanEntry]:
        """Give the same under another link and title."""
        link = f"{self.dump.link}{'&' if '?' in (self.dump.link or '') else '?'}copy={number}"
        title = f"{self.dump.title} {number}"
        text = self.text.replace(f"[{self.dump.title}](", f"[{title}](", 1)
        text = text.replace(f"({self.dump.link})", f"({link})", 1).replace(f"{self.dump.link}\n", f"{link}\n", 1)
        return text.encode(), replace(self.article, link=tidy_link(link), title=title, given_title=title)


def read(folder: Path, cleaner: Cleaner) -> Iterator[Original]:
    """Read each dump of a folder that can be copied."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            text = path.read_text("utf-8")
            (dump,) = parse_dump(text.encode(), str(path))
            original = Original(text, dump, cleaner.clean(dump, dump.published or NOW))
            raw, copied = original.copy(1)
            (again,) = parse_dump(raw, str(path))
        except (NotADump, BrokenDump, CleaningError, ValueError):
            continue
        if again.html == dump.html and cleaner.clean(again, dump.published or NOW) == copied:
            yield original


def copies(originals: Sequence[Original], number: int) -> Iterator[tuple[bytes, CleanEntry]]:
    """Give as many dumps as are wanted, each with a link and a title of its own."""
    for copy, original in enumerate(islice(cycle(originals), number)):
        yield original.copy(copy)


def fill(store: Store, dumps: Iterator[tuple[bytes, CleanEntry]], digest: str) -> None:
    """Write dumps and entries a thousand at a time, as cleaning them one by one would have left them."""
    number = 0
    while batch := list(islice(dumps, BATCH)):
        tables: dict[str, list[dict[str, object]]] = {
            "dumps": [],
            "entries": [],
            "articles": [],
            "aliases": [],
            "removals": [],
        }
        for raw, article in batch:
            number += 1
            entry = mint_entry(article, cleaner=digest)
            tables["dumps"].append(
                {
                    "id": number,
                    "path": f"/dumps/{number}.txt",
                    "size": len(raw),
                    "mtime_ns": 0,
                    "digest": hashlib.sha256(raw).hexdigest(),
                    "outcome": Outcome.PUBLISHED,
                    "raw": raw,
                    "seen": NOW,
                }
            )
            values = {name: getattr(entry, name) for name in ENTRY_FIELDS}
            tables["entries"].append(values | {"number": number, "state": "live", "dump": number, "position": 0})
            tables["articles"].append({"dump": number, "position": 0, "entry": number, "published": entry.published})
            tables["aliases"] += [{"name": name, "entry": number} for name in dict.fromkeys(identities(article))]
            tables["removals"] += [
                {
                    "entry": number,
                    "position": position,
                    **{key: getattr(item, key) for key in ("rule", "reason", "text", "html")},
                }
                for position, item in enumerate(article.removals)
            ]
        with store.writing() as writer:
            for name, rows in tables.items():
                if rows:
                    writer.connection.execute(sa.insert(schema.metadata.tables[name]), rows)


def site_rule(name: str, host: str, css: str) -> str:
    """Write a rule for one host."""
    return f'[[rule]]\nname = "{name}"\nreason = "a test"\ncss = [".{css}"]\nhosts = ["{host}"]\n'


def changes(originals: Sequence[Original]) -> dict[str, str]:
    """Write the three changes of rules that suit a folder of dumps."""
    hosts = Counter((urlsplit(each.article.link or "").hostname or "").removeprefix("www.") for each in originals)
    for host, _ in hosts.most_common():
        there = [each.text for each in originals if host in (each.article.link or "")]
        classes = Counter(name for text in there for name in set(CLASS.findall(text)))
        if classes:
            break
    else:
        sys.exit("no dump has a class that a rule could mean")
    number = len(there)
    few = min(classes, key=lambda name: (abs(classes[name] - number / 10), name))
    most = max(classes, key=lambda name: (classes[name], name))
    return {
        f"few: .{few} in {classes[few]} of {number}": site_rule("few", host, few),
        f"most: .{most} in {classes[most]} of {number}": site_rule("most", host, most),
        "generic text rule": GENERIC,
    }


def measure(home: Path, *arguments: str) -> tuple[float, dict[str, object]]:
    """Run the command; return its seconds and its output."""
    started = time.monotonic()
    command = [Path(sys.executable).with_name("feedsvc"), "rules", "diff", "--json", "--limit", "0", *arguments]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode > 1:
        sys.exit(done.stderr)
    return seconds, json.loads(done.stdout)


def main() -> None:
    """Make the store, and print a line a change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=CORPUS, help="dumps to copy (default: those of the tests)"
    )
    parser.add_argument("--dumps", type=int, default=60_000, help="how many the store is to hold (default: 60000)")
    wanted = parser.parse_args()
    rules = load_rules(site_rules=True)
    cleaner = Cleaner(rules)
    originals = list(read(wanted.folder, cleaner))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "config.toml").write_text('[store]\nurl = "sqlite:///feedsvc.db"\n', "utf-8")
        store = Store(f"sqlite:///{home / 'feedsvc.db'}")
        store.save_live_rules(make_saved(rules, cleaner.digest), NOW)
        fill(store, copies(originals, wanted.dumps), cleaner.digest)
        store.optimise()
        store.close()
        print(f"{wanted.dumps} dumps made of {len(originals)}, {(home / 'feedsvc.db').stat().st_size / 2**20:.0f} MiB")
        print(f"{'':44}{'seconds':>8}{'looked at':>11}{'affected':>10}{'cleaned':>9}{'changed':>9}")
        for label, pack in {"nothing": "", **changes(originals)}.items():
            (home / "pack").mkdir(exist_ok=True)
            (home / "pack" / "pack.toml").write_text(pack, "utf-8")
            seconds, found = measure(home, "--with", "pack")
            changed = f"{'' if found['exact'] else '~'}{found['changed_in_all']}"
            counts = f"{found['looked_at']:>11}{found['affected']:>10}{found['cleaned']:>9}{changed:>9}"
            print(f"{label:44}{seconds:8.2f}{counts}", flush=True)


if __name__ == "__main__":
    main()
