"""Which dumps a rule may match, told from their bytes."""

from __future__ import annotations

import tomllib
from html import escape
from typing import Any

import pytest
from places import DATA

from feedsvc.clean import Rule, load_rules
from feedsvc.clean.rules.affects import Affects

RULES = {rule.name: rule for rule in load_rules(site_rules=True).rules}
TABLE: dict[str, dict[str, list[str]]] = tomllib.loads((DATA / "clean" / "built-in.toml").read_text("utf-8"))
GO = [(name, sample) for name, samples in TABLE.items() for sample in samples["go"]]
HEAD = "<!--1712180702000-->\n[t](https://www.h.example/x)\n------\n"


def rule(**parts: Any) -> Rule:  # noqa: ANN401 - any key of a rule
    return Rule.model_validate({"name": "a", "reason": "r", **parts})


def may_match(parts: dict[str, object], html: str, encoding: str = "utf-8") -> bool:
    return Affects([rule(**parts)]).may_match((HEAD + html).encode(encoding), "https://www.h.example/x", None)


@pytest.mark.parametrize(
    ("css", "html"),
    [
        (".ad", '<div class="ad">'),
        (".ad", "<div class=ad>"),
        (".ad", "<div class='box\nad wide'>"),
        (".ad", '<div class="&#97;d">'),
        (".AdSlot", '<div CLASS="AdSlot">'),
        ("#ad", '<div id="ad">'),
        ("[data-ad]", "<p data-ad>"),
        ("[data-ad]", '<p title="x"DATA-AD=1>'),
        ('[class*="Ad-Slot"]', '<p class="x-Ad-Slot-y">'),
        ('[class^="ad slot"]', '<p class="ad slot">'),
        ("share-button", "text<SHARE-BUTTON>"),
        ("share-button", "<share-button/>"),
        (".a > .b", '<p class="a"><i class="b">'),
        ("body p", "text"),
        ("img", "<image>"),
        ("a:not(.x)", "<a>"),
        ("div:has(> .y)", "<div>"),
        (":is(.a, .b) .c", '<p class="c">'),
        (".a, .b", '<p class="b">'),
        (r".\31 a", '<p class="1a">'),
    ],
)
def test_selector_may_match(css: str, html: str) -> None:
    assert may_match({"css": [css]}, html)


@pytest.mark.parametrize(
    ("css", "html"),
    [
        (".ad", "<p>an ad of today</p>".replace(" ad ", " road ")),
        (".ad", '<div class="road ad-x shade">'),
        ("#ad", '<div id="ads">'),
        ("[data-ad]", "<p data-ads>"),
        ('[class*="Ad-Slot"]', '<p class="Ad Slot">'),
        ("share-button", "<share-buttons>"),
        (".a > .b", '<p class="b">'),
        (".a.b", '<p class="b">'),
        ("section#x", "<div>x</div>"),
    ],
)
def test_selector_cannot_match(css: str, html: str) -> None:
    assert not may_match({"css": [css]}, html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("延伸閱讀", "<p>延伸閱讀</p>"),
        ("延伸閱讀", "<p><b>延伸</b>\n<i>閱讀</i></p>"),
        ("延伸閱讀", "<p>&#24310;&#x4f38;閱讀</p>"),
        ("延伸閱讀", "<p>延\u200b伸<!-- x -->閱讀</p>"),
        ("延伸閱讀", "<![CDATA[<p>延伸閱讀</p>]]>"),
        ("read more:?", "<p>Read <span>MORE</span></p>"),
        ("read  ?more", "<p>read&nbsp;more</p>"),
        ("été", "<p>&eacute;t&eacute;</p>"),
        ("(?:分享|转发)到.*", "<p>转发到 x</p>"),
        ("поделиться", "<p>ПОДЕЛИТЬСЯ</p>"),
        ("a < b", "<p>a &lt; b</p>"),
        (".{1,9}", "<p>x</p>"),
        ("ｒｅａｄ", "<p>ＲＥＡＤ</p>"),
    ],
)
def test_text_may_match(text: str, html: str) -> None:
    assert may_match({"text": [text]}, html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("延伸閱讀", "<p>伸延讀閱</p>"),
        ("延伸閱讀", "<p>延伸</p>"),
        ("read more", "<p title='read more'>read on, more</p>"),
        ("(?:分享|转发)到.*", "<p>分享</p>"),
    ],
)
def test_text_cannot_match(text: str, html: str) -> None:
    assert not may_match({"text": [text]}, html)


