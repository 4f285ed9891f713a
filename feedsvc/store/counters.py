"""The counters of feedsvc.drift in the store: one for each rule and source, updated a batch of entries at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.drift import FORGET, Alarm, Average, Counter, explain_alarm, judge, observe, stand
from feedsvc.store.schema import drift, drift_sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.drift import Observation, Standing

__all__ = ["Counters", "DriftChange", "RuleCount"]

LEARNED: Final = "learned-"
"""With this the names of rules begin that come from learning and not from a pack: nobody need mend those."""

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How a rule stands in a source, and the alarm that stands, if any, with its beginning."""

    rule: str
    source: str
    standing: Standing
    alarm: Alarm | None
    message: str | None
    began: datetime | None


@dataclass(frozen=True, slots=True)
class DriftChange:
    """An alarm began (message) or ended (None)."""

    rule: str
    source: str
    message: str | None


class Counters:
    """What can be asked and written inside one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Use `connection`, whose transaction the caller ends."""
        self._connection = connection
        self._observed: list[Observation] = []

    def note(self, observations: Iterable[Observation]) -> None:
        """Take down what rules did to entries that were added; `count` is to follow in this transaction."""
        self._observed += observations

    def forget_rules(self, limited: Mapping[str, bool]) -> None:
        """Drop the counters of rules that are gone from the packs, and with them their alarms."""
        known = set(self._connection.scalars(sa.select(drift.c.rule).distinct()))
        for rule in known - limited.keys():
            if not rule.startswith(LEARNED):
                self._connection.execute(drift.delete().where(drift.c.rule == rule))

    def count(self, limited: Mapping[str, bool], cleaner: str, now: datetime) -> list[DriftChange]:
        """Count what was noted.

        Args:
            limited: Each rule of the packs, and whether it is limited to hosts or sources.
            cleaner: Fingerprint of the rules that cleaned.
            now: Aware, in UTC.

        Returns:
            The alarms that began or ended.
        """
        by_source: dict[str, list[Observation]] = {}
        for observation in self._observed:
            by_source.setdefault(observation.source, []).append(observation)
        self._observed = []
        if not by_source:
            return []
        numbers = self._count_dumps(by_source, cleaner)
        known = self._load_counters(by_source)
        changes: list[DriftChange] = []
        rows: list[dict[str, Any]] = []
        gone: list[dict[str, str]] = []
        for source, observations in by_source.items():
            before, since = numbers[source]
            counters, changed = dict(known.get(source, {})), set()
            for number, observation in enumerate(observations, start=before + 1):
                for rule, share in observation.shares.items():
                    counters[rule] = observe(counters.get(rule), number=number, share=share, since=since)
                    changed.add(rule)
            dumps = before + len(observations)
            for rule, counter in counters.items():
                alarm = judge(counter, dumps, limited=limited[rule]) if rule in limited else None
                if rule not in limited and dumps - counter.at > FORGET:
                    gone.append({"of_source": source, "of_rule": rule})
                    continue
                row: dict[str, Any] = {}
                if alarm is not counter.alarm:
                    message = None if alarm is None else explain_alarm(alarm, rule, source, stand(counter, dumps))
                    changes.append(DriftChange(rule, source, message))
                    row = {"alarm": alarm, "message": message, "began": alarm and now}
                if row or rule in changed:
                    rows.append(_row(source, rule, counter) | row)
        self._save_counters(rows, gone, known)
        return changes

    def alarms(self) -> list[RuleCount]:
        """The rules that have an alarm."""
        return self.counts(drift.c.alarm.is_not(None))

    def counts(self, *which: sa.ColumnElement[bool]) -> list[RuleCount]:
        """How each rule stands in each source, sorted by source and rule."""
        query = (
            sa.select(drift, drift_sources.c.dumps)
            .join(drift_sources, drift_sources.c.source == drift.c.source)
            .where(*which)
            .order_by(drift.c.source, drift.c.rule)
        )
        return [
            RuleCount(row.rule, row.source, stand(counter, row.dumps), counter.alarm, row.message, row.began)
            for row in self._connection.execute(query)
            for counter in (_counter(row),)
        ]

    def _count_dumps(self, by_source: Mapping[str, Sequence[Observation]], cleaner: str) -> dict[str, tuple[int, int]]:
        """Source to how many dumps it had, and how many of these came before the present rules."""
        found: dict[str, tuple[int, int]] = dict.fromkeys(by_source, (0, 0))
        known = set()
        for row in self._of(drift_sources, by_source):
            known.add(row.source)
            found[row.source] = row.dumps, row.since if row.cleaner == cleaner else row.dumps
        rows = [
            {"of_source": source, "dumps": before + len(by_source[source]), "cleaner": cleaner, "since": since}
            for source, (before, since) in found.items()
        ]
        self._write(drift_sources, ("source",), rows, {(source,) for source in known})
        return found

    def _load_counters(self, sources: Collection[str]) -> dict[str, dict[str, Counter]]:
        found: dict[str, dict[str, Counter]] = {}
        for row in self._of(drift, sources):
            found.setdefault(row.source, {})[row.rule] = _counter(row)
        return found

    def _save_counters(
        self,
        rows: Sequence[dict[str, Any]],
        gone: Sequence[dict[str, str]],
        known: Mapping[str, Mapping[str, Counter]],
    ) -> None:
        there = {(source, rule) for source, counters in known.items() for rule in counters}
        # One statement has one set of columns.
        for keys in {tuple(row) for row in rows}:
            self._write(drift, ("source", "rule"), [row for row in rows if tuple(row) == keys], there)
        if gone:
            which = drift.c.source == sa.bindparam("of_source"), drift.c.rule == sa.bindparam("of_rule")
            self._connection.execute(drift.delete().where(*which), gone)

    def _of(self, table: sa.Table, sources: Collection[str]) -> Iterable[Any]:
        names = list(sources)
        for start in range(0, len(names), _CHUNK):
            yield from self._connection.execute(
                sa.select(table).where(table.c.source.in_(names[start : start + _CHUNK]))
            )

    def _write(
        self, table: sa.Table, key: Sequence[str], rows: Sequence[dict[str, Any]], there: Collection[tuple[str, ...]]
    ) -> None:
        """Update the rows that are there, and insert the others."""
        marked = [f"of_{name}" for name in key]
        update = [row for row in rows if tuple(row[name] for name in marked) in there]
        insert = [row for row in rows if tuple(row[name] for name in marked) not in there]
        if update:
            which = [table.c[name] == sa.bindparam(f"of_{name}") for name in key]
            values = {name: sa.bindparam(name) for name in update[0] if name not in marked}
            self._connection.execute(table.update().where(*which).values(values), update)
        if insert:
            plain = [{name.removeprefix("of_"): value for name, value in row.items()} for row in insert]
            self._connection.execute(table.insert(), plain)


def _counter(row: Any) -> Counter:  # noqa: ANN401 - a row has no better type
    return Counter(
        since=row.since,
        at=row.at,
        matched=row.matched,
        matches=Average(row.match_fast, row.match_slow),
        shares=Average(row.share_fast, row.share_slow),
        alarm=Alarm(row.alarm) if row.alarm else None,
    )


def _row(source: str, rule: str, counter: Counter) -> dict[str, Any]:
    return {
        "of_source": source,
        "of_rule": rule,
        "since": counter.since,
        "at": counter.at,
        "matched": counter.matched,
        "match_fast": counter.matches.fast,
        "match_slow": counter.matches.slow,
        "share_fast": counter.shares.fast,
        "share_slow": counter.shares.slow,
    }
