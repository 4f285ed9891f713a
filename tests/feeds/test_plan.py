"""Which entries a filter takes, as tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.feeds.plan import Candidate, Filter, fold_case, make_filter, of_source

ENTRY = {
    "source": "CCTV新闻联播",
    "author": "By Ann Lee and 张三",
    "categories": ("国际", "R&D"),
    "title": "用ＡＩ写诗: The Aim of Straße 7",
    "text": "第一行\n北约 says  hello",
    "language": "zh-CN",
}


def takes(include: dict[str, list[str]], exclude: dict[str, list[str]] | None = None, **changes: Any) -> bool:  # noqa: ANN401 - any property
    return make_filter(include, exclude or {}, None).matches(Candidate(**{**ENTRY, **changes}))


@pytest.mark.parametrize(
    ("include", "taken"),
    [
        ({}, True),
        ({"source": ["CCTV新闻联播"]}, True),
        ({"source": ["ｃｃｔｖ新闻联播"]}, True),  # case and width
        ({"source": ["CCTV"]}, False),  # a source is named as a whole
        ({"source": ["BBC", "cctv新闻联播"]}, True),  # one of several
        ({"category": ["r&d"]}, True),
        ({"category": ["R"]}, False),
        ({"category": ["体育", "国际"]}, True),
        ({"author": ["ann lee"]}, True),  # of several in a byline
        ({"author": ["ann"]}, True),
        ({"author": ["an"]}, False),
        ({"author": ["张三"]}, True),
        ({"title": ["ai"]}, True),  # not the one in "Aim": it stands between Chinese
        ({"title": ["im"]}, False),
        ({"title": ["strasse"]}, True),
        ({"title": ["写诗"]}, True),
        ({"title": ["the aim"]}, True),
        ({"title": ["北约"]}, False),  # in the text
        ({"text": ["北约"]}, True),
        ({"text": ["says hello"]}, True),
        ({"text": ["say"]}, False),
        ({"text": ["第一行 北约"]}, True),  # across lines
        ({"language": ["zh"]}, True),
        ({"language": ["ZH-cn"]}, True),
        ({"language": ["z"]}, False),
        ({"language": ["zh-CN-x"]}, False),
        ({"source": ["CCTV新闻联播"], "title": ["ai"]}, True),  # all keys
        ({"source": ["CCTV新闻联播"], "title": ["体育"]}, False),
    ],
)
def test_include(include: dict[str, list[str]], taken: bool) -> None:
    assert takes(include) is taken
    if len(include) == 1:
        assert takes({}, include) is not taken


@pytest.mark.parametrize(
    ("exclude", "taken"),
    [
        ({"title": ["ai"], "source": ["BBC"]}, False),  # one key is enough
        ({"title": ["sport"], "source": ["BBC"]}, True),
    ],
)
def test_exclude(exclude: dict[str, list[str]], taken: bool) -> None:
    assert takes({"category": ["国际"]}, exclude) is taken


@pytest.mark.parametrize("key", ["source", "category", "author", "title", "text", "language"])
def test_entry_without_it(key: str) -> None:
    nothing: dict[str, Any] = {
        "source": None,
        "author": None,
        "categories": (),
        "title": "",
        "text": "",
        "language": None,
    }
    assert not takes({key: ["a"]}, **nothing)
    assert takes({}, {key: ["a"]}, **nothing)


def test_only_what_is_named_is_looked_at() -> None:
    assert make_filter({}, {}, None).columns == frozenset()
    found = make_filter({"category": ["a"], "source": ["b"]}, {"text": ["c"]}, timedelta(days=1))
    assert found.columns == {"categories", "source", "text"}
    assert found.age == timedelta(days=1)


def test_sources_that_may_belong() -> None:
    named, unnamed = make_filter({"source": ["A"], "title": ["x"]}, {}, None), make_filter({"title": ["x"]}, {}, None)
    assert [named.accepts(Candidate(source=source)) for source in ("a", "b", None)] == [True, False, False]
    assert unnamed.accepts(Candidate(source=None))


def test_feed_of_a_source_takes_it_as_it_is_written() -> None:
    found = of_source("BBC")
    assert [found.matches(Candidate(source=source)) for source in ("BBC", "bbc", None)] == [True, False, False]


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_case(fold_case(text)) == fold_case(text)


@given(st.text(min_size=1).filter(fold_case), st.text(), st.text())
def test_word_is_found_between_spaces(word: str, before: str, after: str) -> None:
    assert takes({"text": [word]}, text=f"{before} {word} {after}")


def test_rules_are_told_apart_by_what_they_match_and_not_by_how_they_are_written() -> None:
    rules = [
        make_filter({"title": ["a"]}, {}, None).rule,
        make_filter({}, {"title": ["a"]}, None).rule,
        make_filter({"text": ["a"]}, {}, None).rule,
        make_filter({"title": ["a", "b"]}, {}, None).rule,
        make_filter({"source": ["a"]}, {}, None).rule,
        of_source("a").rule,
        of_source("A").rule,
        Filter().rule,
    ]
    assert len(set(rules)) == len(rules)
    assert make_filter({}, {}, timedelta(days=1)).rule == Filter().rule == ""
    assert make_filter({"title": ["B", "a"]}, {}, timedelta(days=1)).rule == rules[3]
