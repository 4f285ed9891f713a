"""Where removals were, and what is kept of them for good: the cleaner's part of the account."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html
from rich.console import Console

from feedsvc.app.cli.show import show_explanation
from feedsvc.clean import Cleaner, load_rules
from feedsvc.dumps import parse_dump
from feedsvc.feeds.pages.pages import render_explanations
from feedsvc.model import Dump

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from feedsvc.clean import Explanation
    from feedsvc.model import CleanEntry

WHEN = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)
SHARE = '<a href="https://www.facebook.com/sharer?u=x">Facebook</a>'


@pytest.fixture(scope="module")
def cleaner(tmp_path_factory: pytest.TempPathFactory) -> Cleaner:
    """The built-in rules, and some that take ad elements, an unwrapped box and lines that read "promo N"."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "test.toml").write_text(
        """
        [[rule]]
        name = "ads"
        reason = "advertisements <of> the site"
        css = [".wug"]
        [[rule]]
        name = "promo"
        reason = "lines of promotion"
        text = ['promo \\d+']
        [[rule]]
        name = "tail-box"
        reason = "a box at the end"
        css = [".blick"]
        where = "tail"
        """,
        "utf-8",
    )
    return Cleaner(load_rules(site_rules=False, folders=[folder]))


def dump_of(html: str) -> Dump:
    return Dump(path="a.txt", title="标题", link="https://h.example/x", published=None, html=html)


def explain(cleaner: Cleaner, html: str) -> Explanation:
    return cleaner.explain(dump_of(html), WHEN)


def joined(pieces: Iterable[str | int], entry: CleanEntry) -> str:
    """What stays as it is, and each removal as {rule}."""
    return "".join(piece if isinstance(piece, str) else f"{{{entry.removals[piece].rule}}}" for piece in pieces)


@pytest.mark.parametrize(
    ("html", "text", "marked"),
    [
        pytest.param("<p>a</p><p>b</p>", "a\nb", "<p>a</p><p>b</p>", id="nothing went"),
        pytest.param(
            '<p>a</p><div class="wug">buy</div><p>b</p>',
            "a\n{ads}\nb",
            "<p>a</p><div>{ads}</div><p>b</p>",
            id="a block",
        ),
        pytest.param(
            '<p>a <b class="wug">buy</b> b</p>', "a {ads} b", "<p>a {ads} b</p>", id="within a line"
        ),
        pytest.param(
            "<p>a<br>promo 1<br>b</p>", "a\n{promo}\nb", "<p>a<br>{promo}<br>b</p>", id="a line between two others"
        ),
        pytest.param(
            '<ul><li>a</li><li class="wug">buy</li></ul>',
            "a\n{ads}",
            "<ul><li>a</li><li>{ads}</li></ul>",
            id="an item of a list",
        ),
        pytest.param(
            '<table><tbody><tr><td>a</td></tr><tr class="wug"><td>buy</td></tr></tbody></table>',
            "a\n{ads}",
            "<table><tbody><tr><td>a</td></tr><tr><td>{ads}</td></tr></tbody></table>",
            id="a row of a table",
        ),
        pytest.param(
            '<p>a</p><img src="https://h.example/p.gif" width="1" height="1"><p>b</p><script>x()</script>',
            "a\n{tracking-pixel}\nb\n{page-code}",
            "<p>a</p>{tracking-pixel}<p>b</p>{page-code}",
            id="what has no text",
        ),
        pytest.param(
            '<p>a</p><div class="blick"><p>c</p><p>promo 1</p></div>',
            "a\n{tail-box}\n{promo}",
            "<p>a</p><div>{tail-box}</div><div>{promo}</div>",
            id="one that went before what holds it",
        ),
    ],
)  # fmt: skip
def test_each_removal_has_its_place(cleaner: Cleaner, html: str, text: str, marked: str) -> None:
    found = explain(cleaner, html)
    assert joined(found.html, found.entry) == marked
    assert joined(found.text, found.entry) == text
    assert found.elsewhere == ()
    assert found.entry == cleaner.clean(dump_of(html), WHEN)


def test_what_broken_markup_gives_later_is_told_apart(cleaner: Cleaner) -> None:
    # Only the second round sees the line alone: the first has it in a paragraph with other text around it.
    found = explain(cleaner, "<p>a</p><b><p>promo 1</b>x<table>promo 2<tr><td>b</td></tr></table>")
    placed = {piece for piece in found.text if isinstance(piece, int)}
    assert placed | set(found.elsewhere) == set(range(len(found.entry.removals)))
    assert not placed & set(found.elsewhere)


