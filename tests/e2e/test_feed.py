"""The feed of the seeds: what the first look at feedsvc shows, and that the same store gives the same bytes."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
from lxml import html

from e2e.harness import PROJECT, SEEDS, Daemon, feedsvc, free_port, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from e2e.conftest import Daemons

# Newest first, as the markers have it.
EXPECTED = (
    ("000_1fddeb10f9e1ef9b.txt", "2024-04-03T21:45:02+00:00", "北约与亚太外长举行会议 应对俄中伊朗及朝鲜联手挑战"),
    ("004_3ae00dc528254de1.txt", "2024-02-01T21:15:02+00:00", "澳新举行首次外长防长“2+2”会谈 深化安全合作关系"),
    (
        "001_09ab33fb3322ffd9.txt",
        "2024-01-04T14:45:02+00:00",
        "北约已邀请4个印太伙伴国出席新年首次军事委员会参谋长级会议",
    ),
)
BOILERPLATE = ("分享", "获取更多RSS", "feedx", "selfpromo", "facebook", "whatsapp", "x.com/intent", "share", "rfi.my")


pytestmark = pytest.mark.alone  # coverage measures these daemons, which makes them slow


class Seeds(Daemon):
    """A daemon on a copy of the project's own configuration and seeds, as `make run` starts it."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        super().__init__(home, {"watch": {"directories": ["seeds"]}}, FEEDSVC_SERVER_LISTEN=f"127.0.0.1:{port}")
        self.port = port
        shutil.copytree(SEEDS, self.folder, dirs_exist_ok=True)
        shutil.copy(PROJECT / "config.toml", self.config)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeds]:
    daemon = Seeds(tmp_path_factory.mktemp("seeds"))
    try:
        daemon.start()
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()


def paragraphs(tree: html.HtmlElement) -> Sequence[str]:
    return [" ".join(element.text_content().split()) for element in tree.iter("p")]


def images(tree: html.HtmlElement) -> Sequence[str]:
    return [element.get("src") for element in tree.iter("img")]


def test_the_seeds_are_served_newest_first_and_clean(seeds: Seeds) -> None:
    feed = seeds.feed()
    assert [(entry.published, entry.title) for entry in feed.entries] == [row[1:] for row in EXPECTED]
    text = feed.body.decode("utf-8")
    assert [part for part in BOILERPLATE if part.lower() in text.lower()] == []


@pytest.mark.parametrize(("name", "title"), [(name, title) for name, _, title in EXPECTED])
def test_every_paragraph_and_image_is_kept(name: str, title: str, seeds: Seeds) -> None:
    raw = html.fromstring((SEEDS / name).read_text("utf-8").split("------\n", 1)[1])
    (entry,) = (entry for entry in seeds.feed().entries if entry.title == title)
    kept = html.fromstring(entry.content[0].value)
    assert len(paragraphs(raw)) >= 4
    assert paragraphs(kept) == paragraphs(raw)
    assert images(kept) == images(raw) != []


def test_the_feed_is_what_readers_expect(seeds: Seeds) -> None:
    parsed = feedparser.parse(seeds.feed().body)
    assert parsed.version == "atom10"
    assert parsed.feed.id.startswith("urn:uuid:")
    assert parsed.feed.updated == EXPECTED[0][1]
    assert {link.rel: link.href for link in parsed.feed.links} == {
        "self": f"{seeds.address}/feed.atom",
        "alternate": f"{seeds.address}/",
    }
    for entry in parsed.entries:
        assert entry.link.startswith("https://www.rfi.fr/cn/")
        assert entry.updated == entry.published
        assert 0 < len(entry.summary) <= 300
        assert "<" not in entry.summary
        assert entry.content[0].type == "text/html"


def validated(daemon: Daemon) -> tuple[Any, ...]:
    answer = daemon.get("/feed.atom")
    return answer.body, answer.fields["etag"], answer.fields["last-modified"]


def test_a_restart_changes_nothing(seeds: Seeds) -> None:
    before = validated(seeds)
    seeds.stop()
    time.sleep(1.1)  # so that a time taken from the clock would show: Last-Modified has whole seconds
    seeds.start()
    assert validated(seeds) == before
    assert seeds.get("/feed.atom", {"If-None-Match": before[1]}).status == 304
    assert seeds.get("/feed.atom", {"If-Modified-Since": before[2]}).status == 304


def test_a_store_that_is_made_anew_mints_the_same_ids(seeds: Seeds) -> None:
    before = [(entry.id, entry.published, entry.updated) for entry in seeds.feed().entries]
    seeds.stop()
    shutil.rmtree(seeds.store.parent)
    seeds.start()
    assert [(entry.id, entry.published, entry.updated) for entry in seeds.feed().entries] == before


def test_two_processes_with_other_hash_seeds_render_the_same_bytes(daemons: Daemons) -> None:
    daemon = daemons.prepare({"base_url": "https://feeds.example.org"}, PYTHONHASHSEED="1")
    for name, _, _ in EXPECTED:
        shutil.copy(SEEDS / name, daemon.folder)
    tags = "".join(f"  - tag {number}\n" for number in range(20))
    front = f"---\ntags:\n{tags}---\n{make_dump('an article with tags')}"
    daemon.drop("tags.txt", front)
    daemon.start()
    served = daemon.feed().body
    assert len(daemon.feed().entries) == 4
    for seed in ("1", "2"):
        site = daemon.home / f"site{seed}"
        done = feedsvc("build", site, "--config", daemon.config, cwd=daemon.home, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        assert (site / "feed.atom").read_bytes() == served
    first, second = (
        {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        for site in (daemon.home / "site1", daemon.home / "site2")
    )
    assert first == second
