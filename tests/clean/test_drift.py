"""The averages of what rules take, and when a change of them is worth an alarm."""

from __future__ import annotations

import pytest
from articles import make_article
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean.drift import (
    Alarm,
    Average,
    Counter,
    count_match,
    count_removals,
    explain_alarm,
    judge,
    observe_article,
    stand,
)
from feedsvc.model import Removal


def run(shares: list[float | None], *, since: int = 0, counter: Counter | None = None) -> tuple[Counter, int]:
    """The counter after dumps in which the rule took these shares (None: it did not match), and their number."""
    counter = counter or Counter(since=since, at=since)
    for number, share in enumerate(shares, start=since + 1):
        if share is not None:
            counter = count_match(counter, number=number, share=share)
    return counter, since + len(shares)


def every(step: int, dumps: int, share: float = 0.1) -> list[float | None]:
    """A rule that matches in each dump whose number is divisible by `step`."""
    return [share if number % step == 0 else None for number in range(1, dumps + 1)]


def test_averages_are_those_of_the_formula() -> None:
    shares: list[float | None] = [0.5, None, None, 0.25, None]
    counter, dumps = run(shares)
    standing = stand(counter, dumps)
    for a, matches, takes in ((1 / 20, standing.match_fast, standing.share_fast),
                              (1 / 200, standing.match_slow, standing.share_slow)):  # fmt: skip
        matched = taken = 0.0
        for share in shares:
            matched = (1 - a) * matched + a * (share is not None)
            taken = (1 - a) * taken + a * (share or 0.0)
        assert (matches, takes) == pytest.approx((matched / (1 - (1 - a) ** 5), taken / (1 - (1 - a) ** 5)))
    assert (standing.dumps, standing.matched, standing.silent) == (5, 2, 1)


@pytest.mark.slow
@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 1000))
def test_averages_stay_between_nothing_and_all(shares: list[float | None], since: int) -> None:
    counter, dumps = run([0.5, *shares], since=since)
    standing = stand(counter, dumps)
    averages = standing.match_fast, standing.match_slow, standing.share_fast, standing.share_slow, standing.usual
    assert all(-1e-9 <= average <= 1 + 1e-9 for average in averages)
    assert standing.matched <= standing.dumps == len(shares) + 1


def test_a_rule_that_always_matches_is_at_one_from_the_first_dump() -> None:
    for dumps in (1, 10, 500):
        standing = stand(*run(every(1, dumps)))
        assert (standing.match_fast, standing.match_slow) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("before", "silence", "limited", "alarm"),
    [
        pytest.param(every(1, 100), 19, True, None, id="too few dumps to tell"),
        pytest.param(every(1, 100), 20, True, Alarm.SILENT, id="a site rule"),
        pytest.param(every(1, 100), 20, False, Alarm.SILENT, id="any rule that matched often"),
        pytest.param(every(1, 4), 100, True, None, id="too few matches to tell"),
        pytest.param(every(1, 5), 100, True, Alarm.SILENT, id="five matches"),
        pytest.param(every(1, 49), 100, False, None, id="a generic rule in a new source"),
        pytest.param(every(1, 50), 100, False, Alarm.SILENT, id="a generic rule after fifty dumps"),
        pytest.param(every(2, 200), 15, True, None, id="half of the dumps, chance not excluded"),
        pytest.param(every(2, 200), 25, True, Alarm.SILENT, id="half of the dumps"),
        pytest.param(every(10, 400), 60, True, None, id="a tenth of the dumps, chance not excluded"),
        pytest.param(every(10, 400), 160, True, Alarm.SILENT, id="a tenth of the dumps"),
        pytest.param(every(10, 400), 160, False, None, id="a generic rule that was rare"),
        pytest.param(every(4, 400), 400, False, Alarm.SILENT, id="a generic rule, still news"),
        pytest.param(every(4, 400), 401, False, None, id="a generic rule, by now the normal thing"),
        pytest.param(every(4, 400), 5000, True, Alarm.SILENT, id="a site rule until it matches"),
    ],
)  # fmt: skip
def test_silence(before: list[float | None], silence: int, limited: bool, alarm: Alarm | None) -> None:
    counter, dumps = run([*before, *[None] * silence])
    assert judge(counter, dumps, limited=limited) is alarm


