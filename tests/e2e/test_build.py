"""The static site of a real store: the same in every process, and what nginx makes of it."""

from __future__ import annotations

import gzip
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e.harness import SEEDS, Client, feedsvc, make_dump, write_toml
from e2e.nginx import nginx
from feedsvc.feeds.export import SitePage, build_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons

BASE = "https://feeds.example.org"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
READERS = [
    None,
    "*/*",
    "application/atom+xml, application/rss+xml;q=0.9, */*;q=0.8",
    "application/rss+xml, application/rdf+xml;q=0.8, application/atom+xml;q=0.6, text/html;q=0.2",
    "text/html, application/atom+xml",
    "application/feed+json, application/json",
]
ATOM, HTML = "application/atom+xml; charset=utf-8", "text/html; charset=utf-8"


def content(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def build(home: Path, folder: str, **more: str) -> Path:
    (home / "config.toml").write_text(
        write_toml({"base_url": BASE, "watch": {"directories": [str(SEEDS)]}, "store": {"url": "sqlite:///a.db"}}),
        "utf-8",
    )
    done = feedsvc("build", folder, cwd=home, **more)
    assert done.returncode == 0, done.stderr
    return home / folder


def test_two_builds_of_a_store_are_the_same(tmp_path: Path) -> None:
    first, second = build(tmp_path, "a", PYTHONHASHSEED="1"), build(tmp_path, "b", PYTHONHASHSEED="2")
    assert content(first) == content(second)
    times = {path.name: path.stat().st_mtime for path in (first / "feed.atom", second / "feed.atom")}
    assert len(times) == 1


def test_a_build_in_vain_touches_nothing(tmp_path: Path) -> None:
    site = build(tmp_path, "site")
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.name != ".feedsvc-build"}
    build(tmp_path, "site")
    after = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.name != ".feedsvc-build"}
    assert {path: at for path, at in after.items() if not path.is_dir()} == {
        path: at for path, at in before.items() if not path.is_dir()
    }


def test_bytes_are_those_of_the_daemon(daemons: Daemons) -> None:
    daemon = daemons.prepare({"base_url": BASE, "watch": {"directories": ["dumps"]}})
    daemon.drop("a.txt", make_dump("an article"))
    daemon.start()
    wait_for(lambda: daemon.feed().titles)
    done = feedsvc("build", "site", "--config", daemon.config, cwd=daemon.home)
    assert done.returncode == 0, done.stderr
    site = daemon.home / "site"
    for address, name in {"/feed.atom": "feed.atom", "/feeds.opml": "feeds.opml", "/style.css": "style.css"}.items():
        assert daemon.get(address).body == (site / name).read_bytes()
        packed = daemon.get(address, {"Accept-Encoding": "gzip"})
        assert packed.body == (site / f"{name}.gz").read_bytes()
    modified = parsedate_to_datetime(daemon.get("/feed.atom").fields["last-modified"])
    assert (site / "feed.atom").stat().st_mtime == modified.timestamp()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    public = build(tmp_path_factory.mktemp("site"), "public")
    # As a site with more than one feed has them.
    entries = (public / "feed.atom").read_bytes()
    pages = [SitePage(address, entries) for address in ("/feeds/x.rss", "/feeds/x.json", "/feeds.opml", "/feeds/x")]
    build_site(public, [*pages, SitePage("/feeds/x/archive/1.atom", entries), *_pages_of(public)])
    return public


def _pages_of(public: Path) -> Iterator[SitePage]:
    for name in ("feed.atom", "index.html", "style.css", "icon.png"):
        yield SitePage("/" if name == "index.html" else f"/{name}", (public / name).read_bytes())
    for page in sorted(public.glob("entries/*/index.html")):
        yield SitePage(f"/entries/{page.parent.name}", page.read_bytes())


