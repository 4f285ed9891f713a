"""Queries of the search page, and the parts of an entry that match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.text import fold, fold_marked, fold_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from feedsvc.model import Entry

PER_PAGE = 20
_MAX_LENGTH = 200  # characters of a question that are looked at
_MAX_PAGES = 50
_MAX_PHRASES = 8
_QUOTES = re.compile(r'["“”„«»＂](?P<phrase>[^"“”„«»＂]*)(?:["“”„«»＂]|$)|(?P<word>[^\s"“”„«»＂]+)')
_BEFORE, _LENGTH = 40, 160  # characters of an excerpt ahead of the match, and in all


@dataclass(frozen=True, slots=True)
class Query:
    """A question.

    Attributes:
        text: As it was asked, on one line.
        phrases: All of which must be in the title or text of an entry; each has a letter or digit at least.
        page: From 1.
    """

    text: str
    phrases: tuple[str, ...]
    page: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A page of answers.

    Attributes:
        entries: Newest first.
        total: Their number on all pages.
        waiting: The number of entries that the index lacks yet.
    """

    entries: tuple[Entry, ...]
    total: int
    waiting: int = 0

    @property
    def pages(self) -> int:
        """The number of pages that can be shown."""
        return min(-(-self.total // PER_PAGE), _MAX_PAGES)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; marked if it matches."""

    text: str
    marked: bool


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Read a question from the query of an address; any query is one.

    Args:
        parameters: "q" holds words, all of which must match; those in quotes are a phrase. "page" is a number.
    """
    text = " ".join(parameters.get("q", "")[:_MAX_LENGTH].split())
    phrases = []
    for found in _QUOTES.finditer(text):
        phrase = (found["phrase"] or found["word"] or "").strip()
        if any(character.isalnum() for character in phrase) and phrase not in phrases:
            phrases.append(phrase)
    page = parameters.get("page", "")
    number = int(page) if re.fullmatch(r"[0-9]{1,4}", page) else 1
    return Query(text, tuple(phrases[:_MAX_PHRASES]), min(max(number, 1), _MAX_PAGES))


def mark(text: str, phrases: Sequence[str]) -> tuple[Piece, ...]:
    """Cut a text at the begin and end of each phrase; the pieces joined are the text."""
    pieces: list[Piece] = []
    position = 0
    for start, end in _spans(text, phrases):
        if start > position:
            pieces.append(Piece(text[position:start], marked=False))
        pieces.append(Piece(text[start:end], marked=True))
        position = end
    if position < len(text):
        pieces.append(Piece(text[position:], marked=False))
    return tuple(pieces)


def excerpt(text: str, phrases: Sequence[str]) -> tuple[Piece, ...] | None:
    """Cut out of a text the surroundings of the first phrase that is in it.

    Returns:
        As `mark`, with an ellipsis for each part left out; None if no phrase is in the text.
    """
    text = " ".join(text.split())
    spans = _spans(text, phrases)
    if not spans:
        return None
    start = max(0, spans[0][0] - _BEFORE)
    if start:  # at a word, where words are short
        space = text.find(" ", start, spans[0][0])
        start = space + 1 if 0 <= space < spans[0][0] else start
    cut = text[start : start + _LENGTH]
    left, right = "… " if start else "", " …" if start + _LENGTH < len(text) else ""
    return mark(f"{left}{cut}{right}", phrases)


def _spans(text: str, phrases: Sequence[str]) -> list[tuple[int, int]]:
    """The spans of phrases in a text, in order; spans that overlap become one."""
    folded, origins = fold_marked(text)
    found = sorted(
        (origins[match.start()], origins[match.end() - 1] + 1)
        for phrase in phrases
        if (pattern := _pattern(phrase))
        for match in pattern.finditer(folded)
    )
    spans: list[tuple[int, int]] = []
    for start, end in found:
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _pattern(phrase: str) -> re.Pattern[str] | None:
    """A phrase as the index finds it: words of letters as a whole, the last one by its beginning."""
    words = re.findall(r"[^\W_]+", fold_words(phrase))
    if not words:
        return None
    pattern = r"[\W_]*".join(re.escape(word) for word in words)
    if words[0].isascii():
        pattern = rf"(?<![a-z0-9]){pattern}"
    if words[-1].isascii():
        pattern += r"[a-z0-9]*" if fold(phrase)[-3:].isalnum() and len(words[-1]) >= 3 else r"(?![a-z0-9])"  # noqa: PLR2004 - as the index
    return re.compile(pattern)
