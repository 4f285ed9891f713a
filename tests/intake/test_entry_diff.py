"""What would change in an entry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from articles import make_article, make_file
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean import Cleaner, Rule, RuleSet
from feedsvc.intake.decide import mint_entry
from feedsvc.intake.entry_diff import EntryDiff, as_stored, clean_again, count_characters, diff_entry, text_difference
from feedsvc.model import Place, Removal
from feedsvc.store import Article

LONG = "词" * 3000


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ("", "", (0, 0)),
        ("one two\nthree", "one two\nthree", (0, 0)),
        ("one two\nthree", "one two", (5, 0)),
        ("one two\nthree", "three\none two", (0, 0)),
        ("one two", "one two\n三四", (0, 2)),
        ("the article Share", "the article", (5, 0)),
        ("正文分享到", "正文", (3, 0)),
        ("share\nold line", "old line\nnew", (5, 3)),
        ("a\na\na", "a", (2, 0)),
        ("one two three", "one 2 three", (3, 1)),
        (f"{LONG}甲", f"{LONG}乙丙", (1, 2)),
    ],
)
def test_text_difference(before: str, after: str, difference: tuple[int, int]) -> None:
    assert text_difference(before, after) == difference


TEXTS = st.lists(st.text(alphabet="ab 分享。", max_size=8), max_size=5).map("\n".join)


@given(TEXTS, TEXTS)
def test_difference_adds_up(before: str, after: str) -> None:
    lost, regained = text_difference(before, after)
    assert count_characters(before) - lost + regained == count_characters(after)
    assert text_difference(before, before) == (0, 0)
    assert text_difference(after, before) == (regained, lost) or lost - regained == len("".join(before.split())) - len(
        "".join(after.split())
    )


STORED = mint_entry(make_article(text="正文十个字就够了吗\n分享", content="<p>x</p>"), cleaner="c")


def change(removed: tuple[tuple[str, str], ...] = (), **parts: object) -> EntryDiff | None:
    article = make_article(text=STORED.text, content=STORED.content)
    return diff_entry(STORED, removed, replace(article, **parts))  # type: ignore[arg-type]


def removal(rule: str, text: str) -> Removal:
    return Removal(rule, "r", text, f"<p>{text}</p>")


def test_the_same_is_no_change() -> None:
    assert change() is None
    assert change((("a", "x"),), removals=(removal("a", "x"),)) is None


def test_what_goes_is_counted_and_named() -> None:
    found = change(text="正文十个字就够了吗", content="<p>y</p>", removals=(removal("share", "分享"),))
    assert found is not None
    assert (found.lost, found.regained, found.share) == (2, 0, 2 / 11)
    assert (found.gone, found.back) == ((("share", "分享"),), ())
    assert (found.visible, found.emptied, found.alarms) == (True, False, False)


def test_what_comes_back_is_counted_and_named() -> None:
    found = change((("share", "转发"), ("share", "x")), text=f"{STORED.text}\n转发", removals=(removal("share", "x"),))
    assert found is not None
    assert (found.lost, found.regained, found.gone, found.back) == (0, 2, (), (("share", "转发"),))


def test_change_of_the_account_alone_is_not_visible() -> None:
    found = change((("a", "x"),), removals=(removal("b", "x"),))
    assert found is not None
    assert (found.visible, found.lost, found.gone, found.back) == (False, 0, (("b", "x"),), (("a", "x"),))


def test_change_of_anything_that_readers_see_is_visible() -> None:
    for parts in ({"rights": "© x"}, {"title": "x"}, {"images": ()}, {"content": "<p>x </p>"}):
        found = change(**parts)
        assert found is not None
        assert found.visible


def test_entry_that_ends_up_empty_or_loses_much_is_an_alarm() -> None:
    empty = change(text="", content="")
    assert empty is not None
    assert (empty.emptied, empty.alarms, empty.share) == (True, True, 1)
    half = change(text="正文十个字")
    assert half is not None
    assert (half.emptied, half.alarms) == (False, True)


def test_entry_stays_what_it_is_known_as() -> None:
    fresh = as_stored(STORED, make_article(7, published=STORED.published))
    assert (fresh.id, fresh.key, fresh.updated, fresh.cleaner) == (
        STORED.id,
        STORED.key,
        STORED.updated,
        STORED.cleaner,
    )


CLEANER = Cleaner(RuleSet((Rule(name="a", reason="r", css=("i",)),)))
TWO = "<!--1712180702000-->\n[a](https://h.example/a)\n------\n<p>one<i>x</i></p>\n<!--1712180703000-->\n[b](https://h.example/b)\n------\n<p>two</p>\n"


def source(raw: str | bytes, position: int = 0) -> Article:
    data = raw if isinstance(raw, bytes) else raw.encode()
    return Article(STORED, make_file().path, data, 0, Place(1, position))


def test_article_is_cleaned_where_it_stands_in_its_dump() -> None:
    first, second = clean_again(source(TWO), CLEANER), clean_again(source(TWO, 1), CLEANER)
    assert first is not None
    assert second is not None
    assert (first.text, second.text) == ("one", "two")


def test_article_of_a_dump_that_broke_elsewhere_is_cleaned() -> None:
    found = clean_again(source(TWO.replace("1712180703000", "9" * 30)), CLEANER)
    assert found is not None
    assert found.text == "one"


@pytest.mark.parametrize("raw", [TWO.replace("[a]", "").replace("(https://h.example/a)", ""), "no dump", b"\0"])
def test_what_its_dump_no_longer_holds_stays(raw: str | bytes) -> None:
    assert clean_again(source(raw), CLEANER) is None


def test_what_cannot_be_cleaned_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.clean.cleaner._parse", lambda _: (_ for _ in ()).throw(RecursionError))
    assert clean_again(source(TWO), CLEANER) is None
