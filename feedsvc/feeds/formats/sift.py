"""Renders a feed without the entries that cannot be rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from feedsvc.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from feedsvc.feeds.formats.inspect import Finding
    from feedsvc.model import Entry, FeedDocument

    Renderer = Callable[[FeedDocument, str], bytes]
    Inspector = Callable[[bytes], Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class Fault:
    """An entry that was left out, and the reason."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """A feed that passed: its bytes, the document that they show, and the entries left out."""

    body: bytes
    document: FeedDocument
    faults: tuple[Fault, ...]


def sift(document: FeedDocument, base_url: str, render: Renderer, inspect: Inspector) -> Sifted:
    """Render a feed and look at the bytes; leave out the entries at fault and try again.

    Raises:
        RenderError: No entry is at fault; the message names the error.
    """
    faults: list[Fault] = []
    while True:
        bad = {}
        try:
            body = _render(render, document, base_url)
        except RenderError as error:
            bad = _fails_alone(document, base_url, render)
            if not bad:
                raise RenderError(f"{error}; no entry is at fault by itself") from error
        else:
            findings = inspect(body)
            if not findings:
                return Sifted(body, document, tuple(faults))
            ids = {entry.id for entry in document.entries}
            bad = {finding.entry: finding.message for finding in findings if finding.entry in ids}
            if not bad:
                raise RenderError(f"feed {document.name}: {findings[0].message}")
        faults += (Fault(entry, bad[entry.id]) for entry in document.entries if entry.id in bad)
        document = replace(document, entries=tuple(entry for entry in document.entries if entry.id not in bad))


def _render(render: Renderer, document: FeedDocument, base_url: str) -> bytes:
    try:
        return render(document, base_url)
    except RenderError:
        raise
    except Exception as error:  # one entry must not keep the others from readers
        raise RenderError(f"feed {document.name}: rendering failed: {type(error).__name__}: {error}") from error


def _fails_alone(document: FeedDocument, base_url: str, render: Renderer) -> dict[str | None, str]:
    found: dict[str | None, str] = {}
    for entry in document.entries:
        try:
            _render(render, replace(document, entries=(entry,)), base_url)
        except RenderError as error:
            found[entry.id] = str(error)
    return found
