"""The pages in headless Chromium: phone and desktop, light and dark, and dumps that mean harm."""

from __future__ import annotations

import http.server
import os
import shutil
import struct
import zlib
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from e2e.browser import Browser, browsing
from e2e.conftest import Daemons
from e2e.harness import SEEDS, Daemon, make_dump, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemons = Daemons(tmp_path_factory.mktemp("browser"))
    made = daemons.prepare({"feed": {"title": "Clean news", "subtitle": "Without the rest"}})
    for seed in SEEDS.iterdir():
        shutil.copy(seed, made.folder)
    try:
        made.start()
        yield made
    finally:
        daemons.end()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    rules = f"--host-resolver-rules=MAP *.example.org 127.0.0.1:{server.server_address[1]}"
    try:
        with browsing(tmp_path_factory.mktemp("profile"), rules) as window:
            yield window
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
            browser.evaluate("document.querySelectorAll('script,iframe,object,embed,form,style,svg,base').length") == 0
        )
        handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.name))"
        assert browser.evaluate(f"{handlers}.filter(name => name.startsWith('on'))") == []
        assert browser.evaluate("[...document.links].filter(l => !/^https?:/.test(l.protocol)).length") == 0
        assert browser.errors() == []  # the policy had nothing to forbid
    policy = daemon.get("/").fields["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert browser.evaluate("document.body.innerText.includes('And one more at the end.')")
