from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from feed_documents import make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from feedsvc.feeds.pages.found import Found, parse_query
from feedsvc.feeds.pages.pages import render_entry, render_error, render_feed, render_front, render_search
from feedsvc.model import Alternate, Removal

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.html import HtmlElement

    from feedsvc.model import FeedDocument

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
    return front_of(make_document(make_entry(1, **changes), make_entry(0)), base_url=base_url)


def front_of(*documents: FeedDocument, base_url: str = BASE, **options: Any) -> HtmlElement:  # noqa: ANN401
    return parse(render_front({document.name: document for document in documents}, base_url, **options))


def feed(base_url: str = BASE, **changes: object) -> HtmlElement:
    document = make_document(name="example-news", title="Example News")
    return parse(render_feed(replace(document, **changes), base_url))  # type: ignore[arg-type]


def search(
    asked: str = "标题", *, total: int | None = None, base_url: str = BASE, page: int = 1, **changes: object
) -> HtmlElement:
    query = parse_query({"q": asked, "page": str(page)})
    entries = (make_entry(1, **changes), make_entry(0)) if total != 0 else ()
    found = Found(entries, 2 if total is None else total) if query.phrases else None
    return parse(render_search(query, found, base_url, "Example & Co"))


def entry(base_url: str = BASE, *, removals: tuple[Removal, ...] = REMOVALS, **changes: object) -> HtmlElement:
    return parse(render_entry(make_entry(1, **changes), removals, base_url, "Example & Co"))


def some_feeds(number: int, **changes: object) -> list[FeedDocument]:
    made = [make_document(name=f"n{each}", title=f"Feed {each}", entries=()) for each in range(number)]
    return [replace(document, **changes) for document in made]  # type: ignore[arg-type]


