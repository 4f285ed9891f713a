"""Averages of how often each rule matches in the dumps of a source and how much text it takes; alarms if they change.

The dumps of a source are numbered 1, 2, 3 and so on as their entries are added. For each rule, x(n) is 1 if it matched
in dump n, else 0; or the share of the dump's text that it took. Both are averaged with weights that fade:

    e(n) = (1 - a) e(n - 1) + a x(n),  e = 0 before the first dump that counts
    average(n) = e(n) / (1 - (1 - a)^m),  m being the number of dumps that count

The divisor makes up for the start at 0. There is a fast average (a = 1/20, the last 20 dumps or so) and a slow one
(a = 1/200). A dump without a match multiplies e by 1 - a: the number of such dumps is enough, and nothing is written.

Two things are worth an alarm:

    silent: a rule has matched at least 5 times; with r, its slow average at its last match, as the chance that it
        matches in a dump, the chance that it matches in none of the k dumps since then, (1 - r)^k, is below one in a
        million; and k is at least 20, for dumps of one kind come in a row. For rules limited to hosts or sources it
        stands until they match again. For all others, r must be at least 20 % and the average of 50 dumps or more,
        and the alarm ends after 400 dumps without a match: by then silence is normal.
    surge: the fast average of the share, f, exceeds both 20 % and 5 times the average before. That is the slow average
        without the last 20 dumps, (s - w f) / (1 - w), with w as the weight of these in it; there must be 50 dumps or
        more. It ends once f is below 10 % or below twice the average before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from feedsvc.clean.learning.learned import census_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feedsvc.model import CleanEntry, Removal

_FAST: Final = 1 / 20
_SLOW: Final = 1 / 200
_RECENT: Final = 20  # dumps that the fast average speaks of

_LEAST_MATCHES: Final = 5
_LEAST_SILENCE: Final = 20  # dumps
_CHANCE: Final = 1e-6
_OFTEN: Final = 0.2  # share of the dumps
_LEAST_DUMPS: Final = 50
_NORMAL_SILENCE: Final = 400  # dumps

_SURGE_SHARE: Final = 0.2
_SURGE_RATIO: Final = 5.0
_SURGE_ENDS_SHARE: Final = 0.1
_SURGE_ENDS_RATIO: Final = 2.0

FORGET: Final = 1000
"""Dumps without a match after which a counter without alarms may be forgotten."""


class Alarm(StrEnum):
    """The way in which a rule has changed."""

    SILENT = "silent"
    SURGE = "surge"


@dataclass(frozen=True, slots=True)
class Taken:
    """Removals of one rule from one article.

    Attributes:
        number: How many.
        characters: Of text, white space and restored removals aside.
    """

    rule: str
    reason: str
    number: int
    characters: int


@dataclass(frozen=True, slots=True)
class Observation:
    """Effects of rules on one dump.

    Attributes:
        source: The dump's, or else its host, or "".
        shares: Rule to the share of the text that it took, from 0 to 1; only rules that matched.
    """

    source: str
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Average:
    """The e(n) of a fast and of a slow average."""

    fast: float = 0.0
    slow: float = 0.0

    def after(self, x: float, zeros: int) -> Average:
        """Add `zeros` times 0, and then x."""
        return Average(
            (1 - _FAST) ** (zeros + 1) * self.fast + _FAST * x, (1 - _SLOW) ** (zeros + 1) * self.slow + _SLOW * x
        )

    def value(self, counted: int, zeros: int) -> tuple[float, float]:
        """Return the fast and the slow average after `counted` dumps, and then `zeros` more without a match."""
        return (
            (1 - _FAST) ** zeros * self.fast / (1 - (1 - _FAST) ** (counted + zeros)),
            (1 - _SLOW) ** zeros * self.slow / (1 - (1 - _SLOW) ** (counted + zeros)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The memory of one rule in one source.

    Attributes:
        since: How many dumps of the source came before the first that counts.
        at: The number of the last dump with a match.
        matched: How many dumps had a match.
    """

    since: int
    at: int
    matched: int = 0
    matches: Average = Average()
    shares: Average = Average()
    alarm: Alarm | None = None

    def alarmed(self, alarm: Alarm | None) -> Counter:
        """Return the same with another alarm, or none."""
        return replace(self, alarm=alarm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of a counter at some dump; averages from 0 to 1.

    Attributes:
        dumps: How many count.
        matched: How many of them had a match.
        silent: How many there were since the last match.
        usual: The slow average of matches at the last match.
        share_before: The slow average of the share without the last dumps.
    """

    dumps: int
    matched: int
    silent: int
    usual: float
    match_fast: float
    match_slow: float
    share_fast: float
    share_slow: float
    share_before: float


def count_removals(removals: Iterable[Removal]) -> list[Taken]:
    """Sum removals up by rule; rules stand in the order of their first removal."""
    found: dict[str, Taken] = {}
    for removal in removals:
        taken = found.get(removal.rule) or Taken(removal.rule, removal.reason, 0, 0)
        characters = 0 if removal.restored else _length(removal.text)
        found[removal.rule] = replace(taken, number=taken.number + 1, characters=taken.characters + characters)
    return list(found.values())


def observe_article(article: CleanEntry) -> Observation:
    """Return the effects of rules on an article."""
    taken = count_removals(article.removals)
    total = _length(article.text) + sum(each.characters for each in taken)
    source = census_source(article.source, article.link)
    return Observation(source, {each.rule: each.characters / total if total else 0.0 for each in taken})


def count_match(counter: Counter, *, number: int, share: float) -> Counter:
    """Count a dump in which the rule matched.

    Args:
        counter: A new one has `at` equal to `since`.
        number: The dump's, above that of the last match.
        share: The share of the dump's text that the rule took.
    """
    zeros = number - counter.at - 1
    return replace(
        counter,
        at=number,
        matched=counter.matched + 1,
        matches=counter.matches.after(1.0, zeros),
        shares=counter.shares.after(share, zeros),
    )


def stand(counter: Counter, dumps: int) -> Standing:
    """Return the state of a counter when its source has so many dumps."""
    counted, silent = counter.at - counter.since, dumps - counter.at
    match_fast, match_slow = counter.matches.value(counted, silent)
    share_fast, share_slow = counter.shares.value(counted, silent)
    weight = min(1.0, (1 - (1 - _SLOW) ** _RECENT) / (1 - (1 - _SLOW) ** (counted + silent)))
    before = max(0.0, (share_slow - weight * share_fast) / (1 - weight)) if weight < 1 else share_slow
    return Standing(
        dumps=dumps - counter.since,
        matched=counter.matched,
        silent=silent,
        usual=counter.matches.value(counted, 0)[1],
        match_fast=match_fast,
        match_slow=match_slow,
        share_fast=share_fast,
        share_slow=share_slow,
        share_before=before,
    )


def judge(counter: Counter, dumps: int, *, limited: bool) -> Alarm | None:
    """Return the alarm that a rule deserves, or None.

    Args:
        counter: A rule's, with the alarm that stands.
        dumps: How many dumps of the source there are now.
        limited: Whether the rule is limited to hosts or sources.
    """
    standing = stand(counter, dumps)
    chance = (1 - min(standing.usual, 1.0)) ** standing.silent
    if standing.matched >= _LEAST_MATCHES and standing.silent >= _LEAST_SILENCE and chance < _CHANCE:
        often = standing.usual >= _OFTEN and counter.at - counter.since >= _LEAST_DUMPS
        if limited or (often and standing.silent <= _NORMAL_SILENCE):
            return Alarm.SILENT
    stands = counter.alarm is Alarm.SURGE
    share = _SURGE_ENDS_SHARE if stands else _SURGE_SHARE
    ratio = _SURGE_ENDS_RATIO if stands else _SURGE_RATIO
    surges = standing.share_fast > max(share, ratio * standing.share_before)
    return Alarm.SURGE if surges and standing.dumps >= _LEAST_DUMPS else None


def explain_alarm(alarm: Alarm, rule: str, source: str, standing: Standing) -> str:
    """Say for people how a rule has changed, and name the command that shows more."""
    if alarm is Alarm.SILENT:
        what = f"matched in {standing.usual:.0%} of the dumps, but in none of the last {standing.silent}"
    else:
        what = f"takes {standing.share_fast:.0%} of the text of late, and took {standing.share_before:.0%} before"
    where = f' --source "{source}"' if source else ""
    return f"{what}; see: feedsvc removed --rule {rule}{where}"


def _length(text: str) -> int:
    return len("".join(text.split()))
