"""Dumps that mean harm by their encoding, their front matter, or the order in which text is shown."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from fuzz.cleaning import CLEANER, PUBLISHED, clean

from feedsvc.clean.metadata import tidy_phrase
from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, CleaningError, NotADump

if TYPE_CHECKING:
    from feedsvc.model import Dump

HEAD = "<!--1712180702000-->\n[t](https://e.example/a)\n------\n"
LAUGHS = "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12))


def read(data: bytes) -> Dump:
    [dump] = parse_dump(data, "a.md")
    return dump


def read_title(title: str) -> str:
    return read(
        f"---\ntitle: {json.dumps(title)}\ndate: 2024-04-03\nauthor: {json.dumps(title)}\n---\nx".encode()
    ).title


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("report \u202efdp.exe", "report fdp.exe"),
        ("&#8238;txt.&#x202E;exe", "txt.exe"),
        ("\u2066a\u2069 \u202ab\u202c \u202dc", "a b c"),
        ("\u2067\u2068", "https://e.example/a"),
        ("(עברית)\u200e 2024", "(עברית)\u200e 2024"),  # marks stay
    ],
)
def test_nothing_reorders_a_title_or_what_stands_behind_it(written: str, plain: str) -> None:
    assert read(f"<!--1712180702000-->\n[{written}](https://e.example/a)\n".encode()).title == plain
    if plain != "https://e.example/a":
        assert read_title(written) == plain
        assert "\u202e" not in (tidy_phrase(written) or "")


@pytest.mark.parametrize(
    "hidden",
    [
        b"\xc0\xbcscript\xc0\xbealert(1)",
        b"\xe0\x80\xbcscript\xe0\x80\xbe",
        b"\xf0\x80\x80\xbcscript\xf0\x80\x80\xbe",
        b"\xf8\x80\x80\x80\xbcscript\xf8\x80\x80\x80\xbe",
        b"+ADw-script+AD4-alert(1)",
        b"<meta charset=utf-7>+ADw-script+AD4-",
        b"<meta http-equiv=content-type content='text/html;charset=utf-7'>\xff+ADw-script+AD4-",
        b"<meta charset=x-imap4-modified-utf7>\xff&ADw-script&AD4-",
        b"<meta charset=iso-2022-jp>\x1b$B\xff<\x1b(Bscript>",
        b"<meta charset=hz-gb-2312>~{\xff<~}script>",
        b"<meta charset=unicode_escape>\xff\\x3cscript\\x3e",
        b"<meta charset=rot13>\xff<fpevcg>",
        b"\xed\xa0\xbc\xed\xb0\xbcscript",
    ],
)
def test_no_encoding_makes_an_element_of_what_is_none(hidden: bytes) -> None:
    dump = read(HEAD.encode() + b"<p>" + hidden)
    assert "<script" not in dump.html.lower()
    entry = clean(dump.html)
    assert entry is not None
    assert "<script" not in entry.content.lower()


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_wide_encodings_are_read_with_a_mark_or_without(codec: str) -> None:
    data = (HEAD + "<p>北约</p>").encode(codec)
    assert read(data).html == "<p>北约</p>"


def test_nothing_is_decompressed() -> None:
    with pytest.raises(NotADump, match="binary"):
        parse_dump(gzip.compress(HEAD.encode() + b"x" * 10_000_000), "a.md")


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "a: &a\n  b: *a",
        "<<: *a",
        "title: &a x\nauthor: *a",
        f"title: {'[' * 5_000}",
        "- " * 5_000,
        f"title: {'{a: ' * 5_000}",
        "title: x" + "x" * 70_000,
    ],
)
def test_front_matter_that_grows_is_refused(head: str) -> None:
    with pytest.raises(BrokenDump, match=r"anchors and aliases|nested too deeply|larger than 64 KiB|no YAML"):
        parse_dump(f"---\n{head}\ndate: 2024-04-03\n---\nx".encode(), "a.md")


@pytest.mark.parametrize(
    ("value", "title"),
    [
        ("!!python/object/apply:os.system ['true']", "!!python/object/apply:os.system ['true']"),
        ("!!python/name:os.system x", "x"),
        ("!!binary PHNjcmlwdD4=", "PHNjcmlwdD4="),
        ("!!int 9", "9"),
        ("9" * 5_000, "9" * 5_000),
        ("0x" + "f" * 5_000, "0x" + "f" * 5_000),
        ("1e999999999", "1e999999999"),
        ("a\ntitle: b", "b"),
    ],
    ids=["object", "name", "binary", "int", "digits", "hexadecimal", "exponent", "twice"],
)
def test_front_matter_is_text_whatever_its_tags_say(value: str, title: str) -> None:
    found = read(f"---\ntitle: {value}\ndate: 2024-04-03\n---\nx".encode()).title
    assert found in (title, "['true']")


def test_entities_that_multiply_are_no_entities() -> None:
    entry = clean(f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]><p>&a11;</p>')
    assert entry is not None
    assert len(entry.content) < 10_000


def test_more_ampersands_than_the_sanitiser_bears_are_refused() -> None:
    with pytest.raises(CleaningError, match="more than 200000 ampersands"):
        CLEANER.clean(read(f"{HEAD}<p>{'&#' * 300_000}".encode()), PUBLISHED)