PAGES: dict[str, Callable[[], HtmlElement]] = {
    "front": front,
    "front, hostile": lambda: front(
        title=HOSTILE, summary=HOSTILE, source=HOSTILE, images=(HOSTILE,), language=HOSTILE
    ),
    "front, empty": lambda: front_of(make_document(entries=())),
    "front, feeds": lambda: front_of(make_document(), *some_feeds(3)),
    "front, more feeds": lambda: front_of(make_document(), *some_feeds(20)),
    "front, many feeds": lambda: front_of(make_document(), *some_feeds(1000, title=HOSTILE)),
    "feed": feed,
    "feed, hostile": lambda: feed(title=HOSTILE, subtitle=HOSTILE, language=HOSTILE),
    "feed, empty": lambda: feed(entries=(), subtitle=None, language=None),
    "search": search,
    "search, hostile": lambda: search(HOSTILE, title=HOSTILE, summary=HOSTILE, text=HOSTILE, source=HOSTILE),
    "search, nothing asked": lambda: search(""),
    "search, nothing found": lambda: search(total=0),
    "search, many found": lambda: search(total=1000, page=3),
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
    assert found.xpath("//script | //style | //iframe | //object | //base | //*[@style]") == []
    assert [name for element in found.iter("*") for name in element.attrib if name.startswith("on")] == []
    assert len(found.xpath("//title")) == 1
    assert set(found.xpath("//form/@action")) <= {"/search"}


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
    identifiers = found.xpath("//@id")
    assert len(set(identifiers)) == len(identifiers)
    assert set(found.xpath("//@aria-labelledby")) <= set(identifiers)
    assert set(found.xpath("//input/@id")) == set(found.xpath("//label/@for"))


@pytest.mark.slow
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
    others = [
        feed(base_url),
        search(base_url=base_url, total=1000),
        front_of(make_document(), *some_feeds(3), base_url=base_url),
    ]
    pages = [front(base_url), entry(base_url), parse(render_error(404, base_url)), *others]
    for page in pages:
        own = [address for address in page.xpath("//@href | //@src | //@action") if address.startswith("/")]
        assert own
        assert all(address.startswith(f"{root}/") for address in own)
    assert f"{root}/entries/k1" in pages[0].xpath("//h3/a/@href")
    assert f"{root}/" in pages[1].xpath("//nav/a/@href")


LINKS = [
    ("application/atom+xml", "/feed.atom"),
    ("application/rss+xml", "/feed.rss"),
    ("application/feed+json", "/feed.json"),
    ("text/x-opml", "/feeds.opml"),
]


def test_front_page_tells_how_to_subscribe() -> None:
    page = front()
    links = page.xpath("//head/link[@rel='alternate']")
    assert [(link.get("type"), link.get("href")) for link in links] == LINKS
    assert [link.get("title") for link in links] == [
        "Example & Co",
        "Example & Co (RSS)",
        "Example & Co (JSON Feed)",
        "Example & Co: all feeds",
    ]
    assert page.xpath("//section//input[@readonly]/@value") == [f"{BASE}/feed.atom"]
    shown = page.xpath("//section//ul[@class='formats']//a")
    assert [(link.get("type"), link.get("href")) for link in shown] == LINKS[:3]
    assert text(page.find(".//h1")) == "Example & Co"
    assert "What <is> new" in text(page.find(".//header"))


def test_front_page_shows_only_the_formats_that_are_served() -> None:
    feeds = some_feeds(2)
    page = front_of(make_document(), *feeds, formats={"feed": ["atom"], "n0": ["json", "rss"], "n1": []})
    assert page.xpath("//ul[@class='formats']//a/@href") == ["/feed.atom", "/feeds/n0.rss", "/feeds/n0.json"]
    assert page.xpath("//input[@readonly]/@value") == [f"{BASE}/feed.atom", f"{BASE}/feeds/n0.rss"]


@pytest.mark.parametrize(("number", "folded", "addresses"), [(1, 0, 2), (6, 0, 7), (7, 1, 8), (40, 1, 41), (41, 1, 1)])
def test_front_page_lists_the_feeds(number: int, folded: int, addresses: int) -> None:
    page = front_of(make_document(), *some_feeds(number))
    assert page.xpath("//a[@class='title']/@href") == [f"/feeds/n{each}" for each in range(number)]
    assert [text(link) for link in page.xpath("//a[@class='title']")] == [f"Feed {each}" for each in range(number)]
    assert len(page.xpath("//details[not(@open)]")) == folded
    assert len(page.xpath("//input[@readonly]")) == addresses
    assert page.xpath("//section//a[@type='text/x-opml']/@href") == ["/feeds.opml"]


def test_front_page_of_a_thousand_feeds_stays_small() -> None:
    documents = {document.name: document for document in [make_document(), *some_feeds(1000)]}
    assert len(render_front(documents, BASE)) < 200_000


@pytest.mark.parametrize("page", ["front", "feed", "entry", "search"])
def test_every_page_asks_what_to_search_for(page: str) -> None:
    (form,) = PAGES[page]().xpath("//form[@role='search']")
    assert (form.get("action"), form.get("method")) == ("/search", "get")
    (asked,) = form.xpath("input")
    assert (asked.get("name"), asked.get("type")) == ("q", "search")


def test_static_pages_ask_nothing() -> None:
    pages = [
        render_front({"feed": make_document()}, BASE, searchable=False),
        render_feed(make_document(name="x"), BASE, searchable=False),
        render_entry(make_entry(), (), BASE, "x", searchable=False),
    ]
    for page in pages:
        assert parse(page).xpath("//form | //link[@rel='search']") == []


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
    page = front_of(make_document(*(make_entry(number) for number in range(99, -1, -1))))
    assert len(page.xpath("//article")) == 30
    assert page.xpath("//article//img/@loading") == ["lazy"] * 28


@pytest.mark.parametrize(
    ("entry_language", "feed_language", "expected"),
    [("ja", "zh", "ja"), (None, "zh", "zh"), (None, None, "")],
)
def test_language_of_what_is_shown(entry_language: str | None, feed_language: str | None, expected: str) -> None:
    document = make_document(make_entry(0, language=entry_language), language=feed_language)
    assert front_of(document).xpath("//article/@lang") == [expected]


def test_front_page_without_anything() -> None:
    page = front_of(make_document(entries=(), subtitle=None))
    assert "Nothing here yet" in text(page)
    assert page.xpath("//article") == []
    bare = front(images=(), summary="", source=None).xpath("//article")[0]
    assert (bare.xpath(".//img"), bare.xpath(".//bdi"), bare.xpath(".//p[@class='summary']")) == ([], [], [])


def test_feed_page() -> None:
    page = feed()
    assert text(page.find(".//h1")) == text(page.find(".//title")) == "Example News"
    assert "What <is> new" in text(page.find(".//main/header"))
    addresses = [f"/feeds/example-news.{extension}" for extension in ("atom", "rss", "json")]
    assert (
        page.xpath("//head/link[@rel='alternate']/@href") == page.xpath("//ul[@class='formats']//a/@href") == addresses
    )
    assert page.xpath("//input[@readonly]/@value") == [f"{BASE}/feeds/example-news.atom"]
    assert page.xpath("//h3/a/@href") == ["/entries/k2", "/entries/k1", "/entries/k0"]
    assert page.xpath("//nav[@aria-label='Site']/a/@href") == ["/"]
    assert "There are no entries in this feed" in text(feed(entries=()))


def test_search_page_shows_what_was_found() -> None:
    page = search("标题")
    assert text(page.find(".//title")) == "标题 – search – Example & Co"
    assert page.xpath("//meta[@name='robots']/@content") == ["noindex"]
    assert page.xpath("//form/input[@name='q']/@value") == ["标题"]
    assert text(page.xpath("//h2")[0]) == "2 entries"
    assert [text(title) for title in page.xpath("//h3/a")] == ["标题 1: a < b & c", "标题 0: a < b & c"]
    assert [text(found) for found in page.xpath("//mark")] == ["标题", "标题"]
    assert page.xpath("//h3/a/@href") == ["/entries/k1", "/entries/k0"]
    assert page.xpath("//nav[@aria-label='Pages of results']") == []


@pytest.mark.parametrize(
    ("options", "heading", "said"),
    [
        ({"asked": ""}, "How to search", "Several words"),
        ({"asked": "?!"}, "How to search", "no letter and no digit"),
        ({"total": 0}, "Nothing found", "No entry holds this. Try fewer"),
        ({"asked": "a b", "total": 0}, "Nothing found", "No entry holds all of this"),
        ({"total": 1}, "One entry", "标题 1"),
        ({"total": 12345}, "12,345 entries", "Page 1 of 50"),
    ],
)
def test_search_page_says_what_is_there(options: dict[str, Any], heading: str, said: str) -> None:
    page = search(**options)
    assert text(page.xpath("//h2")[0]) == heading
    assert said in text(page.find(".//main"))


@pytest.mark.parametrize(
    ("page", "expected"),
    [(1, {"Older": "2"}), (2, {"Newer": None, "Older": "3"}), (3, {"Newer": "2"})],
)
def test_search_page_leads_to_the_others(page: int, expected: dict[str, str | None]) -> None:
    links = search("a & b", total=50, page=page).xpath("//nav[@aria-label='Pages of results']/a")
    found = {text(link): parse_qs(urlsplit(link.get("href")).query) for link in links}
    assert found == {name: {"q": ["a & b"]} | ({"page": [to]} if to else {}) for name, to in expected.items()}


def test_search_page_says_what_is_not_searched_yet() -> None:
    found = Found((make_entry(),), 1, 1234)
    page = parse(render_search(parse_query({"q": "x"}), found, BASE, "x"))
    assert "1,234 new or changed entries are yet to be looked at" in text(page)
    beyond = parse(render_search(parse_query({"q": "x", "page": "9"}), Found((), 30), BASE, "x"))
    assert "There are no entries on page 9. Go to the first page" in text(beyond)


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


@pytest.mark.parametrize(
    ("image", "alt"),
    [
        ('<img src="https://example.org/a b.jpg">', ""),
        ('<img src="https://example.org/?alt=1" width="3">', ""),
        ('<img alt="A view" src="https://example.org/a.jpg">', "A view"),
        ('<img src="https://example.org/a.jpg" alt="">', ""),
    ],
)
def test_pictures_in_the_content_have_a_description(image: str, alt: str) -> None:
    (found,) = entry(content=f"<p>{image}</p>").xpath("//div[@class='content']//img")
    assert found.get("alt") == alt
    assert found.get("src").startswith("https://example.org/")


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
    untouched = entry(removals=())
    assert untouched.xpath("//details") == []
    assert "Nothing was removed from this entry." in text(untouched)


def test_entry_page_leaves_out_what_is_not_known() -> None:
    page = PAGES["entry, bare"]()
    assert next(text(span) for span in page.xpath("//article/header//span")) == "2024-01-05 14:45 UTC"
    assert [text(part) for part in page.xpath("//footer/*")] == ["Nothing was removed from this entry."]
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


STYLE = (files("feedsvc.feeds.pages") / "static" / "style.css").read_text(encoding="utf-8")
PALETTES = [
    dict(re.findall(r"--([\w-]+): (#\w{6});", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE.split("@media print")[0], re.DOTALL)
]


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *((ink, ground) for ink in ("ink", "soft") for ground in ("paper", "sheet", "shade")),
        ("link", "paper"),
        ("accent", "paper"),
        ("accent", "sheet"),
        ("ink", "mark"),
        ("on-accent", "accent"),
    ],
)
def test_contrast(palette: dict[str, str], ink: str, ground: str) -> None:
    darker, lighter = sorted((luminance(palette[ink]), luminance(palette[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, 1.4.3


def test_style_loads_nothing() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE
