"""Cleaning as a whole: pairs of files in clean/, the seeds, and what must hold for any HTML."""

from __future__ import annotations

import logging
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import bs4
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import DATA, SEEDS

from feedsvc.clean import Cleaner, cleaner, load_rules
from feedsvc.clean.repair import Addresses
from feedsvc.errors import CleaningError
from feedsvc.links import resolve
from feedsvc.model import CleanEntry, Dump

if TYPE_CHECKING:
    from pathlib import Path

CASES = sorted(path.stem for path in (DATA / "clean").glob("*.html"))
SEED_FILES = sorted(SEEDS.glob("*.txt"))
PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)
LINK = "https://h.example/x/y"
CLEANER = Cleaner(load_rules(site_rules=True))


def make_dump(html: str, **changes: Any) -> Dump:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {"path": "a.txt", "title": "Title", "link": LINK, "published": None, "html": html}
    return Dump(**fields | changes)


def clean(html: str, **changes: Any) -> CleanEntry:  # noqa: ANN401 - any field
    return CLEANER.clean(make_dump(html, **changes), PUBLISHED)


def read_case(name: str) -> str:
    return (DATA / "clean" / f"{name}.html").read_bytes().decode().removesuffix("\n")


def read_seed(path: Path) -> tuple[Dump, datetime]:
    marker, heading, _, html = path.read_text("utf-8").split("\n", 3)
    title, link = heading.removeprefix("[").removesuffix(")").split("](")
    published = datetime.fromtimestamp(int(marker.strip("<!->")) // 1000, tz=UTC)
    return make_dump(html, path=path.name, title=title, link=link), published


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    html = read_case(name)
    case = tomllib.loads((DATA / "clean" / f"{name}.toml").read_text("utf-8"))
    dump = make_dump(html, link=case.pop("link", None), source=case.pop("source", None))
    entry = CLEANER.clean(dump, case.pop("published"))
    outcome = {
        "content": entry.content,
        "text": entry.text,
        "removed": [removal.rule for removal in entry.removals],
        "images": list(entry.images),
        "rights": entry.rights,
    }
    assert outcome == {"removed": [], "images": [], "rights": None} | case


def test_every_html_has_its_expectation() -> None:
    tables = {path.stem for path in (DATA / "clean").glob("*.toml")} - {"built-in"}
    assert tables == set(CASES)
    assert len(CASES) > 60


@pytest.mark.parametrize("seed", SEED_FILES, ids=lambda path: path.stem)
def test_seed_keeps_every_paragraph_and_picture(seed: Path) -> None:
    dump, published = read_seed(seed)
    entry = CLEANER.clean(dump, published)
    paragraphs = re.findall("<p>.*?</p>", dump.html, re.DOTALL)
    assert len(paragraphs) >= 5
    assert entry.content.count("<p>") == len(paragraphs)
    for paragraph in paragraphs:
        assert paragraph in entry.content
    assert entry.images == tuple(re.findall('<img src="([^"]+)"', dump.html))
    assert len(entry.images) == 1
    assert entry.content.startswith(f'<img src="{entry.images[0]}"><p><strong>')
    assert entry.content.endswith("</p></div>")


@pytest.mark.parametrize("seed", SEED_FILES, ids=lambda path: path.stem)
def test_seed_loses_all_boilerplate(seed: Path) -> None:
    dump, published = read_seed(seed)
    entry = CLEANER.clean(dump, published)
    everything = f"{entry.content} {entry.text} {entry.summary}"
    for word in (
        "分享",
        "facebook",
        "whatsapp",
        "x.com",
        "share",
        "RSS",
        "feedx",
        "selfpromo",
        "<br",
        "<hr",
        "/2024 -",
    ):
        assert word not in everything
    assert [removal.rule for removal in entry.removals] == [
        "dateline",
        *["self-promotion"] * 2,
        "share-labels",
        *["share-links"] * 4,
        "share-widgets",
        "loose-line",
        "feed-service-footer",
        *["feed-service-links"] * 2,
    ]


@pytest.mark.parametrize("seed", SEED_FILES, ids=lambda path: path.stem)
def test_seed_needs_no_site_rules(seed: Path) -> None:
    dump, published = read_seed(seed)
    assert Cleaner(load_rules(site_rules=False)).clean(dump, published) == CLEANER.clean(dump, published)


def test_ledger_holds_what_went() -> None:
    link = '<a href="https://wa.me/?text=a&amp;b">用 WhatsApp 发</a>'
    entry = clean(f'<p>正文</p><div class="x">分享 :<!-- c --></div><p>{link}</p>')
    assert [(removal.rule, removal.text, removal.html) for removal in entry.removals] == [
        ("share-labels", "分享 :", '<div class="x">分享 :</div>'),
        ("share-links", "用 WhatsApp 发", link),
    ]
    assert entry.removals[0].reason == "the words in front of share buttons"


def test_ledger_has_nothing_twice() -> None:
    entry = clean('<p>a</p><div data-selfpromo-app>Share: <a href="https://wa.me/?text=x">x</a><p>one</p>two</div>')
    assert [(removal.rule, removal.text) for removal in entry.removals] == [("self-promotion", "Share: x one two")]
    entry = clean('<p>a</p><p><b>分享</b>：<a href="https://wa.me/?text=x">x</a></p>')
    assert [removal.html for removal in entry.removals] == [
        "<p><b>分享</b>：</p>",
        '<a href="https://wa.me/?text=x">x</a>',
    ]


def test_fields_pass_through_tidied() -> None:
    dump = make_dump(
        "<p>a</p>",
        title="  A\x08 title\n of\u3000two\ud800 ",
        link="HTTPS://H.example/a?utm_source=x",
        author="Jane\x00 Doe",
        source="法\x1f广",
        categories=("国\x01际", "R&D"),
        language="zh",
    )
    entry = CLEANER.clean(dump, PUBLISHED)
    assert (entry.title, entry.link) == ("A title of two\ufffd", "https://h.example/a")
    assert (entry.author, entry.source, entry.categories) == ("Jane Doe", "法广", ("国际", "R&D"))
    assert (entry.language, entry.published, entry.summary) == ("zh", PUBLISHED, "a")
    assert clean("<p>a</p>", link="ftp://h.example/").link is None


def test_standing_back_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        clean("<p>分享</p>", path="alone.txt")
    assert [getattr(record, "path", None) for record in caplog.records] == ["alone.txt"]


@pytest.mark.parametrize(
    ("error", "says"), [(RecursionError(), "nested too deeply"), (bs4.ParserRejectedMarkup("no"), "rejects")]
)
def test_what_the_parser_raises_names_the_dump(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cleaner, "make_tree", fail)
    with pytest.raises(CleaningError, match=f"^deep.txt:7: .*{says}") as caught:
        clean("<p>a</p>", path="deep.txt", line=7)
    assert caught.value.__cause__ is error


@pytest.mark.slow
@pytest.mark.parametrize("depth", [5_000, 20_000])
@pytest.mark.parametrize(
    "opening",
    [
        "<div>",
        "<b>",
        "<font>",
        "<x-y>",
        "<a href='/x'>",
        "<a href='/x'><div>",
        "<p>",
        "<ul><li>",
        "<table><tr><td>",
        "<svg>",
        "<video src='/v'>",
        "<noscript>",
        "<span class='jiathis'>",
    ],
)
def test_nesting_of_any_depth(opening: str, depth: int) -> None:
    entry = clean(f"<p>before</p>{opening * depth}<p>deep</p>")
    assert entry.text.split("\n")[0] == "before"
    assert entry.text.split("\n")[-1] == "deep"


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000_000, 4_000_000])
def test_huge_text_is_not_cut(size: int) -> None:
    entry = clean(f"<p>{'字' * size}末</p><p title='{'x' * size}'>after</p>")
    assert entry.text == f"{'字' * size}末\nafter"
    assert len(entry.content) > 2 * size
    assert len(entry.summary) == 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "html",
    [
        "<p>x" * 5_000,
        "article" + "<br>分享 :" * 5_000,
        "article" + "<a href='https://wa.me/?x'>x</a>y" * 5_000,
        "article" + "<p>03/04/2024</p>" * 5_000,
        "article" + "<hr>" * 5_000,
        "<picture>" + "<source srcset=a><img src=b>" * 2_000,
        "<video>" + "<source src=a>" * 5_000 + "after",
        "<img srcset='" + "x" * 500_000 + " y z w'>after",
        "<img src=a style='" + "width:" * 100_000 + "'>after",
        "<" * 50_000 + "&" * 50_000 + "&#1" * 50_000,
        "&#" + "9" * 100_000 + ";after",
        "<!--" * 10_000,
        "<svg>" * 3_000 + "<p>x",
        "<i>x</i>" * 20_000,
        "<p " + " ".join(f"data-{number}='x'" for number in range(5_000)) + ">x",
        "<img " + " ".join(f"data-src='{number}.jpg'" for number in range(5_000)) + ">x",
        "<iframe src='https://www.youtube.com/embed/dQw4w9-_Xc0'></iframe>" * 2_000,
        "<img src='https://wsrv.nl/?url=" + "wsrv.nl/%3Furl%3D" * 2_000 + "h.example/a.jpg'>x",
        "<img src='https://h.example/" + "image-proxy/" * 20_000 + "'>x",
        "<img src='https://h.example/image/fetch/" + "http" * 20_000 + "'>x",
        "<time datetime='2024-04-03'>" * 3_000 + "now",
        "<xml>" + "<w:worddocument>" * 3_000 + "x</w:worddocument>" * 3_000 + "<p>x",
        "<p class='" + "ad-" * 300_000 + "!'>x",
        "<p id='" + "Advert" * 200_000 + "!'>x",
    ],
    ids=range(24),
)
def test_many_of_anything_is_bearable(html: str) -> None:
    entry = clean(html)
    assert clean(entry.content).content == entry.content


