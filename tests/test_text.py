from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.text import fold, fold_marked, fold_words, printable


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Joe BIDEN", "joe biden"),
        ("Ｊｏｅ　２＋２", "joe 2+2"),
        ("Straße", "strasse"),
        ("Élysée e\u0301", "elysee e"),
        ("Ёлка и йод", "елка и иод"),
        ("Ωμέγα", "ωμεγα"),
        ("ﾊﾝｶﾞﾘｰ", "ハンガリー"),
        ("ガ と カ", "ガ と カ"),
        ("北约", "北约"),
        ("ﬁn ㈱", "fin (株)"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("北约abc2024年", "北 约 abc2024 年"),
        ("한국 NATO", "한 국 nato"),
        ("กขค", "ก ข ค"),
        ("საქართველო", "საქართველო"),
        ("𠮷野家", "𠮷 野 家"),
        ("plain words", "plain words"),
        ("a\ud800b", "a?b"),
    ],
)
def test_fold_words(text: str, words: str) -> None:
    assert " ".join(fold_words(text).split()) == words


@given(st.text())
def test_each_folded_character_comes_from_somewhere(text: str) -> None:
    folded, origins = fold_marked(text)
    assert len(folded) == len(origins)
    assert origins == sorted(origins)
    assert folded == "".join(fold_marked(character)[0] for character in text)
    assert fold(fold(text)) == fold(fold(fold(text)))


def test_printable() -> None:
    assert printable("北约 a\x1b[31m\n\udcff") == "北约 a\\x1b[31m\\n\\udcff"
