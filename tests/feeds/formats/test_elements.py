from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from feed_documents import FIRST, make_document, make_entry

from feedsvc.feeds.formats.elements import (
    alternate_link,
    byline,
    categories,
    entry_language,
    feed_language,
    headline,
    instant,
    language_tag,
    legal,
    line,
)

BASE = "https://feeds.example.org"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc\rd e", "a\tb\nc\rd e"),
        ("\x00\x08\x0b\x0c\x0e\x1f\ufffe\uffff", ""),
        ("\ud7ff\ud800\udbff\udc00\udfff\ue000", "\ud7ff\ue000"),
        ("\U00010000\U0010ffff\x7f\x85\ufffd", "\U00010000\U0010ffff\x7f\x85\ufffd"),
    ],
)
def test_legal(text: str, expected: str) -> None:
    assert legal(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"),
        ("a \n\t b\r\nc", "a b c"),
        (" \n", ""),
        ("\x00a\x0bb", "ab"),
        ("a  b", "a  b"),
        ("张\u3000三", "张\u3000三"),
    ],
)
def test_line(text: str, expected: str) -> None:
    assert line(text) == expected


@pytest.mark.parametrize(
    "moment", [FIRST, FIRST.replace(microsecond=999_999), FIRST.astimezone(timezone(timedelta(hours=8)))]
)
def test_instant(moment: datetime) -> None:
    assert instant(moment).isoformat() == "2024-01-04T14:45:02+00:00"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("zh", "zh"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("yue", "yue"),
        ("de-1996", "de-1996"),
        ("en-x-private", "en-x-private"),
        ("chinese", None),
        ("x-klingon", None),
        ("zh_CN", None),
        ("zh-", None),
        ("zh-toolongsubtag", None),
        ("", None),
        (None, None),
    ],
)
def test_language_tag(tag: str | None, expected: str | None) -> None:
    assert language_tag(tag) == expected


@pytest.mark.parametrize(
    ("configured", "entries", "feed", "said"),
    [
        ("zh-CN", ["zh", "zh-cn", None, "en"], "zh-CN", ["zh", None, None, "en"]),
        (None, ["zh", "ZH", "zh"], "zh", [None, None, None]),
        (None, ["zh", "en"], None, ["zh", "en"]),
        (None, ["zh", None], None, ["zh", None]),
        (None, [None, "zh"], None, [None, "zh"]),
        (None, [None, None], None, [None, None]),
        (None, ["no tag"], None, [None]),
        ("no tag", ["ja"], "ja", [None]),
        ("en", [], "en", []),
        (None, [], None, []),
    ],
)
def test_languages(configured: str | None, entries: list[str | None], feed: str | None, said: list[str | None]) -> None:
    held = tuple(make_entry(number, language=language) for number, language in enumerate(entries))
    found = feed_language(make_document(entries=held, language=configured))
    assert found == feed
    assert [entry_language(entry, found) for entry in held] == said


@pytest.mark.parametrize(
    ("changes", "link", "title", "author"),
    [
        ({}, "https://example.org/articles/0?a=1&b=2", "标题 0: a < b & c", "张三"),
        ({"link": None, "title": "\x00"}, f"{BASE}/entries/k0", f"{BASE}/entries/k0", "张三"),
        ({"title": " \n", "author": "\x00 "}, "https://example.org/articles/0?a=1&b=2", None, "Example News"),
        ({"author": None, "source": None}, "https://example.org/articles/0?a=1&b=2", "标题 0: a < b & c", ""),
    ],
)
def test_what_stands_in_for_what(changes: dict[str, object], link: str, title: str | None, author: str) -> None:
    entry = make_entry(0, **changes)
    assert alternate_link(entry, BASE) == link
    assert headline(entry, BASE) == (title or link)
    assert byline(entry) == author


def test_categories() -> None:
    assert categories(make_entry(0, categories=("b", "\x00", "a\x00", " a ", "", "b"))) == ("b", "a")
