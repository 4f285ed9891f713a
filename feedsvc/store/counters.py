"""The counters of feedsvc.clean.drift in the store: one for each rule and source, updated by batches of entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.clean.drift import FORGET, Alarm, Average, Counter, count_match, explain_alarm, judge, stand
from feedsvc.store.base import Tables
from feedsvc.store.schema import drift, drift_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.clean.drift import Observation, Standing

_LEARNED: Final = "learned-"  # so begin the names of rules that come from learning: nobody need mend those


@dataclass(frozen=True, slots=True)
class RuleCount:
    """The counts of a rule in a source, and its alarm and the alarm's beginning, if any."""

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


@dataclass(slots=True)
class _Row:
    """A counter as it is stored, with the message of its alarm."""

    counter: Counter
    message: str | None = None
    began: datetime | None = None


class CounterReader(Tables):
    """The counts of each rule in each source."""

    def alarms(self) -> list[RuleCount]:
        """The rules that have an alarm."""
        return self.counts(drift.c.alarm.is_not(None))

    def counts(self, *which: sa.ColumnElement[bool]) -> list[RuleCount]:
        """The counts of each rule in each source, sorted by source and rule."""
        query = (
            sa.select(drift, drift_sources.c.dumps)
            .join(drift_sources, drift_sources.c.source == drift.c.source)
            .where(*which)
            .order_by(drift.c.source, drift.c.rule)
        )
        found = []
        for row in self._connection.execute(query):
            counter = _counter(row)
            standing = stand(counter, row.dumps)
            found.append(RuleCount(row.rule, row.source, standing, counter.alarm, row.message, row.began))
        return found


class CounterWriter(CounterReader):
    """The same, and counting."""

    def __init__(self, connection: sa.Connection) -> None:
        """Use `connection`; the caller ends its transaction."""
        super().__init__(connection)
        self._observed: dict[str, list[Observation]] = {}

    def note(self, observations: Iterable[Observation]) -> None:
        """Note observations of entries that were added; `count` is to follow in this transaction."""
        for observation in observations:
            self._observed.setdefault(observation.source, []).append(observation)

    def forget_rules(self, limited: Mapping[str, bool]) -> None:
        """Drop the counters of rules that are gone from the packs, and with them their alarms."""
        known = set(self._connection.scalars(sa.select(drift.c.rule).distinct()))
        for rule in known - limited.keys():
            if not rule.startswith(_LEARNED):
                self._connection.execute(drift.delete().where(drift.c.rule == rule))

    def count(self, limited: Mapping[str, bool], cleaner: str, now: datetime) -> list[DriftChange]:
        """Count the observations that were noted; returns the alarms that began or ended.

        `limited` has each rule of the packs, true if it is limited to hosts or sources; `cleaner` is the fingerprint
        of the rules that cleaned.
        """
        observed, self._observed = self._observed, {}
        if not observed:
            return []
        numbers = self._count_dumps(observed, cleaner)
        known = {
            (row.source, row.rule): _Row(_counter(row), row.message, row.began)
            for row in self._select_in(sa.select(drift), drift.c.source, observed)
        }
        rows: dict[tuple[str, str], _Row] = {}
        for source, observations in observed.items():
            before, since = numbers[source]
            for number, observation in enumerate(observations, start=before + 1):
                for rule, share in observation.shares.items():
                    row = rows.get((source, rule)) or known.get((source, rule)) or _Row(Counter(since=since, at=since))
                    row = _Row(count_match(row.counter, number=number, share=share), row.message, row.began)
                    rows[source, rule] = row
        changes, dropped = [], []
        for (source, rule), row in (known | rows).items():
            dumps = numbers[source][0] + len(observed[source])
            if rule not in limited:
                if dumps - row.counter.at > FORGET:
                    dropped.append((source, rule))
                continue
            alarm = judge(row.counter, dumps, limited=limited[rule])
            if alarm is not row.counter.alarm:
                message = explain_alarm(alarm, rule, source, stand(row.counter, dumps)) if alarm else None
                rows[source, rule] = _Row(row.counter.alarmed(alarm), message, now if alarm else None)
                changes.append(DriftChange(rule, source, message))
        values = [{"source": source, "rule": rule} | _columns(row) for (source, rule), row in rows.items()]
        self._replace(drift, [*dropped, *rows], values)
        return changes

    def _count_dumps(self, observed: Mapping[str, Sequence[Observation]], cleaner: str) -> dict[str, tuple[int, int]]:
        """Source to its number of dumps, and the number before the present rules."""
        found = dict.fromkeys(observed, (0, 0))
        for row in self._select_in(sa.select(drift_sources), drift_sources.c.source, observed):
            found[row.source] = row.dumps, row.since if row.cleaner == cleaner else row.dumps
        rows = [
            {"source": source, "dumps": before + len(observed[source]), "cleaner": cleaner, "since": since}
            for source, (before, since) in found.items()
        ]
        self._replace(drift_sources, [(source,) for source in found], rows)
        return found


def _counter(row: Any) -> Counter:  # noqa: ANN401 - a row has no better type
    return Counter(
        since=row.since,
        at=row.at,
        matched=row.matched,
        matches=Average(row.match_fast, row.match_slow),
        shares=Average(row.share_fast, row.share_slow),
        alarm=Alarm(row.alarm) if row.alarm else None,
    )


def _columns(row: _Row) -> dict[str, Any]:
    counter = row.counter
    return {
        "since": counter.since,
        "at": counter.at,
        "matched": counter.matched,
        "match_fast": counter.matches.fast,
        "match_slow": counter.matches.slow,
        "share_fast": counter.shares.fast,
        "share_slow": counter.shares.slow,
        "alarm": counter.alarm,
        "message": row.message,
        "began": row.began,
    }
