"""Which entries a client is missing: versions of feeds, and what is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from feed_documents import Shelf, make_document, make_entry
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.feeds import deltas
from feedsvc.feeds.deltas import Deltas, Versions
from feedsvc.feeds.formats import FORMATS
from feedsvc.feeds.publisher import Resource
from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    import random

    from feedsvc.model import FeedDocument, Representation

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)
BASE = "https://feeds.example.org"
ATOM = FORMATS["atom"]
CHANGED = {"content": "<p>mended</p>"}


def show(*numbers: int | str) -> FeedDocument:
    """A feed of these entries; "2!" is the second one, changed."""
    entries = [
        make_entry(int(str(number).rstrip("!")), **(CHANGED if str(number).endswith("!") else {})) for number in numbers
    ]
    return make_document(*entries)


def whole_of(document: FeedDocument) -> Representation:
    return represent(ATOM.render(document, BASE), ATOM.media_type, last_modified=NOW, max_age=60)


def missing(versions: Versions, document: FeedDocument, held: list[str]) -> tuple[str, list[str]] | None:
    """The tag that was known, and the keys of the entries that are sent."""
    found = Deltas().represent(versions, whole_of(document), ATOM, held)
    return found and (found[0], [id_.replace("tag:example.org,2024:", "k") for id_ in ATOM.split(found[1].body)])


def remember(versions: Versions, etag: str, document: FeedDocument) -> None:
    versions.remember(etag, ATOM.split(whole_of(document).body))


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
def test_entries_that_are_sent(
    past: list[tuple[int | str, ...]], held: list[str], expected: tuple[str, list[str]] | None
) -> None:
    versions = Versions()
    for number, shown in enumerate(past):
        remember(versions, f"v{number}", show(*shown))
    assert missing(versions, show(*past[-1]), held) == expected


def test_rules_that_lead_to_the_same_are_no_change() -> None:
    versions = Versions()
    remember(versions, "v0", show(2, 1))
    recleaned = tuple(replace(entry, cleaner="new rules") for entry in show(3, 2, 1).entries)
    document = replace(show(3, 2, 1), entries=recleaned)
    remember(versions, "v1", document)
    assert missing(versions, document, ["v0"]) == ("v0", ["k3"])


def test_an_entry_that_is_newer_than_what_was_remembered_is_sent() -> None:
    versions = Versions()
    remember(versions, "v0", show(2, 1))
    assert missing(versions, show(3, "2!", 1), ["v0"]) == ("v0", ["k3", "k2"])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_TAGS", 3)
    versions = Versions()
    for number in range(5):
        remember(versions, f"v{number}", show(*range(number, -1, -1)))
    now = show(4, 3, 2, 1, 0)
    assert missing(versions, now, ["v1"]) is None
    assert missing(versions, now, ["v2"]) == ("v2", ["k4", "k3"])


def test_delta_is_made_once_and_has_the_validator_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    versions, known = Versions(), Deltas()
    for etag, document in (("v0", show(1)), ("v1", show(2, 1)), ("v2", show(3, 2, 1))):
        remember(versions, etag, document)
    whole = whole_of(show(3, 2, 1))
    first, second = (known.represent(versions, whole, ATOM, ["v0"]) for _ in range(2))
    assert first
    assert second
    assert first[1] is second[1]
    assert (first[1].etag, first[1].last_modified, first[1].max_age) == (whole.etag, NOW, 60)
    assert first[1].codings
    monkeypatch.setattr(deltas, "_KEPT", 1)
    assert known.represent(versions, whole, ATOM, ["v1"])
    third = known.represent(versions, whole, ATOM, ["v0"])
    assert third
    assert third[1] is not first[1]
    assert third[1] == first[1]


HOSTILE = [
    "",
    "<p>正文</p>",
    "</entry><entry>",
    "</item><item><guid>x</guid>",
    "]]></content:encoded>",
    '"},{"id":"x"',
    "\\",
]


@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(HOSTILE)), max_size=5), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_entries_of_a_delta_are_those_of_the_document_with_its_etag(
    extension: str, versions: list[list[tuple[int, str]]], chance: random.Random
) -> None:
    """The feed changes before each poll, and is published before some."""
    form = FORMATS[extension]
    shelf = Shelf({"/feed": Resource(form.media_type, "feed", form.render, form)}, BASE)
    wholes: dict[str, dict[str, bytes]] = {}
    for version in versions:
        numbers = sorted(dict(version).items(), reverse=True)
        entries = tuple(
            make_entry(number, content=text, title=text, id=f"urn:x:{number}&<") for number, text in numbers
        )
        document = make_document(entries=entries)
        if chance.random() < 0.7 or not wholes:
            shelf.publish(document)
        shelf.feeds["feed"] = (document, NOW)
        whole = shelf.publisher.representation("/feed", BASE)
        assert whole
        wholes[whole.etag] = form.split(whole.body)
        assert len(wholes[whole.etag]) == whole.body.count(b"urn:x:")
        found = shelf.publisher.delta("/feed", BASE, wholes)
        if found is None:
            continue
        held, delta = found
        sent = form.split(delta.body)
        assert delta.etag == whole.etag
        assert sent.items() < wholes[delta.etag].items()
        assert sent.items() >= wholes[delta.etag].items() - wholes[held].items()
        assert not form.inspect(delta.body)
        assert form.cut(whole.body, wholes[whole.etag].keys() - sent.keys()) == delta.body