def test_marks_cannot_be_forged(cleaner: Cleaner) -> None:
    every = "".join(chr(code) for code in range(0xE000, 0xF900))
    found = explain(
        cleaner, '<p>\ue0000\ue000 &#xe001;0&#xe001;</p><p class="wug">buy</p><q cite="\ue0020\ue002">c</q>'
    )
    assert [piece for piece in found.html if isinstance(piece, int)] == [0]
    # Where no character is free, nothing has a place, and nothing is lost.
    full = explain(cleaner, f'<p>{every}</p><p class="wug">buy</p>')
    assert full.elsewhere == (0,)
    assert "buy" in render_explanations([full]).decode()


PIECES = (
    *("<p>a", "</p>", '<b class="wug">x', "</b>", "<td>", "<table>", "promo 1", "<br>", "<li>", '<div class="blick">'),
    *("</div>", "<img>", "text ", "</table>", "<ul>", "<script>", "</script>"),
)


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=14))
def test_nothing_is_lost_from_the_explanation(cleaner: Cleaner, pieces: list[str]) -> None:
    found = explain(cleaner, "".join(pieces))
    placed = [piece for piece in found.text if isinstance(piece, int)]
    assert sorted([*placed, *found.elsewhere]) == list(range(len(found.entry.removals)))


# What was restored


HTML = f'<p>a</p><div class="wug">buy</div><p>promo 1</p><p>share: {SHARE}</p><div class="wug">sell</div><p>b</p>'


def test_each_removal_can_be_restored_alone(cleaner: Cleaner) -> None:
    plain = cleaner.clean(dump_of(HTML), WHEN)
    assert [removal.text for removal in plain.removals] == ["buy", "promo 1", "share:", "Facebook", "sell"]
    for number in (0, 1, 3, 4):
        removal = plain.removals[number]
        kept = cleaner.clean(dump_of(HTML), WHEN, {removal.digest})
        assert removal.text in kept.text
        assert kept.removals[number] == replace(removal, restored=True)
        assert [each.text for each in kept.removals] == [each.text for each in plain.removals]


def test_what_stays_because_of_another_is_marked(cleaner: Cleaner) -> None:
    plain = cleaner.clean(dump_of(HTML), WHEN)
    kept = cleaner.clean(dump_of(HTML), WHEN, {plain.removals[3].digest})
    assert "share: Facebook" in kept.text
    assert [removal.restored for removal in kept.removals] == [False, False, True, True, False]


def test_all_restored_is_all_there(cleaner: Cleaner) -> None:
    plain = cleaner.clean(dump_of(HTML), WHEN)
    kept = cleaner.clean(dump_of(HTML), WHEN, {removal.digest for removal in plain.removals})
    assert kept.text == "a\nbuy\npromo 1\nshare: Facebook\nsell\nb"
    assert all(removal.restored for removal in kept.removals)


def test_another_rule_does_not_take_it(cleaner: Cleaner) -> None:
    html = '<p>a</p><div class="x"><p class="wug">promo 1</p></div>'
    (removal,) = cleaner.clean(dump_of(html), WHEN).removals
    assert removal.rule == "ads"
    kept = cleaner.clean(dump_of(html), WHEN, {removal.digest})
    assert kept.text == "a\npromo 1"
    other = Cleaner(load_rules(site_rules=False))
    assert other.clean(dump_of(html), WHEN, {removal.digest}).text == "a\npromo 1"


def test_digests_of_other_things_change_nothing(cleaner: Cleaner) -> None:
    assert cleaner.clean(dump_of(HTML), WHEN, {"0" * 64}) == cleaner.clean(dump_of(HTML), WHEN)


# What is shown


def shown(explanation: Explanation, *, coloured: bool) -> str:
    console = Console(width=60, force_terminal=coloured, color_system="standard" if coloured else None, highlight=False)
    with console.capture() as capture:
        console.print(show_explanation(explanation, coloured=coloured), soft_wrap=True)
    return capture.get()


def test_plain_text_marks_what_went(cleaner: Cleaner) -> None:
    lines = shown(explain(cleaner, HTML), coloured=False).splitlines()
    assert lines[:3] == ["标题", "2024-04-03 12:00:00 UTC", "link: https://h.example/x"]
    body = "\n".join(lines)
    for part in ("[-ads: buy-]", "[-promo: promo 1-]", "[-share-labels: share:-]", "[-share-links: Facebook-]"):
        assert part in body
    assert "removed: 5" in lines
    assert "ads: advertisements <of> the site: 2 removed, 7 characters" in lines


