"""From bytes to Dumps: the format of a file, and the part that wins if its parts disagree."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from feedsvc.dumps.blocks import (
    block_starts,
    first_text,
    is_dashes,
    is_marker,
    is_unclosed_marker,
    parse_block,
    split_title_line,
)
from feedsvc.dumps.characters import plain, plain_title
from feedsvc.dumps.dates import parse_date
from feedsvc.dumps.encoding import decode
from feedsvc.dumps.front_matter import FENCE, FrontMatter, parse_front_matter
from feedsvc.dumps.ignored_names import ignored_name
from feedsvc.dumps.title_line import TitleLine, is_absolute
from feedsvc.errors import BrokenDump, NotADump
from feedsvc.model import Dump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_ELLIPSES = ("...", "…")
# How other files begin; lower case, the first that fits speaks.
_OTHERS = (
    ("%pdf", "a PDF"),
    ("<?xml", "an XML file, perhaps a feed"),
    ("<rss", "an RSS feed"),
    ("<feed", "an Atom feed"),
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<!--", "a comment stands where a marker of digits should"),
    ("<", "HTML without front matter or marker"),
    ("{", "JSON"),
    ("+++", "front matter in TOML, which is not read"),
    ("#!", "a script"),
    ("[", "JSON, or a title line without the marker above it"),
)


def parse_dump(data: bytes, path: str) -> list[Dump]:
    """Read the articles of a dump file in their order, at least one; the name of the file alone may rule it out.

    The marker's time, title and link win over the front matter's; but a whole title wins over the same title cut short
    with an ellipsis.

    Raises:
        NotADump: The file is something else.
        BrokenDump: The file starts as a dump but cannot be read to its end; the error holds the articles that can.
    """
    reason = ignored_name(path)
    if reason:
        raise NotADump(path, reason)
    lines = decode(data, path).split("\n")
    start = first_text(lines, 0)
    if lines[start].strip() == FENCE:
        head, start = parse_front_matter(lines, start, path)
        return _below(head, lines, start, path)
    if is_marker(lines[start]) or is_unclosed_marker(lines[start]):
        starts = sorted({start, *block_starts(lines, start)})
        return _blocks(FrontMatter(line=start + 1), lines, starts, "", path)
    raise NotADump(path, _what_else(lines[start]), start + 1)


def _below(head: FrontMatter, lines: Sequence[str], start: int, path: str) -> list[Dump]:
    """Read the articles below front matter: blocks (formats 2 and 4) or a page (format 3)."""
    first = first_text(lines, start)
    starts = list(block_starts(lines, start))
    if first < len(lines) and first not in starts and (is_marker(lines[first]) or is_unclosed_marker(lines[first])):
        starts.insert(0, first)
    if starts:
        # Text above the first marker belongs to the first article: nothing says where else it would.
        return _blocks(head, lines, starts, "\n".join(lines[start : starts[0]]).strip(), path)
    if head.date or head.link:
        return [_page(head, lines, start, path)]
    raise NotADump(path, "front matter without a date or a link, and no marker below", head.line)


def _blocks(head: FrontMatter, lines: Sequence[str], starts: Sequence[int], above: str, path: str) -> list[Dump]:
    if len(starts) > 1:
        # The one link would make one article of all that have none of their own.
        head = replace(head, link=None)
    dumps: list[Dump] = []
    first_broken: BrokenDump | None = None
    broken = 0
    for position, (start, end) in enumerate(pairwise((*starts, len(lines)))):
        try:
            block = parse_block(lines, start, end, path)
            html = f"{above}\n{block.html}".strip() if position == 0 else block.html
            dumps.append(_dump(head, block.head, block.published, html, path, position=position, line=block.line))
        except BrokenDump as error:
            first_broken = first_broken or error
            broken += 1
    if first_broken:
        more = f" ({broken} articles of the file are broken)" if broken > 1 else ""
        raise BrokenDump(path, first_broken.reason + more, first_broken.line or 1, tuple(dumps)) from first_broken
    return dumps


def _page(head: FrontMatter, lines: Sequence[str], start: int, path: str) -> Dump:
    published = None
    if head.date:
        try:
            published = parse_date(head.date)
        except ValueError as error:
            raise BrokenDump(path, f"in the front matter, {error}", head.date_line) from error
    at = first_text(lines, start)
    title_line, body = split_title_line(lines, at, len(lines))
    if title_line is None or not is_dashes(lines[body - 1]):
        # Only dashes below it tell a title line from an article that begins with a link.
        title_line, body = TitleLine("", None), at
    return _dump(head, title_line, published, "\n".join(lines[body:]).strip(), path, position=0, line=head.line)


def _dump(
    head: FrontMatter, own: TitleLine, published: datetime | None, html: str, path: str, *, position: int, line: int
) -> Dump:
    """Make a Dump of an article's own statements and those of the front matter."""
    link = own.link if is_absolute(own.link) else head.link or own.link
    title = plain_title(own.title)
    if not title or _is_cut(title, head.title):
        title = head.title
    title = title or plain(link or "")
    if not title:
        raise BrokenDump(path, "the article has neither a title nor a link", line)
    return Dump(
        path=path,
        position=position,
        line=line,
        title=title,
        link=link,
        published=published,
        html=html,
        author=head.author,
        source=head.source,
        categories=head.categories,
        language=head.language,
    )


def _is_cut(title: str, whole: str) -> bool:
    """Return True if a title is the beginning of the whole one, cut with an ellipsis."""
    beginning = title.rstrip(".… ")
    cut = title.endswith(_ELLIPSES) and beginning and whole.startswith(beginning)
    return bool(cut) and len(whole.rstrip(".… ")) > len(beginning)


def _what_else(line: str) -> str:
    text = line.strip().lower()
    for beginning, reason in _OTHERS:
        if text.startswith(beginning):
            return reason
    return "it begins neither with a marker `<!--digits-->` nor with front matter"
