from __future__ import annotations

import logging
import re
import tomllib
from datetime import UTC
from typing import Any

import places
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from feedsvc.dumps import ignored_name, parse_dump
from feedsvc.errors import BrokenDump, DumpError, NotADump
from feedsvc.model import Dump

FOLDER = places.DATA / "dumps"
DATA = {file.stem: file for file in sorted(FOLDER.iterdir()) if file.suffix != ".toml"}
EXPECTED = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}

MARKER = b"<!--1712180702000-->\n"
FORBIDDEN_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check(dumps: tuple[Dump, ...], expected: list[dict[str, Any]], path: str) -> None:
    assert len(dumps) == len(expected)
    for dump, wanted in zip(dumps, expected, strict=True):
        found = {
            **{name: getattr(dump, name) for name in wanted if hasattr(dump, name)},
            "absent": [name for name in wanted.get("absent", ()) if getattr(dump, name) is None],
            "html_begins": dump.html[: len(wanted.get("html_begins", ""))],
            "html_ends": dump.html[len(dump.html) - len(wanted.get("html_ends", "")) :],
        }
        assert {name: found[name] for name in wanted} == {
            name: tuple(value) if name == "categories" else value for name, value in wanted.items()
        }
        assert dump.path == path


@pytest.mark.parametrize("name", DATA)
def test_file(name: str) -> None:
    expected = tomllib.loads(EXPECTED[name].read_text("utf-8"))
    path = expected.get("path", DATA[name].name)
    data = DATA[name].read_bytes()
    articles = expected.get("dumps", [])
    if expected["outcome"] == "dumps":
        check(tuple(parse_dump(data, path)), articles, path)
        return
    error_type = {"ignored": NotADump, "quarantined": BrokenDump}[expected["outcome"]]
    with pytest.raises(DumpError) as caught:
        parse_dump(data, path)
    error = caught.value
    assert type(error) is error_type
    assert expected["reason"] in error.reason
    assert error.path == path
    if isinstance(error, BrokenDump):
        assert error.line == expected["line"]
        check(error.dumps, articles, path)


def test_each_file_has_an_expectation_and_each_expectation_a_file() -> None:
    assert DATA.keys() == EXPECTED.keys()
    assert len(list(FOLDER.iterdir())) == 2 * len(DATA)
    assert len(DATA) >= 60


def test_each_expectation_says_why_and_names_only_what_is_checked() -> None:
    known = {"absent", "html_begins", "html_ends", *Dump.__dataclass_fields__}
    for file in EXPECTED.values():
        expected = tomllib.loads(file.read_text("utf-8"))
        assert expected["why"], file.name
        assert expected.keys() <= {"why", "outcome", "reason", "line", "path", "dumps"}, file.name
        assert (expected["outcome"] == "dumps") == ("reason" not in expected), file.name
        assert all(article.keys() <= known for article in expected.get("dumps", [])), file.name


@pytest.mark.parametrize(
    ("name", "title", "published"),
    [
        ("000_1fddeb10f9e1ef9b.txt", "北约与亚太外长举行会议 应对俄中伊朗及朝鲜联手挑战", "2024-04-03T21:45:02"),
        (
            "001_09ab33fb3322ffd9.txt",
            "北约已邀请4个印太伙伴国出席新年首次军事委员会参谋长级会议",
            "2024-01-04T14:45:02",
        ),
        ("004_3ae00dc528254de1.txt", "澳新举行首次外长防长“2+2”会谈 深化安全合作关系", "2024-02-01T21:15:02"),
    ],
)
def test_seed(name: str, title: str, published: str) -> None:
    file = places.SEEDS / name
    [dump] = parse_dump(file.read_bytes(), str(file))
    assert dump.title == title
    assert dump.published is not None
    assert dump.published.isoformat() == f"{published}+00:00"
    assert dump.link is not None
    assert dump.link.startswith("https://www.rfi.fr/cn/%E")
    assert dump.html.startswith("<div>0")


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("a hidden file", ".a.txt .a.txt.Xk29aQ .DS_Store .#a.md .a.txt.swp"),
        ("an editor's backup", "a.txt~ a.bak a.txt.BAK a.swp #a.txt# a.orig"),
        ("a partial download", "a.part a.txt.crdownload a.tmp a.partial a.download"),
        ("an image", "a.png b.JPEG c.webp d.svg"),
        ("an archive", "a.zip a.tar.gz a.7z"),
        ("an office document", "a.docx a.odt"),
        ("a PDF or an e-book", "a.pdf a.epub"),
        ("a sound file", "a.mp3 a.ogg"),
        ("a video", "a.mp4 a.webm"),
        ("left by the operating system", "Thumbs.db desktop.ini"),
        (
            "about a project, not an article",
            "README readme.md README.zh-CN.md License LICENCE.txt COPYING Changelog.md CONTRIBUTING.rst",
        ),
        (
            None,
            "a.txt a.md a.html a 000_1fddeb10f9e1ef9b.txt 2024-01-01.mp4.md 2023-#新年.md readme-first.md a.b.c",
        ),
    ],
)
def test_ignored_name(reason: str | None, names: str) -> None:
    found = {name: ignored_name(f"some/.folder~/{name}") for name in names.split()}
    assert found == dict.fromkeys(names.split(), reason)


def test_mending_is_logged_with_path_and_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="feedsvc.dumps")
    parse_dump(b"---\ndate: 2024-01-01\ntitle: a: b\n---\n", "x.md")
    [record] = caplog.records
    assert (vars(record)["path"], vars(record)["line"]) == ("x.md", 3)


