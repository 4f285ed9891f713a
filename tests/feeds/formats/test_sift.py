"""An entry at fault is left out, the others are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from feed_documents import make_document, make_entry

from feedsvc.errors import RenderError
from feedsvc.feeds.formats import FORMATS, Format
from feedsvc.feeds.formats.atom import render_atom
from feedsvc.feeds.formats.inspect import inspect_atom
from feedsvc.feeds.formats.sift import sift

if TYPE_CHECKING:
    from feedsvc.model import Entry, FeedDocument

BASE = "https://feeds.example.org"
GOOD = (make_entry(2), make_entry(1), make_entry(0))


def test_feed_without_fault_is_as_it_was() -> None:
    done = sift(make_document(*GOOD), BASE, render_atom, inspect_atom)
    assert (done.body, done.document, done.faults) == (
        render_atom(make_document(*GOOD), BASE),
        make_document(*GOOD),
        (),
    )


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (make_entry(5, id="no iri"), "no absolute IRI"),
        (make_entry(5, id="tag:example.org,2024:\x01"), "XML"),
        (make_entry(5, content="x" * 4_000_001), "4000001 characters"),
    ],
)
def test_entry_at_fault_is_left_out(bad: Entry, reason: str) -> None:
    done = sift(make_document(GOOD[0], bad, *GOOD[1:]), BASE, render_atom, inspect_atom)
    assert done.document.entries == GOOD
    [fault] = done.faults
    assert fault.entry == bad
    assert reason in fault.reason
    assert inspect_atom(done.body) == []


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_entry_that_its_renderer_cannot_bear_is_left_out(form: Format) -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:
        if bad in document.entries:
            raise ValueError("Invalid IPv6 URL")
        return form.render(document, base_url)

    bad = make_entry(5)
    done = sift(make_document(GOOD[0], bad, *GOOD[1:]), BASE, render, form.inspect)
    assert (done.body, done.document.entries) == (form.render(done.document, BASE), GOOD)
    [fault] = done.faults
    assert fault.entry == bad
    assert "ValueError: Invalid IPv6 URL" in fault.reason


def test_both_of_two_entries_with_one_id_are_left_out() -> None:
    twin = make_entry(7, id=GOOD[0].id)
    done = sift(make_document(*GOOD, twin), BASE, render_atom, inspect_atom)
    assert done.document.entries == GOOD[1:]
    assert [fault.entry for fault in done.faults] == [GOOD[0], twin]


def test_fault_of_the_feed_itself() -> None:
    with pytest.raises(RenderError, match="feed feed: has the id 'no iri', which is no absolute IRI"):
        sift(make_document(*GOOD, id="no iri"), BASE, render_atom, inspect_atom)


def test_renderer_that_fails_for_no_entry_by_itself() -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:
        if len(document.entries) > 1:
            raise RenderError("out of luck")
        return render_atom(document, base_url)

    with pytest.raises(RenderError, match="out of luck; no entry is at fault by itself"):
        sift(make_document(*GOOD), BASE, render, inspect_atom)
