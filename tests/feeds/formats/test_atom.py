from __future__ import annotations

from datetime import timedelta, timezone

import feedparser
import pytest
from feed_documents import FIRST, make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from feedsvc import __version__
from feedsvc.errors import RenderError
from feedsvc.feeds.formats import fit
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.model import Alternate

BASE = "https://feeds.example.org/news"
ATOM = {"a": "http://www.w3.org/2005/Atom"}
# All that Python can hold in a string, what XML forbids among it.
ANYTHING = st.text(st.characters(exclude_categories=()))


def parse(body: bytes) -> etree._Element:
    return etree.fromstring(body)


def outline(element: etree._Element) -> list[tuple[str, list[tuple[str, str]], str]]:
    """Each child as name, attributes, text; those of `author` drawn in."""
    return [
        (
            etree.QName(child).localname,
            sorted((str(name), str(value)) for name, value in child.attrib.items()),
            str(child.xpath("string()")),
        )
        for child in element
        if etree.QName(child).localname != "entry"
    ]


def test_feed_elements() -> None:
    feed = parse(render_atom(make_document(), BASE))
    assert feed.attrib["{http://www.w3.org/XML/1998/namespace}lang"] == "zh-CN"
    assert sorted(outline(feed)) == sorted(
        [
            ("id", [], "tag:example.org,2024:feed"),
            ("title", [], "Example & Co"),
            ("subtitle", [], "What <is> new"),
            ("author", [], "The Editors"),
            ("updated", [], "2024-01-06T15:45:02+00:00"),
            ("link", [("href", f"{BASE}/feed.atom"), ("rel", "self"), ("type", "application/atom+xml")], ""),
            ("link", [("href", f"{BASE}/"), ("rel", "alternate"), ("type", "text/html")], ""),
            ("generator", [("version", __version__)], "feedsvc"),
            ("icon", [], f"{BASE}/icon.png"),
        ]
    )


def test_entry_elements() -> None:
    entry = parse(render_atom(make_document(make_entry(0)), BASE)).find("a:entry", ATOM)
    assert entry is not None
    assert sorted(outline(entry)) == sorted(
        [
            ("id", [], "tag:example.org,2024:0"),
            ("title", [("type", "text")], "标题 0: a < b & c"),
            ("link", [("href", "https://example.org/articles/0?a=1&b=2"), ("rel", "alternate")], ""),
            ("published", [], "2024-01-04T14:45:02+00:00"),
            ("updated", [], "2024-01-04T15:45:02+00:00"),
            ("author", [], "张三"),
            ("summary", [("type", "text")], "正文 0 in short"),
            ("content", [("type", "html")], '<p>正文 0</p><img src="https://example.org/0.jpg" alt="">'),
            ("category", [("term", "国际")], ""),
            ("category", [("term", "R&D")], ""),
            ("rights", [], "© 2024 Example"),
            (
                "content",
                [("medium", "image"), ("type", "image/jpeg"), ("url", "https://example.org/0.jpg")],
                "",
            ),
            ("thumbnail", [("url", "https://example.org/0.jpg")], ""),
        ]
    )


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"link": None}, "link", [f"{BASE}/entries/k0"]),
        ({"author": None}, "author", ["Example News"]),
        ({"author": None, "source": None}, "author", []),
        ({"rights": None}, "rights", []),
        ({"categories": ()}, "category", []),
        ({"categories": ("\x00", "a\x00b")}, "category", ["ab"]),
        ({"summary": ""}, "summary", []),
        ({"summary": "", "content": ""}, "summary", ["标题 0: a < b & c"]),
        ({"title": "\x00"}, "title", ["https://example.org/articles/0?a=1&b=2"]),
        ({"published": FIRST.replace(microsecond=999)}, "published", ["2024-01-04T14:45:02+00:00"]),
        (
            {"updated": FIRST.astimezone(timezone(timedelta(hours=8)))},
            "updated",
            ["2024-01-04T14:45:02+00:00"],
        ),
    ],
)
def test_entry_lacks_something(changes: dict[str, object], name: str, expected: list[str]) -> None:
    entry = parse(render_atom(make_document(make_entry(0, **changes)), BASE)).find("a:entry", ATOM)
    assert entry is not None
    found = [
        text or dict(attributes).get("href") or dict(attributes)["term"]
        for child, attributes, text in outline(entry)
        if child == name
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("alternates", "links"),
    [
        ([], []),
        ([("https://example.org/en", "en")], [("related", "en", "https://example.org/en")]),
        (
            [("https://example.org/en", "en"), ("https://example.org/en", None), ("https://example.org/b", "EN")],
            [("related", "en", "https://example.org/en"), ("related", "EN", "https://example.org/b")],
        ),
        (
            [("https://example.org/?", None), ("https://example.org/!", "no tag")],
            [("related", None, "https://example.org/?"), ("related", None, "https://example.org/!")],
        ),
        ([("https://example.org/articles/0?a=1&b=2", "en")], []),  # the entry itself
        ([("\x00", "en")], []),
    ],
)
def test_other_versions(alternates: list[tuple[str, str | None]], links: list[tuple[str, str | None, str]]) -> None:
    entry = make_entry(0, alternates=tuple(Alternate(*each) for each in alternates))
    element = parse(render_atom(make_document(entry), BASE)).find("a:entry", ATOM)
    assert element is not None
    first, *others = element.findall("a:link", ATOM)
    assert (first.get("rel"), first.get("hreflang")) == ("alternate", None)
    assert [(link.get("rel"), link.get("hreflang"), link.get("href")) for link in others] == links


