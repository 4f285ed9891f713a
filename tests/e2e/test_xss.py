"""Hundreds of ways to run a script, past cleaning: on the daemon's pages, and in the content as a reader shows it."""

from __future__ import annotations

import contextlib
import http.server
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from waiting import wait_for

from e2e.browser import browsing
from e2e.conftest import Daemons
from e2e.test_browser import serving
from e2e.vectors import Vector, load_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.browser import Browser
    from e2e.harness import Daemon

pytestmark = pytest.mark.xdist_group("xss")  # its fixtures take long, and are for all
VECTORS = load_vectors()
AT_ONCE = 80  # frames of a page
SHARE = 0.3  # of the vectors that must run where nothing is cleaned: the others are of other browsers, or of the past
ONE_PROCESS = ("--disable-site-isolation-trials", "--disable-features=IsolateSandboxedIframes,site-per-process")
ATOM = "{http://www.w3.org/2005/Atom}"
POLICY = "default-src 'none'; style-src 'self'; img-src http: https:; media-src http: https:; base-uri 'none'"

# A page of frames. What runs says so to the outermost window, wherever it runs; what the policy forbids is told by
# the window in which it would have run. Every element is touched as a reader might: events first, since a click may
# lead away.
FRAMES = """<!doctype html><meta charset=utf-8><title>frames</title><script>
const fired = new Set(), forbidden = new Set(), numbers = NUMBERS;
addEventListener('message', ({data}) => {
  if (typeof data == 'number') fired.add(data);
  else if (data?.forbidden) forbidden.add(data.forbidden);
});
const pause = (time) => new Promise((then) => setTimeout(then, time));
function touch(frame) {
  let page;
  try { page = frame.contentDocument; } catch { return; }
  if (!page) return;
  page.addEventListener('click', (event) => {
    const link = event.target.closest?.('a, area');
    if (/^https?:/.test(link?.protocol ?? '')) event.preventDefault();
  });
  const all = [...page.querySelectorAll('*')];
  for (const element of all) {
    for (const {name} of element.attributes ?? []) {
      if (name.startsWith('on')) element.dispatchEvent(new Event(name.slice(2), {bubbles: true, cancelable: true}));
    }
    for (const name of ['mouseover', 'pointerover', 'keydown', 'scroll']) {
      element.dispatchEvent(new Event(name, {bubbles: true}));
    }
    element.focus?.();
    element.scrollTop = 9;
  }
  for (const element of all) {
    try { element.showPopover?.(); } catch {}
    if (element.localName == 'a' && element.namespaceURI.endsWith('svg')) {
      element.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
    }
    if (element.click) element.click();
    else element.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
    if (element.localName == 'form') try { element.requestSubmit(); } catch {}
  }
}
addEventListener('DOMContentLoaded', async () => {
  const frames = numbers.map((number) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts allow-same-origin allow-forms allow-popups allow-modals';
    frame.src = `/KIND/${number}`;
    const loaded = new Promise((then) => frame.addEventListener('load', then, {once: true}));
    document.body.append(frame);
    return [frame, Promise.race([loaded, pause(15000)])];
  });
  await Promise.all(frames.map(([, loaded]) => loaded));
  await pause(100);
  for (const [frame] of frames) { try { touch(frame); } catch (error) { console.log(error); } }
  await pause(400);
  window.finished = {fired: [...fired], forbidden: [...forbidden]};
});
</script><body>"""
INNER = "<!doctype html><meta charset=utf-8><body><script>document.body.innerHTML = CONTENT</script>"
TELL = "addEventListener('securitypolicyviolation', () => parent.postMessage({forbidden: NUMBER}, '*'));"


WATCH = """
window.broken = [];
addEventListener('securitypolicyviolation', (event) => broken.push(event.violatedDirective + event.sample));
addEventListener('message', ({data}) => broken.push(data));
"""


class Shown(http.server.BaseHTTPRequestHandler):
    """Serves each content as a document of its own and by innerHTML, raw or cleaned, and pages of frames of these.

    Attributes:
        contents: By number; "raw" and "clean".
    """

    contents: dict[str, dict[int, str]]

    def do_GET(self) -> None:
        kind, _, rest = self.path.removeprefix("/").partition("/")
        if kind == "frames":
            kind, _, numbers = rest.partition("/")
            self._send(FRAMES.replace("NUMBERS", f"[{numbers}]").replace("KIND", kind))
        elif rest.isdigit():
            state, _, way = kind.partition("-")
            self._send(*self._content(self.contents[state][int(rest)], way, int(rest)))
        else:
            self.send_error(404)

    @staticmethod
    def _content(content: str, way: str, number: int) -> tuple[str, str]:
        if way == "inner":
            return INNER.replace("CONTENT", json.dumps(content).replace("<", "\\u003c")), ""
        if way == "policy":
            tell = TELL.replace("NUMBER", str(number))
            page = f"<!doctype html><meta charset=utf-8><script nonce=n>{tell}</script>{content}"
            return page, f"{POLICY}; script-src 'nonce-n'"
        return content, ""

    def _send(self, page: str, policy: str = "") -> None:
        body = page.encode("utf-8", "surrogatepass")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a frame that was led away does not read to the end
            super().handle()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def dump_of(vector: Vector) -> str:
    """A dump that says the vector wherever it says something."""
    said = json.dumps(vector.html)  # which YAML reads too
    link = json.dumps(vector.address or f"https://news.example.org/{vector.number}")
    title = json.dumps(f"{vector.number} {vector.html}")  # tags go: what is left would be one article for many
    fields = [f"title: {title}", "date: 2024-04-03 10:00:00", f"from: {link}", f"author: {said}"]
    tags = json.dumps([f"source {vector.number}", vector.html])
    # An address that is refused leaves neither: the marker line has one of its own.
    marker = f"<!--{1712180702 + vector.number}000-->\n[](https://news.example.org/v/{vector.number})\n------\n"
    marker = "" if vector.number % 2 else marker
    return "\n".join(["---", *fields, f"tags: {tags}", "---", marker + vector.html, ""])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemons = Daemons(tmp_path_factory.mktemp("xss"))
    made = daemons.prepare({"feed": {"entries": 2000}, "clean": {"learn": False}})
    for vector in VECTORS:
        encoding = "utf-16" if "\0" in vector.html else "utf-8"  # in the latter it would be binary
        (made.folder / f"{vector.number}.md").write_bytes(dump_of(vector).encode(encoding))
    try:
        made.start()
        wait_for(lambda: sum(made.status()["dumps"].values()) >= len(VECTORS), within=240)
        yield made
    finally:
        daemons.end()