def test_on_a_terminal_it_is_red_and_struck_and_named(cleaner: Cleaner) -> None:
    text = shown(explain(cleaner, HTML), coloured=True)
    assert "\x1b[9;31mbuy\x1b[0m" in text
    assert "(ads)" in text
    assert "[-" not in text


def test_terminals_get_no_commands(cleaner: Cleaner) -> None:
    html = "<p>a\x9b31mb\x85</p><p class='wug'>c\x9b2Jd [bold]e[/bold]</p>"
    text = shown(explain(cleaner, html), coloured=False)
    assert not re.search("[\x80-\x9f\x1b]", text)
    assert "[bold]e[/bold]" in text


HOSTILE = [
    "<script>alert(1)</script>",
    "</del></main><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raw %}",
    "</style></title><svg onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "]]><!-- --!>",
]


def page_of(*explanations: Explanation) -> lxml_html.HtmlElement:
    return lxml_html.document_fromstring(render_explanations(explanations).decode())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_dumps_are_inert_on_the_page(cleaner: Cleaner, hostile: str) -> None:
    html = f'<p>a{hostile}</p><div class="wug" title="{hostile}">{hostile}<i onclick="x()">buy</i></div><p>b</p>'
    dump = replace(dump_of(html), title=hostile, author=hostile)
    page = page_of(cleaner.explain(dump, WHEN))
    assert (
        page.xpath("//script | //svg | //iframe | //object | //form | //base | //*[@style] | //del//*[not(self::b)]")
        == []
    )
    assert [name for element in page.iter("*") for name in element.attrib if name.startswith("on")] == []
    assert len(page.xpath("//main")) == len(page.xpath("//style")) == len(page.xpath("//title")) == 1
    assert [element.getparent().tag for element in page.xpath("//article")] == ["main"]
    assert all(image.get("src", "").startswith("http") for image in page.xpath("//img"))


def test_hostile_names_of_rules_and_html_are_text() -> None:
    cleaner = Cleaner(load_rules(site_rules=False))
    found = explain(cleaner, f"<p>a</p><p>{SHARE}</p>")
    entry = found.entry
    forged = replace(entry.removals[0], reason='"><script>x</script>', text="", html="</pre></del><script>y</script>")
    page = page_of(replace(found, entry=replace(entry, removals=(forged, *entry.removals[1:]))))
    assert page.xpath("//script") == []
    assert page.xpath("//del/@title") == ['share-links: "><script>x</script>']
    assert page.xpath("//pre/text()") == ["</pre></del><script>y</script>"]


def test_page_needs_nothing_else_and_forbids_scripts(cleaner: Cleaner) -> None:
    page = page_of(explain(cleaner, HTML))
    assert page.xpath("//link | //script") == []
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert "default-src 'none'" in policy
    assert "style-src 'sha256-" in policy
    assert page.get("lang") == "en"
    assert page.xpath("//meta[@name='viewport']/@content") == ["width=device-width, initial-scale=1"]
    marks = page.xpath("//div[@class='content']//del")
    assert [mark.text_content() for mark in marks][:2] == ["[ads] buy", "[promo] promo 1"]
    assert marks[0].get("title") == "ads: advertisements <of> the site"
    rows = [[cell.text_content() for cell in row] for row in page.xpath("//tbody/tr")]
    assert ["ads", "advertisements <of> the site", "2", "7"] in rows


def test_page_allows_just_its_own_style(cleaner: Cleaner) -> None:
    body = render_explanations([explain(cleaner, HTML)]).decode()
    style = body.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in body


def test_seeds_are_explained_as_they_are_cleaned(cleaner: Cleaner, pytestconfig: pytest.Config) -> None:
    seeds: Path = pytestconfig.rootpath / "seeds"
    for path in sorted(seeds.iterdir()):
        for dump in parse_dump(path.read_bytes(), str(path)):
            found = cleaner.explain(dump, WHEN)
            assert found.entry == cleaner.clean(dump, WHEN)
            assert found.elsewhere == ()
            stays = "".join(piece for piece in found.text if isinstance(piece, str))
            assert "".join(stays.split()) == "".join(found.entry.text.split())
