"""What holds for all formats: they say the same, they are valid, and they are the same bytes in any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import feedparser
import pytest
from feed_checks import ATOM, CONTENT, atom_faults, json_faults, rss_faults
from feed_documents import make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from places import TESTS

from feedsvc.clean import Cleaner, load_rules
from feedsvc.dumps import parse_dump
from feedsvc.errors import RenderError
from feedsvc.feeds.formats import FORMATS
from feedsvc.intake.decide import mint_entry
from feedsvc.model import Alternate, Entry, FeedDocument

BASE = "https://feeds.example.org/news"
FAULTS = {"atom": atom_faults, "rss": rss_faults, "json": json_faults}
ANYTHING = st.text(st.characters(exclude_categories=()))
TITLES = {
    "I <3 you & me": None,
    "AT&T &amp; R&D": None,
    "a &lt;b&gt; <3 & c": None,
    "x <b>bold</b> </title> y": None,
    "if a<b then c": None,
    "<![CDATA[x]]> ]]>": None,
    "😀 你好，世界 한국어": None,
    "\u200fعربى": None,
    "&nbsp;&#39;&copy;": None,
    "lone \ud83d surrogate": "lone  surrogate",
    "form\x0cfeed \x00\x08\ufffe": "formfeed",
    "  spaces  ": "spaces",
}

# What of an entry each format gives: id, title, address, published, updated, content, author, categories, picture.
Said = tuple[str, str, str, datetime, datetime, str, str, tuple[str, ...], str]


def say_atom(body: bytes) -> list[Said]:
    names = {"a": ATOM, "m": "http://search.yahoo.com/mrss/"}

    def one(entry: etree._Element) -> Said:
        return (
            entry.findtext("a:id", "", names),
            entry.findtext("a:title", "", names),
            str(entry.xpath("string(a:link[@rel='alternate']/@href)", namespaces=names)),
            datetime.fromisoformat(entry.findtext("a:published", "", names)),
            datetime.fromisoformat(entry.findtext("a:updated", "", names)),
            entry.findtext("a:content", "", names),
            entry.findtext("a:author/a:name", "", names),
            tuple(category.get("term", "") for category in entry.findall("a:category", names)),
            str(entry.xpath("string(m:thumbnail/@url)", namespaces=names)),
        )

    return [one(entry) for entry in etree.fromstring(body).findall("a:entry", names)]


def say_rss(body: bytes) -> list[Said]:
    def one(item: etree._Element) -> Said:
        return (
            item.findtext("guid", ""),
            item.findtext("title", ""),
            item.findtext("link", ""),
            parsedate_to_datetime(item.findtext("pubDate", "")),
            datetime.fromisoformat(item.findtext(f"{{{ATOM}}}updated", "")),
            item.findtext(f"{{{CONTENT}}}encoded", ""),
            item.findtext("{http://purl.org/dc/elements/1.1/}creator", ""),
            tuple(category.text or "" for category in item.findall("category")),
            str(item.xpath("string(m:thumbnail/@url)", namespaces={"m": "http://search.yahoo.com/mrss/"})),
        )

    return [one(item) for item in etree.fromstring(body).iter("item")]


def say_json(body: bytes) -> list[Said]:
    return [
        (
            item["id"],
            item["title"],
            item["url"],
            datetime.fromisoformat(item["date_published"]),
            datetime.fromisoformat(item["date_modified"]),
            item["content_html"],
            item["authors"][0]["name"],
            tuple(item["tags"]),
            item["image"],
        )
        for item in json.loads(body)["items"]
    ]


SAY = {"atom": say_atom, "rss": say_rss, "json": say_json}


@pytest.mark.parametrize("extension", FORMATS)
def test_each_format_says_what_the_entry_says(extension: str) -> None:
    document = make_document()
    assert SAY[extension](FORMATS[extension].render(document, BASE)) == [
        (
            entry.id,
            entry.title,
            entry.link,
            entry.published,
            entry.updated,
            entry.content,
            entry.author,
            entry.categories,
            entry.images[0],
        )
        for entry in document.entries
    ]


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(("title", "shown"), TITLES.items(), ids=range(len(TITLES)))
def test_a_title_is_plain_text(extension: str, title: str, shown: str | None) -> None:
    body = FORMATS[extension].render(make_document(make_entry(0, title=title), title=f"T{title}"), BASE)
    ((_, said, *_),) = SAY[extension](body)
    assert said == (shown or title)
    if extension != "json":
        whole = feedparser.parse(body)
        assert not whole.bozo
        assert whole.entries[0].title == said or extension == "rss"


@pytest.mark.parametrize("extension", FORMATS)
@given(text=ANYTHING)
def test_hostile_text_does_no_harm(extension: str, text: str) -> None:
    link = "https://example.org/x"
    entry = make_entry(
        0,
        title=text,
        content=text,
        summary=text,
        author=text,
        source=text,
        rights=text,
        categories=(text, f"c{text}", f"c{text}"),
        language=text,
        link=link,
        images=(link,),
        alternates=(Alternate(link + "y", text),),
    )
    document = make_document(entry, title=f"t{text}", subtitle=text, author=f"a{text}", language=text)
    assert FAULTS[extension](FORMATS[extension].render(document, BASE)) == []


BARE = {"content": "", "summary": "", "author": None, "source": None, "categories": (), "rights": None}


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(
    "document",
    [
        make_document(),
        make_document(entries=()),
        make_document(name="bbc", language=None, subtitle=None),
        make_document(make_entry(0, **BARE, images=(), link=None, title="\x00", language=None), subtitle=None),
        make_document(make_entry(0, categories=("x", "x ", "\x00"), language="no tag"), language="none either"),
        make_document(make_entry(0, alternates=(Alternate("https://example.org/en", "en"),) * 2)),
        make_document(
            make_entry(0, content='<video src="https://e.org/a.mp4"></video><audio src="https://e.org/b"></audio>')
        ),
        make_document(
            make_entry(
                0,
                content='<audio src="https://e.org/a.mp3"></audio><audio src="https://e.org/b.ogg"></audio>',
                images=("https://e.org/1.png", "https://e.org/2", "https://e.org/1.png"),
            )
        ),
    ],
    ids=["plain", "empty", "no language", "bare entry", "odd values", "alternates", "players", "sounds"],
)
def test_valid(extension: str, document: FeedDocument) -> None:
    assert FAULTS[extension](FORMATS[extension].render(document, BASE)) == []


def real_entries() -> list[Entry]:
    cleaner = Cleaner(load_rules(site_rules=True))
    entries = []
    for path in sorted((TESTS / "quality" / "corpus").rglob("*.*")):
        for dump in parse_dump(path.read_bytes(), str(path)):
            published = dump.published or datetime(2024, 1, 1, tzinfo=UTC)
            entries.append(mint_entry(cleaner.clean(dump, published), cleaner="c"))
    return entries


@pytest.mark.parametrize("extension", FORMATS)
def test_real_dumps_make_valid_feeds(extension: str) -> None:
    entries = real_entries()
    assert len(entries) > 20
    body = FORMATS[extension].render(make_document(*entries, language=None), BASE)
    assert FAULTS[extension](body) == []
    assert len(SAY[extension](body) if extension != "json" else json.loads(body)["items"]) == len(entries)


@pytest.mark.slow
def test_same_bytes_in_any_process() -> None:
    script = (
        "import sys; from feed_documents import make_document; from feedsvc.feeds.formats import FORMATS; "
        f"sys.stdout.buffer.write(b''.join(each.render(make_document(), {BASE!r}) for each in FORMATS.values()))"
    )
    rendered = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(TESTS),
                "TZ": zone,
                "LC_ALL": "C",
            },
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Shanghai"))
    ]
    assert rendered == [b"".join(each.render(make_document(), BASE) for each in FORMATS.values())] * 2


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("bad", ["tag:\x00", "", "tag:\udcff"])
def test_an_id_that_cannot_be_rendered_is_named(extension: str, bad: str) -> None:
    document = make_document(make_entry(8), make_entry(7, id=bad), make_entry(6), name="bbc")
    with pytest.raises(RenderError) as raised:
        FORMATS[extension].render(document, BASE)
    assert str(raised.value).startswith(f"feed bbc: entry {bad!r}: ")


@pytest.mark.parametrize("extension", FORMATS)
def test_a_feed_without_a_title_is_named(extension: str) -> None:
    with pytest.raises(RenderError, match="feed bbc: its own elements: "):
        FORMATS[extension].render(make_document(name="bbc", title="\x00"), BASE)


def test_the_table() -> None:
    assert {extension: each.media_type for extension, each in FORMATS.items()} == {
        "atom": "application/atom+xml; charset=utf-8",
        "rss": "application/rss+xml; charset=utf-8",
        "json": "application/feed+json",
    }
    assert all(each.extension == extension for extension, each in FORMATS.items())
