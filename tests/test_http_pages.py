from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from feed_documents import make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from feedsvc.http.pages import render_entry, render_error, render_front
from feedsvc.model import Alternate, Removal

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.html import HtmlElement

BASE = "https://feeds.example.org"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & {{ 7*7 }} </title></style>"
REMOVALS = (
    Removal("share", "share buttons", "分享 :", "<div>分享 :</div>"),
    Removal("pixel", "counts readers", "", "<img>", restored=True),
)


def parse(body: bytes) -> HtmlElement:
    return html.document_fromstring(body.decode())


def text(element: HtmlElement) -> str:
    return " ".join(element.text_content().split())


def front(base_url: str = BASE, **changes: object) -> HtmlElement:
    return parse(render_front(make_document(make_entry(1, **changes), make_entry(0)), base_url))


def entry(base_url: str = BASE, *, removals: tuple[Removal, ...] = REMOVALS, **changes: object) -> HtmlElement:
    return parse(render_entry(make_entry(1, **changes), removals, base_url, "Example & Co"))


PAGES: dict[str, Callable[[], HtmlElement]] = {
    "front": front,
    "front, hostile": lambda: front(
        title=HOSTILE, summary=HOSTILE, source=HOSTILE, images=(HOSTILE,), language=HOSTILE
    ),
    "front, empty": lambda: parse(render_front(make_document(entries=()), BASE)),
    "entry": entry,
    "entry, hostile": lambda: entry(
        removals=(Removal(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        title=HOSTILE,
        source=HOSTILE,
        author=HOSTILE + "!",
        rights=HOSTILE,
        link=HOSTILE,
        alternates=(Alternate(HOSTILE, HOSTILE),),
        language=HOSTILE,
        categories=(HOSTILE,),
    ),
    "entry, bare": lambda: entry(
        removals=(), source=None, author=None, rights=None, link=None, language=None, categories=(), content=""
    ),
    "error": lambda: parse(render_error(404, BASE)),
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


@every_page
def test_runs_nothing(page: Callable[[], HtmlElement]) -> None:
    found = page()
    assert found.xpath("//script | //style | //iframe | //object | //form | //base | //*[@style]") == []
    assert [name for element in found.iter("*") for name in element.attrib if name.startswith("on")] == []
    assert len(found.xpath("//title")) == 1


@every_page
def test_can_be_read_by_all(page: Callable[[], HtmlElement]) -> None:
    found = page()
    assert found.get("lang") == "en"
    assert found.xpath("//meta[@name='viewport']/@content") == ["width=device-width, initial-scale=1"]
    assert text(found.find(".//title"))
    assert len(found.xpath("//h1")) == len(found.xpath("//main[@id='main']")) == 1
    assert found.xpath("//body/*[1]/@href") == ["#main"]
    levels = [int(heading.tag[1]) for heading in found.xpath("//h1|//h2|//h3")]
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    assert found.xpath("//img[not(@alt)]") == []
    assert [link for link in found.xpath("//a") if not text(link)] == []
    assert set(found.xpath("//@aria-labelledby")) <= set(found.xpath("//@id"))


@every_page
def test_refers_to_what_is_served(page: Callable[[], HtmlElement]) -> None:
    found = page()
    assert found.xpath("//link[@rel='stylesheet']/@href") == ["/style.css"]
    assert found.xpath("//link[@rel='icon']/@href") == ["/icon.png"]


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("http://127.0.0.1:8080", ""),
        ("https://example.org/feeds", "/feeds"),
        ("https://example.org/a/b/", "/a/b"),
        ("", ""),
    ],
)
def test_links_begin_with_the_path_of_the_base_url(base_url: str, root: str) -> None:
    pages = [front(base_url), entry(base_url), parse(render_error(404, base_url))]
    for page in pages:
        own = [address for address in page.xpath("//@href | //@src") if address.startswith("/")]
        assert own
        assert all(address.startswith(f"{root}/") for address in own)
    assert f"{root}/entries/k1" in pages[0].xpath("//h3/a/@href")
    assert f"{root}/" in pages[1].xpath("//nav/a/@href")


def test_front_page_tells_how_to_subscribe() -> None:
    page = front()
    (link,) = page.xpath("//head/link[@rel='alternate']")
    assert dict(link.attrib) == {
        "rel": "alternate",
        "type": "application/atom+xml",
        "title": "Example & Co",
        "href": "/feed.atom",
    }
    assert text(page.find(".//section//code")) == f"{BASE}/feed.atom"
    assert page.xpath("//section//a[@type='application/atom+xml']/@href") == ["/feed.atom"]
    assert text(page.find(".//h1")) == "Example & Co"
    assert "What <is> new" in text(page.find(".//header"))


def test_front_page_lists_the_newest_entries() -> None:
    articles = front().xpath("//article")
    assert [text(article.find(".//h3/a")) for article in articles] == ["标题 1: a < b & c", "标题 0: a < b & c"]
    first = articles[0]
    assert first.get("lang") == "zh"
    assert first.xpath(".//time/@datetime") == ["2024-01-05T14:45:02+00:00"]
    assert text(first.find(".//time")) == "2024-01-05"
    assert "Example News" in text(first)
    assert "正文 1 in short" in text(first)
    assert first.xpath(".//img/@src") == ["https://example.org/1.jpg"]


def test_front_page_stays_short_and_loads_pictures_late() -> None:
    page = parse(render_front(make_document(*(make_entry(number) for number in range(99, -1, -1))), BASE))
    assert len(page.xpath("//article")) == 30
    assert page.xpath("//article//img/@loading") == ["lazy"] * 28


@pytest.mark.parametrize(
    ("entry_language", "feed_language", "expected"),
    [("ja", "zh", "ja"), (None, "zh", "zh"), (None, None, "")],
)
def test_language_of_what_is_shown(entry_language: str | None, feed_language: str | None, expected: str) -> None:
    document = make_document(make_entry(0, language=entry_language), language=feed_language)
    assert parse(render_front(document, BASE)).xpath("//article/@lang") == [expected]


def test_front_page_without_anything() -> None:
    page = parse(render_front(make_document(entries=(), subtitle=None), BASE))
    assert "Nothing here yet" in text(page)
    assert page.xpath("//article") == []
    bare = front(images=(), summary="", source=None).xpath("//article")[0]
    assert (bare.xpath(".//img"), bare.xpath(".//span"), bare.xpath(".//p[@class='summary']")) == ([], [], [])


def test_entry_page() -> None:
    page = entry()
    assert text(page.find(".//title")) == "标题 1: a < b & c – Example & Co"
    assert text(page.find(".//h1")) == "标题 1: a < b & c"
    assert [text(span) for span in page.xpath("//article/header//span")] == [
        "Example News",
        "张三",
        "2024-01-05 14:45 UTC",
        "updated 2024-01-05 15:45 UTC",
    ]
    (content,) = page.xpath("//div[@class='content']")
    assert content.get("lang") == "zh"
    assert content.xpath("p/text()") == ["正文 1"]
    assert content.xpath("img/@src") == ["https://example.org/1.jpg"]
    address = "https://example.org/articles/1?a=1&b=2"
    assert page.xpath("//footer//a/@href") == page.xpath("//link[@rel='canonical']/@href") == [address]
    assert [text(item) for item in page.xpath("//ul[@aria-label='Categories']/li")] == ["国际", "R&D"]
    assert [text(item) for item in page.xpath("//p[@class='rights']")] == ["© 2024 Example"]


def test_entry_page_links_to_other_versions() -> None:
    page = entry(alternates=(Alternate("https://example.org/en", "en"), Alternate("https://example.org/x", None)))
    links = page.xpath("//footer//a")[1:]
    assert [(link.get("href"), link.get("hreflang"), text(link)) for link in links] == [
        ("https://example.org/en", "en", "Read another version (en)"),
        ("https://example.org/x", None, "Read another version"),
    ]
    assert page.xpath("//link[@rel='alternate'][@hreflang]/@href") == ["https://example.org/en"]


def test_entry_page_lists_what_was_removed() -> None:
    (details,) = entry().xpath("//details[@class='removals']")
    assert text(details.find("summary")) == "Removed from this entry: 2"
    assert [text(item) for item in details.xpath("ol/li")] == [
        "share share buttons 分享 : HTML <div>分享 :</div>",
        "pixel counts readers (restored: it is in the entry) HTML <img>",
    ]
    assert details.xpath("ol//div | ol//img") == []
    assert entry(removals=()).xpath("//details") == []


def test_entry_page_leaves_out_what_is_not_known() -> None:
    page = PAGES["entry, bare"]()
    assert next(text(span) for span in page.xpath("//article/header//span")) == "2024-01-05 14:45 UTC"
    assert page.xpath("//footer/*") == []
    assert page.xpath("//link[@rel='canonical']") == []
    assert "This entry has no text of its own." in text(page)


def test_author_that_is_the_source_stands_once() -> None:
    page = entry(author="Example News", updated=make_entry(1).published)
    assert [text(span) for span in page.xpath("//article/header//span")] == ["Example News", "2024-01-05 14:45 UTC"]


def test_only_the_content_is_html() -> None:
    page = PAGES["entry, hostile"]()
    hostile = " ".join(HOSTILE.split())
    assert text(page.find(".//h1")) == hostile
    assert page.xpath("//footer//a/@href") == [HOSTILE] * 2
    assert [text(element) for element in page.xpath("//details//code")] == [hostile]
    assert [text(element) for element in page.xpath("//details//blockquote")] == [hostile]
    assert [text(element) for element in page.xpath("//details//pre")] == [hostile]


def count_elements(value: str) -> Counter[str]:
    shown = front(title=value, summary=value, source=value), entry(title=value, rights=value, author=value)
    return Counter(str(element.tag) for page in shown for element in page.iter())


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_stays_text(value: str) -> None:
    assert count_elements(value) <= count_elements("plain")


@pytest.mark.parametrize(
    ("status", "heading"), [(404, "Not Found"), (500, "Internal Server Error"), (503, "Service Unavailable")]
)
def test_error_page(status: int, heading: str) -> None:
    page = parse(render_error(status, BASE))
    assert text(page.find(".//title")) == f"{status} {heading}"
    assert text(page.find(".//h1")) == heading
    assert page.xpath("//main//a/@href") == ["/"]


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


STYLE = (files("feedsvc.http") / "static" / "style.css").read_text(encoding="utf-8")
PALETTES = [
    dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
]


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((ink, ground) for ink in ("ink", "soft") for ground in ("paper", "sheet", "shade")),
        ("link", "paper"),
        ("accent", "paper"),
        ("on-accent", "accent"),
    ],
)
def test_contrast(palette: dict[str, str], ink: str, ground: str) -> None:
    darker, lighter = sorted((luminance(palette[ink]), luminance(palette[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, 1.4.3


def test_style_loads_nothing() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE
