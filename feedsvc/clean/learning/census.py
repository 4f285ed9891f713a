"""Learns blocks: lines that recur in the heads and tails of a source's dumps and are not written like an article.

Frequency says only that a block recurs. So do headings, bylines, datelines, names and sign-offs, and those are article.
To be learned, a block must recur, stand at an edge, and show by its form that it belongs to the page:

    links   it has links, and they lead to the same places every time: a newsletter, a feed service
    shape   its elements and classes hold nearly nothing but repeats: an advertisement's label, a form
    notice  it is a copyright notice with no prose after it; this moves to the entry's rights
    title   it ends most titles

A block that is learned from three other sources needs few sightings of its own ("spread"). These false friends are
protected, each by more than one test in tests/clean/test_census.py:

    section headings        another heading stood in the same shape; or prose follows; or no prose comes before
    bylines, credits        their text names a role, or their shape a person, even if the shape is theirs alone;
                            above the article, a shape without a name says nothing
    datelines, places       they stand in prose, or their shape is named for them

    disclaimers             their text speaks of the article, not of the page
    picture credits         a shape with a figure, caption or quote in it teaches nothing
    lists of names          the shape of an item has others in it; and a list says nothing without a name of its own
    sentences of a template their shape is that of prose, which is always new
    links that are articles they lead elsewhere every time; and without prose, nothing closes an article
    tags and categories     a line that is all link must stand in a shape of few lines

Counting is lossy counting (Manku and Motwani, VLDB 2002) with a bucket of a hundred dumps, for each source: a count is
at most one in a hundred dumps too low, and rarer blocks are forgotten. So that a source that changes is learned anew,
all counts are halved every thousand dumps once there are two thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feedsvc.clean.learning.forms import belongs_to_article, is_notice, read_form
from feedsvc.clean.learning.learned import Learned, LearnedBlock, Sign, census_source
from feedsvc.clean.text import one_line
from feedsvc.clean.titles import TITLE_SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from feedsvc.clean.learning.forms import Form
    from feedsvc.model import CleanEntry, Sighting

BUCKET: Final = 100  # dumps after which rare blocks are forgotten
OLD: Final = 2000  # dumps after which all counts are halved

_WARM: Final = 20  # dumps before which nothing is learned from a source alone
_FEWEST: Final = 6  # dumps that a block recurs in, and
_SHARE: Final = 0.03  # of the source's dumps
_FEWEST_SPREAD: Final = 2  # if as many other sources as this have it learned:
_SPREAD: Final = 3
_NEARLY_ALL: Final = 0.9
_FEW_LABELS: Final = 3  # blocks in the shape of a label, and
_RARE: Final = 0.05  # of all lines in it
_FEW_LINKS: Final = 2  # the same for lines that are all link
_SOME: Final = 0.3
_HALF: Final = 0.5  # of all titles
_MOST: Final = 0.75  # is enough to stay learned


@dataclass(slots=True)
class BlockCount:
    """Counts of a block in one shape.

    Attributes:
        count: Dumps of the source with it.
        missed: Sightings before the first that is counted, at most.
        edge: Sightings in head or tail.
        closes: Sightings with prose before and none after.
        leads: Sightings with prose next.
        links: The fingerprint of its most frequent links; "" without links.
        same: Sightings with those links less those with others, at least.
        text: A sample.
    """

    count: int = 0
    missed: int = 0
    edge: int = 0
    closes: int = 0
    leads: int = 0
    links: str = ""
    same: int = 0
    text: str = ""


@dataclass(slots=True)
class ShapeCount:
    """Counts of lines in a shape.

    Attributes:
        seen: Lines.
        fresh: Lines of blocks that were not seen in it before.
        missed: As of a block.
    """

    seen: int = 0
    fresh: int = 0
    missed: int = 0


class SourceCensus:
    """Counts blocks and shapes in the dumps of one source.

    Attributes:
        dumps: How many were counted.
        blocks: Block and shape to their count; all there are, or those that a store handed over.
        shapes: Shape to its count.
    """

    def __init__(self, dumps: int = 0) -> None:
        """Begin after so many dumps, with no counts yet."""
        self.dumps = dumps
        self.blocks: dict[tuple[str, str], BlockCount] = {}
        self.shapes: dict[str, ShapeCount] = {}

    def add(self, sightings: Iterable[Sighting]) -> bool:
        """Count one dump; tell whether it filled a bucket, so that `forget` is to follow."""
        missed = self.dumps // BUCKET
        self.dumps += 1
        seen = set()
        for each in sightings:
            if not each.block:
                shape = self.shapes.setdefault(each.shape, ShapeCount(missed=missed))
                shape.seen += 1
                shape.fresh += 1
                continue
            key = each.block, each.shape
            if key in seen:
                continue
            seen.add(key)
            block = self.blocks.get(key)
            if block is None:
                if not each.edge:
                    continue  # in the middle, it counts only against blocks that were at an edge before
                block = self.blocks[key] = BlockCount(missed=missed, text=one_line(each.text))
            shape = self.shapes.setdefault(each.shape, ShapeCount(missed=missed))
            shape.seen += 1
            shape.fresh += block.count == 0
            block.count += 1
            block.edge += each.edge
            block.closes += each.closes
            block.leads += each.leads
            if block.links == each.links:
                block.same += 1
            elif block.same > 0:
                block.same -= 1
            else:
                block.links, block.same = each.links, 1
        return self.dumps % BUCKET == 0

    def forget(self) -> None:
        """Forget rare blocks and shapes; after very many dumps, let old ones weigh less."""
        bucket = self.dumps // BUCKET
        if self.is_old:
            self.dumps //= 2
            for block in self.blocks.values():
                for name in ("count", "missed", "edge", "closes", "leads", "same"):
                    setattr(block, name, getattr(block, name) // 2)
            for shape in self.shapes.values():
                shape.seen, shape.fresh, shape.missed = shape.seen // 2, shape.fresh // 2, shape.missed // 2
            bucket //= 2
        self.blocks = {key: block for key, block in self.blocks.items() if block.count + block.missed > bucket}
        self.shapes = {name: shape for name, shape in self.shapes.items() if shape.seen + shape.missed > bucket}

    @property
    def is_old(self) -> bool:
        """Enough dumps were counted for `forget` to halve all counts."""
        return self.dumps >= OLD

    def judge(self, known: Mapping[str, LearnedBlock], spread: Mapping[str, int]) -> dict[str, LearnedBlock]:
        """Return the blocks that are to go.

        Args:
            known: The blocks learned from this source.
            spread: For each block, how many sources have it learned, this one too.
        """
        shapes_of: dict[str, list[str]] = {}
        for block, shape in self.blocks:
            shapes_of.setdefault(block, []).append(shape)
        found = {}
        for block, shapes in shapes_of.items():
            is_known = block in known
            if sum(self.blocks[block, shape].count for shape in shapes) < self._need(block, spread, known=is_known):
                continue
            verdict = self._judge(block, shapes, is_known=is_known)
            if verdict is not None:
                found[block] = verdict
        return found

    def _need(self, block: str, spread: Mapping[str, int], *, known: bool) -> float:
        """Return how many dumps a block must recur in."""
        if spread.get(block, 0) - known >= _SPREAD:
            return _FEWEST_SPREAD
        if self.dumps < _WARM and not known:
            return float("inf")
        return max(_FEWEST, _SHARE * self.dumps) / (1 + known)

    def _judge(self, block: str, shapes: Sequence[str], *, is_known: bool) -> LearnedBlock | None:
        enough = _MOST if is_known else _NEARLY_ALL
        if TITLE_SHAPE in shapes:
            return self._judge_title(block, is_known=is_known)
        counts = [self.blocks[block, shape] for shape in shapes]
        total = sum(each.count for each in counts)
        fullest = max(counts, key=lambda each: (each.count, each.text))
        text = fullest.text
        if sum(each.edge for each in counts) < _MOST * total:  # a newsletter's form may stand between paragraphs
            return None
        forms = [read_form(shape) for shape in shapes]
        if is_notice(text):
            closing = sum(each.closes for each, form in zip(counts, forms, strict=True) if not form.quoting)
            return LearnedBlock(block, Sign.NOTICE, None, text) if closing >= enough * total else None
        if belongs_to_article(text):
            return None
        tests = [
            (each, form, self.shapes.get(shape, ShapeCount()))
            for each, form, shape in zip(counts, forms, shapes, strict=True)
        ]
        if fullest.links and fullest.same >= enough * fullest.count:
            linked = sum(
                each.count
                for each, form, shape in tests
                if each.links == fullest.links and _has_links_of_page(each, form, shape)
            )
            if linked >= enough * total:
                return LearnedBlock(block, Sign.LINKS, fullest.links, text)
        own = sum(each.count for each, form, shape in tests if _is_label(each, form, shape, slack=1 + is_known))
        return LearnedBlock(block, Sign.SHAPE, None, text) if own >= enough * total else None

    def _judge_title(self, block: str, *, is_known: bool) -> LearnedBlock | None:
        ending = self.blocks[block, TITLE_SHAPE]
        if self.dumps < _WARM or ending.count < self.dumps * (_SOME if is_known else _HALF):
            return None
        return LearnedBlock(block, Sign.TITLE, None, ending.text)


def _has_links_of_page(each: BlockCount, form: Form, shape: ShapeCount) -> bool:
    """Tell whether links that stay the same make a line part of the page."""
    if form.writing or (form.heading and each.closes < _NEARLY_ALL * each.count):
        return False
    if form.kind != "all":
        return True
    if shape.fresh > _FEW_LINKS + _SOME * shape.seen:
        return False
    return form.named or each.closes >= _NEARLY_ALL * each.count


def _is_label(each: BlockCount, form: Form, shape: ShapeCount, *, slack: int) -> bool:
    """Tell whether a line is no part of the article, and its shape holds nearly nothing but repeats."""
    if form.writing or shape.fresh > slack * (_FEW_LABELS + _RARE * shape.seen):
        return False
    if form.named and not form.heading:
        return True
    # A sentence with a link that is always another one says something of the article.
    return each.closes >= _NEARLY_ALL * each.count and (form.named or form.kind != "part")


class Census:
    """Counts the dumps of many sources in memory."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sources: dict[str, SourceCensus] = {}

    def add(self, article: CleanEntry) -> None:
        """Count one article."""
        source = census_source(article.source, article.link)
        census = self._sources.setdefault(source, SourceCensus())
        if census.add(article.sightings):
            census.forget()

    def learned(self) -> Learned:
        """Return everything that can be learned from the counts."""
        learned = Learned()
        while True:
            spread = learned.spread()
            found = {name: census.judge(learned.of(name), spread) for name, census in self._sources.items()}
            if found == learned.sources:
                return learned
            learned = Learned(found)
