"""What regular expressions tell of the texts that they match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean import load_rules
from feedsvc.clean.rules.literals import literals


def same(character: str) -> str:
    return character


def without_space(character: str) -> str | None:
    return "" if character.isspace() else None if character == "." else character.lower()


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        ("abc", [{"abc"}]),
        (r"a\.b", [{"a.b"}]),
        ("a.b", [{"a"}, {"b"}]),
        ("ab?c", [{"a"}, {"c"}]),
        ("ab*c", [{"a"}, {"c"}]),
        ("ab+c", [{"ab"}, {"c"}]),
        ("ab{2}c", [{"abbc"}]),
        ("ab{2,3}c", [{"abb"}, {"c"}]),
        ("ab{0,3}c", [{"a"}, {"c"}]),
        ("ab{,3}c", [{"a"}, {"c"}]),
        ("a{b}", [{"a{b}"}]),
        ("ab+?c", [{"ab"}, {"c"}]),
        ("ab++c", [{"ab"}, {"c"}]),
        ("[ab]cd", [{"cd"}]),
        ("[]]cd", [{"]cd"}]),
        (r"[^]a\]]cd", [{"cd"}]),
        ("a[.]b", [{"a.b"}]),
        ("(?:分享|转发)到.*", [{"分享", "转发"}, {"到"}]),
        ("分享(?:到|至)?", [{"分享"}]),
        ("(ab|cd)ef", [{"ab", "cd"}, {"ef"}]),
        ("(?P<x>ab)(?P=x)", []),
        (r"(ab)\1", []),
        ("ab|.*", []),
        ("ab|cd", [{"ab", "cd"}]),
        ("x(?:abc.d|e.fgh)", [{"x"}, {"abc", "fgh"}]),
        ("(?i:ab)(?-i:cd)", [{"ab"}, {"cd"}]),
        ("(?x: a b )", []),
        ("(?=ab)a(?!c)b(?<=b)(?<!x)c", [{"abc"}]),
        ("(?#a comment)ab", [{"ab"}]),
        ("(?>ab)c", [{"ab"}, {"c"}]),
        ("(x)?(?(1)a|b)", []),
        (r"^ab\b$", [{"ab"}]),
        (r"\d+年", [{"年"}]),
        (r"\x27\u5206\t", [{"'分\t"}]),
        (r"\0a", [{"\0a"}]),
        (r"\N{BULLET}a", []),
        ("", []),
    ],
)
def test_clauses(pattern: str, clauses: list[set[str]]) -> None:
    re.compile(pattern)
    assert [set(clause) for clause in literals(pattern, same)] == clauses


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [("A B", [{"ab"}]), (r"a\s+b", [{"ab"}]), (r"a\s*b", [{"ab"}]), ("a ?b", [{"ab"}]), (r"a\.b", [{"a"}, {"b"}])],
)
def test_form_of_characters(pattern: str, clauses: list[set[str]]) -> None:
    assert [set(clause) for clause in literals(pattern, without_space)] == clauses


PATTERNS = [pattern for rule in load_rules(site_rules=True).rules for pattern in (*rule.link, *rule.text)]
ATOMS = st.sampled_from(
    [
        "a",
        "bc",
        "分享",
        ".",
        "[ab]",
        r"\d",
        r"\s",
        r"\.",
        "x?",
        "y*",
        "z+",
        "d{2}",
        "e{1,3}",
        "(?:f|gh)",
        "(?:i|)",
        "^",
        r"\b",
    ]
)
BRANCHES = st.lists(st.lists(ATOMS, max_size=5).map("".join), min_size=1, max_size=3).map("|".join)


def holds(pattern: str, text: str) -> bool:
    return all(any(literal in text.lower() for literal in clause) for clause in literals(pattern, str.lower))


@pytest.mark.slow
@given(st.sampled_from(PATTERNS), st.data())
def test_every_text_that_a_rule_matches_holds_its_literals(pattern: str, data: st.DataObject) -> None:
    assert holds(pattern, data.draw(st.from_regex(re.compile(pattern), fullmatch=True)))


@pytest.mark.slow
@given(st.tuples(BRANCHES, BRANCHES).map(lambda pair: f"{pair[0]}(?:{pair[1]})"), st.data())
def test_every_text_that_an_expression_matches_holds_its_literals(pattern: str, data: st.DataObject) -> None:
    assert holds(pattern, data.draw(st.from_regex(re.compile(pattern), fullmatch=True)))