@pytest.fixture(scope="module")
def served(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with nginx("nginx.conf", tmp_path_factory.mktemp("nginx"), {"root /srv/feeds;": f"root {site};"}) as client:
        yield client


FEEDS = ["/feed.atom", "/feeds/x.rss", "/feeds/x.json", "/feeds.opml", "/feeds/x/archive/1.atom"]
TYPES = {
    "/feed.atom": ATOM,
    "/feeds/x.rss": "application/rss+xml; charset=utf-8",
    "/feeds/x.json": "application/feed+json",
    "/feeds.opml": "text/x-opml; charset=utf-8",
    "/feeds/x/archive/1.atom": ATOM,
    "/": HTML,
    "/feeds/x": HTML,
    "/entries/KEY": HTML,
    "/style.css": "text/css; charset=utf-8",
    "/icon.png": "image/png",
}
CACHING = {
    "/feed.atom": "public, max-age=60, stale-while-revalidate=600",
    "/": "public, max-age=60, stale-while-revalidate=600",
    "/feeds/x/archive/1.atom": "public, max-age=3600",
    "/style.css": "public, max-age=3600, stale-while-revalidate=36000",
}


def key_of(site: Path) -> str:
    return min(path.name for path in (site / "entries").iterdir())


class TestNginx:
    @pytest.mark.parametrize("address", TYPES)
    def test_types(self, served: Client, site: Path, address: str) -> None:
        path = address.replace("KEY", key_of(site))
        answer = served.get(path)
        assert answer.status == HTTPStatus.OK
        assert answer.fields["content-type"] == TYPES[address]
        assert answer.fields["x-content-type-options"] == "nosniff"
        assert ("content-security-policy" in answer.fields) == (TYPES[address] == HTML)
        assert ("access-control-allow-origin" in answer.fields) == (address in FEEDS)

    @pytest.mark.parametrize("address", [address for address in TYPES if address != "/icon.png"])
    def test_twins(self, served: Client, site: Path, address: str) -> None:
        path = address.replace("KEY", key_of(site))
        plain, packed = served.get(path), served.get(path, {"Accept-Encoding": "gzip, br"})
        assert "content-encoding" not in plain.fields
        assert packed.fields["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert "Accept-Encoding" in packed.fields["vary"]
        assert plain.fields["etag"] != packed.fields["etag"]
        proxied = served.get(path, {"Accept-Encoding": "gzip", "Via": "1.1 proxy"})
        assert proxied.fields["content-encoding"] == "gzip"

    @pytest.mark.parametrize("address", CACHING)
    def test_caching(self, served: Client, address: str) -> None:
        assert served.get(address).fields["cache-control"] == CACHING[address]

    @pytest.mark.parametrize("coding", ["identity", "gzip"])
    def test_conditional_requests(self, served: Client, coding: str) -> None:
        asked = {"Accept-Encoding": coding}
        known = served.get("/feed.atom", asked).fields
        for condition in (
            {"If-None-Match": known["etag"]},
            {"If-None-Match": f'"other", W/{known["etag"]}'},
            {"If-Modified-Since": known["last-modified"]},
            {"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"},
        ):
            answer = served.get("/feed.atom", asked | condition)
            assert (answer.status, answer.body) == (HTTPStatus.NOT_MODIFIED, b"")
            assert answer.fields["cache-control"] == CACHING["/feed.atom"]
        assert served.get("/feed.atom", asked | {"If-None-Match": '"other"'}).status == HTTPStatus.OK

    @pytest.mark.parametrize(
        ("feed", "page"), [("/feed.atom", "/"), ("/feeds/x.rss", "/feeds/x"), ("/feeds/x.json", "/feeds/x")]
    )
    def test_a_browser_is_led_to_the_page(self, served: Client, feed: str, page: str) -> None:
        answer = served.get(feed, BROWSER)
        assert (answer.status, answer.fields["location"]) == (HTTPStatus.SEE_OTHER, page)
        assert "Accept" in answer.fields["vary"].replace("Accept-Encoding", "")
        assert answer.fields["cache-control"] == "no-store"

    @pytest.mark.parametrize("accept", READERS)
    def test_a_reader_gets_the_feed(self, served: Client, accept: str | None) -> None:
        answer = served.get("/feed.atom", {"Accept": accept} if accept else {})
        assert (answer.status, answer.fields["content-type"]) == (HTTPStatus.OK, ATOM)
        assert "Accept" in answer.fields["vary"].replace("Accept-Encoding", "")

    @pytest.mark.parametrize(
        "path",
        [
            "/.feedsvc-build", "/feed.atom.gz", "/entries/KEY/index.html.gz", "/nothing", "/entries/nothing",
            "/entries", "/feeds", "/entries/../.feedsvc-build",
        ],
    )  # fmt: skip
    def test_nothing_else_is_there(self, served: Client, site: Path, path: str) -> None:
        answer = served.get(path.replace("KEY", key_of(site)))
        assert answer.status == HTTPStatus.NOT_FOUND
        assert "cache-control" not in answer.fields
        assert "nginx/" not in answer.fields["server"]

    def test_the_site_can_only_be_read(self, served: Client) -> None:
        answer = served.get("/feed.atom", method="POST")
        assert (answer.status, answer.fields["allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
        head, got = served.get("/feed.atom", method="HEAD"), served.get("/feed.atom")
        assert (head.status, head.body) == (HTTPStatus.OK, b"")
        assert head.fields["content-length"] == str(len(got.body))
        asked = {"Origin": "https://reader.example.org", "Access-Control-Request-Headers": "if-none-match"}
        preflight = served.get("/feed.atom", asked, method="OPTIONS")
        assert preflight.status == HTTPStatus.NO_CONTENT
        assert preflight.fields["access-control-allow-origin"] == "*"
        assert "If-None-Match" in preflight.fields["access-control-allow-headers"]


class TestProxy:
    def test_the_cache_answers_for_the_daemon(self, daemons: Daemons, tmp_path: Path) -> None:
        daemon = daemons.start({"base_url": BASE})
        daemon.serve("an article")
        changes = {"127.0.0.1:8080": f"127.0.0.1:{daemon.port}", "/var/cache/nginx/feedsvc": str(tmp_path / "cache")}
        with nginx("nginx-proxy.conf", tmp_path / "nginx", changes) as client:
            asked = {"Accept-Encoding": "deflate, gzip;q=1.0"}
            first, second = client.get("/feed.atom", asked), client.get("/feed.atom", asked)
            assert [answer.fields["x-cache"] for answer in (first, second)] == ["MISS", "HIT"]
            assert gzip.decompress(second.body) == daemon.get("/feed.atom").body
            plain = client.get("/feed.atom", {"Accept-Encoding": "gzip;q=0"})
            assert plain.body == daemon.get("/feed.atom").body
            known = {"If-None-Match": second.fields["etag"], **asked}
            assert client.get("/feed.atom", known).status == HTTPStatus.NOT_MODIFIED
            assert client.get("/feed.atom", {"A-IM": "feed"}).fields["x-cache"] == "BYPASS"
            assert client.get("/metrics").status == HTTPStatus.NOT_FOUND
            daemon.stop()
            assert client.get("/feed.atom", asked).body == second.body
