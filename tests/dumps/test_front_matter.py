"""Front matter is read alike whether PyYAML was built with libyaml or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from places import DATA

from feedsvc.dumps import front_matter
from feedsvc.errors import BrokenDump

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(path for path in (DATA / "dumps").iterdir() if path.suffix in {".md", ".txt"})
WORDS = "title date tags 日本 😀 2020-01-01 https://a.example/?c [ ] , { } \" ' # ! & * % @ ` | > |- ? ~ = << . - ---"
PIECES = st.sampled_from(
    [
        *WORDS.split(),
        ": ",
        "\n",
        "\n  ",
        "- ",
        ", ",
        " #",
        "!!str ",
        "? ",
        "\\",
        "\\u00e9",
        " ",
        "\u00a0",
        "\u2028",
        "\t",
    ]
)
ANYTHING = re.compile("")


def read(lines: list[str]) -> object:
    try:
        return front_matter.parse_front_matter(lines, 0, "a.md")
    except BrokenDump as error:
        return str(error)


def assert_is_read_alike(lines: list[str]) -> None:
    if lines[0] != front_matter.FENCE:
        return
    fast = read(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(front_matter, "_SPECIAL", ANYTHING)
        assert read(lines) == fast


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_head_of_a_file(path: Path) -> None:
    assert_is_read_alike(path.read_bytes().decode("utf-8", "replace").split("\n"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        "title: 😀\ndate: 2020-01-01",
        "title: [Video]\ntags: ~",
        "title: >#a",
        "title: !x a",
        "title: a? b\ntags: [a? b]",
        'title: "\\uD800"',
        "title: &a b\ntags: *a",
        "tags: " + "[" * 15 + "]" * 15,
        "tags: " + "[" * 16 + "]" * 16,
        "tags: " + "[" * 5_000,
        "- " * 16 + "a",
        "- " * 15 + "a",
        "a: b: c",
    ],
)
def test_a_head(head: str) -> None:
    assert_is_read_alike(["---", *head.split("\n"), "---"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_head(head: str) -> None:
    for beginning in ("", "title: ", "tags: "):
        assert_is_read_alike(["---", *f"{beginning}{head}".split("\n"), "date: 2020-01-01", "---"])


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_plain_heads_are_read_by_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(front_matter, "_Loader")
    head, _ = front_matter.parse_front_matter(["---", "title: a", "tags: [b, c]", "---"], 0, "a.md")
    assert (head.title, head.categories) == ("a", ("b", "c"))
