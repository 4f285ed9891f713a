"""Each thing that a reader would trip over is found, and named with the entry at fault."""

from __future__ import annotations

import re

import pytest
from feed_documents import make_document, make_entry

from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.formats.inspect import Finding, inspect_atom, inspect_json_feed, inspect_rss
from feedsvc.feeds.formats.json_feed import render_json_feed
from feedsvc.feeds.formats.rss import render_rss

FIRST, SECOND = "tag:example.org,2024:0", "tag:example.org,2024:1"
LINK = b'<link href="https://example.org/articles/0?a=1&amp;b=2" rel="alternate"/>'
BODY = render_atom(make_document(make_entry(0), make_entry(1)), "https://feeds.example.org")


def test_what_is_rendered_is_fine() -> None:
    assert inspect_atom(BODY) == []
    assert inspect_atom(render_atom(make_document(make_entry(0, content="", summary="")), "https://x.example")) == []


@pytest.mark.parametrize(
    ("old", "new", "entry", "message"),
    [
        (b"</feed>", b"", None, "not well-formed: "),
        (b"<title>Example", b"<title>\x00Example", None, "not well-formed: "),
        (b"http://www.w3.org/2005/Atom", b"http://purl.org/atom/ns#", None, "is <{http://purl.org/atom/ns#}feed>"),
        (b"<id>tag:example.org,2024:feed</id>", b"", None, "has 0 elements id, not one"),
        (b"<id>tag:example.org,2024:feed</id>", b"<id> </id>", None, "has an empty id"),
        (b"<title>Example &#x26; Co</title>", b"", None, "has 0 elements title, not one"),
        (b"<updated>2024-01-05T15:45:02+00:00</updated><author>", b"<author>", None, "has 0 elements updated"),
        (b"<subtitle>", b"<subtitle/><subtitle>", None, "has 2 elements subtitle, more than one"),
        (b"The Editors", b" ", None, "has an author without a name"),
        (b"<id>%b</id>" % FIRST.encode(), b"", None, "entry 1 (None): has 0 elements id"),
        (
            b"<id>%b</id>" % FIRST.encode(),
            b"<id>0</id>",
            "0",
            "entry 1 ('0'): has the id '0', which is no absolute IRI",
        ),
        (b"<id>%b</id>" % FIRST.encode(), b"<id>a b:c</id>", "a b:c", "which is no absolute IRI"),
        (b"<id>%b</id>" % SECOND.encode(), b"<id>%b</id>" % FIRST.encode(), FIRST, "is another entry's as well"),
        ('type="text">标题 0'.encode(), "/><title>标题 0".encode(), FIRST, "has 2 elements title, not one"),
        (b"<published>2024-01-04T14:45:02+00:00", b"<published>2024-01-04T14:45:02", FIRST, "has published"),
        (b"<published>2024-01-04T14:45:02+00:00", b"<published>2024-02-30T14:45:02Z", FIRST, "no date and time"),
        (b"<published>2024-01-04", b"<published/><published>2024-01-04", FIRST, "has 2 elements published"),
        (b'<category term="R&amp;D"/>', b"<category/>", FIRST, "has a category without a term"),
        (LINK, b'<link rel="alternate"/>', FIRST, "has a link that leads nowhere"),
        (LINK, LINK + LINK, FIRST, "has two links of relation alternate with the same type and language"),
        (b'<content type="html">', b'<content type="html"/><content>', FIRST, "has 2 elements content"),
        (b'<summary type="text">', b"<summary/><summary>", FIRST, "has 2 elements summary"),
    ],
)
def test_findings(old: bytes, new: bytes, entry: str | None, message: str) -> None:
    assert old in BODY
    [*_, finding] = found = inspect_atom(BODY.replace(old, new, 1))
    assert [finding.entry for finding in found] == [entry]
    assert message in finding.message
    if entry is not None:
        assert entry in finding.message


def test_entry_with_neither_content_nor_link() -> None:
    body = BODY.replace(LINK, b"")
    start, end = body.index(b"<content"), body.index(b"</content>") + len(b"</content>")
    assert inspect_atom(body) == []
    [finding] = inspect_atom(body[:start] + body[end:])
    assert finding == Finding(FIRST, f"entry 1 ({FIRST!r}): has neither content nor a link of relation alternate")


