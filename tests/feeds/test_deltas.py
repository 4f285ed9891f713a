"""Which entries a client is missing: histories of feeds, and what is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from feed_documents import make_document, make_entry

from feedsvc.feeds import deltas
from feedsvc.feeds.deltas import Deltas
from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    from feedsvc.model import FeedDocument

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)
CHANGED = {"content": "<p>mended</p>"}


def show(*numbers: int | str) -> FeedDocument:
    """A feed of these entries; "2!" is the second one, changed."""
    entries = [
        make_entry(int(str(number).rstrip("!")), **(CHANGED if str(number).endswith("!") else {})) for number in numbers
    ]
    return make_document(*entries)


def keys(found: tuple[str, FeedDocument] | None) -> tuple[str, list[str]] | None:
    return found and (found[0], [entry.key for entry in found[1].entries])


@pytest.mark.parametrize(
    ("past", "held", "expected"),
    [
        pytest.param([(2, 1)], ["v0"], None, id="nothing is newer"),
        pytest.param([(2, 1), (3, 2, 1)], ["v0"], ("v0", ["k3"]), id="one more"),
        pytest.param([(2, 1), (3, 2, 1)], ["v1"], None, id="up to date"),
        pytest.param([(2, 1), (3, 2, 1)], ["unknown"], None, id="unknown tag"),
        pytest.param([(2, 1), (3, 2, 1)], [], None, id="no tag"),
        pytest.param([(2, 1), (3, 2), (4, 3)], ["v0"], None, id="nothing of it is left"),
        pytest.param([(2, 1), (3, 2), (4, 3)], ["v1"], ("v1", ["k4"]), id="what left is not told"),
        pytest.param([(1,), (2, 1), (3, 2, 1), (4, 3, 2, 1)], ["v1"], ("v1", ["k4", "k3"]), id="two versions back"),
        pytest.param([(1,), (2, 1), (3, 2, 1)], ["v0", "v1"], ("v1", ["k3"]), id="the newest that is held"),
        pytest.param([(1,), (2, 1), (3, 2, 1)], ["x", "v0"], ("v0", ["k3", "k2"]), id="the one that is known"),
        pytest.param([(2, 1), ("2!", 1)], ["v0"], ("v0", ["k2"]), id="a changed entry"),
        pytest.param([(2, 1), ("2!", 1), (2, 1), (3, 2, 1)], ["v1"], ("v1", ["k3", "k2"]), id="changed and back"),
        pytest.param([(2, 1), (1,), (3, 2, 1)], ["v0"], ("v0", ["k3", "k2"]), id="gone and back is sent again"),
        pytest.param([(3, 2, 1), (2, 1)], ["v0"], None, id="fewer entries, nothing new"),
    ],
)
def test_since(past: list[tuple[int | str, ...]], held: list[str], expected: tuple[str, list[str]] | None) -> None:
    known = Deltas()
    for number, shown in enumerate(past):
        known.remember(f"v{number}", show(*shown))
    assert keys(known.since(show(*past[-1]), held)) == expected


def test_all_formats_of_a_version_count_as_one() -> None:
    known = Deltas()
    for etag in ("atom0", "rss0", "json0"):
        known.remember(etag, show(1))
    known.remember("atom1", show(2, 1))
    assert keys(known.since(show(2, 1), ["json0"])) == ("json0", ["k2"])


def test_rules_that_lead_to_the_same_are_no_change() -> None:
    known = Deltas()
    known.remember("v0", show(2, 1))
    recleaned = tuple(replace(entry, cleaner="new rules") for entry in show(3, 2, 1).entries)
    document = replace(show(3, 2, 1), entries=recleaned)
    known.remember("v1", document)
    assert keys(known.since(document, ["v0"])) == ("v0", ["k3"])


def test_an_entry_that_is_newer_than_what_was_remembered_is_sent() -> None:
    known = Deltas()
    known.remember("v0", show(2, 1))
    assert keys(known.since(show(3, "2!", 1), ["v0"])) == ("v0", ["k3", "k2"])


def test_feeds_do_not_mix() -> None:
    known = Deltas()
    known.remember("v0", show(1))
    assert known.since(replace(show(2, 1), name="other"), ["v0"]) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_TAGS", 3)
    monkeypatch.setattr(deltas, "_FEEDS", 2)
    known = Deltas()
    for number in range(5):
        known.remember(f"v{number}", show(*range(number, -1, -1)))
    now = show(4, 3, 2, 1, 0)
    assert known.since(now, ["v1"]) is None
    assert keys(known.since(now, ["v2"])) == ("v2", ["k4", "k3"])
    for name in ("a", "b"):
        known.remember("x", replace(now, name=name))
    assert known.since(now, ["v2"]) is None


def test_represent_renders_once_and_keeps_the_whole_ones_validator() -> None:
    rendered: list[int] = []

    def render(document: FeedDocument) -> bytes:
        rendered.append(len(document.entries))
        return b"".join(entry.id.encode() for entry in document.entries) * 100

    known = Deltas()
    known.remember("v0", show(2, 1))
    document = show(3, 2, 1)
    whole = represent(render(document), "application/atom+xml", last_modified=NOW, max_age=60)
    known.remember(whole.etag, document)
    found = [known.represent(whole, document, ["v0"], render) for _ in range(2)]
    assert rendered == [3, 1]
    assert found[0] == found[1]
    assert found[0]
    held, newer = found[0]
    assert held == "v0"
    assert (newer.etag, newer.last_modified, newer.max_age) == (whole.etag, NOW, 60)
    assert newer.body == document.entries[0].id.encode() * 100
    assert newer.codings
    assert known.represent(whole, document, ["unknown"], render) is None


def test_rendered_deltas_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_RENDERED", 1)
    rendered: list[str] = []

    def render(document: FeedDocument) -> bytes:
        rendered.append(document.entries[0].key)
        return b"x"

    known = Deltas()
    known.remember("v0", show(1))
    known.remember("v1", show(2, 1))
    document = show(3, 2, 1)
    whole = represent(b"whole", "x", last_modified=None, max_age=1)
    for held in ("v0", "v1", "v1", "v0"):
        assert known.represent(whole, document, [held], render)
    assert len(rendered) == 3
