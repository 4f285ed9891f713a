"""The parts of cleaning that have a table of their own: text, dates, selectors, stretches, the sanitiser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import bs4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean.dateline import is_dateline, is_in_dated_element
from feedsvc.clean.elements import ALLOWED, BLOCKS, DROPPED
from feedsvc.clean.repair import Addresses
from feedsvc.clean.rules.selectors import Simple, compile_selector
from feedsvc.clean.sanitise import is_settled, sanitise
from feedsvc.clean.spans import Spans
from feedsvc.clean.text import is_blank, matching_form, one_line, prepare, scrub, summarise

PUBLISHED = datetime(2024, 4, 3, 21, 45, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("03/04/2024 - 23:33", True),
        ("03/04/2024-23:33", True),
        ("3/4/2024", True),
        ("04/03/2024 - 23:33", True),  # the month first
        ("03.04.2024 23:33:12", True),
        ("01/04/2024 - 22:00", True),
        ("01/04/2024 - 21:00", False),
        ("05/04/2024 - 21:00", True),
        ("06/04/2024", False),
        ("31/02/2024", False),
        ("13/13/2024", False),
        ("03/04-2024", False),
        ("2024-04-03", True),
        ("2024/4/3 5:06", True),
        ("2024-04-03 11:57:12", True),
        ("2024-04-03T02:35:32Z", True),
        ("2024-04-03T02:35:32.123+08:00", True),
        ("2024-04-03 25:00", False),
        ("2023-04-03", False),
        ("2024年4月3日", True),
        ("2024年04月03日（星期三）11:57", True),
        ("2024年5月3日", False),
        ("Wed, 03 Apr 2024 03:21:48 GMT", True),
        ("03 Apr 2024 03:21 +0200", True),
        ("Wed, 03 Apr 2024 03:21:48 -0000", True),
        ("Wed, 31 Apr 2024 03:21:48 GMT", False),
        ("Sat, 03 Apr 2021 03:21:48 GMT", False),
        ("29 February 2024", False),
        ("3 April 2024", True),
        ("3rd April, 2024", True),
        ("April 3, 2024", True),
        ("Apr. 3rd, 2024 9:45 p.m.", True),
        ("Wednesday, April 3, 2024 at 10:00 AM EDT", True),
        ("3 avril 2024", True),
        ("mercredi 3 avril 2024 à 10h05", True),
        ("3. April 2024, 10:00 Uhr", True),
        ("3 de abril de 2024", True),
        ("3 aprile 2024", True),
        ("3 апреля 2024", True),
        ("April 31, 2024", False),
        ("April 3, 2023", False),
        ("April 2024", False),
        ("2024年4月3日星期三", True),
        ("2024年4月3日(水)10:30配信", True),
        ("2024年4月3日10時30分", True),
        ("2024年4月3日下午3:04", True),
        ("2024年4月3日，北京", False),
        ("据2024年4月3日", False),
        ("2024년 4월 3일 오후 3:04", True),
        ("입력 2024.04.03 10:00", True),
        ("2024. 4. 3.", True),
        ("2024-04-03 10:00:00 +0800 CST", True),
        ("2024-04-03 10:00（北京时间）", True),
        ("(2024-04-03)", True),
        ("发布时间：2024-04-03 10:00", True),
        ("更新於2024-04-03 10:00", True),
        ("最后更新：2024年4月3日", True),
        ("2024-04-03 10:00更新", True),
        ("更新", False),
        ("更新2024-04-03与", False),
        ("Publié le: 03/04/2024 - 12:00", True),
        ("Publié le: 03/04/2024 - 12:00Modifié le: 03/04/2024 - 13:05", True),
        ("Published: 03/04/2024 | Updated: 04/04/2024", True),
        ("Published: 03/04/2024 | Updated: 04/06/2024", False),
        ("03/04/2024 03/04/2024 03/04/2024", False),
        ("Last updated on 3 April 2024", True),
        ("Stand: 03.04.2024", True),
        ("Published", False),
        ("3 April 2024 was a Wednesday", False),
        ("Tuesday", False),
        ("20240403", False),
        ("2024-04-03 he said", False),
        ("2024-04-03" * 10, False),
        ("", False),
    ],
)
def test_dateline(line: str, near: bool) -> None:
    assert is_dateline(line, PUBLISHED) is near


@pytest.mark.slow
@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-60, 60))  # noqa: DTZ001
def test_dateline_is_near_by_two_days(moment: datetime, hours: int) -> None:
    moment = moment.replace(tzinfo=UTC, second=0, microsecond=0)
    line = moment.strftime("%Y-%m-%d %H:%M")
    assert is_dateline(line, moment + timedelta(hours=hours)) is (abs(hours) <= 48)


FORMS = (
    "%d/%m/%Y - %H:%M",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d %H:%M",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %B %d, %Y at %I:%M %p",
    "%d %B %Y",
    "Published: %d %b %Y %H:%M UTC",
    "%Y年%m月%d日%H:%M",
    "发布时间：%Y-%m-%d %H:%M",
)


@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-60, 60),
    st.sampled_from(FORMS),
)
def test_dateline_in_any_form_is_a_dateline_near_its_date_only(moment: datetime, days: int, form: str) -> None:
    moment = moment.replace(tzinfo=UTC)
    line = moment.strftime(form)
    assert is_dateline(line, moment)
    assert not is_dateline(f"{line} x", moment)
    if abs(days) > 3 and form != FORMS[0]:  # which may be read with the month first
        assert not is_dateline(line, moment + timedelta(days=days))


@given(st.text("0123456789-/.: T年月日APMapril,()更新", max_size=40))
def test_any_text_is_a_dateline_or_none(line: str) -> None:
    assert is_dateline(line, PUBLISHED) in (True, False)


@pytest.mark.parametrize(
    ("html", "near"),
    [
        ('<time datetime="2024-04-03T10:00:00+02:00">3 hours ago</time>', True),
        ('<b><time datetime="2024-04-04"> <i>yesterday</i> </time></b>', True),
        ('<time datetime="2024-04-01">then</time>', False),
        ('<time datetime="now">then</time>', False),
        ("<time>then</time>", False),
        ('<ins datetime="2024-04-03">then</ins>', False),
        ('<time datetime="2024-04-03">then</time> or now', False),
        (f'<time datetime="2024-04-03">{"x" * 101}</time>', False),
        ('<time datetime="2024-04-03"><a href="/">then</a></time>', False),
        ("", False),
    ],
)
def test_dated_element(html: str, near: bool) -> None:
    soup = bs4.BeautifulSoup(f"<p>{html}</p>", "lxml")
    assert is_in_dated_element(soup.find_all(string=True), PUBLISHED) is near


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("分享 :", "分享:"),
        (" 获取 更多 RSS\u3000：\n", "获取更多RSS："),
        ("Share :", "Share:"),
        ("Share\u00a0 this", "Share this"),
        ("a 中 b", "a中b"),
        ("공유 하기", "공유 하기"),
        ("\u200b分\u00ad享\ufeff", "分享"),
        ("a \u200b b", "a b"),
        ("", ""),
    ],
)
def test_matching_form(text: str, form: str) -> None:
    assert matching_form(text) == form


@given(st.text())
def test_matching_form_is_one_form(text: str) -> None:
    assert matching_form(matching_form(text)) == matching_form(text)
    assert is_blank(text) >= (text.strip() == "")


@pytest.mark.parametrize(
    ("html", "prepared"),
    [
        ("a\x00b\x08c\x0bd\x1fe\ufffef\uffffg\x7f\x85", "abc defg\x7f\x85"),
        ("a\r\nb\rc\n\td", "a\nb\nc\n\td"),
        ("\ud83d\ude00 and 😀", "\ufffd\ufffd and 😀"),
        ("&#0;&#8;&#x1f;&#xFFFE;&#12;|", " |"),
        ("&#13;&#xd;|", "\n\n|"),
        ("&#xD800;&#x110000;&#99999999999999;", "\ufffd\ufffd\ufffd"),
        ("&#20013;&#x4e2d &#9;&#160;&lt;&#;&#x;", "&#20013;&#x4e2d &#9;&#160;&lt;&#;&#x;"),
        ("&amp;#1;", "&amp;#1;"),
        ("&#&#1;8;|&#&#8203;8;|", "||"),
        ("&#" * 5 + "1;" * 5 + "|", "&#\ufffd1;|"),
        ("a\u200bb\ufeffc\u2060d&#8203;e&#xFEFF;f", "abcdef"),
        ("ภ\u200bก\u200b\u200ba\u200cb\u200dc", "ภ\u200bก\u200ba\u200cb\u200dc"),
        ("<![CDATA[<p>a</p>]]>", "<p>a</p>"),
        ("a[0]]>b", "a[0]]>b"),
    ],
)
def test_prepare(html: str, prepared: str) -> None:
    assert prepare(html) == prepared


@given(st.text())
def test_scrubbing_again_changes_nothing(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)
    assert prepare(prepare(text)) == prepare(text) or "CDATA" in text


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", ""),
        ("one\ntwo", "one two"),
        ("字" * 300, "字" * 300),
        ("字" * 301, "字" * 299 + "…"),
        ("字" * 200 + "。" + "字" * 200, "字" * 200 + "。…"),
        ("字" * 200 + "。」" + "字" * 200, "字" * 200 + "。」…"),
        ("字" * 100 + "。" + "字" * 300, "字" * 100 + "。" + "字" * 198 + "…"),
        ("字" * 299 + "，字", "字" * 298 + "…"),
        ("word " * 100, "word " * 59 + "word…"),
        ("a" * 200 + ". " + "b" * 300, "a" * 200 + ".…"),
        ("a 3.14 " * 60, ("a 3.14 " * 43)[:-5].rstrip() + "…"),
        ("x" * 400, "x" * 299 + "…"),
        ("e\u0301" * 200, "e\u0301" * 149 + "…"),
        ("中文ABC" * 70, ("中文ABC" * 70)[:297] + "…"),
    ],
)
def test_summary(text: str, summary: str) -> None:
    assert summarise(text) == summary


@given(st.text(st.sampled_from("a字 .。，\n\u0301"), min_size=1, max_size=700))
def test_summary_is_a_beginning_of_bounded_length(text: str) -> None:
    summary = summarise(text)
    assert len(summary) <= 300
    assert "\n" not in summary
    assert text.replace("\n", " ").startswith(summary.removesuffix("…"))


SIMPLE = {
    "p": '<p id="1"></p>',
    "P": "<p></p>",
    ".a": '<b class="x a"></b>',
    "#a": '<b id="a"></b>',
    "p.a.b": '<p class="b a"></p>',
    "[data-a]": "<b data-a></b>",
    "p[data-a]": '<p data-a="x"></p>',
    "[href='x y']": '<a href="x y"></a>',
    '[href="x"]': '<a href="x"></a>',
    "[href=x]": '<a href="x"></a>',
    "[href^='x']": '<a href="xy"></a>',
    "[href$='x']": '<a href="yx"></a>',
    "[href*='x.y']": '<a href="ax.yb"></a>',
    "[title~=a]": '<a title="b a"></a>',
    " .a ": '<b class="a"></b>',
    "x-y": "<x-y></x-y>",
}
SAMPLES = [*SIMPLE.values(), '<p class="c" href="z" id="z" title="ab"></p>', "<b></b>", '<a href="">x</a>']


@pytest.mark.parametrize("css", SIMPLE)
def test_simple_selector_means_what_css_means(css: str) -> None:
    selector = compile_selector(css)
    assert isinstance(selector, Simple)
    for sample in SAMPLES:
        soup = bs4.BeautifulSoup(sample, "lxml", multi_valued_attributes=None)
        assert isinstance(soup.body, bs4.Tag)
        tag = soup.body.find(name=True)
        assert isinstance(tag, bs4.Tag)
        attributes = {key: str(value) for key, value in tag.attrs.items()}
        assert selector.matches(tag.name, attributes) is bool(
            soup.css.match(css) if tag is soup else tag.css.match(css)
        )
    assert selector.matches(*_name_and_attributes(SIMPLE[css]))


def _name_and_attributes(sample: str) -> tuple[str, dict[str, str]]:
    tag = bs4.BeautifulSoup(sample, "html.parser", multi_valued_attributes=None).find(name=True)
    assert isinstance(tag, bs4.Tag)
    return tag.name, {key: str(value) for key, value in tag.attrs.items()}


@pytest.mark.parametrize(
    "css",
    [
        "a b",
        "a > b",
        "a, b",
        "a:first-child",
        "*",
        "[type=a]",
        "[lang=a]",
        "[a|=b]",
        "[a!=b]",
        "[a=b i]",
        "a\\:b",
        "a+b",
    ],
)
def test_other_selectors_are_left_to_soupsieve(css: str) -> None:
    assert not isinstance(compile_selector(css), Simple)


@pytest.mark.parametrize("css", ["", "a[", ".", "#", "a >", "[a=b", ":no-such", "a,,b"])
def test_bad_selectors_are_refused(css: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        compile_selector(css)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=12), st.integers(0, 30), st.integers(1, 10))
def test_spans_are_a_union(stretches: list[tuple[int, int]], start: int, length: int) -> None:
    spans, union = Spans(), set[int]()
    for begin, size in stretches:
        spans.add(begin, begin + size)
        union.update(range(begin, begin + size))
    asked = set(range(start, start + length))
    assert spans.overlaps(start, start + length) is bool(asked & union)
    # Stretches that touch but do not overlap stay two: an element is in one of them or in none.
    if spans.covers(start, start + length):
        assert asked <= union


def test_spans_cover_what_was_added() -> None:
    spans = Spans()
    for stretch in ((5, 6), (1, 3), (2, 8), (20, 22)):
        spans.add(*stretch)
    assert spans.covers(1, 8)
    assert spans.covers(20, 22)
    assert not spans.covers(7, 9)
    assert not spans.covers(0, 1)


@pytest.mark.parametrize(
    ("html", "settled"),
    [
        ("", True),
        ("text &lt; <b>x</b>", True),
        ("<p>a</p><ul><li>b</li></ul>", True),
        ('<video src="https://h.example/v"><source src="https://h.example/w"></video>', True),
        ("<b><p>a</p></b>", False),  # our parser ends <b> before <p>
        ('<a href="https://h.example/"><table></table></a>', False),
    ],
)
def test_settled(html: str, settled: bool) -> None:
    assert sanitise(html) == html
    assert is_settled(html) is settled


def test_sanitiser_alone_lets_nothing_harmful_through() -> None:
    html = (
        '<p onclick="x()" style="x" class="x" id="x">a</p><script>x()</script><style>x</style><form><input></form>'
        '<a href="javascript:x()" target="_blank">b</a><iframe src="https://h.example/"></iframe><!-- c --><svg>d</svg>'
    )
    assert sanitise(html) == "<p>a</p><a>b</a>"


def test_tables_of_elements_are_consistent() -> None:
    assert not DROPPED & set(ALLOWED)
    assert not DROPPED & BLOCKS
    assert all("on" not in attribute[:2] for attributes in ALLOWED.values() for attribute in attributes)
    assert not {"style", "class", "id", "srcdoc", "target"} & set().union(*ALLOWED.values())


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("a 1x, b 2x", "a 1x, b 2x"),
        ("a 1x,b 2x", "a 1x, b 2x"),
        ("a,b 2x", "a,b 2x"),
        ("a, b", "a, b"),
        ("a", "a"),
        (" , a 100w 50h , b 200w", "a 100w, b 200w"),
        ("a 1.5x, b huge, c", "a 1.5x, c"),
        ("javascript:x 1x, data:image/png;base64,AA 2x", ""),
        ("spacer.gif 1x, b 2x", "b 2x"),
        (",,,", ""),
        ("", ""),
    ],
)
def test_srcset(srcset: str, expected: str) -> None:
    base = "https://h.example/"
    found = Addresses(base).srcset({"srcset": srcset})
    assert found.replace(base, "") == expected
    assert Addresses(base).srcset({"srcset": found}) == found


@given(st.text())
def test_folding_gives_one_line(text: str) -> None:
    assert one_line(text) == one_line(one_line(text))
    assert len(one_line(text).splitlines()) <= 1