@pytest.mark.parametrize(
    ("link", "html"),
    [
        (r"https?://wa\.me/\?", '<a href="https://wa.me/?text=x">'),
        (r"https?://wa\.me/\?", '<a href="//WA.me/?text=x">'),
        (r"https?://wa\.me/\?", '<a href="https:&#x2F;&#x2F;wa.me&#47;?x">'),
        (r"https://www\.h\.example/share", '<a href="/share?x">'),
        (r"https://x\.example/%E5%88%86", '<a href="https://x.example/分">'),
        (r"mailto:\?", '<a href="mailto:?x">'),
    ],
)
def test_address_may_match(link: str, html: str) -> None:
    assert may_match({"link": [link]}, html)


def test_address_cannot_match() -> None:
    assert not may_match({"link": [r"https?://wa\.me/\?"]}, '<a href="https://example.org/">wa . me</a>')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "gb18030", "big5"])
def test_encodings(encoding: str) -> None:
    html = "<p>北約與亞太外長舉行會議，討論了許多問題，延伸閱讀</p>" * 9
    assert may_match({"text": [".*延伸閱讀.*"]}, html, encoding)
    assert not may_match({"text": ["分享"]}, html, encoding)
    assert may_match({"css": [".ad"]}, f'{html}<p class="ad">', encoding)
    assert not may_match({"css": [".ad"]}, html, encoding)


def test_what_is_no_text_is_matched_by_nothing() -> None:
    assert not Affects([rule(text=["a"])]).may_match(b"\0\1\2", None, None)


@pytest.mark.parametrize(("name", "sample"), GO)
def test_what_a_built_in_rule_takes_is_found(name: str, sample: str) -> None:
    found = RULES[name]
    html = sample
    if found.link:
        html = f'<p><a href="{escape(sample)}">sample</a></p>'
    elif found.text:
        html = f"<p>{escape(sample)}</p>"
    link = f"https://www.{found.hosts[0]}/x" if found.hosts else None
    assert Affects([found]).may_match((HEAD + html).encode(), link, None)


@pytest.mark.parametrize(
    ("limits", "link", "source", "reached"),
    [
        ({}, None, None, True),
        ({"hosts": ["h.example"]}, "https://h.example/x", None, True),
        ({"hosts": ["h.example"]}, "https://www.h.example:8080/x", None, True),
        ({"hosts": ["h.example"]}, "https://oh.example/h.example", None, False),
        ({"hosts": ["h.example"]}, None, "S", False),
        ({"sources": ["S"]}, None, "S", True),
        ({"sources": ["S"]}, None, None, False),
        ({"hosts": ["h.example"], "sources": ["S"]}, "https://x.example/", "S", True),
    ],
)
def test_reach(limits: dict[str, list[str]], link: str | None, source: str | None, *, reached: bool) -> None:
    affects = Affects([rule(css=["p.x"], **limits)])
    assert affects.reach(link, source) is reached
    assert affects.may_match(b'<p class="x">', link, source) is reached
    assert affects.everywhere is not bool(limits)


def test_limits_are_those_of_all_rules() -> None:
    affects = Affects([rule(css=["p"], hosts=["a.example"]), rule(css=["p"], sources=["S"])])
    assert (set(affects.hosts), set(affects.sources), affects.everywhere) == ({"a.example"}, {"S"}, False)