@pytest.mark.parametrize(
    ("content", "links"),
    [
        ("<p>x</p>", []),
        (
            '<audio src="https://e.org/a.mp3"></audio><video src="https://e.org/v.mp4"></video>',
            [("https://e.org/a.mp3", "audio/mpeg"), ("https://e.org/v.mp4", "video/mp4")],
        ),
        ('<video src="https://e.org/v"></video>', []),
    ],
)
def test_enclosures(content: str, links: list[tuple[str, str]]) -> None:
    entry = parse(render_atom(make_document(make_entry(0, content=content)), BASE)).find("a:entry", ATOM)
    assert entry is not None
    found = entry.findall("a:link[@rel='enclosure']", ATOM)
    assert [(link.get("href"), link.get("type")) for link in found] == links


def test_an_entry_without_content_has_none() -> None:
    feed = parse(render_atom(make_document(make_entry(0, content="")), BASE))
    assert feed.find("a:entry/a:content", ATOM) is None


@pytest.mark.parametrize(
    ("configured", "entries", "feed_lang", "entry_langs"),
    [
        ("zh-CN", ["zh-CN", "en", None], "zh-CN", [None, "en", None]),
        (None, ["ja", "ja"], "ja", [None, None]),
        (None, ["ja", "zh"], None, ["ja", "zh"]),
    ],
)
def test_languages(
    configured: str | None, entries: list[str | None], feed_lang: str | None, entry_langs: list[str | None]
) -> None:
    held = [make_entry(number, language=language) for number, language in enumerate(entries)]
    feed = parse(render_atom(make_document(*held, language=configured), BASE))
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    assert feed.get(lang) == feed_lang
    assert [entry.get(lang) for entry in feed.findall("a:entry", ATOM)] == entry_langs


def test_feed_names_its_hubs() -> None:
    hubs = ("https://hub.example.org/?a=b&c", "https://hub.example.net/")
    feed = parse(render_atom(make_document(hubs=hubs), BASE))
    links = [link.get("href") for link in feed.iter("{http://www.w3.org/2005/Atom}link") if link.get("rel") == "hub"]
    assert links == list(hubs)


def test_feed_without_what_is_optional() -> None:
    entry = make_entry(0, language=None)
    feed = parse(render_atom(make_document(entry, subtitle=None, language=None), BASE))
    assert feed.find("a:subtitle", ATOM) is None
    assert not feed.attrib


def test_feed_without_entries_is_a_feed() -> None:
    feed = parse(render_atom(make_document(entries=()), BASE))
    assert feed.findall("a:entry", ATOM) == []


def test_entries_keep_their_order() -> None:
    feed = parse(render_atom(make_document(), BASE))
    assert [element.text for element in feed.findall("a:entry/a:id", ATOM)] == [
        "tag:example.org,2024:2",
        "tag:example.org,2024:1",
        "tag:example.org,2024:0",
    ]


def test_feedparser_agrees() -> None:
    document = make_document()
    read = feedparser.parse(render_atom(document, BASE))
    assert not read.bozo
    assert (read.version, read.feed.title, read.feed.id) == ("atom10", document.title, document.id)
    for entry, expected in zip(read.entries, document.entries, strict=True):
        assert entry.id == expected.id
        assert entry.title == expected.title
        assert entry.link == expected.link
        assert entry.author == expected.author
        assert entry.summary == expected.summary
        assert entry.published_parsed[:6] == expected.published.timetuple()[:6]
        assert entry.updated_parsed[:6] == expected.updated.timetuple()[:6]
        assert entry.content[0].type == "text/html"
        assert f"<p>{expected.text}</p>" in entry.content[0].value
        assert [tag.term for tag in entry.tags] == list(expected.categories)
        assert entry.rights == expected.rights