def test_content_elsewhere_needs_a_summary() -> None:
    start, end = BODY.index(b"<summary"), BODY.index(b"</summary>") + len(b"</summary>")
    body = (BODY[:start] + BODY[end:]).replace(b'<content type="html">', b'<content src="https://x.example/">', 1)
    assert [finding.message for finding in inspect_atom(body)] == [
        f"entry 1 ({FIRST!r}): has content elsewhere, and no summary"
    ]


def test_authors() -> None:
    unsigned = BODY.replace(b"<author><name>The Editors</name></author>", b"")
    assert inspect_atom(unsigned) == []
    without = unsigned.replace("<author><name>张三</name></author>".encode(), b"", 1)
    assert [finding.entry for finding in inspect_atom(without)] == [None, FIRST]


def test_sizes() -> None:
    long = render_atom(make_document(make_entry(0, content="x" * 101), make_entry(1, content="x")), "https://x.example")
    [finding] = inspect_atom(long, max_entry_bytes=100)
    assert (finding.entry, "101 characters, more than 100" in finding.message) == (FIRST, True)


DOCUMENT = make_document(make_entry(0, images=("https://e.example/0.png",)), make_entry(1))
RSS = render_rss(DOCUMENT, "https://feeds.example.org")
JSON = render_json_feed(DOCUMENT, "https://feeds.example.org")
GUID = b'<guid isPermaLink="false">%b</guid>'


def test_the_other_formats_are_fine_as_they_are_rendered() -> None:
    assert inspect_rss(RSS) == []
    assert inspect_json_feed(JSON) == []
    assert inspect_rss(render_rss(make_document(), "https://x.example")) == []
    assert inspect_json_feed(render_json_feed(make_document(), "https://x.example")) == []


@pytest.mark.parametrize(
    ("old", "new", "entry", "message"),
    [
        (b"</rss>", b"", None, "not well-formed: "),
        (b'version="2.0"', b'version="0.91"', None, "is <rss>, not an RSS 2.0 feed"),
        (b"<title>Example", b"<t/><title/><title>Example", None, "has no title"),
        (b"<link>https://feeds.example.org/", b"<link/><link>https://feeds.example.org/", None, "has no link"),
        (b"<description>", b"<description/><description>", None, "has no description"),
        (GUID % FIRST.encode(), b"", None, "entry 1 (None): has no guid"),
        (GUID % SECOND.encode(), GUID % FIRST.encode(), FIRST, "is another entry's as well"),
        (b"<pubDate>Thu,", b"<pubDate>soon</pubDate><pubDate>Thu,", FIRST, "has pubDate 'soon'"),
        (b"<pubDate>Thu,", b"<enclosure url='https://e.org/a'/><pubDate>Thu,", FIRST, "an enclosure without"),
    ],
)
def test_findings_in_rss(old: bytes, new: bytes, entry: str | None, message: str) -> None:
    assert old in RSS
    [finding] = inspect_rss(RSS.replace(old, new, 1))
    assert (finding.entry, message in finding.message) == (entry, True), finding


def test_item_with_neither_title_nor_description() -> None:
    start, end = RSS.index(b"<item>"), RSS.index(b"</item>")
    item = re.sub(rb"<(title|description)>.*?</\1>", b"", RSS[start:end], flags=re.DOTALL)
    [finding] = inspect_rss(RSS[:start] + item + RSS[end:])
    assert finding == Finding(FIRST, f"entry 1 ({FIRST!r}): has neither title nor description")


@pytest.mark.parametrize(
    ("old", "new", "entry", "message"),
    [
        (b"{", b"", None, "is no JSON: "),
        (b'"items"', b'"item"', None, "is no object with a list of items"),
        (b'"items":[', b'"items":[1,', None, "is no object with a list of items"),
        (b'"version"', b'"v"', None, "has no version"),
        (b'"title"', b'"t"', None, "has no title"),
        (b'"id":"%b"' % FIRST.encode(), b'"id":""', "", "entry 1 (''): has no id"),
        (SECOND.encode(), FIRST.encode(), FIRST, "is another entry's as well"),
        (b'"content_html"', b'"content"', FIRST, "has neither content_html nor content_text"),
        (b'"date_published":"', b'"date_published":"on ', FIRST, "has date_published 'on 2024"),
    ],
)
def test_findings_in_json_feeds(old: bytes, new: bytes, entry: str | None, message: str) -> None:
    assert old in JSON
    [finding] = inspect_json_feed(JSON.replace(old, new, 1))
    assert (finding.entry, message in finding.message) == (entry, True), finding
