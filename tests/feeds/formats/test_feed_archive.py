"""Which entries go to which page, and the bytes of pages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feed_documents import make_document, make_entry
from lxml import etree

from feedsvc.feeds.formats.addresses import archive_path, parse_archive_path
from feedsvc.feeds.formats.archive import ANY_BASE, page_of, set_base, split, state_of
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.formats.history import HISTORY
from feedsvc.feeds.formats.parts import cut_xml
from feedsvc.model import Member

BASE = "https://feeds.example.org"


def members(*published: int) -> list[Member]:
    return [Member(number, f"k{number}", moment, moment) for number, moment in enumerate(published, start=1)]


@pytest.mark.parametrize(
    ("published", "shown", "pages", "open_page"),
    [
        pytest.param([], [], (), (), id="nothing"),
        pytest.param([1, 2], [1, 2], (), (), id="all shown"),
        pytest.param([1, 2, 3], [3], (), (1, 2), id="all in reserve"),
        pytest.param([1, 2, 3, 4, 5], [5], ((1, 2, 3),), (4,), id="one page"),
        pytest.param([1, 2, 3, 4, 5, 6, 7], [], ((1, 2, 3), (4, 5, 6)), (7,), id="two pages"),
        pytest.param([9, 8, 7, 6, 5], [1], ((3, 4, 5),), (2,), id="newest came first"),
        pytest.param([1, 2, 3, 4], [5, 6], ((1, 2, 3),), (4,), id="shown are not all members"),
        pytest.param([4, 4, 4, 4], [], ((2, 3, 4),), (1,), id="same time"),
    ],
)
def test_split(
    published: list[int], shown: list[int], pages: tuple[tuple[int, ...], ...], open_page: tuple[int, ...]
) -> None:
    done = split(reversed(members(*published)), shown, page_entries=3, reserve=1 if len(published) > 3 else 3)
    assert (done.pages, done.open) == (pages, open_page)


def test_state_of_the_open_page_follows_what_it_holds() -> None:
    one, two = members(1, 2)
    assert state_of([]) is None
    states = [state_of(held) for held in ([one], [two], [one, two], [two, one], [one, replace(two, updated=3)])]
    assert states[2] == states[3]
    assert len(set(states)) == 4


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/feeds/feed/archive/1.atom", ("feed", 1)),
        ("/feeds/asia-2/archive/120.atom", ("asia-2", 120)),
        ("/feeds/feed/archive/0.atom", None),
        ("/feeds/feed/archive/01.atom", None),
        ("/feeds/feed/archive/1.atom/", None),
        ("/feeds/feed/archive/1.rss", None),
        ("/feeds/a/b/archive/1.atom", None),
        ("/feeds/feed/archive/٣.atom", None),
        ("/feeds/feed/archive/9999999999.atom", None),
        ("/feeds/feed.atom", None),
    ],
)
def test_addresses(path: str, expected: tuple[str, int] | None) -> None:
    assert parse_archive_path(path) == expected
    if expected:
        assert archive_path(*expected) == path
        assert archive_path(*expected, "ab12") == f"{path}?ab12"


def links(body: bytes) -> dict[str, str]:
    feed = etree.fromstring(body)
    return {str(link.get("rel")): str(link.get("href")) for link in feed.findall("{*}link")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"self": "/feed.atom"}),
        ({"previous": 3}, {"self": "/feed.atom", "prev-archive": "/feeds/feed/archive/3.atom"}),
        (
            {"previous": 3, "open_state": "ab"},
            {"self": "/feed.atom", "prev-archive": "/feeds/feed/archive/3.atom?ab"},
        ),
        (
            {"archive": 3, "previous": 2, "open_state": "ab"},
            {
                "self": "/feeds/feed/archive/3.atom?ab",
                "current": "/feed.atom",
                "prev-archive": "/feeds/feed/archive/2.atom",
            },
        ),
        (
            {"archive": 1, "next": 2},
            {
                "self": "/feeds/feed/archive/1.atom",
                "current": "/feed.atom",
                "next-archive": "/feeds/feed/archive/2.atom",
            },
        ),
    ],
)
def test_links(changes: dict[str, object], expected: dict[str, str]) -> None:
    body = render_atom(make_document(**changes), BASE)
    assert links(body) == {"alternate": f"{BASE}/"} | {name: BASE + path for name, path in expected.items()}
    archive = etree.fromstring(body).findall(f"{{{HISTORY}}}archive")
    assert len(archive) == ("archive" in changes)


@pytest.mark.parametrize(
    ("number", "first", "closed", "expected"),
    [(1, 1, 3, (None, 2)), (2, 1, 3, (1, 3)), (4, 1, 3, (3, None)), (3, 3, 4, (None, 4)), (2, 3, 4, (1, 3))],
)
def test_page_of(number: int, first: int, closed: int, expected: tuple[int | None, int | None]) -> None:
    feed = make_document(previous=9, open_state="ab")
    entries = [make_entry(number) for number in (1, 7, 4)]
    page = page_of(feed, entries, number, first=first, closed=closed)
    assert (page.previous, page.next) == expected
    assert (page.archive, page.open_state, page.id) == (number, None, feed.id)
    assert page.updated == make_entry(7).updated
    assert [entry.key for entry in page.entries] == ["k7", "k4", "k1"]
    assert page_of(feed, [], number, first=first, closed=closed).updated == feed.updated


def test_cut() -> None:
    odd = make_entry(5, id="tag:example.org,2024:a&b<c", content="<entry><id>tag:example.org,2024:1</id></entry>")
    document = make_document(make_entry(2), odd, make_entry(1))
    whole = render_atom(document, BASE)
    assert cut_xml(whole, []) == whole
    assert cut_xml(whole, [odd.id]) == render_atom(
        replace(document, entries=(document.entries[0], document.entries[2])), BASE
    )
    assert cut_xml(whole, [make_entry(1).id]) == render_atom(replace(document, entries=document.entries[:2]), BASE)
    assert etree.fromstring(cut_xml(whole, [entry.id for entry in document.entries])).findall("{*}entry") == []


def test_set_base() -> None:
    document = make_document(make_entry(2, link=None), archive=1, next=2)
    for base in (BASE, "http://localhost:8080/a&b"):
        assert set_base(render_atom(document, ANY_BASE), base) == render_atom(document, base)