@given(text=ANYTHING)
def test_hostile_text_stays_text(text: str) -> None:
    entry = make_entry(
        0, title=text, content=text, summary=text, author=text, rights=text, categories=(text,), link=text
    )
    document = make_document(entry, title="t" + text, subtitle=text, author="a" + text)
    element = parse(render_atom(document, BASE)).find("a:entry", ATOM)
    assert element is not None
    legal = "".join(
        character
        for character in text
        if character in "\t\n\r" or (character >= " " and not "\ud800" <= character <= "\udfff")
    ).translate({0xFFFE: None, 0xFFFF: None})
    assert (element.findtext("a:content", None, ATOM) or "") == legal
    assert (element.findtext("a:summary", None, ATOM) or "") == (legal or element.findtext("a:title", "", ATOM))
    assert (element.findtext("a:rights", None, ATOM) or "") == legal
    assert element.findtext("a:title", None, ATOM)


@pytest.mark.parametrize(
    ("entry", "document", "at_fault"),
    [
        ({"id": "tag:\x00"}, {}, r"entry 'tag:\\x00'"),
        ({"content": "x" * 10_100_000}, {}, "entry 'tag:example.org,2024:7'"),  # libxml2's bound on a text
        ({}, {"id": "tag:\x00"}, "its own elements"),
        ({}, {"title": "\x00"}, "its own elements"),
    ],
    ids=["entry id", "entry too large", "feed id", "feed title"],
)
def test_what_cannot_be_rendered_is_named(entry: dict[str, object], document: dict[str, object], at_fault: str) -> None:
    broken = make_document(make_entry(8), make_entry(7, **entry), make_entry(6), **document)
    with pytest.raises(RenderError, match=f"feed feed: {at_fault}"):
        render_atom(broken, BASE)


ENTRIES = [make_entry(number, content="x" * 1000) for number in (1, 3, 0, 2)]


@pytest.mark.parametrize(
    ("count", "max_bytes", "expected"),
    [
        (10, None, ["k3", "k2", "k1", "k0"]),
        (2, None, ["k3", "k2"]),
        (10, 1_000_000, ["k3", "k2", "k1", "k0"]),
        (10, 4_500, ["k3", "k2"]),
        (10, 1, ["k3"]),
        (0, None, ["k3"]),
    ],
)
def test_fit(count: int, max_bytes: int | None, expected: list[str]) -> None:
    assert [entry.key for entry in fit(ENTRIES, count=count, max_bytes=max_bytes)] == expected


def test_fit_of_nothing() -> None:
    assert fit([], count=3, max_bytes=10) == ()


def test_fit_leaves_no_gap() -> None:
    entries = [make_entry(2), make_entry(1, content="<" * 9000), make_entry(0)]
    assert [entry.key for entry in fit(entries, count=3, max_bytes=9000)] == ["k2"]


def test_fit_orders_the_same_instant_by_id() -> None:
    entries = [make_entry(number, published=FIRST) for number in (2, 0, 1)]
    assert [entry.key for entry in fit(entries, count=3, max_bytes=None)] == ["k0", "k1", "k2"]


@pytest.mark.parametrize("content", ["<p>a &amp; b</p>" * 300, "正文" * 2000, "", "plain " * 500])
def test_estimate_is_near_the_rendered_size(content: str) -> None:
    entries = fit([make_entry(number, content=content) for number in range(50)], count=50, max_bytes=200_000)
    rendered = len(render_atom(make_document(*entries), BASE))
    assert rendered < 200_000
    if len(entries) < 50:
        assert rendered > 150_000


def test_estimate_counts_the_pictures() -> None:
    images = tuple(f"https://example.org/pictures/{number}.jpg" for number in range(100))
    entries = fit([make_entry(number, images=images) for number in range(50)], count=50, max_bytes=200_000)
    assert 150_000 < len(render_atom(make_document(*entries), BASE)) < 200_000


@pytest.mark.parametrize(
    ("name", "address", "page"),
    [("feed", "/feed.atom", "/"), ("bbc", "/feeds/bbc.atom", "/feeds/bbc")],
)
def test_a_feed_names_its_own_address(name: str, address: str, page: str) -> None:
    feed = parse(render_atom(make_document(name=name), BASE))
    links = {link.get("rel"): link.get("href") for link in feed.findall("a:link", ATOM)}
    assert (links["self"], links["alternate"]) == (BASE + address, BASE + page)
