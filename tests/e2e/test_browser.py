"""The pages in headless Chromium: phone and desktop, light and dark, and dumps that mean harm."""

from __future__ import annotations

import http.server
import os
import shutil
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from feed_documents import make_document
from waiting import wait_for

from e2e.browser import Browser, browsing, install_axe
from e2e.conftest import Daemons
from e2e.harness import SEEDS, Daemon, make_dump
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.pages.pages import MEDIA_TYPE, render_feed, render_front

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from feedsvc.model import FeedDocument

TITLES = [
    "北约与亚太外长举行会议 应对俄中伊朗及朝鲜联手挑战",
    "澳新举行首次外长防长“2+2”会谈 深化安全合作关系",
    "北约已邀请4个印太伙伴国出席新年首次军事委员会参谋长级会议",
]
WIDE = "an article with things that are wide"
WIDE_BODY = f"""<p>A picture that is wider than any screen:</p>
<img src="http://pictures.example.org/wide.png" width="3000" height="1000">
<table><tr>{"<td>cell that takes room</td>" * 30}</tr></table>
<pre>{"preformatted " * 40}</pre>
<p>{"averylongwordwithoutanyplacetobreakit" * 20}</p>
"""
HOSTILE = "an article that means harm <img src=x onerror=window.__x=1><script>window.__x=1</script>"
HOSTILE_BODY = """<p onclick="window.__x=1">First a paragraph like any other, so that there is an article.</p>
<script>window.__x = 1</script>
<img src="http://pictures.example.org/none.png" onerror="window.__x=1">
<img src="x" onerror=window.__x=1//
<svg onload="window.__x=1"><script>window.__x=1</script></svg>
<svg><style><img src=x onerror=window.__x=1></style></svg>
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.__x=1&gt;"></table></math>
<a href="javascript:window.__x=1" id="go">a link that is none</a>
<a href="&#106;avascript&colon;window.__x=1">another</a>
<iframe srcdoc="<script>parent.__x=1</script>"></iframe>
<object data="data:text/html,<script>parent.__x=1</script>"></object>
<style>body { display: none }</style>
<link rel="stylesheet" href="http://pictures.example.org/evil.css">
<meta http-equiv="refresh" content="0; url=http://pictures.example.org/away">
<base href="http://pictures.example.org/">
<form action="http://pictures.example.org/"><input name="q" autofocus onfocus="window.__x=1"></form>
<p>And one more at the end.</p>
"""
ODD = {
    "مقال بالعربية: عنوان يبدأ من اليمين (2024)": "<p dir='rtl'>هذا نص المقال باللغة العربية.</p>",
    "A title without end " * 12: "<p>Text below it.</p>",
    "A-title-that-cannot-be-broken-" + "x" * 120: "<h2>Part</h2><ul><li>One</li></ul><blockquote>Said</blockquote>",
    "No text at all": "",
    "A picture that is gone": "<p>A</p><img src='http://pictures.example.org/gone.jpg' alt='A fine view'><p>B</p>",
}
WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xcc" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Pictures(http.server.BaseHTTPRequestHandler):
    """Answers for all the internet."""

    picture = png(3000, 1000)

    def do_GET(self) -> None:
        found = self.path.endswith("wide.png")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(self.picture if found else b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serves on the port that is given until the block ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemons = Daemons(tmp_path_factory.mktemp("browser"))
    made = daemons.prepare({"feed": {"title": "Clean news", "subtitle": "Without the rest"}})
    for seed in SEEDS.iterdir():
        shutil.copy(seed, made.folder)
    for number, (title, body) in enumerate(ODD.items()):
        made.drop(f"odd{number}.txt", make_dump(title, body=body, seconds=1600000000 + number))
    try:
        made.start()
        yield made
    finally:
        daemons.end()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with serving(Pictures) as port:
        rules = f"--host-resolver-rules=MAP *.example.org 127.0.0.1:{port}"
        with browsing(tmp_path_factory.mktemp("profile"), rules) as window:
            yield window


def entry_page(daemon: Daemon, title: str) -> str:
    """The address of an entry's page, as the front page has it."""
    front = daemon.get("/").body.decode("utf-8")
    key = front.split(title.split("<", maxsplit=1)[0])[0].rsplit('href="/entries/', 1)[1].split('"')[0]
    return f"{daemon.address}/entries/{key}"


def keep_screenshot(browser: Browser, name: str) -> None:
    if folder := os.environ.get("FEEDSVC_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(browser.screenshot())


def assert_fits(browser: Browser, width: int) -> None:
    assert browser.evaluate("window.innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    right_edges = browser.evaluate("[...document.images].map(i => Math.ceil(i.getBoundingClientRect().right))")
    assert [edge for edge in right_edges if edge > width] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_the_front_page_fits_and_shows_the_newest(device: str, scheme: str, browser: Browser, daemon: Daemon) -> None:
    width, height = WIDTHS[device]
    browser.resize(width, height, phone=device == "phone")
    browser.prefer(scheme)
    browser.open(f"{daemon.address}/")
    assert browser.errors() == []
    assert browser.evaluate("document.title") == "Clean news"
    assert browser.evaluate("document.querySelector('h1').innerText") == "Clean news"
    shown = browser.evaluate("[...document.querySelectorAll('article h3')].map(h => h.innerText)")
    assert [title for title in shown if title in TITLES] == TITLES
    assert browser.evaluate("document.querySelector('link[rel=alternate]').href") == f"{daemon.address}/feed.atom"
    assert_fits(browser, width)
    assert browser.evaluate("document.scripts.length") == 0
    keep_screenshot(browser, f"front-{device}-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_an_entry_page_fits_and_shows_the_article(device: str, scheme: str, browser: Browser, daemon: Daemon) -> None:
    width, height = WIDTHS[device]
    browser.resize(width, height, phone=device == "phone")
    browser.prefer(scheme)
    browser.open(entry_page(daemon, TITLES[0]))
    assert browser.errors() == []
    assert browser.evaluate("document.querySelector('h1').innerText") == TITLES[0]
    assert browser.evaluate("document.querySelectorAll('.content p').length") >= 4
    assert_fits(browser, width)
    keep_screenshot(browser, f"entry-{device}-{scheme}")


@pytest.mark.parametrize("device", WIDTHS)
def test_wide_things_stay_within_the_page(device: str, browser: Browser, daemon: Daemon) -> None:
    daemon.drop("wide.txt", make_dump(WIDE, body=WIDE_BODY))
    wait_for(lambda: WIDE in daemon.feed().titles)
    width, height = WIDTHS[device]
    browser.resize(width, height, phone=device == "phone")
    for address in (f"{daemon.address}/", entry_page(daemon, WIDE)):
        browser.open(address)
        assert_fits(browser, width)
        assert browser.evaluate("[...document.images].some(i => i.naturalWidth == 3000 && i.width > 50)")
    assert browser.errors() == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return install_axe(tmp_path_factory.mktemp("axe"))


class Rendered(http.server.BaseHTTPRequestHandler):
    """Serves pages of feeds that the daemon under test does not have."""

    pages: Mapping[str, tuple[str, bytes]]

    def do_GET(self) -> None:
        media_type, body = self.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def some_feeds(number: int) -> dict[str, FeedDocument]:
    made = [make_document(name=f"n{each}", title=f"Источник 来源 {each}", language="zh") for each in range(number)]
    return {document.name: document for document in [make_document(), *made]}


@pytest.fixture(scope="module")
def rendered() -> Iterator[str]:
    pages = {
        "/few": render_front(some_feeds(3), ""),
        "/more": render_front(some_feeds(20), ""),
        "/many": render_front(some_feeds(500), ""),
        "/feed": render_feed(make_document(name="n", subtitle="标题" * 40), ""),
        "/empty": render_feed(make_document(name="n", entries=()), ""),
    }
    static = {path: (found.media_type, found.body) for path, found in static_files().items()}
    handler = type("Site", (Rendered,), {"pages": static | {path: (MEDIA_TYPE, page) for path, page in pages.items()}})
    with serving(handler) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def pages(daemon: Daemon, rendered: str) -> list[str]:
    """The addresses of one page of each kind."""
    paths = ("/", f"/search?q={quote('北约 会')}", "/search", "/search?q=zzzz", "/nowhere")
    entries = [entry_page(daemon, title) for title in (TITLES[0], *ODD)]
    others = [f"{rendered}/{name}" for name in ("few", "more", "many", "feed", "empty")]
    return [*entries, *(daemon.address + path for path in paths), *others]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
def test_nothing_keeps_anyone_out(device: str, scheme: str, browser: Browser, pages: list[str], axe: str) -> None:
    browser.resize(*WIDTHS[device], phone=device == "phone")
    browser.prefer(scheme)
    found = {}
    for address in pages:
        browser.open(address)
        browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        found[address] = browser.check_accessibility(axe)
    assert {address: violations for address, violations in found.items() if violations} == {}


def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Browser, pages: list[str]) -> None:
    browser.resize(320, 640, phone=True)  # as wide as 1280 pixels at a zoom of 400 % (WCAG 2.2, 1.4.10)
    for address in pages:
        browser.open(address)
        browser.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.evaluate("document.documentElement.scrollWidth") == 320, address


def test_a_keyboard_leads_to_the_search_and_its_answers(browser: Browser, daemon: Daemon) -> None:
    wait_for(lambda: b"<mark>" in daemon.get(f"/search?q={quote('北约 外长')}").body)  # the index has it
    browser.resize(*WIDTHS["desktop"], phone=False)
    browser.open(f"{daemon.address}/")
    focused = []
    for _ in range(4):
        browser.press("Tab")
        focused.append(browser.evaluate("document.activeElement.className || document.activeElement.id"))
        assert browser.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
        if focused[-1] == "q":
            break
    assert focused == ["skip", "q"]
    browser.type("北约 外长")
    browser.press("Enter")
    wait_for(lambda: browser.evaluate("location.pathname") == "/search")
    assert browser.evaluate("document.querySelector('h1').innerText").startswith("Search for")
    assert browser.evaluate("document.querySelector('#q').value") == "北约 外长"
    titles = browser.evaluate("[...document.querySelectorAll('h3')].map(each => each.innerText)")
    assert TITLES[0] in titles
    assert TITLES[2] not in titles
    marks = browser.evaluate("[...new Set([...document.querySelectorAll('mark')].map(each => each.innerText))]")
    assert set(marks) == {"北约", "外长"}
    browser.evaluate("document.querySelector('h3 a').focus()")
    browser.press("Enter")
    wait_for(lambda: browser.evaluate("location.pathname").startswith("/entries/"))
    assert browser.errors() == []


def test_pictures_that_are_gone_do_not_look_broken(browser: Browser, daemon: Daemon) -> None:
    browser.resize(*WIDTHS["desktop"], phone=False)
    browser.prefer("light")
    browser.open(entry_page(daemon, "A picture that is gone"))
    assert browser.evaluate("document.querySelector('.content img').naturalWidth") == 0
    style = "getComputedStyle(document.querySelector('.content img'), '::after')"
    assert browser.evaluate(f"[{style}.content, {style}.position]") == ['"A fine view"', "absolute"]
    keep_screenshot(browser, "picture-gone")
    browser.open(f"{daemon.address}/")
    assert browser.evaluate("getComputedStyle(document.querySelector('.picture'), '::after').position") == "absolute"


def test_light_and_dark_differ(browser: Browser, daemon: Daemon) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(f"{daemon.address}/")
        style = "getComputedStyle(document.body)"
        colours[scheme] = browser.evaluate(f"[{style}.backgroundColor, {style}.color]")
    assert colours["light"] != colours["dark"]


def test_a_dump_that_means_harm_does_none(browser: Browser, daemon: Daemon) -> None:
    daemon.drop("hostile.txt", make_dump(HOSTILE, body=HOSTILE_BODY, link="https://news.example.org/harm"))
    wait_for(lambda: any("means harm" in title for title in daemon.feed().titles))
    pages = (f"{daemon.address}/", entry_page(daemon, HOSTILE))
    for address in pages:
        browser.open(address)
        assert browser.evaluate("document.body.innerText.includes('means harm')")
        assert browser.evaluate("typeof window.__x") == "undefined"
        assert browser.evaluate("location.href") == address
        assert (
            browser.evaluate(
                "document.querySelectorAll('script,iframe,object,embed,form:not([role=search]),style,svg,base').length"
            )
            == 0
        )
        handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))"
        assert browser.evaluate(f"{handlers}.filter(name => name.startsWith('on'))") == []
        assert browser.evaluate("[...document.links].filter(l => !/^https?:/.test(l.protocol)).length") == 0
        assert browser.errors() == []  # the policy had nothing to forbid
    policy = daemon.get("/").fields["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert browser.evaluate("document.body.innerText.includes('And one more at the end.')")
