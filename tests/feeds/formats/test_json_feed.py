from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import pytest
from feed_documents import make_document, make_entry

from feedsvc.feeds.formats.json_feed import render_json_feed
from feedsvc.model import FeedDocument

BASE = "https://feeds.example.org/news"


def parse(body: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(body)
    return read


def test_feed() -> None:
    feed = parse(render_json_feed(make_document(), BASE))
    del feed["items"]
    assert feed == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Example & Co",
        "description": "What <is> new",
        "home_page_url": f"{BASE}/",
        "feed_url": f"{BASE}/feed.json",
        "icon": f"{BASE}/icon.png",
        "favicon": f"{BASE}/favicon.ico",
        "authors": [{"name": "The Editors"}],
        "language": "zh-CN",
    }


def test_item() -> None:
    content = '<p>正文</p><audio src="https://e.org/a.mp3"></audio><video src="https://e.org/v"></video>'
    (item,) = parse(render_json_feed(make_document(make_entry(0, content=content)), BASE))["items"]
    assert item == {
        "id": "tag:example.org,2024:0",
        "url": "https://example.org/articles/0?a=1&b=2",
        "title": "标题 0: a < b & c",
        "content_html": content,
        "summary": "正文 0 in short",
        "image": "https://example.org/0.jpg",
        "date_published": "2024-01-04T14:45:02+00:00",
        "date_modified": "2024-01-04T15:45:02+00:00",
        "authors": [{"name": "张三"}],
        "tags": ["国际", "R&D"],
        "language": "zh",
        "attachments": [{"url": "https://e.org/a.mp3", "mime_type": "audio/mpeg"}],
        "_dc": {"about": "http://purl.org/dc/elements/1.1/rights", "rights": "© 2024 Example"},
    }


def test_what_is_not_known_is_left_out() -> None:
    bare: dict[str, Any] = {"summary": "", "author": None, "source": None, "categories": (), "rights": None}
    entry = make_entry(0, **bare, images=(), link=None, content="", language=None)
    feed = parse(render_json_feed(make_document(entry, subtitle=None, language=None, author=""), BASE))
    assert feed.keys() == {"version", "title", "home_page_url", "feed_url", "icon", "favicon", "items"}
    assert feed["items"] == [
        {
            "id": "tag:example.org,2024:0",
            "url": f"{BASE}/entries/k0",
            "title": "标题 0: a < b & c",
            "content_html": "",
            "date_published": "2024-01-04T14:45:02+00:00",
            "date_modified": "2024-01-04T15:45:02+00:00",
        }
    ]


def test_text_is_written_as_it_is() -> None:
    body = render_json_feed(make_document(make_entry(0, title="😀 \u2028 </script> <3")), BASE)
    assert '"title":"😀 \u2028 </script> <3"' in body.decode()


@dataclass(frozen=True, kw_only=True)
class _WithHubs(FeedDocument):
    hubs: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("hubs", "expected"),
    [((), None), (("https://hub.example.org/",), [{"type": "WebSub", "url": "https://hub.example.org/"}])],
)
def test_hubs(hubs: tuple[str, ...], expected: list[dict[str, str]] | None) -> None:
    document = make_document()
    values = {each.name: getattr(document, each.name) for each in fields(FeedDocument)}
    assert parse(render_json_feed(_WithHubs(**values | {"hubs": hubs}), BASE)).get("hubs") == expected
