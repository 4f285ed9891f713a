from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.http.search import Found, excerpt, mark, parse_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedsvc.http.search import Piece


def show(pieces: Sequence[Piece] | None) -> str | None:
    return None if pieces is None else "".join(f"[{piece.text}]" if piece.marked else piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("asked", "phrases"),
    [
        ("", ()),
        ("北约", ("北约",)),
        ("  北约\t外长 北约 ", ("北约", "外长")),
        ('a "b c" d', ("a", "b c", "d")),
        ("“b c”d", ("b c", "d")),
        ('a "b c', ("a", "b c")),
        ('+ "" "?" -', ()),
        ("C++ 2+2", ("C++", "2+2")),
        ("a AND NOT b*", ("a", "AND", "NOT", "b*")),
        ("1 2 3 4 5 6 7 8 9", tuple("12345678")),
        ("x" * 1000, ("x" * 200,)),
    ],
)
def test_parse_query(asked: str, phrases: tuple[str, ...]) -> None:
    assert parse_query({"q": asked}).phrases == phrases


@pytest.mark.parametrize(
    ("page", "number"),
    [("", 1), ("0", 1), ("1", 1), ("7", 7), ("50", 50), ("51", 50), ("99999", 1), ("-1", 1), ("x", 1), ("٣", 1)],
)
def test_parse_page(page: str, number: int) -> None:
    assert parse_query({"q": "x", "page": page}).page == number
    assert parse_query({}).page == 1


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2), (100_000, 50)])
def test_pages(total: int, pages: int) -> None:
    assert Found((), total).pages == pages


@pytest.mark.parametrize(
    ("text", "phrases", "marked"),
    [
        ("北约外长会议", ["外长"], "北约[外长]会议"),
        ("北约外长会议", ["北约", "外长"], "[北约][外长]会议"),
        ("aaa bbb ccc", ["aaa bbb", "bbb ccc"], "[aaa bbb ccc]"),
        ("Joe Bidens Land", ["joe", "biden"], "[Joe] [Bidens] Land"),
        ("Japan, pan", ["pan"], "Japan, [pan]"),
        ("in India", ["in"], "[in] India"),
        ("Ｊｏｅ is", ["joe"], "[Ｊｏｅ] is"),
        ("在2＋2会谈", ["2+2"], "在[2＋2]会谈"),
        ("Joe\u00a0Biden", ["joe biden"], "[Joe\u00a0Biden]"),
        ("Élysée", ["elysee"], "[Élysée]"),
        ("ﬁne", ["fin"], "[ﬁne]"),
        ("a.b", ["x", "."], "a.b"),
        ("", ["x"], ""),
    ],
)
def test_mark(text: str, phrases: list[str], marked: str) -> None:
    assert show(mark(text, phrases)) == marked


@pytest.mark.parametrize(
    ("text", "phrases", "shown"),
    [
        ("nothing here", ["else"], None),
        ("short\ntext", ["text"], "short [text]"),
        ("字" * 100 + "北约" + "字" * 300, ["北约"], "… " + "字" * 40 + "[北约]" + "字" * 118 + " …"),
        (
            "word " * 20 + "found " + "word " * 60,
            ["found"],
            "… " + "word " * 7 + "[found]" + " word" * 24 + " …",
        ),
    ],
)
def test_excerpt(text: str, phrases: list[str], shown: str | None) -> None:
    assert show(excerpt(text, phrases)) == shown


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_pieces_joined_are_the_text(text: str, phrases: list[str]) -> None:
    assert "".join(piece.text for piece in mark(text, phrases)) == text
    excerpt(text, phrases)
