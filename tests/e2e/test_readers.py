"""Feed readers that people use subscribe to the running daemon, and to every format."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from feed_documents import make_document, make_entry
from waiting import wait_for

from e2e.harness import SEEDS, make_dump
from e2e.liferea import Liferea
from e2e.readers import Feedparser, JsonReader, Newsboat, Reader, Rss2email, Sfeed
from e2e.recorder import recording
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.formats.opml import render_opml
from feedsvc.model import Alternate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from e2e.conftest import Daemons

TITLES = [
    "北约与亚太外长举行会议 应对俄中伊朗及朝鲜联手挑战",
    "澳新举行首次外长防长“2+2”会谈 深化安全合作关系",
    "北约已邀请4个印太伙伴国出席新年首次军事委员会参谋长级会议",
]
LATER = "an article about something else"


READERS: tuple[Callable[[str, Path], Reader], ...] = (Newsboat, Sfeed, Rss2email, Feedparser)


@pytest.mark.parametrize("make_reader", READERS, ids=["newsboat", "sfeed", "rss2email", "feedparser"])
def test_a_reader_lists_what_is_new_and_nothing_twice(
    make_reader: Callable[[str, Path], Reader], daemons: Daemons, tmp_path: Path
) -> None:
    home = tmp_path / "reader"
    home.mkdir()
    daemon = daemons.prepare()
    for seed in SEEDS.iterdir():
        shutil.copy(seed, daemon.folder)
    daemon.start()
    with recording(daemon.port) as recorder:
        reader = make_reader(f"{recorder.address}/feed.atom", home)
        reader.poll()
        assert recorder.statuses == [200]
        assert sorted(reader.take_unread()) == sorted(TITLES)

        for number in range(2, (reader.first_conditional or 2) + 1):
            recorder.forget()
            reader.poll()
            assert recorder.statuses == [304 if number == reader.first_conditional else 200]
            assert reader.take_unread() == []

        daemon.drop("later.txt", make_dump(LATER, seconds=1712190000))
        wait_for(lambda: LATER in daemon.feed().titles)
        recorder.forget()
        reader.poll()
        assert recorder.statuses in ([200], [226])  # some ask for deltas (A-IM: feed), and get just this one
        assert reader.take_unread() == [LATER]

        # A restart, and the same dumps again under other names: nobody sees anything as unread.
        daemon.stop()
        for seed in SEEDS.iterdir():
            shutil.copy(seed, daemon.folder / f"again-{seed.name}")
        daemon.start()
        recorder.forget()
        reader.poll()
        assert recorder.statuses == [304 if reader.first_conditional else 200]
        assert reader.take_unread() == []


# Titles that are not what they look like, and how readers that take an RSS title for HTML show them.
AS_HTML: Mapping[str, Mapping[str, str]] = {
    "I <3 you & me 😀": {},
    "AT&T and 标题": {},
    "a &lt;b&gt; <3 & c": {"liferea": "a <b> <3 & c"},
    "R&amp;D": {"liferea": "R&D", "rss2email": "R&D"},
    "if a<b then c": {"liferea": "if a"},
    "x <b>bold</b> y": {"liferea": "x bold y", "rss2email": "x **bold** y"},
}
KNOWN_TO: Mapping[str, Mapping[str, Callable[[str, Path], Reader]]] = {
    "atom": {
        "newsboat": Newsboat,
        "sfeed": Sfeed,
        "rss2email": Rss2email,
        "feedparser": Feedparser,
        "liferea": Liferea,
    },
    "rss": {"newsboat": Newsboat, "sfeed": Sfeed, "rss2email": Rss2email, "feedparser": Feedparser, "liferea": Liferea},
    "json": {"json": JsonReader},
}
DOCUMENT = make_document(
    *(
        make_entry(number, title=title, updated=make_entry(number).published + timedelta(days=number % 2))
        for number, title in enumerate(AS_HTML)
    ),
    make_entry(
        7,
        link=None,
        language="en",
        summary="",
        content='<audio src="https://example.org/a.mp3" controls></audio>',
        alternates=(Alternate("https://example.org/en", "en"), Alternate("https://example.org/ja", "ja")),
    ),
)


@contextmanager
def serving(files: Mapping[str, tuple[str, bytes]]) -> Iterator[str]:
    """Serve media types and bodies by path on loopback; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            media_type, body = files.get(self.path, ("text/plain", b"not found"))
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("extension", "name"), [(extension, name) for extension, readers in KNOWN_TO.items() for name in readers]
)
def test_every_reader_sees_the_same_in_every_format(extension: str, name: str, tmp_path: Path) -> None:
    each = FORMATS[extension]
    files: dict[str, tuple[str, bytes]] = {}
    with serving(files) as base:
        files[f"/feed.{extension}"] = (each.media_type, each.render(DOCUMENT, base))
        reader = KNOWN_TO[extension][name](f"{base}/feed.{extension}", tmp_path)
        reader.poll()
        expected = [
            (
                entry.id,
                AS_HTML.get(entry.title, {}).get(name, entry.title) if extension == "rss" else entry.title,
                entry.link or f"{base}/entries/{entry.key}",
                # Readers show when it was published, but one when it was updated.
                entry.updated if name == "rss2email" else entry.published,
            )
            for entry in DOCUMENT.entries
        ]
    items = sorted(reader.items(), key=lambda item: item.id)
    assert [(item.id, item.title, item.link, item.date) for item in items] == expected
    assert {item.author for item in items} <= {"张三", None}


@pytest.mark.parametrize("make_reader", [Newsboat, Sfeed, Rss2email, Liferea])
def test_a_reader_subscribes_to_the_list_of_feeds(make_reader: Callable[[str, Path], Reader], tmp_path: Path) -> None:
    home = tmp_path / "reader"
    home.mkdir()
    opml = tmp_path / "feeds.opml"
    with serving({}) as base:
        opml.write_bytes(render_opml([DOCUMENT, make_document(name="bbc", title="BBC <3 & 中文")], base, "feeds"))
        subscribed = make_reader(f"{base}/other.atom", home).subscribe(opml)
        assert subscribed - {f"{base}/other.atom"} == {f"{base}/feed.atom", f"{base}/feeds/bbc.atom"}
