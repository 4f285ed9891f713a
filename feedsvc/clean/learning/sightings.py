"""Lines of an article as learning sees them: their text, their shape, their place.

A line's block is a fingerprint of its text that forgives case, digits, white space, punctuation, full and half width.
It leaves out the elements around the line, which are gone once the article is clean: so cleaning again finds the same
blocks. The elements make the line's shape, by which `feedsvc.clean.learning.census` tells a label from a sentence.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from feedsvc.clean.elements import BLOCKS
from feedsvc.clean.markup import plain_attributes
from feedsvc.clean.titles import TITLE_SHAPE, suffix_of
from feedsvc.model import Sighting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bs4 import Tag

    from feedsvc.clean.learning.learned import LearnedBlock
    from feedsvc.clean.outline import Line
    from feedsvc.clean.repair import Addresses
    from feedsvc.clean.rules.rule import Rule

HEAD_LINES: Final = 5
"""How many of the lines that stay are the head of an article."""

TAIL_LINES: Final = 8
"""How many are its tail. A newsletter form or a list of links is longer than the lines above an article."""

_LONGEST: Final = 240  # bytes of UTF-8: a longer line without a link is prose, and no block
_LONGEST_SHAPE: Final = 120
_LONGEST_SAMPLE: Final = 120
_SHORT: Final = 60  # characters; of lines in the middle, only shorter ones count: labels and headings
_MOST_IN_MIDDLE: Final = 40
_MOST_CLASSES: Final = 3
_ENOUGH: Final = 3  # paragraphs of an article show the shape of its prose
_PROSE: Final = 60  # bytes of UTF-8, which are 20 Chinese characters or 60 Latin ones

_DIGITS = re.compile(r"\d+")
_NO_LETTERS = re.compile(r"[\W_]+")
# Build tools put hashes into class names; numbers count siblings.
_CHANGING = re.compile(r"[A-Za-z0-9]*\d[A-Za-z0-9]*")


def fingerprint(text: str) -> str:
    """Return the letters of a text, case folded, with "0" for each number; "" without letters and digits."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NO_LETTERS.sub("", _DIGITS.sub("0", folded))


def digest(text: str) -> str:
    """Return 16 hexadecimal digits that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def title_block(suffix: str) -> str:
    """Return the block of a title's suffix."""
    return digest(f"{TITLE_SHAPE}\0{suffix}")


def sight_title(title: str) -> tuple[Sighting, ...]:
    """Return a sighting of each possible suffix of a title."""
    return tuple(
        Sighting(
            block=title_block(suffix),
            shape=TITLE_SHAPE,
            links="",
            text=suffix,
            edge=True,
            closes=False,
            leads=False,
        )
        for suffix in suffix_of(title)
    )


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _is_paragraph(text: str, line: Line) -> bool:
    """Tell at little cost whether a line is long prose without a link."""
    parent = line.leaves[0].node.parent
    return len(line.leaves) == 1 and _size(text) > _LONGEST and parent is not None and parent.name in BLOCKS


@lru_cache(maxsize=4096)
def _step(name: str, classes: str) -> str:
    return ".".join((name, *(_CHANGING.sub("*", each) for each in classes.split()[:_MOST_CLASSES])))


