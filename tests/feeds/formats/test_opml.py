from __future__ import annotations

import pytest
from feed_checks import opml_faults
from feed_documents import make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from feedsvc.errors import RenderError
from feedsvc.feeds.formats.opml import MEDIA_TYPE, render_opml

BASE = "https://feeds.example.org/news"
EVERYTHING = make_document()
BBC = make_document(make_entry(9, language="en"), name="bbc", title="BBC <3 & 中文", subtitle=None, language=None)


def test_list() -> None:
    root = etree.fromstring(render_opml([EVERYTHING, BBC], BASE, "My & feeds"))
    assert root.findtext("head/title") == "My & feeds"
    assert root.findtext("head/dateModified") == "Sat, 13 Jan 2024 15:45:02 +0000"
    assert [dict(outline.attrib) for outline in root.iter("outline")] == [
        {
            "type": "rss",
            "text": "Example & Co",
            "title": "Example & Co",
            "description": "What <is> new",
            "language": "zh-CN",
            "htmlUrl": f"{BASE}/",
            "xmlUrl": f"{BASE}/feed.atom",
        },
        {
            "type": "rss",
            "text": "BBC <3 & 中文",
            "title": "BBC <3 & 中文",
            "language": "en",
            "htmlUrl": f"{BASE}/feeds/bbc",
            "xmlUrl": f"{BASE}/feeds/bbc.atom",
        },
    ]


@given(text=st.text(st.characters(exclude_categories=())))
def test_valid_whatever_they_are_called(text: str) -> None:
    hostile = make_document(title=text, subtitle=text, language=text, name="hostile")
    body = render_opml([hostile, BBC], BASE, text)
    assert opml_faults(body) == []
    assert body == render_opml(iter([hostile, BBC]), BASE, text)


def test_without_feeds_it_is_still_well_formed() -> None:
    root = etree.fromstring(render_opml([], BASE, "none"))
    assert [(part.tag, len(part)) for part in root] == [("head", 1), ("body", 0)]


def test_a_name_that_cannot_be_rendered_is_named() -> None:
    broken = make_document(name="b\x00c")
    with pytest.raises(RenderError, match="feed b\x00c: its outline: "):
        render_opml([BBC, broken], BASE, "feeds")


def test_media_type() -> None:
    assert MEDIA_TYPE == "text/x-opml; charset=utf-8"
