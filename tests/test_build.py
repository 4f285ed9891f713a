"""The static site: what is written, replaced, deleted and left alone."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW, make_article, save_dump

from feedsvc.assemble import FeedSettings, assemble_feed
from feedsvc.build import MANIFEST, BuildError, build_site
from feedsvc.decide import mint_entry
from feedsvc.errors import RenderError
from feedsvc.feeds.atom import render_atom
from feedsvc.http import render_front
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feedsvc.model import FeedDocument

BASE = "https://feeds.example.org/news"
SETTINGS = FeedSettings(title="News", subtitle=None, author="x", language=None, entries=100, max_bytes=None)
RENDERERS = {
    "/feed.atom": ("application/atom+xml; charset=utf-8", render_atom),
    "/": ("text/html; charset=utf-8", lambda document, base: render_front({document.name: document}, base)),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        save_dump(store, make_article(0), make_article(1))
        yield store


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "public" / "news"


def build(site: Path, store: Store) -> int:
    document, _ = assemble_feed(store, SETTINGS, NOW)
    return build_site(site, store, document, RENDERERS, BASE)


def content(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def page_of(number: int) -> str:
    return f"entries/{mint_entry(make_article(number), cleaner='').key}/index.html"


def withdraw(store: Store) -> None:
    """Let article 1 be gone."""
    with store.writing() as writer:
        dump = writer.open_dump("/dumps/a.txt", NOW)
        held = writer.load_held(dump)
        writer.drop_articles(dump, beyond=1)
        writer.withdraw_orphans(held)


def test_everything_is_written(site: Path, store: Store) -> None:
    number = build(site, store)
    files = content(site)
    assert {"feed.atom", "index.html", page_of(0), page_of(1), MANIFEST} < files.keys()
    assert number == len(files) - 1
    assert files["feed.atom"].startswith(b"<?xml")
    assert BASE.encode() in files["feed.atom"]
    assert "北约 1".encode() in files[page_of(1)]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in site.rglob("*") if path.name == "index.html")


def test_pages_name_only_files_that_are_there(site: Path, store: Store) -> None:
    build(site, store)
    front = (site / "index.html").read_text("utf-8")
    for number in (0, 1):
        assert f'"/news/{page_of(number).removesuffix("/index.html")}' in front


def test_build_is_deterministic(site: Path, store: Store, tmp_path: Path) -> None:
    build(site, store)
    build(tmp_path / "other", store)
    assert content(site) == content(tmp_path / "other")


def test_unchanged_files_keep_their_time(site: Path, store: Store) -> None:
    build(site, store)
    for path in site.rglob("*"):
        os.utime(path, (1, 1))
    save_dump(store, make_article(0, title="another title"), make_article(1))
    build(site, store)
    changed = {
        path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file() and path.stat().st_mtime > 1
    }
    assert changed == {"feed.atom", "index.html", page_of(0)}


def test_files_are_replaced_not_rewritten(site: Path, store: Store) -> None:
    build(site, store)
    with (site / "feed.atom").open("rb") as reading:
        before = reading.read(10)
        save_dump(store, make_article(0, title="another title"), make_article(1))
        build(site, store)
        assert b"another title" not in before + reading.read()
    assert b"another title" in (site / "feed.atom").read_bytes()


def test_stale_files_are_deleted_and_others_left_alone(site: Path, store: Store) -> None:
    build(site, store)
    (site / "robots.txt").write_text("User-agent: *")
    (site / "entries" / "mine").mkdir()
    (site / "entries" / "mine" / "index.html").write_text("mine")
    assert (site / page_of(1)).exists()
    withdraw(store)
    build(site, store)
    assert not (site / page_of(1)).parent.exists()
    assert (site / page_of(0)).exists()
    assert (site / "robots.txt").exists()
    assert (site / "entries" / "mine" / "index.html").exists()


def test_folder_of_a_stale_file_that_holds_something_else_stays(site: Path, store: Store) -> None:
    build(site, store)
    (site / page_of(1)).with_name("mine.txt").write_text("mine")
    withdraw(store)
    build(site, store)
    assert not (site / page_of(1)).exists()
    assert (site / page_of(1)).with_name("mine.txt").exists()


def test_stale_file_that_is_gone_already(site: Path, store: Store) -> None:
    build(site, store)
    (site / page_of(1)).unlink()
    withdraw(store)
    build(site, store)
    assert page_of(1) not in json.loads((site / MANIFEST).read_text())


@pytest.mark.parametrize(
    "name",
    [
        "../victim",
        "../../victim",
        "entries/../../victim",
        "{victim}",
        "",
        ".",
        "..",
        "./feed.atom",
        "entries/../feed.atom",
        "feed.atom/",
        "entries",
        "a\0b",
        "a\nb",
        "\ud800",
        5,
        None,
        ["feed.atom"],
    ],
)
def test_manifest_leads_to_nothing_else(site: Path, store: Store, tmp_path: Path, name: object) -> None:
    victim = tmp_path / "public" / "victim"
    build(site, store)
    victim.write_text("mine")
    (tmp_path / "victim").write_text("mine")
    if name == "{victim}":
        name = str(victim)
    before = content(site)
    (site / MANIFEST).write_text(json.dumps([name, *json.loads(before[MANIFEST])]))
    build(site, store)
    assert content(site) == before
    assert victim.read_text() == (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("manifest", [b"", b"no json", b"{}", b"5", b"null", b'"feed.atom"', b"\xff"])
def test_manifest_that_is_spoilt_deletes_nothing(site: Path, store: Store, manifest: bytes) -> None:
    build(site, store)
    (site / "feed.rss").write_text("from elsewhere")
    before = content(site)
    (site / MANIFEST).write_bytes(manifest)
    build(site, store)
    assert content(site) == before


def test_failed_render_leaves_the_site_as_it_was(site: Path, store: Store) -> None:
    build(site, store)
    before = content(site)
    save_dump(store, make_article(0), make_article(1), make_article(2))

    def fail(_document: FeedDocument, _base_url: str) -> bytes:
        raise RenderError("feed: cannot be rendered")

    document, _ = assemble_feed(store, SETTINGS, NOW)
    with pytest.raises(RenderError):
        build_site(site, store, document, {"/feed.atom": ("application/atom+xml", fail)}, BASE)
    after = content(site)
    assert after.pop(page_of(2))  # nothing names it yet
    assert after == before


def test_folder_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"file: cannot be written: "):
        build(tmp_path / "file", store)
    with pytest.raises(BuildError, match=r"below: cannot be written: "):
        build(tmp_path / "file" / "below", store)


def test_failed_write_leaves_no_scraps(site: Path, store: Store) -> None:
    site.mkdir(parents=True)
    (site / "feed.atom").mkdir()
    (site / "feed.atom" / "full").write_text("")
    with pytest.raises(BuildError, match="cannot be written"):
        build(site, store)
    assert not [path for path in site.rglob(".*") if path.name != MANIFEST]