def test_several_broken_blocks_leave_the_rest_and_count() -> None:
    good = b"<!--1712180702-->\n[T](https://e.example/)\n---\nx\n"
    with pytest.raises(BrokenDump) as caught:
        parse_dump((good + b"<!--1-->\n[a](b)\n") * 3, "x.txt")
    assert [dump.position for dump in caught.value.dumps] == [0, 2, 4]
    assert "3 articles" in caught.value.reason


def outcome(data: bytes, path: str) -> list[Dump] | DumpError:
    try:
        return parse_dump(data, path)
    except DumpError as error:
        return error


def read(data: bytes, path: str) -> None:
    """Parse, and hold what comes out against what is promised."""
    found = outcome(data, path)
    if isinstance(found, DumpError):
        assert found.reason
        assert isinstance(found, NotADump) or (found.line is not None and found.line >= 1)
        dumps = list(found.dumps) if isinstance(found, BrokenDump) else []
    else:
        assert found
        dumps = found
    assert [dump.position for dump in dumps] == sorted({dump.position for dump in dumps})
    for dump in dumps:
        assert dump.path == path
        for text in (dump.title, dump.link, dump.author, dump.source, dump.language, *dump.categories):
            assert text != ""
            assert not FORBIDDEN_IN_XML.search(text or "")
        assert dump.title == " ".join(dump.title.split())
        assert "\r" not in dump.html
        if dump.published:
            assert dump.published.tzinfo is UTC
            assert dump.published.microsecond == 0
            assert 1990 <= dump.published.year <= 2100


UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        *("<!--1712180702000-->", "<!--1712180702-->", "<!--5-->", "<!--", "-->", "[", "]", "](", ")", "()", "]()"),
        *("https://e.example/a", "//", "---", "------", "\n", "\n\n", "\r", "\r\n", "\n---\n", " ", "\t", "\u2028"),
        *("title: ", "date: ", "from: ", "tags: ", "author: ", "lang: ", "2024-01-01", "Mon, 1 Jan 2024 10:00 ", ": "),
        *(
            '"',
            "'",
            "&",
            "*",
            "!",
            "|",
            ">",
            "{",
            "}",
            ",",
            "#",
            "- ",
            "? ",
            "~",
            "%",
            "@",
            "\\",
            "\\UFFFFFFFF",
            "\\uD800",
        ),
        *("&amp;", "&#0;", "&#xD800;", "<b>", "</b>", "<br ", "=", "港", "\ufeff", "\0", "\x08", "\ufffe", "…", "..."),
    ]
)
HOSTILE = st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join)


@UNTIMED
@given(st.binary(max_size=200))
@example(b"\xff" * 100)
@example(b"\x80\x00")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read(data, "x.txt")
    read(MARKER + b"[" + data, "x.txt")
    read(b"---\ntitle: " + data + b"\ndate: 2024-01-01\n---\n" + data, "x.txt")


@UNTIMED
@given(HOSTILE, st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030", "big5"]))
@example("](0\x1f0", "utf-8")
def test_any_text_is_read_or_refused(text: str, codec: str) -> None:
    for beginning in ("", "---\n", "---\ntitle: ", "---\ndate: ", MARKER.decode(), f"{MARKER.decode()}["):
        read((beginning + text).encode(codec, "ignore"), "x.txt")


@UNTIMED
@given(HOSTILE)
def test_any_front_matter_is_read_or_refused(text: str) -> None:
    for key in ("title", "date", "from", "tags", "lang"):
        read(f"---\n{key}: {text}\ndate: 2024-01-01\n---\nx".encode("utf-8", "ignore"), "x.md")


@UNTIMED
@given(st.text(max_size=60), st.text(max_size=60))
def test_a_title_without_brackets_and_a_link_come_back(title: str, rest: str) -> None:
    head = f"[{title}](https://e.example/{rest})"
    if len(head.splitlines()) > 1 or re.search(r"[\r\n\ufeff\0]", head) or "](" in title + rest:
        return
    [dump] = parse_dump(MARKER + head.encode("utf-8", "ignore") + b"\n---\n", "x.txt")
    assert dump.link is not None
    assert dump.link.startswith("https://e.example/")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1000, 300_000])
@pytest.mark.parametrize(
    ("beginning", "repeated"),
    [
        (MARKER, b"["),
        (MARKER + b"[", b"](http://"),
        (MARKER + b"[", b"](         "),
        (MARKER + b"[", b"](aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (MARKER + b"[t](https://e.example/)\n", b" \n"),
        (MARKER + b"[", b"<b "),
        (MARKER + b"[<b ", b"="),
        (MARKER + b"[&#", b"9"),
        (MARKER + b"[", b"&"),
        (MARKER, b"\n"),
        (b"", b"<!--1712180702000-->\n\n[t](u)\n"),
        (b"", b"<!--5-->\n[\n"),
        (b"<!--", b"1"),
        (b"", b"<!--"),
        (b"---\n", b"["),
        (b"---\n", b'title: "\n'),
        (b"---\ntitle: ", b"'"),
        (b"", b"\xff"),
        (MARKER + b"[", b"\xe9 "),
        (b"\xff\xfe", b"\0\xd8"),
    ],
)
def test_hostile_files_end(beginning: bytes, repeated: bytes, size: int) -> None:
    data = beginning + repeated * (size // len(repeated))
    read(data, "x.txt")
    read(data + b")\n---\n", "x.txt")


@pytest.mark.slow
@pytest.mark.parametrize(
    "inner", [b"[", b"{", b"- ", b"? ", b"a: b: c\n", b"x: '\n", b"a\n", b"tags: [ 'a' b, ]\n", b"&a "]
)
def test_hostile_front_matter_ends(inner: bytes) -> None:
    read(b"---\n" + inner * (20_000 // len(inner)) + b"\n---\n", "x.txt")