@pytest.mark.slow
def test_a_hundred_thousand_siblings_take_ten_times_as_long_as_ten_thousand() -> None:
    def seconds(html: str) -> float:
        started = time.process_time()
        clean(html)
        return time.process_time() - started

    clean("<p>x</p>" * 10_000)
    assert seconds("<p>x</p>" * 100_000) < 3 * 10 * seconds("<p>x</p>" * 10_000)


# HTML as nobody should write it: any tags in any order, words that rules know among them.
TAGS = (
    *("a", "b", "br", "button", "center", "col", "details", "div", "dl", "dt", "embed", "font", "form", "h2", "hr"),
    *("html", "i", "iframe", "image", "img", "input", "li", "math", "noscript", "ol", "option", "p", "picture"),
    *("pre", "q", "rp", "rt", "ruby", "s", "script", "section", "select", "source", "span", "style", "summary"),
    *("svg", "table", "tbody", "td", "template", "textarea", "th", "title", "tr", "ul", "video", "x-y"),
    *("o:p", "time", "w:worddocument"),
)
ATTRIBUTES = (
    ' href="/a?utm_source=x&amp;b=1"',
    ' href="https://x.com/intent/tweet"',
    ' href="java&#10;script:x()"',
    ' src="a.jpg"',
    ' src="data:image/gif;base64,AA"',
    ' data-src="//h.example/b.png"',
    ' width="1"',
    ' class="addthis_toolbox x"',
    " data-root-share",
    ' srcset="a 1x, javascript:x 2x"',
    ' title="a<b&quot;"',
    ' style="x"',
    " onclick=x()",
    ' cite="javascript:x()"',
    " lang=zh",
    ' src="https://www.youtube.com/embed/dQw4w9-_Xc0"',
    ' src="https://wsrv.nl/?url=h.example/c.png"',
    ' title="Share:"',
    ' datetime="2024-04-03"',
)
WORDS = (
    " ",
    "\n",
    "April 3, 2024",
    "foo",
    "北约",
    "分享 :",
    "Share:",
    "&nbsp;",
    "03/04/2024 - 11:33",
    "获取更多RSS：",
    "&#1;&lt;p>",
    "\u200b",
)
PIECES = st.one_of(
    st.builds(
        lambda tag, attributes: f"<{tag}{''.join(attributes)}>",
        st.sampled_from(TAGS),
        st.lists(st.sampled_from(ATTRIBUTES), max_size=2),
    ),
    st.sampled_from(TAGS).map("</{}>".format),
    st.sampled_from(WORDS),
    st.text(max_size=6),
)
HTML = st.lists(PIECES, max_size=25).map("".join)
ANY_LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

