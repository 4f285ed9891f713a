"""Decides which parts of an article rules take out.

The tree itself does not change: the decision names nodes. It can be made again with fewer rules if an article would end
up empty, and ten thousand removals cost no more than one each.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bs4 import Tag

from feedsvc.clean.dateline import is_dateline, is_in_dated_element
from feedsvc.clean.learning.sightings import HEAD_LINES, TAIL_LINES
from feedsvc.clean.ledger import Stripped, action_of, write_ledger
from feedsvc.clean.outline import Hit, Line
from feedsvc.clean.rules.causes import DATELINE, LEFTOVER, LOOSE_LINE, Cause
from feedsvc.clean.rules.matcher import Lines
from feedsvc.clean.rules.rule import Action, Edge
from feedsvc.clean.spans import Spans
from feedsvc.clean.text import matching_form

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime

    from feedsvc.clean.learning.sightings import Sight
    from feedsvc.clean.outline import Leaf, Outline
    from feedsvc.clean.rules.matcher import Matcher
    from feedsvc.clean.rules.rule import Rule
    from feedsvc.model import Sighting

_EDGE_LINES: Final = 5
"""How many of the lines that stay are the head of an article, and how many its tail."""

_MOST_TAKEN: Final = 0.6
"""The share of an article's text that rules for every dump may take.

