from __future__ import annotations

import locale

import feedparser
import pytest
from feed_documents import make_document, make_entry
from lxml import etree

from feedsvc import __version__
from feedsvc.feeds.formats.rss import render_rss

BASE = "https://feeds.example.org/news"


def parse(body: bytes) -> etree._Element:
    return etree.fromstring(body)


def outline(element: etree._Element) -> list[tuple[str, dict[str, str], str]]:
    """Each child as prefixed name, attributes and text."""
    return [
        (
            f"{child.prefix}:{etree.QName(child).localname}" if child.prefix else str(child.tag),
            {str(name): str(value) for name, value in child.attrib.items()},
            str(child.text or ""),
        )
        for child in element
        if child.tag != "item"
    ]


def test_channel() -> None:
    channel = parse(render_rss(make_document(), BASE))[0]
    assert outline(channel) == [
        ("title", {}, "Example & Co"),
        ("link", {}, f"{BASE}/"),
        ("description", {}, "What <is> new"),
        ("atom:link", {"href": f"{BASE}/feed.rss", "rel": "self", "type": "application/rss+xml"}, ""),
        ("docs", {}, "http://www.rssboard.org/rss-specification"),
        ("generator", {}, f"feedsvc {__version__}"),
        ("language", {}, "zh-CN"),
        ("lastBuildDate", {}, "Sat, 06 Jan 2024 15:45:02 +0000"),
    ]


def test_item() -> None:
    content = '<p>正文</p><audio src="https://e.org/a.mp3"></audio><audio src="https://e.org/b.mp3"></audio>'
    item = parse(render_rss(make_document(make_entry(0, content=content)), BASE)).find("channel/item")
    assert item is not None
    assert outline(item) == [
        ("title", {}, "标题 0: a < b & c"),
        ("link", {}, "https://example.org/articles/0?a=1&b=2"),
        ("description", {}, "正文 0 in short"),
        ("content:encoded", {}, content),
        ("guid", {"isPermaLink": "false"}, "tag:example.org,2024:0"),
        ("category", {}, "国际"),
        ("category", {}, "R&D"),
        ("enclosure", {"url": "https://e.org/a.mp3", "length": "0", "type": "audio/mpeg"}, ""),
        ("pubDate", {}, "Thu, 04 Jan 2024 14:45:02 +0000"),
        ("media:content", {"url": "https://example.org/0.jpg", "medium": "image", "type": "image/jpeg"}, ""),
        ("media:content", {"url": "https://e.org/a.mp3", "medium": "audio", "type": "audio/mpeg"}, ""),
        ("media:content", {"url": "https://e.org/b.mp3", "medium": "audio", "type": "audio/mpeg"}, ""),
        ("media:thumbnail", {"url": "https://example.org/0.jpg"}, ""),
        ("dc:creator", {}, "张三"),
        ("dc:rights", {}, "© 2024 Example"),
        ("atom:updated", {}, "2024-01-04T15:45:02+00:00"),
    ]


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"summary": "a < b & c"}, "description", ["a &lt; b &amp; c"]),  # it is HTML
        ({"summary": ""}, "description", ["<p>x</p>"]),
        ({"summary": ""}, "content:encoded", []),
        ({"content": ""}, "description", ["正文 0 in short"]),
        ({"content": ""}, "content:encoded", []),
        ({"content": "", "summary": ""}, "description", []),
        ({"author": None, "source": None}, "dc:creator", []),
        ({"author": None}, "dc:creator", ["Example News"]),
        ({"rights": "\x00"}, "dc:rights", []),
        ({"link": None}, "link", [f"{BASE}/entries/k0"]),
        ({"images": ()}, "media:thumbnail", []),
        ({"content": '<video src="https://e.org/v"></video>'}, "enclosure", []),  # what it is nobody knows
    ],
)
def test_item_lacks_something(changes: dict[str, object], name: str, expected: list[str]) -> None:
    entry = make_entry(0, **{"content": "<p>x</p>", **changes})
    item = parse(render_rss(make_document(entry), BASE)).find("channel/item")
    assert item is not None
    assert [text for child, _, text in outline(item) if child == name] == expected


def test_channel_without_what_is_optional() -> None:
    document = make_document(make_entry(0, language=None), subtitle=None, language=None)
    channel = parse(render_rss(document, BASE))[0]
    assert channel.findtext("description") == document.title
    assert channel.find("language") is None


@pytest.mark.parametrize("title", ["a &lt;b&gt; <3 & c", "if a<b", "AT&T"])
def test_a_title_is_escaped_by_references(title: str) -> None:
    body = render_rss(make_document(make_entry(0, title=title), title=title), BASE)
    written = title.replace("&", "&#x26;").replace("<", "&#x3C;").replace(">", "&gt;")
    assert body.decode().count(f"<title>{written}</title>") == 2


def test_content_that_looks_like_a_title_stays() -> None:
    content = "<title>a &amp;amp; b</title> &lt;title>&amp;"
    item = parse(render_rss(make_document(make_entry(0, content=content)), BASE)).find("channel/item")
    assert item is not None
    assert item.findtext("{*}encoded") == content


def test_the_locale_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the locale belongs to the whole process")

    monkeypatch.setattr(locale, "setlocale", refuse)
    render_rss(make_document(), BASE)


def test_feedparser_agrees() -> None:
    document = make_document()
    read = feedparser.parse(render_rss(document, BASE))
    assert not read.bozo
    assert (read.version, read.feed.title, read.feed.language) == ("rss20", document.title, "zh-CN")
    for entry, expected in zip(read.entries, document.entries, strict=True):
        assert (entry.id, entry.title, entry.link) == (expected.id, expected.title, expected.link)
        assert (entry.author, entry.rights) == (expected.author, expected.rights)
        assert entry.published_parsed[:6] == expected.published.timetuple()[:6]
        assert entry.updated_parsed[:6] == expected.updated.timetuple()[:6]
        assert f"<p>{expected.text}</p>" in entry.content[0].value
        assert entry.summary == expected.summary
        assert [tag.term for tag in entry.tags] == list(expected.categories)
        assert entry.media_thumbnail[0]["url"] == expected.images[0]


def test_hubs() -> None:
    hubs = ("https://hub.example.org/?a=b&c", "https://hub.example.net/")
    channel = parse(render_rss(make_document(hubs=hubs), BASE))[0]
    links = [link.get("href") for link in channel.iter("{http://www.w3.org/2005/Atom}link") if link.get("rel") == "hub"]
    assert links == list(hubs)