XML_CHARACTER = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
START_TAG = re.compile(r'<([a-z0-9]+)((?: [a-z]+="[^"<>]*")*)>')
ATTRIBUTE = re.compile(r' ([a-z]+)="([^"]*)"')


def assert_settled_and_safe(html: str) -> None:
    entry = clean(html)
    for text in (entry.content, entry.text, entry.summary):
        assert XML_CHARACTER.fullmatch(text)
    again = clean(entry.content)
    assert (again.content, again.text, again.images, again.removals) == (entry.content, entry.text, entry.images, ())
    # Every < is of a well-formed tag, so this finds all there are.
    assert START_TAG.sub("", re.sub("</[a-z0-9]+>", "", entry.content)).count("<") == 0
    for name, attributes in START_TAG.findall(entry.content):
        assert name not in {"script", "style", "svg", "math", "iframe", "form", "input", "button", "template"}
        for key, value in ATTRIBUTE.findall(attributes):
            assert not key.startswith("on")
            assert key not in {"style", "class", "id"}
            if key in {"href", "src", "cite", "poster"}:
                assert value.startswith(("http://", "https://", "mailto:", "tel:"))


@pytest.mark.slow
@ANY_LOAD
@given(HTML)
def test_any_html_comes_out_safe_and_stays_as_it_is(html: str) -> None:
    assert_settled_and_safe(html)


@pytest.mark.parametrize("number", range(20))
def test_long_random_html_comes_out_safe_and_stays_as_it_is(number: int) -> None:
    dice = random.Random(number)  # noqa: S311 - no secret
    pieces = [f"<{tag}{attribute}>" for tag in TAGS for attribute in ("", *ATTRIBUTES)]
    pieces += [f"</{tag}>" for tag in TAGS] * 12 + [*WORDS] * 40
    assert_settled_and_safe("".join(dice.choices(pieces, k=400)))


@pytest.mark.parametrize("name", [*CASES])
def test_cleaning_a_case_again_changes_nothing(name: str) -> None:
    assert_settled_and_safe(read_case(name))


@pytest.mark.parametrize("seed", SEED_FILES, ids=lambda path: path.stem)
def test_cleaning_a_seed_again_changes_nothing(seed: Path) -> None:
    dump, published = read_seed(seed)
    entry = CLEANER.clean(dump, published)
    again = CLEANER.clean(make_dump(entry.content, title=entry.title, link=entry.link), published)
    assert (again.content, again.text, again.summary, again.removals) == (entry.content, entry.text, entry.summary, ())


@ANY_LOAD
@given(HTML)
def test_cleaning_never_empties_an_article(html: str) -> None:
    tables = "</table>" * html.count("<table")  # the parser ends nothing around one that is open
    ends = f"</a></svg></title></textarea></script></style>{tables}</template></select></button></iframe>"
    assert clean(f"{html}{ends}<p>word").content


@ANY_LOAD
@given(
    st.text("abc.-/:?=&%2FAé@[]", max_size=30).map("https://h.example/".__add__) | st.text("ahtps:/.1-_%", max_size=30)
)
def test_addresses_that_need_no_repair_are_what_resolving_gives(address: str) -> None:
    if Addresses(None).absolute(address) == address:
        assert resolve(None, address) == address


PROGRAM = """
import sys
from datetime import datetime, timezone
from feedsvc.clean import Cleaner, load_rules
from feedsvc.model import Dump
cleaner = Cleaner(load_rules(site_rules=True))
html = sys.stdin.buffer.read().decode()
dump = Dump(path="a", title="t", link="https://www.rfi.fr/cn/a", published=None, html=html, source="法广")
sys.stdout.buffer.write(repr((cleaner.digest, cleaner.clean(dump, datetime(2024, 4, 3, tzinfo=timezone.utc)))).encode())
"""


@pytest.mark.slow
def test_same_bytes_whatever_the_hash_seed() -> None:
    html = "".join(read_case(name) for name in CASES if "unclosed" not in name)
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=html.encode(),
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outcomes) == 1
    assert CLEANER.digest.encode() in outcomes.pop()