In 860 dumps of nine sources, they rightly took at most 47 % (of a market report of 150 characters with a list of
related articles), and at most 22 % of all but one in a hundred.
"""

_ALWAYS_TAKEN: Final = 200
"""Characters that rules for every dump may take in any case: a line of news is shorter than the list below it."""

_MOSTLY_LINKS: Final = 0.6
"""A line of which at least this share is in links is a line of links."""


def strip(outline: Outline, matcher: Matcher, published: datetime | None, sight: Sight | None = None) -> Stripped:
    """Decide which parts of an article rules take out.

    Cleaning never empties an article, and rules for every dump take no more than a set share of it. If nothing or too
    little would be left, these rules stand back, and those for certain hosts and sources work alone; if that leaves
    nothing, no rule works.

    Args:
        outline: The article's; the marks in it change.
        matcher: The rules that apply.
        published: The article's date, aware; None to leave datelines alone.
        sight: Knows learned blocks; None to learn nothing and take none.
    """
    showed = outline.shows
    decision = _Decision(outline, matcher, published, lambda _: True, sight)
    stands_back = showed and (decision.takes_too_much or not outline.shows)
    if stands_back:
        decision = _Decision(outline, matcher, published, lambda rule: not rule.is_generic, sight)
        if not outline.shows:
            decision = _Decision(outline, matcher, published, lambda _: False, sight)
    return write_ledger(
        decision.gone,
        frozenset(decision.unwrapped),
        decision.sightings,
        kept=decision.keeps,
        stood_back=stands_back,
    )


def strip_except(
    outline: Outline, matcher: Matcher, published: datetime | None, sight: Sight | None, restored: Collection[str]
) -> Stripped:
    """Decide as `strip` does, but keep removals that were restored, given by their digests.

    A digest is that of the HTML: a restored removal stays even if a renamed or another rule takes it.

    Restored removals count as kept: the element, its descendants and its ancestors stay, and the other rules run
    again. The ledger names the same removals in the same order as without them, so that numbers stay valid. Removals
    that stay are marked in it as restored.
    """
    first = stripped = strip(outline, matcher, published, sight)
    while kept := [
        hit for hit, removal in zip(stripped.hits, stripped.removals, strict=True) if removal.digest in restored
    ]:
        outline.restored += kept  # a hit that is kept is never taken again, so this ends
        stripped = strip(outline, matcher, published, sight)
    if stripped is first:
        return first
    ledger = {_identity(hit): (hit, removal) for hit, removal in zip(stripped.hits, stripped.removals, strict=True)}
    for hit, removal in zip(first.hits, first.removals, strict=True):
        ledger.setdefault(_identity(hit), (hit, replace(removal, restored=True)))
    ordered = sorted(ledger.values(), key=lambda pair: pair[0].start)
    return replace(stripped, hits=tuple(hit for hit, _ in ordered), removals=tuple(removal for _, removal in ordered))


class _Decision:
    """Decides what goes, and marks the leaves that do not stay.

    Attributes:
        gone: Hits, each with the leaves that go with it.
        unwrapped: The id() of each element of which only the content stays.
        keeps: Whether a keep rule matched.
        sightings: Lines to learn from.
    """

    def __init__(
        self,
        outline: Outline,
        matcher: Matcher,
        published: datetime | None,
        admits: Callable[[Rule], bool],
        sight: Sight | None = None,
    ) -> None:
        self.sightings: tuple[Sighting, ...] = ()
        self.gone: list[tuple[Hit, list[Leaf]]] = []
        self.unwrapped: set[int] = set()
        self._outline = outline
        self._matcher = matcher
        self._admits = admits
        self._positions = [leaf.position for leaf in outline.leaves]
        self._kept = Spans()
        self._covered = Spans()
        for leaf in outline.leaves:
            leaf.stays = True

        hits = [hit for hit in outline.hits if isinstance(hit.rule, Cause) or admits(hit.rule)]
        shown = [leaf.position for leaf in outline.leaves if leaf.shows]
        if shown:  # an element that holds the whole article never meets conditions on its content
            hits = [hit for hit in hits if hit.before is None or shown[0] < hit.start or shown[-1] >= hit.end]
        hits.sort(key=lambda hit: (hit.start, -hit.end, matcher.rank(hit.rule)))
        keeping = [hit for hit in hits if action_of(hit.rule) is Action.KEEP]
        keeping += self._line_hits(Lines.KEPT)
        keeping += outline.restored
        for hit in keeping:
            self._kept.add(hit.start, hit.end)
        self.keeps = bool(keeping)

        taking = [hit for hit in hits if action_of(hit.rule) is not Action.KEEP]
        for hit in taking:
            if _edge(hit) is None:
                self._take(hit)
        for hit in self._line_hits(Lines.ALL, Lines.LINKED):
            self._take(hit)
        self._take_at_edges(taking)
        self._take_with_links()
        self._take_leftovers()
        self._take_datelines(published)
        if sight is not None:
            self.sightings = sight.look([line for line in outline.lines if line.shows])
            while self._take_learned(sight, admits):  # each removal can bring another line to an edge
                self._take_at_edges(taking)
                self._take_datelines(published)
        self._take_loose_lines()

    @property
    def takes_too_much(self) -> bool:
        """Rules for every dump take more of the text than they may."""
        generic = (leaves for hit, leaves in self.gone if not isinstance(hit.rule, Cause) and hit.rule.is_generic)
        taken = sum(len(leaf.text.strip()) for leaves in generic for leaf in leaves if leaf.shows)
        return taken > max(_ALWAYS_TAKEN, _MOST_TAKEN * self._outline.text_length)

    def _line_hits(self, *kinds: Lines) -> list[Hit]:
        asked = [lines for lines in kinds if lines in self._matcher.about]
        return [hit for line in self._outline.lines for hit in self._hits(line, asked)] if asked else []

    def _hits(self, line: Line, kinds: list[Lines]) -> list[Hit]:
        """Return the hits of text rules on the rest of a line."""
        if not line.shows:
            return []
        text = matching_form(line.text)
        rules = [
            rule
            for lines in kinds
            if lines is not Lines.LINKED or any(leaf.linked for leaf in line.leaves)
            for rule in self._matcher.text(text, lines)
            if self._admits(rule) and (rule.link_density is None or line.link_density >= rule.link_density)
        ]
        rules.sort(key=self._matcher.rank)
        return [_line_hit(rule, line) for rule in rules]

    def _take(self, hit: Hit) -> None:
        """Mark the leaves of a hit as gone, unless they are gone already or something in or around them is kept."""
        if self._kept.overlaps(hit.start, hit.end) or self._covered.covers(hit.start, hit.end):
            return
        if action_of(hit.rule) is Action.UNWRAP:
            if isinstance(hit.target, Tag) and hit.target.contents:
                self.unwrapped.add(id(hit.target))
            return
        if isinstance(hit.target, Line):
            # A rule about text takes text: it knows nothing of a picture on the same line.
            leaves = [leaf for leaf in hit.target.leaves if leaf.text and leaf.stays]
            if not leaves:
                return
        else:
            first, last = (bisect_left(self._positions, edge) for edge in (hit.start, hit.end))
            leaves = [leaf for leaf in self._outline.leaves[first:last] if leaf.stays]
            self._covered.add(hit.start, hit.end)
        for leaf in leaves:
            leaf.stays = False
        self.gone.append((hit, leaves))

    def _take_at_edges(self, hits: list[Hit]) -> None:
        """Take hits of rules for the head, then of rules for the tail."""
        for edge, kind, lines in (
            (Edge.HEAD, Lines.HEAD, self._outline.lines),
            (Edge.TAIL, Lines.TAIL, self._outline.lines[::-1]),
        ):
            waiting = [hit for hit in hits if _edge(hit) is edge]
            if waiting or kind in self._matcher.about:
                self._take_at_edge(waiting, kind, lines)

    def _take_at_edge(self, hits: list[Hit], kind: Lines, lines: list[Line]) -> None:
        """Take hits that reach the first lines that stay; each line that goes makes room for the next one.

        Lines run from the edge, HEAD or TAIL, inwards; the hits are those of elements and addresses.
        """
        in_head = kind is Lines.HEAD
        hits = sorted(hits, key=lambda hit: -hit.start if in_head else hit.end)
        staying = 0
        for line in lines:
            first, last = line.leaves[0].position, line.leaves[-1].position
            while hits and (hits[-1].start <= last if in_head else hits[-1].end > first):
                self._take(hits.pop())
            for hit in self._hits(line, [kind]):
                self._take(hit)
            staying += line.shows
            if staying == _EDGE_LINES:
                return
        for hit in reversed(hits):
            self._take(hit)

    def _take_with_links(self) -> None:
        """Take headings with the lines of links below them; a heading of anything else stays."""
        if Lines.HEADING not in self._matcher.about:
            return
        below: list[Line] = []  # the lines of links directly below
        only_links = True  # down to the end
        for line in reversed(self._outline.lines):
            if not line.shows:
                continue
            hits = self._hits(line, [Lines.HEADING]) if below or only_links else []
            if hits:
                self._take(hits[0])
                for each in reversed(below):
                    self._take_line(hits[0].rule, each)
                below.clear()
            elif line.link_density >= _MOSTLY_LINKS:
                below.append(line)
            else:
                below.clear()
                only_links = False

    def _take_line(self, rule: Rule | Cause, line: Line) -> None:
        """Take a line with its pictures."""
        hit = _line_hit(rule, line)
        leaves = [leaf for leaf in line.leaves if leaf.stays]
        if not self._kept.overlaps(hit.start, hit.end):
            for leaf in leaves:
                leaf.stays = False
            self.gone.append((hit, leaves))

    def _take_leftovers(self) -> None:
        """Take the rest of lines of which rules took text, if it has no word and no picture."""
        touched = {leaf.line for _, leaves in self.gone for leaf in leaves if leaf.text}
        for line in self._outline.lines if touched else ():
            if line.leaves[0].line in touched and line.shows:
                left = [leaf for leaf in line.leaves if leaf.stays and leaf.shows]
                if all(leaf.text and not any(map(str.isalnum, leaf.text)) for leaf in left):
                    self._take(_line_hit(LEFTOVER, line))

    def _take_learned(self, sight: Sight, admits: Callable[[Rule], bool]) -> bool:
        """Take learned blocks from the first and last lines that stay; tell whether any went."""
        before = len(self.gone)
        for lines, most in ((self._outline.lines, HEAD_LINES), (self._outline.lines[::-1], TAIL_LINES)):
            for line in _until_stay(lines, most):
                if line.shows and (rule := sight.rule(line)) and admits(rule):
                    self._take(_line_hit(rule, line))
        return len(self.gone) > before

    def _take_datelines(self, published: datetime | None) -> None:
        """Take dates from the first lines that stay, but never the only line."""
        if published is None:
            return
        lines = [line for line in self._outline.lines if line.shows]
        left = len(lines)
        for line in _until_stay(lines, _EDGE_LINES):
            if left > 1 and _is_dateline(line, published):
                self._take(_line_hit(DATELINE, line))
                left -= not line.shows

    def _take_loose_lines(self) -> None:
        leaves = [leaf for leaf in self._outline.leaves if leaf.stays and (leaf.shows or not leaf.text)]
        shown = [number for number, leaf in enumerate(leaves) if leaf.shows]
        outer = leaves[: shown[0]] + leaves[shown[-1] + 1 :] if shown else leaves
        for leaf in outer:
            if isinstance(leaf.node, Tag):
                self._take(Hit(LOOSE_LINE, leaf.position, leaf.position + 1, leaf.node))


def _edge(hit: Hit) -> Edge | None:
    return None if isinstance(hit.rule, Cause) else hit.rule.where


def _until_stay(lines: list[Line], most: int) -> Iterator[Line]:
    """Yield lines until so many of those that were yielded stay."""
    staying = 0
    for line in lines:
        yield line
        staying += line.shows
        if staying == most:
            return


def _is_dateline(line: Line, published: datetime) -> bool:
    texts = [leaf.node for leaf in line.leaves if leaf.text and leaf.stays]
    return is_dateline(matching_form(line.text), published) or is_in_dated_element(texts, published)


def _line_hit(rule: Rule | Cause, line: Line) -> Hit:
    return Hit(rule, line.leaves[0].position, line.leaves[-1].position + 1, line)


def _identity(hit: Hit) -> tuple[str, int]:
    """Return what a hit has in common each time it is decided: hits of lines are made anew."""
    return hit.rule.name, id(hit.target.leaves[0]) if isinstance(hit.target, Line) else id(hit.target)