def test_silence_ends_with_a_match() -> None:
    counter, dumps = run([*every(1, 100), *[None] * 30])
    alarmed = counter.alarmed(judge(counter, dumps, limited=True))
    assert judge(count_match(alarmed, number=dumps + 1, share=0.1), dumps + 1, limited=True) is None


@pytest.mark.parametrize(
    ("before", "after", "alarm"),
    [
        pytest.param([0.02] * 300, [0.9] * 8, Alarm.SURGE, id="nearly all at once"),
        pytest.param([0.02] * 300, [0.9] * 2, None, id="two dumps are no trend"),
        pytest.param([0.06] * 300, [0.9] * 10, Alarm.SURGE, id="fifteen times as much"),
        pytest.param([None] * 300, [0.6] * 10, Alarm.SURGE, id="a rule that never matched here"),
        pytest.param([0.02] * 300, [0.15] * 30, None, id="a small share"),
        pytest.param([0.3] * 300, [0.9] * 30, None, id="three times as much"),
        pytest.param([], [0.9] * 100, None, id="a new rule or source knows no before"),
        pytest.param([0.02] * 10, [0.9] * 20, None, id="hardly any before"),
        pytest.param([0.02] * 39, [0.9] * 10, None, id="forty-nine dumps"),
        pytest.param([0.02] * 40, [0.9] * 10, Alarm.SURGE, id="fifty dumps"),
    ],
)
def test_surge(before: list[float | None], after: list[float | None], alarm: Alarm | None) -> None:
    counter, dumps = run([*before, *after])
    assert judge(counter, dumps, limited=False) is alarm


def test_surge_stands_until_it_is_over_or_normal() -> None:
    counter, dumps = run([*[0.02] * 300, *[0.9] * 60])
    assert judge(counter, dumps, limited=False) is None  # would not begin by now
    surging = counter.alarmed(Alarm.SURGE)
    assert judge(surging, dumps, limited=False) is Alarm.SURGE
    over, _ = run([0.02] * 50, since=dumps, counter=surging)
    assert judge(over, dumps + 50, limited=False) is None
    normal, _ = run([0.9] * 200, since=dumps, counter=surging)
    assert judge(normal, dumps + 200, limited=False) is None


def test_what_rules_took_of_an_article() -> None:
    removals = (
        Removal("share", "share links", "分 享", "<p>分享</p>"),
        Removal("pixel", "a pixel", "", "<img>"),
        Removal("share", "share links", "赞", "<p>赞</p>"),
        Removal("share", "share links", "restored it counts for nothing", "<p>", restored=True),
    )
    article = make_article(text="正文七个字\n正文", removals=removals)
    assert [(taken.rule, taken.number, taken.characters) for taken in count_removals(removals)] == [
        ("share", 3, 3),
        ("pixel", 1, 0),
    ]
    observation = observe_article(article)
    assert observation.source == "Example News"
    assert observation.shares == {"share": pytest.approx(0.3), "pixel": 0.0}


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [("法广", "https://rfi.fr/a", "法广"), (None, "https://rfi.fr/a", "rfi.fr"), (None, None, "")],
)
def test_source_of_an_observation(source: str | None, link: str | None, expected: str) -> None:
    assert observe_article(make_article(source=source, link=link, text="")).source == expected


def test_nothing_of_nothing_is_no_share() -> None:
    article = make_article(text="", removals=(Removal("pixel", "a pixel", "", "<img>"),))
    assert observe_article(article).shares == {"pixel": 0.0}


def test_alarms_say_what_changed_and_where_to_look() -> None:
    silent = stand(*run([*every(1, 100), *[None] * 30]))
    assert explain_alarm(Alarm.SILENT, "rfi-ads", "法广", silent) == (
        'matched in 100% of the dumps, but in none of the last 30; see: feedsvc removed --rule rfi-ads --source "法广"'
    )
    surge = stand(*run([*[0.0] * 300, *[1.0] * 20]))
    assert explain_alarm(Alarm.SURGE, "share", "", surge) == (
        "takes 64% of the text of late, and took 5% before; see: feedsvc removed --rule share"
    )


def test_average_starts_at_nothing() -> None:
    assert Average().after(1.0, 0) == Average(1 / 20, 1 / 200)
