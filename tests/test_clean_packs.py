"""The built-in packs, by the table of what must go by each rule and what must stay: clean/built-in.toml."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import bs4
import pytest

from feedsvc.clean import Cleaner, Rule, load_rules
from feedsvc.clean.patterns import compile_pattern
from feedsvc.clean.text import matching_form
from feedsvc.model import Dump

if TYPE_CHECKING:
    from feedsvc.model import CleanEntry

TABLE: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "clean" / "built-in.toml").read_text("utf-8")
)
RULES = {rule.name: rule for rule in load_rules(site_rules=True).rules}
CLEANER = Cleaner(load_rules(site_rules=True))
PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)

GO = [(name, sample) for name, samples in TABLE.items() for sample in samples["go"]]
STAY = [(name, sample) for name, samples in TABLE.items() for sample in samples["stay"]]


def clean(rule: Rule, sample: str) -> CleanEntry:
    """Clean a sample in the middle of an article of which it is the only odd thing."""
    html = sample
    if rule.link:
        html = f'<p><a href="{escape(sample)}">sample</a></p>'
    elif rule.text:
        html = f"<p>{escape(sample)}</p>"
    link = f"https://www.{rule.hosts[0]}/x/y" if rule.hosts else "https://h.example/x/y"
    article = f"<p>first</p><div>{html}</div><p>last</p>"
    return CLEANER.clean(Dump(path="a", title="t", link=link, published=None, html=article), PUBLISHED)


def matches(rule: Rule, part: str, sample: str) -> bool:
    """Tell whether one selector or pattern of a rule matches a sample, asked by other means than cleaning asks."""
    if rule.css:
        return bs4.BeautifulSoup(sample, "html.parser").select_one(part) is not None
    if rule.link:
        return compile_pattern(part).match(f"https:{sample}" if sample.startswith("//") else sample.strip()) is not None
    return compile_pattern(part).fullmatch(matching_form(sample)) is not None


def test_table_has_every_rule_and_no_other() -> None:
    assert set(TABLE) == set(RULES)


@pytest.mark.parametrize(("name", "sample"), GO)
def test_goes(name: str, sample: str) -> None:
    entry = clean(RULES[name], sample)
    assert entry.text == "first\nlast"
    assert entry.content == "<p>first</p><p>last</p>"
    assert [removal.rule for removal in entry.removals] == [name]


@pytest.mark.parametrize(("name", "sample"), STAY)
def test_stays(name: str, sample: str) -> None:
    entry = clean(RULES[name], sample)
    said = bs4.BeautifulSoup(sample, "html.parser").get_text() if RULES[name].css else sample
    said = "sample" if RULES[name].link else said
    assert entry.text == f"first\n{said}\nlast"
    assert entry.removals == ()
    if sample.startswith("http") and RULES[name].link:
        assert escape(sample) in entry.content


PARTS = [(rule.name, part) for rule in RULES.values() for part in (*rule.link, *rule.css, *rule.text)]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_every_part_of_a_rule_can_match_and_is_needed(name: str, part: str) -> None:
    """A part that no sample needs can never be seen to break: each matches one that no other part does."""
    rule = RULES[name]
    others = [other for other in (*rule.link, *rule.css, *rule.text) if other != part]
    mine = [sample for sample in TABLE[name]["go"] if matches(rule, part, sample)]
    assert mine
    assert any(not any(matches(rule, other, sample) for other in others) for sample in mine)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_reasons_are_for_people(rule: Rule) -> None:
    assert len(rule.reason) > 10
    assert rule.reason == rule.reason.strip().removesuffix(".")


def test_site_packs_are_limited_to_their_site() -> None:
    generic = {rule.name for rule in load_rules(site_rules=False).rules}
    assert all(rule.is_generic == (rule.name in generic) for rule in RULES.values())
