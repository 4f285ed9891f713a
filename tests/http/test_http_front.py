"""What requests pass before anything else answers them: deltas, people and readers, proxies, limits, passwords."""

from __future__ import annotations

import base64
import gzip
import weakref
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPMessage
from typing import TYPE_CHECKING, Any, NamedTuple

import feedparser
import pytest
from feed_documents import Shelf, everything, make_document, make_entry

from feedsvc.feeds.formats import atom
from feedsvc.feeds.pages import pages
from feedsvc.http import Restriction, Server, bind, hash_password, make_app, parse_credentials
from feedsvc.http import published as published_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.model import FeedDocument

pytestmark = pytest.mark.slow

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)


def _front(document: FeedDocument, base_url: str) -> bytes:
    return pages.render_front({document.name: document}, base_url)


RENDERERS = {"/feed.atom": (atom.MEDIA_TYPE, atom.render_atom), "/": (pages.MEDIA_TYPE, _front)}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HASHED = hash_password("secret")
RIGHT = f"Basic {base64.b64encode(b'reader:secret').decode()}"
CLIENT = "192.0.2.7"


class Answer(NamedTuple):
    status: int
    fields: HTTPMessage
    body: bytes

    @property
    def numbers(self) -> list[str]:
        return [entry.id.rpartition(":")[2] for entry in feedparser.parse(self.body).entries]


class Site:
    """A server of one feed."""

    def __init__(self, *, base_url: str | None = None, **options: Any) -> None:  # noqa: ANN401 - make_app's
        self.shelf = Shelf(everything(RENDERERS), base_url)
        app = make_app(
            publisher=self.shelf.publisher,
            load_entry=lambda key: (make_entry(1), ()) if key == "k1" else None,
            status=lambda: {"ready": True},
            base_url=base_url,
            **options,
        )
        sock = bind("127.0.0.1:0")
        self.port: int = sock.getsockname()[1]
        self.app = app
        self.server = Server(sock)
        self.version = 0
        self.publish(2, 1, 0)

    def publish(self, *numbers: int) -> None:
        self.version += 1
        self.shelf.publish(make_document(*map(make_entry, numbers)), at=NOW + timedelta(hours=self.version))

    def ask(self, target: str = "/feed.atom", method: str = "GET", **fields: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, target, headers=sent)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer


@contextmanager
def running(site: Site) -> Iterator[Site]:
    site.server.start(site.app)
    try:
        yield site
    finally:
        site.server.stop(5)


@pytest.fixture
def site() -> Iterator[Site]:
    with running(Site()) as made:
        yield made


# Deltas (RFC 3229)


def test_only_what_is_newer(site: Site) -> None:
    old = site.ask().fields["ETag"]
    site.publish(4, 3, 2, 1)
    answer = site.ask(a_im="feed", if_none_match=old)
    whole = site.ask()
    assert answer.status == 226
    assert answer.numbers == ["4", "3"]
    assert answer.fields["IM"] == "feed"
    assert answer.fields["Delta-Base"] == old
    assert answer.fields["Cache-Control"] == "no-store, im, max-age=60"
    for name in ("ETag", "Last-Modified", "Vary", "Content-Type", "Access-Control-Allow-Origin"):
        assert answer.fields[name] == whole.fields[name]
    assert site.ask(a_im="feed", if_none_match=answer.fields["ETag"]).status == 304
    assert feedparser.parse(answer.body).feed.id == feedparser.parse(whole.body).feed.id


def test_with_a_coding(site: Site) -> None:
    old = site.ask(accept_encoding="gzip").fields["ETag"]
    site.publish(3, 2, 1)
    answer = site.ask(a_im="feed", if_none_match=f"W/{old}", accept_encoding="gzip")
    assert (answer.status, answer.fields["Content-Encoding"]) == (226, "gzip")
    assert answer.fields["Delta-Base"] == f"W/{old}"
    assert answer.fields["ETag"].endswith('-gzip"')
    assert b"tag:example.org,2024:3<" in gzip.decompress(answer.body)
    assert b"tag:example.org,2024:2<" not in gzip.decompress(answer.body)
    assert site.ask(a_im="feed", if_none_match=answer.fields["ETag"], accept_encoding="gzip").status == 304