@pytest.fixture(scope="module")
def entries(daemon: Daemon) -> dict[int, tuple[str, str]]:
    """Key and content of the entry of each vector, by number."""
    with closing(sqlite3.connect(f"file:{daemon.store}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT key, source, content FROM entries").fetchall()
    return {int(source.removeprefix("source ")): (key, content) for key, source, content in rows}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browsing(tmp_path_factory.mktemp("profile"), rules, *ONE_PROCESS) as window:
        yield window


@pytest.fixture(scope="module")
def shown(entries: dict[int, tuple[str, str]]) -> Iterator[str]:
    raw = {vector.number: vector.html for vector in VECTORS}
    clean = {number: content for number, (_, content) in entries.items()}
    handler = type("Site", (Shown,), {"contents": {"raw": raw, "clean": clean}})
    with serving(handler) as port:
        yield f"http://127.0.0.1:{port}"


def run_in_frames(browser: Browser, shown: str, kind: str, numbers: list[int]) -> tuple[set[int], set[int]]:
    """Which vectors ran, and which a policy forbade."""
    fired, forbidden = set(), set()
    for start in range(0, len(numbers), AT_ONCE):
        chosen = ",".join(map(str, numbers[start : start + AT_ONCE]))
        browser.open(f"{shown}/frames/{kind}/{chosen}")
        found = wait_for(lambda: browser.evaluate("window.finished"))
        fired.update(found["fired"])
        forbidden.update(found["forbidden"])
    return fired, forbidden


def said_of(numbers: set[int]) -> list[str]:
    return [vector.html for vector in VECTORS if vector.number in numbers]


def test_there_are_enough_and_all_differ() -> None:
    assert len({vector.html for vector in VECTORS}) == len(VECTORS) >= 300


def test_every_vector_is_served_as_an_entry(entries: dict[int, tuple[str, str]]) -> None:
    assert sorted(entries) == [vector.number for vector in VECTORS]


@pytest.mark.parametrize("way", ["document", "inner"])
def test_no_payload_of_the_content_alone_runs(way: str, browser: Browser, shown: str) -> None:
    fired, _ = run_in_frames(browser, shown, f"clean-{way}", [vector.number for vector in VECTORS])
    assert said_of(fired) == []


def test_the_same_payloads_run_where_nothing_is_cleaned(browser: Browser, shown: str) -> None:
    numbers = [vector.number for vector in VECTORS[::4]]  # enough to show that the test can fail
    ran = {way: run_in_frames(browser, shown, f"raw-{way}", numbers) for way in ("document", "inner", "policy")}
    counts = {way: len(fired) for way, (fired, _) in ran.items()} | {"forbidden": len(ran["policy"][1])}
    print(f"of {len(numbers)} vectors, not cleaned: {counts}")  # noqa: T201 - the figure is wanted
    assert len(ran["document"][0] | ran["inner"][0]) >= SHARE * len(numbers)
    assert ran["policy"][0] == set()
    assert len(ran["policy"][1]) >= SHARE * len(numbers)  # so the policy tells of what it forbids


def test_the_policy_of_the_pages_has_nothing_to_forbid(
    browser: Browser, daemon: Daemon, entries: dict[int, tuple[str, str]]
) -> None:
    browser.run_on_every_page(WATCH)
    paths = ["/", "/search?q=text", "/search?q=script", *(f"/entries/{key}" for key, _ in entries.values())]
    harm = {}
    for path in paths:
        browser.open(daemon.address + path)
        broken = browser.evaluate("[...window.broken, document.scripts.length, location.href]")
        if broken != [0, daemon.address + path]:
            harm[path] = broken
    assert harm == {}


def test_feeds_say_the_vectors_as_text(daemon: Daemon) -> None:
    titles = [title.text for title in ET.fromstring(daemon.get("/feed.atom").body).iter(f"{ATOM}title")]  # noqa: S314 - our own
    assert len(titles) == len(VECTORS) + 1