class Sight:
    """Looks at the lines of one article."""

    def __init__(self, known: Mapping[str, LearnedBlock], addresses: Addresses) -> None:
        """Take the blocks learned for the article's source, and the dump's addresses."""
        self._known = known
        self._addresses = addresses
        self._above: dict[int, tuple[str, str | None]] = {}
        self._seen: dict[int, Sighting | None] = {}

    def rule(self, line: Line) -> Rule | None:
        """Return the rule of the learned block that this line is, or None."""
        if not self._known:
            return None
        key = id(line)
        if key not in self._seen:
            self._seen[key] = self._sighting(line, line.text)
        seen = self._seen[key]
        if seen is None:
            return None
        block = self._known.get(seen.block)
        return None if block is None or block.links not in (None, seen.links) else block.rule

    def look(self, lines: Sequence[Line]) -> tuple[Sighting, ...]:
        """Return sightings to learn from.

        Args:
            lines: Lines that show something after all rules but learned ones.

        Returns:
            The lines of head and tail, and short ones between; those without letters are left out. None at all if no
            line is prose: then the article itself consists of labels and headings.
        """
        count = len(lines)
        texts = [line.text for line in lines]
        prose = [self._is_prose(text, line) for text, line in zip(texts, lines, strict=True)]
        if True not in prose:
            return ()
        first = prose.index(True)
        last = count - 1 - prose[::-1].index(True)
        found = []
        between = paragraphs = 0
        for at, (line, text) in enumerate(zip(lines, texts, strict=True)):
            edge = at < HEAD_LINES or at >= count - TAIL_LINES
            if not edge:
                if between == _MOST_IN_MIDDLE or len(text) > _SHORT:
                    continue
                between += 1
            elif _is_paragraph(text, line):
                paragraphs += 1
                if paragraphs > _ENOUGH:
                    continue
            leads = at + 1 < count and prose[at + 1]
            sighting = self._sighting(line, text, edge=edge, closes=first < at and last < at, leads=leads)
            self._seen[id(line)] = sighting
            if sighting is not None:
                found.append(sighting)
        return tuple(found)

    def _sighting(
        self, line: Line, text: str, *, edge: bool = True, closes: bool = False, leads: bool = False
    ) -> Sighting | None:
        leaves = [leaf for leaf in line.leaves if leaf.stays and leaf.shows and leaf.text]
        if not leaves:
            return None
        parents = [leaf.node.parent for leaf in leaves]
        found = [self._look_up(parent) for parent in parents]
        targets = {link for _, link in found if link is not None}
        kind = "all" if all(link is not None for _, link in found) else "part" if targets else ""
        shape = found[0][0]
        if any(parent is not parents[0] for parent in parents):
            holder = parents[0]
            while holder is not None and holder.name not in BLOCKS:
                holder = holder.parent
            shape = self._look_up(holder)[0]
        block = ""
        if targets or _size(text) <= _LONGEST:
            letters = fingerprint(text)
            if len(letters) < 2:  # noqa: PLR2004 - a number, an initial: too little to know it by
                return None
            block = digest(f"{kind}\0{letters}")
        return Sighting(
            block=block,
            shape=f"{shape}@{kind}" if kind else shape,
            links=digest("\0".join(sorted(targets))) if targets else "",
            text=text[:_LONGEST_SAMPLE],
            edge=edge,
            closes=closes,
            leads=leads,
        )

    def _is_prose(self, text: str, line: Line) -> bool:
        if len(text) < _PROSE // 3:
            return False
        if _size(text.strip()) < _PROSE:
            return False
        if _is_paragraph(text, line):
            return True
        return any(
            self._look_up(leaf.node.parent)[1] is None
            for leaf in line.leaves
            if leaf.stays and leaf.shows and leaf.text
        )

    def _look_up(self, tag: Tag | None) -> tuple[str, str | None]:
        """Return an element's path from the root, and host and path of the link that it is in."""
        found = self._above.get(id(tag))
        if found is not None:
            return found
        chain: list[Tag] = []
        while tag is not None and tag.name != "body" and id(tag) not in self._above:
            chain.append(tag)
            tag = tag.parent
        path, link = ("", None) if tag is None else self._above.get(id(tag), ("", None))
        for each in reversed(chain):
            attributes = plain_attributes(each)
            step = _step(each.name, attributes.get("class", "")) if attributes else each.name
            path = f"{path}>{step}"[-_LONGEST_SHAPE:] if path else step[-_LONGEST_SHAPE:]
            if each.name == "a":
                link = self._target(attributes.get("href")) or link
            self._above[id(each)] = path, link
        return path, link

    def _target(self, href: str | None) -> str | None:
        address = None if href is None else self._addresses.absolute(href)
        if address is None:
            return None
        parts = urlsplit(address)  # the query may change with each visit
        return f"{parts.netloc}{parts.path.rstrip('/')}" or address
