"""Entries of any text to feeds and pages."""

from __future__ import annotations

import json
import re
from typing import Any

from feed_documents import make_document, make_entry
from lxml import etree

from feedsvc.clean.text import one_line
from feedsvc.errors import RenderError
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.formats.elements import headline, legal
from feedsvc.feeds.formats.inspect import inspect_atom
from feedsvc.feeds.formats.json_feed import render_json_feed
from feedsvc.feeds.formats.rss import render_rss
from feedsvc.feeds.pages.found import excerpt, mark
from feedsvc.feeds.pages.pages import render_entry, render_front
from feedsvc.links import tidy_link
from feedsvc.model import Alternate, Entry, Removal

__all__ = ["PIECES", "check"]

_PARTS = "\x1e"
PIECES = tuple(
    piece.encode("utf-8", "surrogatepass")
    for piece in (
        *(_PARTS,) * 12,
        *("<b>", "</b>", "<", ">", "&", "&amp;", "&lt;", "]]>", "<![CDATA[", "<!--", "-->", "<?xml ?>", "'", '"', "\\"),
        *(
            "\0",
            "\x08",
            "\x0b",
            "\x1f",
            "\x7f",
            "\x85",
            "\ufffe",
            "\uffff",
            "\ud800",
            "\udfff",
            "\ud83d\ude00",
            "\ufdd0",
        ),
        *(
            "\n",
            "\r",
            "\r\n",
            "\t",
            "\u2028",
            "\u202e",
            "\u2066",
            "\u200b",
            "\ufeff",
            "\U0010ffff",
            "é",
            "北约",
            "🎉",
            " ",
        ),
        *(
            "</content>",
            "</entry>",
            "<entry>",
            "<id>",
            "</title>",
            "<script>alert(1)</script>",
            "</script",
            "javascript:",
        ),
        *(
            "https://h.example/a?b&c",
            "http://h.example/v.mp4",
            "mailto:a@b.example",
            "//h.example",
            ".mp3",
            "zh-Hans",
            "x-",
        ),
        *(
            '<video src="https://h.example/v.mp4" type="video/mp4"></video>',
            '<audio><source src="http://h.example/a"',
            "a",
        ),
        *("en", "{{ 7*7 }}", "{% raw %}", "&#0;", "&#xD800;", "%", "]", "https://a5d7c2f09be14368.feedsvc.invalid"),
    )
)
_ATOM = "{http://www.w3.org/2005/Atom}"
_CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
_STRICT = etree.XMLParser(recover=False, resolve_entities=False, huge_tree=True)
_BASE = "https://feeds.example.org/b"
_TAG = re.compile(rb"<[a-zA-Z!?/]")


def check(data: bytes) -> None:
    """Whatever an entry says, each format is well-formed and says the same; no page has an element more for it."""
    entry, title = _make(data.decode("utf-8", "surrogateescape"))
    document = make_document(entry, make_entry(1), title=title, subtitle=title, author=title or "a")
    try:
        atom = render_atom(document, _BASE)
        rss = render_rss(document, _BASE)
        items = json.loads(render_json_feed(document, _BASE))
    except RenderError:
        assert not legal(title).strip()  # a feed must have a title
        return
    _check_atom(atom, entry)
    item = etree.fromstring(rss, _STRICT)[0].findall("item")[0]
    assert item.findtext("title") == headline(entry, _BASE)
    written = item.findtext(_CONTENT) or (not legal(entry.summary) and item.findtext("description")) or ""
    assert written == legal(entry.content)
    assert items["items"][0]["content_html"] == legal(entry.content)
    assert items["items"][0]["title"] == headline(entry, _BASE)
    _check_pages(entry, title)


def _make(text: str) -> tuple[Entry, str]:
    parts = [*text.split(_PARTS), *[""] * 12]
    title, content, author, source, category, rights, link, summary, language, image, feed_title, removed = parts[:12]
    link = tidy_link(link) or ""
    entry = make_entry(
        title=title,
        content=content,
        author=author or None,
        source=source or None,
        categories=(category, author),
        rights=rights or None,
        link=link or None,
        summary=summary,
        text=summary,
        language=language or None,
        images=tuple(filter(None, (tidy_link(image),))),
        alternates=(Alternate(link, language or None),) if link else (),
    )
    return entry, feed_title or removed or "t"


def _check_atom(body: bytes, entry: Entry) -> None:
    feed = etree.fromstring(body, _STRICT)
    findings = [finding for finding in inspect_atom(body) if finding.entry]
    assert not findings, findings
    first = feed.findall(f"{_ATOM}entry")[0]
    assert first.findtext(f"{_ATOM}title") == headline(entry, _BASE)
    assert (first.findtext(f"{_ATOM}content") or "") == legal(entry.content)
    assert first.findtext(f"{_ATOM}id") == entry.id


def _check_pages(entry: Entry, title: str) -> None:
    """Pages of plain text have as many tags as of any other text; the content is the cleaner's to see to."""
    said = {kind: getattr(entry, kind) for kind in ("title", "author", "source", "rights", "summary")}
    texts = [*filter(None, said.values()), title]
    pages = [
        _render_pages({kind: f"{kind}{change}" if value and change else value for kind, value in said.items()}, feed)
        for change, feed in (("", title), ("-", "feed"))
    ]
    assert all(b"<script" not in page for page in pages)
    if len(set(texts)) == len(texts) and all(map(one_line, texts)):
        assert len(_TAG.findall(pages[0])) == len(_TAG.findall(pages[1]))
    assert "".join(piece.text for piece in mark(entry.title, (title, "b"))) == entry.title
    excerpt(entry.summary, (title, "b"))


def _render_pages(said: dict[str, Any], title: str) -> bytes:
    entry = make_entry(**said, text=said["summary"])
    removals = [Removal(title, title, said["summary"] or "s", title)]
    front = render_front({"feed": make_document(entry, title=title)}, _BASE)
    return render_entry(entry, removals, _BASE, title) + front
