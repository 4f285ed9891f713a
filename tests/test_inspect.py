"""Each thing that a reader would trip over is found, and named with the entry at fault."""

from __future__ import annotations

import pytest
from feed_documents import make_document, make_entry

from feedsvc.feeds.atom import render_atom
from feedsvc.feeds.inspect import Finding, inspect_atom

FIRST, SECOND = "tag:example.org,2024:0", "tag:example.org,2024:1"
LINK = b'<link href="https://example.org/articles/0?a=1&amp;b=2" rel="alternate"/>'
BODY = render_atom(make_document(make_entry(0), make_entry(1)), "https://feeds.example.org")


def test_what_is_rendered_is_fine() -> None:
    assert inspect_atom(BODY, max_bytes=len(BODY)) == []
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
    assert [finding.entry for finding in inspect_atom(BODY, max_bytes=len(BODY) - 1)] == [None]
    long = render_atom(make_document(make_entry(0, content="x" * 101), make_entry(1, content="x")), "https://x.example")
    [finding] = inspect_atom(long, max_entry_bytes=100)
    assert (finding.entry, "101 characters, more than 100" in finding.message) == (FIRST, True)
