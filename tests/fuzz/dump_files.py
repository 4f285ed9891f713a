"""Bytes of a dump file to articles."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, NotADump

if TYPE_CHECKING:
    from feedsvc.model import Dump

__all__ = ["PIECES", "check"]

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")

PIECES = (
    *(b"<!--1712180702000-->", b"<!--1712180702-->", b"<!-- 99 -->", b"<!--", b"-->", b"[", b"](", b")", b"]", b"\\"),
    *(b"[t](https://e.example/a)", b"](https://e.example/(x))", b"](//e.example/", b"\n", b"\n------\n", b"\n---\n"),
    *(b"---\n", b"title: ", b"date: 2024-04-03\n", b"from: https://e.example/b\n", b"tags: [a, b]\n", b"categories:\n"),
    *(b"- x\n", b"author: ", b"lang: zh\n", b"date: ", b"url: ", b": ", b"# ", b"'", b'"', b"|\n", b">-\n", b"{", b"}"),
    *(b"? ", b"&a ", b"*a", b"!!python/object:os.system ", b"!!binary ", b"!x ", b"<<: ", b"%YAML 1.2\n", b"...\n"),
    *(b"0x1F", b"1_000", b"1e999", b".inf", b"~", b"null", b"2024-04-03T10:00:00+25:00", b"\\UFFFFFFFF", b"\\uD800"),
    *(b"Wed, 03 Apr 2024 10:00:00 +0800", b"1712180702", b"9" * 30, b"\r", b"\r\n", b"\t", b"\0", b"\x85", b"\x08"),
    *(
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe\0\0",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf8\x88\x80\x80\x80",
    ),
    *(b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xb0\xd9", b"\x84\x31\x95\x33", b"+ADw-", b"\x1b$B", b"~{", b"\xe5\x8c\x97"),
    *(b"<meta charset=utf-7>", b"<meta charset=gbk>", b"<meta charset=", b"<?xml encoding='utf-16'?>", b"<p>x</p>"),
    *(
        b"&amp;",
        b"&#0;",
        b"&#xD800;",
        b"&#99999999999;",
        b"<b>",
        b"<br ",
        b"=",
        b"\xe2\x80\xa6",
        b"...",
        b" ",
        b"a\0b\0",
    ),
)


def check(data: bytes) -> None:
    """Any bytes are read or refused, as they are and as what a dump begins with goes on."""
    for beginning in (b"", b"---\n", b"<!--1712180702000-->\n["):
        _check_file(beginning + data)


def _check_file(data: bytes) -> None:
    try:
        dumps = parse_dump(data, "a.txt")
        assert dumps
    except NotADump as error:
        assert error.reason  # noqa: PT017 - no test knows which it is
        return
    except BrokenDump as error:
        assert error.reason  # noqa: PT017
        assert error.line  # noqa: PT017
        dumps = list(error.dumps)
    places = [(dump.position, dump.line) for dump in dumps]
    assert places == sorted(places)
    for dump in dumps:
        _check_dump(dump)


def _check_dump(dump: Dump) -> None:
    names = (dump.title, dump.author, dump.source, dump.language, *dump.categories)
    for text in filter(None, names):
        assert not FORBIDDEN.search(text), text
        assert text == " ".join(text.split()), text
    assert dump.title
    assert dump.link is None or (dump.link.strip() == dump.link and not FORBIDDEN.search(dump.link)), dump.link
    assert dump.published is None or dump.published.utcoffset() == timedelta(0)
    assert "\r" not in dump.html
