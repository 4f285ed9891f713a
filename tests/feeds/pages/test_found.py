from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import Barrier
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from feed_documents import Shelf, everything, make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.errors import StoreError
from feedsvc.feeds.pages.found import Found, excerpt, mark, parse_query
from feedsvc.feeds.pages.pages import MEDIA_TYPE
from feedsvc.http import Server, bind, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feedsvc.feeds.pages.found import Piece, Query


def show(pieces: Sequence[Piece] | None) -> str | None:
    return None if pieces is None else "".join(f"[{piece.text}]" if piece.marked else piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("asked", "phrases"),
    [
        ("", ()),
        ("北约", ("北约",)),
        ("  北约\t外长 北约 ", ("北约", "外长")),
        ('a "b c" d', ("a", "b c", "d")),
        ("“b c”d", ("b c", "d")),
        ('a "b c', ("a", "b c")),
        ('+ "" "?" -', ()),
        ("C++ 2+2", ("C++", "2+2")),
        ("a AND NOT b*", ("a", "AND", "NOT", "b*")),
        ("1 2 3 4 5 6 7 8 9", tuple("12345678")),
        ("x" * 1000, ("x" * 200,)),
    ],
)
def test_parse_query(asked: str, phrases: tuple[str, ...]) -> None:
    assert parse_query({"q": asked}).phrases == phrases


@pytest.mark.parametrize(
    ("page", "number"),
    [("", 1), ("0", 1), ("1", 1), ("7", 7), ("50", 50), ("51", 50), ("99999", 1), ("-1", 1), ("x", 1), ("٣", 1)],
)
def test_parse_page(page: str, number: int) -> None:
    assert parse_query({"q": "x", "page": page}).page == number
    assert parse_query({}).page == 1


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2), (100_000, 50)])
def test_pages(total: int, pages: int) -> None:
    assert Found((), total).pages == pages


@pytest.mark.parametrize(
    ("text", "phrases", "marked"),
    [
        ("北约外长会议", ["外长"], "北约[外长]会议"),
        ("北约外长会议", ["北约", "外长"], "[北约][外长]会议"),
        ("aaa bbb ccc", ["aaa bbb", "bbb ccc"], "[aaa bbb ccc]"),
        ("Joe Bidens Land", ["joe", "biden"], "[Joe] [Bidens] Land"),
        ("Japan, pan", ["pan"], "Japan, [pan]"),
        ("in India", ["in"], "[in] India"),
        ("Ｊｏｅ is", ["joe"], "[Ｊｏｅ] is"),
        ("在2＋2会谈", ["2+2"], "在[2＋2]会谈"),
        ("Joe\u00a0Biden", ["joe biden"], "[Joe\u00a0Biden]"),
        ("Élysée", ["elysee"], "[Élysée]"),
        ("ﬁne", ["fin"], "[ﬁne]"),
        ("a.b", ["x", "."], "a.b"),
        ("", ["x"], ""),
    ],
)
def test_mark(text: str, phrases: list[str], marked: str) -> None:
    assert show(mark(text, phrases)) == marked


@pytest.mark.parametrize(
    ("text", "phrases", "shown"),
    [
        ("nothing here", ["else"], None),
        ("short\ntext", ["text"], "short [text]"),
        ("字" * 100 + "北约" + "字" * 300, ["北约"], "… " + "字" * 40 + "[北约]" + "字" * 118 + " …"),
        (
            "word " * 20 + "found " + "word " * 60,
            ["found"],
            "… " + "word " * 7 + "[found]" + " word" * 24 + " …",
        ),
    ],
)
def test_excerpt(text: str, phrases: list[str], shown: str | None) -> None:
    assert show(excerpt(text, phrases)) == shown


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_pieces_joined_are_the_text(text: str, phrases: list[str]) -> None:
    assert "".join(piece.text for piece in mark(text, phrases)) == text
    excerpt(text, phrases)


class Site:
    """A server that answers searches with what it is told."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.failure: Exception | None = None
        self.held: Barrier | None = None
        self.shelf = Shelf(everything({"/": (MEDIA_TYPE, lambda *_: b"")}), "https://example.org")
        app = make_app(
            publisher=self.shelf.publisher,
            load_entry=lambda _: None,
            status=dict,
            base_url="https://example.org",
            search=self.search,
        )
        sock = bind("127.0.0.1:0")
        self.port: int = sock.getsockname()[1]
        self.app = app
        self.server = Server(sock)

    def search(self, query: Query) -> Found:
        self.asked.append(query)
        if self.held:
            self.held.wait()
        if self.failure:
            raise self.failure
        return Found((make_entry(1),), 1)

    def ask(self, target: str) -> tuple[int, str, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, answer.headers["Content-Security-Policy"]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    made.shelf.publish(make_document())
    made.server.start(made.app)
    yield made
    made.server.stop(0)


@pytest.mark.slow
def test_a_search_is_answered(site: Site) -> None:
    status, body, policy = site.ask(f"/search?q={quote('标题 正文')}&page=2&other=x")
    assert (status, site.asked) == (200, [parse_query({"q": "标题 正文", "page": "2"})])
    assert "<mark>标题</mark> 1" in body
    assert "form-action 'self'" in policy


@pytest.mark.slow
@pytest.mark.parametrize("target", ["/search", "/search?q=", "/search?q=%2B%2B", "/search?q=%FF&page=x", "/search?p=1"])
def test_nothing_is_searched_where_nothing_is_asked(target: str, site: Site) -> None:
    status, body, _ = site.ask(target)
    assert (status, site.asked) == (200, [])
    assert "How to search" in body


@pytest.mark.slow
def test_a_search_that_fails_is_no_answer(site: Site) -> None:
    site.failure = StoreError("too long")
    assert site.ask("/search?q=x")[0] == 503
    site.failure = None
    assert site.ask("/search?q=x")[0] == 200


@pytest.mark.slow
def test_few_searches_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.http.app._SEARCH_WAIT", 0.05)
    site.held = Barrier(3, timeout=30)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(site.ask, "/search?q=x") for _ in range(2)]
        while len(site.asked) < 2:
            pass
        assert site.ask("/search?q=y")[0] == 503
        site.held.wait()
        assert [one.result()[0] for one in running] == [200, 200]
    site.held = None
    assert site.ask("/search?q=x")[0] == 200


@pytest.mark.slow
def test_nothing_is_published_yet() -> None:
    site = Site()
    site.server.start(site.app)
    try:
        assert site.ask("/search?q=x")[0] == 503
    finally:
        site.server.stop(0)
