"""Marker blocks: `<!--1712180702000-->`, `[title](address)`, a line of dashes, HTML. One a file, or several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.dumps.dates import parse_epoch
from feedsvc.dumps.title_line import TitleLine, parse_title_line
from feedsvc.errors import BrokenDump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

_MARKER = re.compile(r"<!--\s{0,9}([0-9]+)\s{0,9}-->")
_UNCLOSED = re.compile(r"<!--\s{0,9}[0-9]+\s{0,9}(?:-{0,2}>?$|-{0,2}\[)")
_DASHES = re.compile("-{3,}")
_MOST_TITLE_LINES = 5


@dataclass(frozen=True, slots=True)
class Block:
    """One article below its marker, with the marker's line (from 1) and time (aware, UTC, whole seconds).

    `html` is the body without the blank lines around it, and may be empty.
    """

    line: int
    published: datetime
    head: TitleLine
    html: str


def is_marker(line: str) -> bool:
    """Return True if the line begins with a marker; a title may follow on the same line."""
    return _MARKER.match(line.strip()) is not None


def is_unclosed_marker(line: str) -> bool:
    """Return True if the line was to be a marker but lacks its `-->`."""
    return _UNCLOSED.match(line.strip()) is not None


def block_starts(lines: Sequence[str], start: int) -> Iterator[int]:
    """Yield the lines of markers (from 0): one alone on its line, and the next line with text begins with `[`.

    Any other comment belongs to the article, even one of digits.
    """
    for index in range(start, len(lines)):
        if "<!--" in lines[index] and _MARKER.fullmatch(lines[index].strip()):
            following = first_text(lines, index + 1)
            if following < len(lines) and lines[following].lstrip().startswith("["):
                yield index


def first_text(lines: Sequence[str], start: int, end: int | None = None) -> int:
    """Find the first line from `start` on that is not blank; `end` if all are."""
    end = len(lines) if end is None else end
    return next((index for index in range(start, end) if lines[index].strip()), end)


def parse_block(lines: Sequence[str], start: int, end: int, path: str) -> Block:
    """Read one block, from its marker's line to the line before `end`, both from 0; `path` is for errors.

    Raises:
        BrokenDump: The marker's time is absurd, or no title line follows it.
    """
    text = lines[start].strip()
    match = _MARKER.match(text)
    if match is None:
        raise BrokenDump(path, "the marker is not closed by `-->`", start + 1)
    try:
        published = parse_epoch(match[1])
    except ValueError as error:
        raise BrokenDump(path, f"in the marker, {error}", start + 1) from error
    rest = text[match.end() :]
    if rest.strip():
        head, body = parse_title_line(rest), _after_dashes(lines, start + 1, end)
        at = start
    else:
        at = first_text(lines, start + 1, end)
        head, body = split_title_line(lines, at, end)
    if head is None:
        line = (at if at < end else start) + 1
        raise BrokenDump(path, "below the marker stands no line `[title](address)`", line)
    return Block(start + 1, published, head, "\n".join(lines[body:end]).strip())


def split_title_line(lines: Sequence[str], at: int, end: int) -> tuple[TitleLine | None, int]:
    """Read the title line at `at`, and find the body's line: below the dashes, or without them right below.

    A line end inside the title (a lone CR in most cases) continues it.
    """
    if at == end:
        return None, end
    line, after = lines[at], at + 1
    if line.lstrip().startswith("[") and "](" not in line and not line.rstrip().endswith("]"):
        for stop in range(after, min(after + _MOST_TITLE_LINES, end)):
            if not lines[stop].strip() or is_dashes(lines[stop]):
                break
            if "](" in lines[stop]:
                line, after = " ".join(lines[at : stop + 1]), stop + 1
                break
    return parse_title_line(line), _after_dashes(lines, after, end)


def _after_dashes(lines: Sequence[str], start: int, end: int) -> int:
    at = first_text(lines, start, end)
    return at + 1 if at < end and is_dashes(lines[at]) else start


def is_dashes(line: str) -> bool:
    """Return True if the line is the one between title and body: three dashes or more, nothing else."""
    return _DASHES.fullmatch(line.strip()) is not None