def test_the_newest_of_several_tags(site: Site) -> None:
    tags = []
    for newest in (2, 3, 4):
        site.publish(*range(newest, -1, -1))
        tags.append(site.ask().fields["ETag"])
    site.publish(*range(5, -1, -1))
    assert site.ask(a_im="feed", if_none_match=", ".join(['"x"', *tags])).numbers == ["5"]
    assert site.ask(a_im="feed", if_none_match=f"{tags[1]}, {tags[0]}").numbers == ["5", "4"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"a_im": "vcdiff"},
        {"a_im": "feed;q=0"},
        {"a_im": "feed", "accept": "application/atom+xml,application/x-netcdf,*/*;q=0.1"},  # feedparser
        {"a_im": "feed", "if_none_match": '"unknown"'},
        {"a_im": "feed", "if_none_match": ""},
    ],
)
def test_the_whole_is_sent_to_everybody_else(site: Site, fields: dict[str, str]) -> None:
    fields = {"if_none_match": site.ask().fields["ETag"]} | fields
    site.publish(3, 2, 1)
    answer = site.ask(**fields)
    assert (answer.status, answer.fields["IM"], answer.numbers) == (200, None, ["3", "2", "1"])


def test_deltas_are_for_get_and_for_feeds(site: Site) -> None:
    old, page = site.ask().fields["ETag"], site.ask("/").fields["ETag"]
    site.publish(3, 2, 1)
    assert site.ask(method="HEAD", a_im="feed", if_none_match=old).status == 200
    assert site.ask("/", a_im="feed", if_none_match=page).status == 200


def test_a_failed_precondition_comes_first(site: Site) -> None:
    old = site.ask().fields["ETag"]
    site.publish(3, 2, 1)
    assert site.ask(a_im="feed", if_none_match=old, if_match='"x"').status == 412


# What is remembered


def test_the_same_request_is_answered_anew_when_the_feed_is_another(site: Site) -> None:
    for numbers in ((1, 0), (2, 1), (3, 2)):
        site.publish(*numbers)
        for _ in range(3):
            assert site.ask(accept="*/*").numbers == [str(number) for number in numbers]


def test_requests_are_remembered_by_all_their_fields(site: Site) -> None:
    assert site.ask(host="one.example").body != site.ask(host="two.example").body
    assert site.ask(accept_encoding="gzip").fields["Content-Encoding"] == "gzip"
    assert site.ask(accept_encoding="br").fields["Content-Encoding"] == "br"
    assert site.ask(accept=BROWSER).status == 303
    assert site.ask(method="HEAD").body == b""
    assert site.ask().body


def test_memory_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_module, "_MEMO", 2)
    for number in range(10):
        assert site.ask(user_agent=f"reader {number % 4}").status == 200
        assert site.ask(cookie="x" * 3000).status == 200


def test_what_is_no_longer_served_is_let_go() -> None:
    shelf = Shelf(everything(RENDERERS), "http://a")
    answers = published_module.Published(shelf.publisher, "http://a", lambda _path: False)
    held = []
    for numbers in ((1, 0), (2, 1), (3, 2)):
        shelf.publish(make_document(*map(make_entry, numbers)))
        for agent in (b"one", b"two"):
            scope = {"method": "GET", "path": "/feed.atom", "scheme": "http", "headers": [(b"user-agent", agent)]}
            found = answers.quick(scope)
            assert found
            assert answers.quick(scope) is found
            held.append(weakref.ref(found))
    del found
    assert [made() is not None for made in held] == [False] * 4 + [True] * 2


# People and readers


