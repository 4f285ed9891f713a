"""The stored entries that would change, and how, if other rules became live.

    rules that differ -> reach -> dumps that they may match -> cleaned by the new rules -> compared with the store
                         (SQL)    (bytes of the dumps)         (as many as time allows)

Nothing is written to the store.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar

from feedsvc import __version__
from feedsvc.clean import Rule, RuleSet
from feedsvc.clean.rules.affects import Affects
from feedsvc.errors import StoreError
from feedsvc.intake.entry_diff import EntryDiff, as_stored, clean_again, diff_entry
from feedsvc.runtime.workers import Workers
from feedsvc.store import SavedRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from feedsvc.clean import Cleaner
    from feedsvc.intake.entry_diff import Removed
    from feedsvc.store import Article, RawDump, Store

_T = TypeVar("_T")

_SCANNED_AT_ONCE = 256  # dumps
_CLEANED_AT_ONCE = 16
_GOLDEN = 0.6180339887498949  # its multiples, whole parts left out, fall evenly


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """The difference between two sets of rules, by their names; `rules` are all that differ, changed ones twice.

    A rule that only moved counts as changed: its place may decide if another rule takes something first.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(slots=True)
class Diff:
    """The entries that would change.

    Attributes:
        live_version: The feedsvc that used the live rules; if it is another, all entries are cleaned again anyway.
        looked_at: Entries that the rules apply to, with their dump kept.
        affected: Those with something in their dump that one of the rules may match.
        cleaned: Those that were cleaned by the new rules; fewer than `affected` if time was short.
        uncleanable: Those of them that cannot be cleaned, and stay as they are.
        changes: The largest losses first.
        estimate: How many would change in all: the number that was found, or that can be expected from it.
    """

    rules: RuleChanges
    live_version: str
    looked_at: int = 0
    affected: int = 0
    cleaned: int = 0
    uncleanable: int = 0
    changes: list[EntryDiff] = field(default_factory=list)
    estimate: int = 0

    @property
    def is_exact(self) -> bool:
        """True if all affected entries were cleaned."""
        return self.cleaned == self.affected


def make_saved(rules: RuleSet, digest: str) -> SavedRules:
    """Give rules the form that the store keeps; entries name them by their cleaner's `digest`."""
    return SavedRules(digest, __version__, [rule.model_dump(mode="json") for rule in rules.rules])


def read_saved(saved: SavedRules) -> RuleSet:
    """Read rules that were saved.

    Raises:
        StoreError: Another version wrote them, and they are no rules for this one.
    """
    try:
        return RuleSet(tuple(Rule.model_validate(rule) for rule in saved.rules))
    except ValueError as error:  # such as pydantic raises
        raise StoreError(
            f"the live rules are those of feedsvc {saved.version}, which this version cannot read; "
            "start this version once, and compare then"
        ) from error


def compare_rules(live: RuleSet, planned: RuleSet) -> RuleChanges:
    """Compare two sets of rules."""
    old = {rule.name: rule for rule in live.rules}
    new = {rule.name: rule for rule in planned.rules}
    before, after = [name for name in old if name in new], [name for name in new if name in old]
    settled = {
        name
        for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
        for name in before[block.a : block.a + block.size]
    }
    added = tuple(name for name in new if name not in old)
    removed = tuple(name for name in old if name not in new)
    changed = tuple(name for name in before if old[name] != new[name] or name not in settled)
    rules = [old[name] for name in (*removed, *changed)] + [new[name] for name in (*changed, *added)]
    return RuleChanges(added, removed, changed, tuple(rules))


