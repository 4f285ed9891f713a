"""Who gets a page and who a feed, by what browsers and readers really send; who gets deltas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.http.negotiate import wants_delta, wants_page

BROWSERS = {
    "Firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "older Firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Chromium": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    "Safari": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Lynx": "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
    "w3m": "text/html, text/*;q=0.5, image/*",
    "only HTML": "text/html",
    "parameters": "text/html;level=1, application/xml;q=0.9, */*;q=0.8",
}
READERS = {
    "none": None,
    "empty": "",
    "anything (curl, newsboat, sfeed, NetNewsWire)": "*/*",
    "feedparser, rss2email": "application/atom+xml,application/rdf+xml,application/rss+xml,application/x-netcdf,"
    "application/xml;q=0.9,text/xml;q=0.2,*/*;q=0.1",
    "Miniflux": "application/xml, application/atom+xml, application/rss+xml, application/rdf+xml, "
    "application/feed+json, text/html, */*;q=0.9",
    "SimplePie, FreshRSS": "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, "
    "application/xml;q=0.8, text/xml;q=0.8, text/html;q=0.7, unknown/unknown;q=0.1, application/unknown;q=0.1, "
    "*/*;q=0.1",
    "Liferea": "application/atom+xml,application/xml;q=0.9,text/xml;q=0.8,*/*;q=0.7",
    "Thunderbird": "application/atom+xml,application/rss+xml;q=0.9,application/rdf+xml;q=0.8,application/xml;q=0.7,"
    "text/xml;q=0.7,*/*;q=0.1",
    "a reader with HTML and XML alike": "text/*, application/xml, application/xhtml+xml, application/rss+xml, "
    "application/atom+xml, application/rdf+xml, application/json",
    "a reader that names HTML first": "text/html, application/rss+xml;q=0.9, application/atom+xml;q=0.9",
    "a reader of JSON feeds": "application/feed+json, text/html;q=0.9",
    "plain JSON": "text/html, application/json;q=0.5",
    "XML as dear as HTML": "text/html, application/xml, */*;q=0.5",
    "text/xml as dear as HTML": "text/html, text/xml",
    "all alike": "text/html, */*",
    "no HTML": "application/xhtml+xml, application/xml;q=0.9",
    "HTML refused": "text/html;q=0, */*",
    "a picture's": "image/avif,image/webp,*/*;q=0.8",
    "nonsense": "text/html;q=high, ;;;, =, text",
}


@pytest.mark.parametrize("accept", BROWSERS.values(), ids=BROWSERS)
def test_browsers_get_a_page(accept: str) -> None:
    assert wants_page(accept)


@pytest.mark.parametrize("accept", READERS.values(), ids=READERS)
def test_readers_get_a_feed(accept: str | None) -> None:
    assert not wants_page(accept)


@pytest.mark.parametrize(
    ("a_im", "expected"),
    [
        (None, False),
        ("", False),
        ("feed", True),
        ("Feed", True),
        ("vcdiff, feed, gzip", True),
        ("feed;q=0.5", True),
        ("feed;q=0", False),
        ("feeds", False),
        ("vcdiff", False),
        ("*", False),  # says nothing of feeds
    ],
)
def test_deltas(a_im: str | None, expected: bool) -> None:
    assert wants_delta(a_im) is expected


@given(st.text(max_size=200))
def test_hostile_fields(value: str) -> None:
    assert isinstance(wants_page(value), bool)
    assert isinstance(wants_delta(value), bool)