def test_a_browser_is_led_to_the_page(site: Site) -> None:
    answer = site.ask(accept=BROWSER, host="feeds.example")
    assert (answer.status, answer.body) == (303, b"")
    assert answer.fields["Location"] == "http://feeds.example/"
    assert answer.fields["Vary"] == "Accept, Accept-Encoding, A-IM"
    assert answer.fields["Cache-Control"] == "no-store"
    assert answer.fields["Content-Length"] == "0"
    assert site.ask("/", accept=BROWSER).status == 200


def test_to_the_page_below_the_configured_address() -> None:
    with running(Site(base_url="https://example.org/news")) as site:
        assert site.ask(accept=BROWSER).fields["Location"] == "https://example.org/news/"


# Proxies


def test_a_trusted_proxy_says_where_it_is() -> None:
    with running(Site(trusted_proxies=["127.0.0.1/32"])) as site:
        answer = site.ask(x_forwarded_proto="https", x_forwarded_host="feeds.example", x_forwarded_for=CLIENT)
        assert b'href="https://feeds.example/feed.atom"' in answer.body
        answer = site.ask(forwarded=f'for={CLIENT};host="feeds.example:8443";proto=https')
        assert b'href="https://feeds.example:8443/feed.atom"' in answer.body
        assert site.ask(x_forwarded_host="evil/path").status == 400
        assert b'href="http://127.0.0.1' in site.ask().body


# The rate limit


def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    with running(Site(trusted_proxies=["127.0.0.1"], rate=9)) as site:
        answers = [site.ask(x_forwarded_for=CLIENT) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        refused = answers[-1]
        assert 0 < int(refused.fields["Retry-After"]) <= 7
        assert refused.fields["Cache-Control"] == "no-store"
        assert b"<h1>Too Many Requests</h1>" in refused.body
        assert site.ask(x_forwarded_for="192.0.2.8").status == 200
        assert site.ask("/nothing", x_forwarded_for=CLIENT).status == 429


def test_this_machine_is_not_limited() -> None:
    with running(Site(rate=3)) as site:
        assert {site.ask().status for _ in range(10)} == {200}


# Passwords


def test_everything_asks_for_the_password() -> None:
    with running(Site(credentials=parse_credentials(f"reader:{HASHED}"))) as site:
        for target in ("/", "/feed.atom", "/entries/k1", "/style.css", "/nothing"):
            answer = site.ask(target)
            assert answer.status == 401
            assert answer.fields["WWW-Authenticate"] == 'Basic realm="feedsvc", charset="UTF-8"'
            assert b"<h1>Unauthorized</h1>" in answer.body
        assert site.ask(authorization=RIGHT[:-4]).status == 401
        assert site.ask("/healthz").status == site.ask("/readyz").status == 200
        for _ in range(2):
            answer = site.ask(authorization=RIGHT)
            assert answer.status == 200
            assert answer.fields["Cache-Control"] == "private, max-age=60, stale-while-revalidate=600"
            assert answer.fields["Access-Control-Allow-Origin"] is None
        assert site.ask("/entries/k1", authorization=RIGHT).fields["Cache-Control"].startswith("private")
        preflight = site.ask(method="OPTIONS")
        assert (preflight.status, preflight.fields["Access-Control-Allow-Origin"]) == (204, None)


def test_a_guarded_feed_asks_for_its_own() -> None:
    with running(Site(restrictions={"feed": Restriction(parse_credentials(f"reader:{HASHED}"))})) as site:
        assert site.ask().status == 401
        assert site.ask(authorization=RIGHT).status == 200
        assert site.ask("/entries/k1").status == 200


def test_a_hidden_feed_is_kept_by_no_shared_cache() -> None:
    with running(Site(restrictions={"feed": Restriction()})) as site:
        answer = site.ask()
        assert (answer.status, answer.fields["Access-Control-Allow-Origin"]) == (200, None)
        assert answer.fields["Cache-Control"].startswith("private")