def diff_rules(
    store: Store,
    planned: RuleSet,
    make_cleaner: Callable[[RuleSet], Cleaner],
    *,
    source: str | None = None,
    seconds: float | None = None,
    workers: int = 1,
    progress: Callable[[str, int, int | None], None] = lambda _stage, _done, _of: None,
) -> Diff:
    """Find the entries in the store that would change if other rules became live.

    Args:
        store: Its live rules are compared.
        planned: The other rules.
        make_cleaner: Makes the cleaner that uses a set of rules.
        source: Of the only entries to look at; None for all.
        seconds: To take for all, but a third of them is left to clean; None for no limit. The newest are cleaned first,
            and as many of the others, evenly chosen.
        workers: Processes that clean; with 1, none but this one.
        progress: Told the stage, how much of it is done, and of how much (None if that is not known).

    Raises:
        StoreError: The store cannot be read, or does not know its live rules.
    """
    started = time.monotonic()
    saved = store.load_live_rules()
    if saved is None:
        raise StoreError(f"{store.url}: it is not known which rules are live; they are after the next start of feedsvc")
    live = read_saved(saved)
    found = Diff(compare_rules(live, planned), saved.version)
    if not found.rules.rules:
        return found
    affects = Affects(found.rules.rules)
    store.disconnect()  # no open connection may be there when processes fork
    task = _Task(affects, live, planned, saved.digest, make_cleaner)
    with Workers(workers, _Bench, task) as pool:
        candidates: list[tuple[int, int]] = []
        hosts = None if affects.everywhere else affects.hosts
        rows = store.load_raw_dumps(hosts=hosts, sources=affects.sources, source=source)
        for looked_at, some in pool.map(_scan, _in_batches(rows, _SCANNED_AT_ONCE)):
            found.looked_at += looked_at
            candidates += some
            progress("looking at dumps", found.looked_at, None)
        found.affected = len(candidates)
        numbers = [number for _, number in sorted(candidates, reverse=True)]
        place = {number: index for index, number in enumerate(numbers)}
        until = None if seconds is None else max(started + seconds, time.monotonic() + seconds / 3)
        done: dict[int, bool] = {}
        batches = (store.load_cleaned(some) for some in _in_batches(_mixed(numbers), _CLEANED_AT_ONCE))
        for outcomes in pool.map(_compare, batches, until):
            for number, outcome in outcomes:
                done[place[number]] = isinstance(outcome, EntryDiff) and outcome.visible
                if isinstance(outcome, EntryDiff):
                    found.changes.append(outcome)
                found.uncleanable += outcome is False
            progress("cleaning", len(done), len(numbers))
    found.cleaned = len(done)
    found.estimate = _estimate(done, len(numbers))
    found.changes.sort(key=lambda change: (-change.lost, -change.regained, change.key))
    return found


def _in_batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _mixed(numbers: Sequence[int]) -> Iterator[int]:
    """Give all numbers once, in turn batches from the beginning and batches spread evenly."""
    taken: set[int] = set()
    first, step = 0, 0
    while len(taken) < len(numbers):
        for _ in range(_CLEANED_AT_ONCE):
            while first in taken:
                first += 1
            if first < len(numbers):
                taken.add(first)
                yield numbers[first]
        for _ in range(_CLEANED_AT_ONCE):
            step += 1
            index = int(step * _GOLDEN % 1 * len(numbers))
            if index not in taken:
                taken.add(index)
                yield numbers[index]


def _estimate(changed: Mapping[int, bool], number: int) -> int:
    """Estimate how many of `number` entries change.

    `changed` tells it of those that were cleaned, by their place among all, newest first.
    """
    first = next(index for index in range(number + 1) if index not in changed)
    known = sum(changed[index] for index in range(first))
    sample = [value for index, value in changed.items() if index >= first] or list(changed.values())
    return known + round((number - first) * sum(sample) / max(1, len(sample)))


# In the worker processes


@dataclass(frozen=True, slots=True)
class _Task:
    """The task of each worker process; the digest is that of the live rules, as entries have it."""

    affects: Affects
    live: RuleSet
    planned: RuleSet
    digest: str
    make_cleaner: Callable[[RuleSet], Cleaner]


class _Bench:
    """The cleaners of a worker."""

    def __init__(self, task: _Task) -> None:
        self.task = task
        self.live = task.make_cleaner(task.live)
        self.planned = task.make_cleaner(task.planned)


def _scan(bench: _Bench, rows: Sequence[RawDump]) -> tuple[int, list[tuple[int, int]]]:
    """Count the entries that the rules apply to; give time and number of those that they may change."""
    affects = bench.task.affects
    reached = [row for row in rows if affects.reach(row.link, row.source)]
    return len(reached), [
        (row.published, row.number)
        for row in reached
        if affects.may_match(zlib.decompress(row.raw), row.link, row.source)
    ]


def _compare(
    bench: _Bench, rows: Sequence[tuple[int, Article, list[Removed]]]
) -> list[tuple[int, EntryDiff | Literal[False] | None]]:
    """Find the difference in each of these entries; False for one that cannot be cleaned."""
    return [(number, _compare_one(bench, article, removed)) for number, article, removed in rows]


def _compare_one(bench: _Bench, article: Article, removed: list[Removed]) -> EntryDiff | Literal[False] | None:
    planned = clean_again(article, bench.planned)
    if planned is None:
        return False
    stored = article.entry
    if stored.cleaner != bench.task.digest:  # it is still to be cleaned by the live rules
        now = clean_again(article, bench.live)
        if now is not None:
            stored = as_stored(stored, now)
            removed = [(removal.rule, removal.text) for removal in now.removals]
    return diff_entry(stored, removed, planned)
