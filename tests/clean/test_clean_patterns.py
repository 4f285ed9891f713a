"""Many expressions at once find what each finds alone."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean import load_rules
from feedsvc.clean.rules.patterns import Patterns, _fold_case, compile_pattern
from feedsvc.clean.rules.rule import Rule

EXPRESSIONS = (
    r"分享",
    r"分享(?:到|至)?[:：].{0,20}",
    r"(?:点击|點擊)(?:此处|這裡)",
    r"share(?: this)?(?: article)?:?",
    r"(?:lire|voir) aussi.*",
    r"читайте также",
    r"(?P<quote>['\"]).*(?P=quote)",
    r"(a|b)c",
    r"\d+ min",
    r"[^a]享",
    r".",
    r"..|日本語版",
    r"kiss ß",
    r"(?-i:ABC)",
    r"ad-[x^\]]&&",
    r"İı",
)
TEXTS = [
    *(
        "",
        "a",
        "分享",
        "分享：微博",
        "分享到:x",
        "点击此处",
        "點擊這裡",
        "點擊",
        "Share",
        "SHARE THIS ARTICLE:",
        "ſhare",
        "ſHARE",
    ),
    *(
        "Lıre aussi",
        "LİRE AUSSI: x",
        "voir aussi",
        "ЧИТАЙТЕ ТАКЖЕ",
        "\u1c80итайте также",
        "'a'",
        "'a\"",
        "ac",
        "BC",
        "3 min",
    ),
    *(
        "日本語版",
        "b享",
        "a享",
        "\u212aISS ß",
        "kiss \u1e9e",
        "abc",
        "ABC",
        "ad-]&&",
        "ad-^&&",
        "ii",
        "share\nthis",
        "x分享",
    ),
]


def make_rules(expressions: tuple[str, ...]) -> list[tuple[Rule, tuple[str, ...]]]:
    rules = [Rule(name=f"r{number}", reason="r", text=(each,)) for number, each in enumerate(expressions)]
    return [(rule, rule.text) for rule in rules]


def found_alone(rules: list[tuple[Rule, tuple[str, ...]]], text: str, *, whole: bool) -> list[Rule]:
    def matches(pattern: re.Pattern[str]) -> bool:
        return (pattern.fullmatch if whole else pattern.match)(text) is not None

    return [rule for rule, patterns in rules if any(matches(compile_pattern(each)) for each in patterns)]


RULES = make_rules(EXPRESSIONS)
BUILT_IN = [(rule, rule.text) for rule in load_rules(site_rules=True).rules if rule.text]
JOINED = {whole: Patterns(RULES, whole=whole) for whole in (True, False)}
JOINED_BUILT_IN = Patterns(BUILT_IN, whole=True)
SAID = [re.sub(r"\\.|[][(){}?*+|^$.]|[0-9],[0-9]+", " ", each) for _, texts in BUILT_IN for each in texts]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text(text: str, *, whole: bool) -> None:
    assert JOINED[whole].find(text) == found_alone(RULES, text, whole=whole)


def test_every_expression_is_found_by_some_text() -> None:
    assert {rule.name for text in TEXTS for rule in JOINED[True].find(text)} == {rule.name for rule, _ in RULES}


@given(
    st.lists(st.sampled_from(["分享", "点击", "此处", "Share", "this", ":", "：", " ", "lire", "ı", "ſ", "a"])).map(
        "".join
    )
)
def test_any_text(text: str) -> None:
    for whole in (True, False):
        assert JOINED[whole].find(text) == found_alone(RULES, text, whole=whole)


@given(st.sampled_from(SAID).flatmap(lambda said: st.lists(st.sampled_from([*said.split(), " ", ""]), max_size=6)))
def test_built_in_rules_on_what_they_are_about(words: list[str]) -> None:
    for text in ("".join(words), " ".join(words).upper()):
        assert JOINED_BUILT_IN.find(text) == found_alone(BUILT_IN, text, whole=True)


def test_no_rules_find_nothing() -> None:
    assert Patterns((), whole=True).find("a") == Patterns((), whole=False).find("a") == []


@pytest.mark.slow
def test_characters_that_expressions_take_for_equal_are_folded_alike() -> None:
    cased = "".join(each for each in map(chr, range(sys.maxunicode + 1)) if not each.lower() == each == each.upper())
    assert len(cased) > 2_000
    for character in cased:
        equal = re.findall(re.escape(character), cased, re.IGNORECASE)
        assert {_fold_case(each) for each in equal} == {_fold_case(character)}, character
