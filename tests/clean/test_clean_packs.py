"""The built-in packs, by the table of what must go by each rule and what must stay: clean/built-in.toml."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

import bs4
import pytest
from places import DATA

from feedsvc.clean import Cleaner, Rule, RuleSet, failed_samples, load_rules
from feedsvc.clean.rules.pack import rule_packs
from feedsvc.clean.rules.patterns import compile_pattern
from feedsvc.clean.text import matching_form
from feedsvc.model import Dump

if TYPE_CHECKING:
    from pathlib import Path

    from feedsvc.model import CleanEntry

TABLE: dict[str, dict[str, list[str]]] = tomllib.loads((DATA / "clean" / "built-in.toml").read_text("utf-8"))
RULES = {rule.name: rule for rule in load_rules(site_rules=True).rules}
GENERIC = Cleaner(load_rules(site_rules=False))
SITES = Cleaner(load_rules(site_rules=True, generic=False))
PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)

SHARING = (RULES["share-links"],)

GO = [(name, sample) for name, samples in TABLE.items() for sample in samples["go"]]
STAY = [(name, sample) for name, samples in TABLE.items() for sample in samples["stay"]]


def is_html(rule: Rule, sample: str) -> bool:
    return bool(rule.css) or sample.startswith("<")


def make_html(rule: Rule, sample: str) -> str:
    """Write a sample as the rule would meet it."""
    text = escape(sample)
    if is_html(rule, sample):
        return sample
    if rule.link:
        return f'<p><a href="{text}">sample</a></p>'
    if rule.classes:
        word = '<a href="https://h.example/1">word</a>' if rule.link_density else "word"
        return f'<div class="{text}">{word}</div>'
    if rule.then:
        return f'<p>{text}</p><ul><li><a href="https://h.example/1">another</a></li></ul>'
    if rule.link_density and "«" not in text and rule.link_density > 0.5:
        text = f"«{text}<!>"
    elif "«" in text:
        text = text.replace("»", "<!>")
    return f"<p>{text}</p>".replace("«", '<a href="https://h.example/1">').replace("<!>", "</a>")


def clean(rule: Rule, sample: str, cleaner: Cleaner | None = None) -> CleanEntry:
    """Clean a sample in the middle of an article of which it is the only odd thing."""
    link = f"https://www.{rule.hosts[0]}/x/y" if rule.hosts else "https://h.example/x/y"
    article = f"<p>first</p><article>{make_html(rule, sample)}</article><p>last</p>"
    if cleaner is None:
        cleaner = GENERIC if rule.is_generic else SITES
    return cleaner.clean(Dump(path="a", title="t", link=link, published=None, html=article), PUBLISHED)


def matches(rule: Rule, part: str, sample: str) -> bool:
    """Tell whether one selector or pattern of a rule matches a sample, asked by other means than cleaning asks."""
    if rule.classes:
        return compile_pattern(part).fullmatch(sample) is not None
    if rule.css:
        return bs4.BeautifulSoup(sample, "html.parser").select_one(part) is not None
    if rule.link:
        return compile_pattern(part).match(f"https:{sample}" if sample.startswith("//") else sample.strip()) is not None
    return compile_pattern(part).fullmatch(matching_form(re.sub("«(.*)»", r"\1", sample))) is not None


def test_table_has_every_rule_and_no_other() -> None:
    assert set(TABLE) == set(RULES)


@pytest.mark.parametrize(("name", "sample"), GO)
def test_goes(name: str, sample: str) -> None:
    entry = clean(RULES[name], sample)
    assert entry.text == "first\nlast"
    assert entry.content == "<p>first</p><p>last</p>"
    assert {removal.rule for removal in entry.removals} == {name}


@pytest.mark.parametrize(("name", "sample"), STAY)
def test_stays(name: str, sample: str) -> None:
    rule = RULES[name]
    entry = clean(rule, sample)
    said = bs4.BeautifulSoup(make_html(rule, sample), "html.parser").get_text()
    assert "".join(entry.text.split()) == "".join(f"first{said}last".split())
    assert name not in {removal.rule for removal in entry.removals}
    if sample.startswith("http") and rule.link:
        assert escape(sample) in entry.content


PARTS = [(rule.name, part) for rule in RULES.values() for part in (*rule.link, *rule.css, *rule.classes, *rule.text)]


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_every_part_of_a_rule_can_match_and_is_needed(name: str, part: str) -> None:
    """A part that no sample needs can never be seen to break: each matches one that no other part does."""
    rule = RULES[name]
    others = [other for other in (*rule.link, *rule.css, *rule.classes, *rule.text) if other != part]
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


def takes(rule: Rule, sample: str, cleaner: Cleaner) -> bool:
    return any(removal.rule == rule.name for removal in clean(rule, sample, cleaner).removals)


LIMITS = [
    (rule.name, key)
    for rule in RULES.values()
    for key in ("link_density", "share_density", "form", "max_text", "then")
    if getattr(rule, key)
]


@pytest.mark.parametrize(("name", "key"), LIMITS)
def test_every_limit_of_a_rule_is_needed(name: str, key: str) -> None:
    """Without it, something that must stay goes."""
    rule = RULES[name]
    wider = Cleaner(RuleSet((*SHARING, rule.model_copy(update={key: False if key == "form" else None}))))
    exact = Cleaner(RuleSet((*SHARING, rule)))
    html = [sample for sample in TABLE[name]["stay"] if is_html(rule, sample)]
    assert any(takes(rule, sample, wider) and not takes(rule, sample, exact) for sample in html)


@pytest.mark.parametrize("name", [rule.name for rule in RULES.values() if rule.where])
def test_stays_in_the_middle_of_an_article(name: str) -> None:
    rule = RULES[name]
    lines = "".join(f"<p>Line {number} of the article.</p>" for number in range(12))
    html = f"{lines}{make_html(rule, TABLE[name]['go'][0])}{lines}"
    link = f"https://www.{rule.hosts[0]}/x/y" if rule.hosts else "https://h.example/x/y"
    entry = Cleaner(RuleSet((rule,))).clean(Dump(path="a", title="t", link=link, published=None, html=html), PUBLISHED)
    assert entry.removals == ()


@pytest.mark.parametrize(("name", "sample"), GO + STAY)
def test_cleaning_a_sample_again_changes_nothing(name: str, sample: str) -> None:
    once = clean(RULES[name], sample)
    again = GENERIC if RULES[name].is_generic else SITES
    dump = Dump(path="a", title="t", link=once.link, published=None, html=once.content)
    assert again.clean(dump, PUBLISHED).content == once.content


@pytest.mark.parametrize("pack", rule_packs(site_rules=True), ids=lambda pack: pack.name)
def test_samples_of_packs(pack: Path) -> None:
    cleaner = Cleaner(load_rules(site_rules=True))
    assert list(failed_samples(pack, pack.parent, cleaner)) == []


def test_every_site_pack_has_samples() -> None:
    for pack in rule_packs(site_rules=True, generic=False):
        assert "[[test]]" in pack.read_text("utf-8"), pack.name


def test_a_list_of_links_that_is_the_article_stays() -> None:
    lines = [
        f"<li><a href='https://tv.h.example/{number}'>[视频]第{number}条新闻的标题</a></li>" for number in range(15)
    ]
    lines[6] = "<li><a href='https://tv.h.example/6'>[视频]国内联播快讯</a></li>"
    lines[14] = "<li><a href='https://tv.h.example/14'>[视频]国际联播快讯</a></li>"
    dump = Dump(path="a", title="t", link="https://tv.h.example/", published=None, html="".join(lines))
    entry = Cleaner(load_rules(site_rules=True)).clean(dump, PUBLISHED)
    assert entry.removals == ()
    assert len(entry.text.splitlines()) == 15
