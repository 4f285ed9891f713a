"""When rules meet: which has its way, what stands back, and what is left of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from feedsvc.clean import Cleaner, load_rules
from feedsvc.model import Dump

if TYPE_CHECKING:
    from pathlib import Path

    from feedsvc.model import CleanEntry

LINES = "".join(f"<p>line {number}</p>" for number in range(12))


def clean(folder: Path, html: str, *rules: str) -> CleanEntry:
    """Clean with rules named r0, r1 and so on, each given by its own lines."""
    pack = "".join(f'[[rule]]\nname = "r{number}"\nreason = "why"\n{rule}\n' for number, rule in enumerate(rules))
    (folder / "mine.toml").write_text(pack, "utf-8")
    dump = Dump(path="a.txt", title="t", link="https://h.example/x", published=None, html=html)
    cleaner = Cleaner(load_rules(site_rules=False, folders=[folder]))
    return cleaner.clean(dump, datetime(2024, 4, 3, 12, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("html", "rules", "content", "removed"),
    [
        pytest.param(
            '<p>a</p><div class="x"><p class="y">b</p></div>',
            ["css = ['.y']", "css = ['.x']"],
            "<p>a</p>",
            [("r1", "b")],
            id="the outer of two is the one in the ledger",
        ),
        pytest.param(
            '<p>a</p><p class="x y">b</p>',
            ["css = ['[class]']", "css = ['.y']", "css = ['p.x']"],
            "<p>a</p>",
            [("r0", "b")],
            id="the first of two for one element is the one in the ledger",
        ),
        pytest.param(
            "<p>a</p><p>ad</p>",
            ["text = ['ad']", "text = ['ad|da']"],
            "<p>a</p>",
            [("r0", "ad")],
            id="the first of two for one line is the one in the ledger",
        ),
        pytest.param(
            '<p>a</p><div class="x"><p>b</p><p class="y">c</p></div>',
            ["css = ['.x']", "css = ['.y']\naction = 'keep'"],
            "<p>a</p><div><p>b</p><p>c</p></div>",
            [],
            id="what holds something kept stays",
        ),
        pytest.param(
            '<p>a</p><div class="y"><p class="x">b</p></div>',
            ["css = ['.x']", "css = ['.y']\naction = 'keep'"],
            "<p>a</p><div><p>b</p></div>",
            [],
            id="what something kept holds stays",
        ),
        pytest.param(
            '<p>a</p><div class="x"><img src="/i.png"><p>Map: Europe</p></div>',
            ["css = ['.x']", "text = ['Map:.*']\naction = 'keep'"],
            '<p>a</p><div><img src="https://h.example/i.png"><p>Map: Europe</p></div>',
            [],
            id="what holds a line that is kept stays",
        ),
        pytest.param(
            '<p>a</p><b class="x"><x-y><p class="y">分享</p></x-y></b>',
            ["css = ['.y']\naction = 'keep'"],
            "<p>a</p><p>分享</p>",
            [],
            id="kept by a class, though broken markup is cleaned twice",
        ),
        pytest.param(
            '<div class="k">03/04/2024 - 12:00</div><p>a</p><hr class="k">',
            ["css = ['.k']\naction = 'keep'"],
            "<div>03/04/2024 - 12:00</div><p>a</p><hr>",
            [],
            id="a dateline and a line are kept",
        ),
        pytest.param(
            '<p class="x">a</p>',
            ["css = ['.x']\nhosts = ['h.example']"],
            "<p>a</p>",
            [],
            id="rules for a host stand back too",
        ),
        pytest.param(
            '<p class="x">a</p><p>分享</p>',
            ["css = ['.x']\nhosts = ['h.example']"],
            "<p>分享</p>",
            [("r0", "a")],
            id="rules for every dump stand back first",
        ),
        pytest.param(
            '<img class="x" src="/i.png"><p>分享</p>',
            [],
            '<img src="https://h.example/i.png">',
            [("share-labels", "分享")],
            id="a picture is an article",
        ),
        pytest.param(
            '<p>a</p><div class="w">b<div class="w">c</div>d</div>',
            ["css = ['.w']\naction = 'unwrap'"],
            "<p>a</p>b<br>c<br>d",
            [],
            id="unwrapped blocks leave lines apart",
        ),
        pytest.param(
            '<p>a <img class="w" src="/i.png"><br class="w">b</p>',
            ["css = ['.w']\naction = 'unwrap'"],
            '<p>a <img src="https://h.example/i.png"><br>b</p>',
            [],
            id="what holds nothing cannot be unwrapped",
        ),
        pytest.param(
            '<p>a</p><div class="w"><p class="x">b</p></div>',
            ["css = ['.w']\naction = 'unwrap'", "css = ['.x']"],
            "<p>a</p>",
            [("r1", "b")],
            id="what an unwrapped element holds may go",
        ),
        pytest.param(
            f'<div class="x">1</div>{LINES}<div class="x">2</div>',
            ["css = ['.x']\nwhere = 'head'"],
            f"{LINES}<div>2</div>",
            [("r0", "1")],
            id="a selector in the head",
        ),
        pytest.param(
            f'<div class="x">1</div>{LINES}<div class="x">2</div>',
            ["css = ['.x']\nwhere = 'tail'"],
            f"<div>1</div>{LINES}",
            [("r0", "2")],
            id="a selector in the tail",
        ),
        pytest.param(
            '<p>a</p><p>b</p><i class="x"></i>',
            ["css = ['.x']\nwhere = 'head'", "css = ['.y']\nwhere = 'tail'"],
            "<p>a</p><p>b</p>",
            [("r0", "")],
            id="a short article is head and tail",
        ),
        pytest.param(
            '<i class="x"></i><p>a</p><p>b</p>',
            ["css = ['.x']\nwhere = 'tail'"],
            "<p>a</p><p>b</p>",
            [("r0", "")],
            id="an empty element before a short article",
        ),
        pytest.param(
            f"{LINES}<p>Related</p><p>one</p><p>two</p>",
            ["text = ['Related|one|two']\nwhere = 'tail'"],
            LINES,
            [("r0", "Related"), ("r0", "one"), ("r0", "two")],
            id="what goes makes room for more tail",
        ),
        pytest.param(
            '<p>a</p><p>Ad <b>now</b><img src="/i.png"> and <i>then</i></p>',
            ["text = ['ad now and then']"],
            '<p>a</p><p><img src="https://h.example/i.png"></p>',
            [("r0", "Ad now and then")],
            id="the text goes and the picture stays",
        ),
        pytest.param(
            "<table><tr><td>ad</td><td>b</td></tr></table>",
            ["text = ['ad']"],
            "<table><tbody><tr><td></td><td>b</td></tr></tbody></table>",
            [("r0", "ad")],
            id="a table keeps its columns",
        ),
    ],
)
def test_decision(tmp_path: Path, html: str, rules: list[str], content: str, removed: list[tuple[str, str]]) -> None:
    entry = clean(tmp_path, html, *rules)
    assert entry.content == content
    assert [(removal.rule, removal.text) for removal in entry.removals] == removed


def test_ledger_has_the_html_of_a_line(tmp_path: Path) -> None:
    html = '<p>a</p><p>one<br><b class="z"><i>Ad</i></b> &amp; co<br>two</p><p>Ad &amp; <u>co</u></p>'
    entry = clean(tmp_path, html, "text = ['ad & co']")
    assert entry.content == "<p>a</p><p>one<br>two</p>"
    assert [removal.html for removal in entry.removals] == [
        '<b class="z"><i>Ad</i></b> &amp; co<br>',
        "<p>Ad &amp; <u>co</u></p>",
    ]


def test_rules_for_every_dump_take_no_more_than_their_share(tmp_path: Path) -> None:
    line = "<p>A line of the article that is of some length, and more of it.</p>"
    ad = '<p class="x">An advertisement that is of some length, and more of it.</p>'
    rule = "css = ['.x']"
    for ads, stands_back in ((8, False), (16, True)):
        entry = clean(tmp_path, line * 8 + ad * ads, rule)
        assert entry.stood_back is stands_back
        assert len(entry.removals) == (0 if stands_back else ads)
        again = clean(tmp_path, entry.content, rule)
        assert again.content == entry.content
    entry = clean(tmp_path, line * 8 + ad * 16, f"{rule}\nhosts = ['h.example']")
    assert (len(entry.removals), entry.stood_back) == (16, False)


def test_short_news_loses_the_list_below_it(tmp_path: Path) -> None:
    links = "".join(f'<li><a href="https://h.example/{n}">Another headline {n}</a></li>' for n in range(8))
    entry = clean(tmp_path, f"<p>Shares fell on Monday.</p><h3>Related articles</h3><ul>{links}</ul>")
    assert (entry.text, entry.stood_back) == ("Shares fell on Monday.", False)
