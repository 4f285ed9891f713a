"""The names of the feeds of sources: stable, unique, fit for addresses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.store.feed_names import FEED_NAME, name_source


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("BBC News", "bbc-news"),
        ("bbc", "bbc"),
        ("  The  Guardian (UK) ", "the-guardian-uk"),
        ("Le Monde – À la une", "le-monde-a-la-une"),
        ("ＢＢＣ", "bbc"),
        ("R&D", "r-d"),
        ("(臺)中央社CNA", "cna-pqhrny"),
        ("CCTV新闻联播", "cctv-7qsizu"),
        ("联合早报", "szxztk"),
        ("!!!", "5bgfhd"),
        ("feed", "feed-zc6clb"),
        ("Feed", "feed-hfwdzm"),
        ("a" * 100, f"{'a' * 40}-falfs6"),
    ],
)
def test_names(source: str, name: str) -> None:
    assert name_source(source, ()) == name


def test_name_that_is_taken_gets_a_fingerprint() -> None:
    first = name_source("BBC News", ())
    second = name_source("bbc-news", {first})
    assert re.fullmatch("bbc-news-[a-z2-7]{6}", second)
    third = name_source("bbc-news", {first, second})
    assert re.fullmatch("bbc-news-[a-z2-7]{7}", third)
    assert third.startswith(second)


@given(st.lists(st.text(), unique=True, max_size=50))
def test_any_sources(sources: list[str]) -> None:
    taken: set[str] = set()
    for source in sources:
        name = name_source(source, taken)
        assert name == name_source(source, taken)
        assert FEED_NAME.fullmatch(name)
        assert name == name.lower()
        assert name not in {*taken, "feed"}
        taken.add(name)
