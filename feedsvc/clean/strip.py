"""What rules take out of an article.

The tree itself is left as it is, and what goes is named: deciding can be done again with fewer rules when an article
would end up empty, and ten thousand removals cost no more than one each.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bs4 import Tag

from feedsvc.clean.causes import DATELINE, LOOSE_LINE, Cause
from feedsvc.clean.dateline import is_dateline
from feedsvc.clean.elements import BLOCKS
from feedsvc.clean.markup import dumped_html
from feedsvc.clean.outline import Hit, Line
from feedsvc.clean.rules import Action, Place
from feedsvc.clean.sightings import HEAD_LINES, TAIL_LINES
from feedsvc.clean.spans import Spans
from feedsvc.clean.text import fold, matching_form
from feedsvc.model import Removal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bs4.element import PageElement

    from feedsvc.clean.matcher import Matcher
    from feedsvc.clean.outline import Leaf, Outline
    from feedsvc.clean.rules import Rule
    from feedsvc.clean.sightings import Sight
    from feedsvc.model import Sighting

__all__ = ["EDGE_LINES", "Stripped", "strip"]

EDGE_LINES: Final = 5
"""How many of the lines that stay are the head of an article, and how many its tail."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """What goes.

    Attributes:
        gone: The id() of each node of the tree that goes, with all that is in it.
        unwrapped: The id() of each element of which only the content stays.
        removals: What went, in document order.
        rights: The text of each block that moved to the entry's rights.
        kept: Whether a keep rule matched anything.
        stood_back: Whether rules were left out because nothing would have been left of the article.
        sightings: What there is to learn from it, learned blocks still in place.
    """

    gone: frozenset[int]
    unwrapped: frozenset[int]
    removals: tuple[Removal, ...]
    rights: tuple[str, ...]
    kept: bool
    stood_back: bool
    sightings: tuple[Sighting, ...] = ()


def strip(outline: Outline, matcher: Matcher, published: datetime | None, sight: Sight | None = None) -> Stripped:
    """Decide what rules take out of an article.

    Cleaning never empties an article. Where nothing would be left to see, the rules for every dump stand back, and
    those for certain hosts and sources work alone; where that leaves nothing either, no rule works.

    Args:
        outline: The article's; its marks change.
        matcher: The rules that apply.
        published: The article's date, aware; None to leave datelines alone.
        sight: What knows learned blocks; None to learn nothing and take none.

    Returns:
        What goes, and the ledger of it.
    """
    showed = outline.shows
    decision = _Decision(outline, matcher, published, lambda _: True, sight)
    stands_back = showed and not outline.shows
    if stands_back:
        decision = _Decision(outline, matcher, published, lambda rule: not rule.is_generic, sight)
        if not outline.shows:
            decision = _Decision(outline, matcher, published, lambda _: False, sight)
    return _account(decision, stood_back=stands_back)


class _Decision:
    """Decides what goes, and marks the leaves that do not stay.

    Attributes:
        gone: What goes, each with the leaves that go with it.
        unwrapped: The id() of each element of which only the content stays.
        keeps: Whether a keep rule matched.
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
        self._positions = [leaf.position for leaf in outline.leaves]
        self._kept = Spans()
        self._covered = Spans()
        for leaf in outline.leaves:
            leaf.stays = True

        hits = [hit for hit in outline.hits if isinstance(hit.rule, Cause) or admits(hit.rule)]
        hits.sort(key=lambda hit: (hit.start, -hit.end, matcher.rank(hit.rule)))
        keeping = [hit for hit in hits if _action(hit) is Action.KEEP]
        if matcher.keeps_text:
            keeping += self._line_hits(matcher.kept_text, admits)
        for hit in keeping:
            self._kept.add(hit.start, hit.end)
        self.keeps = bool(keeping)

        waiting = self._take_all([hit for hit in hits if _action(hit) is not Action.KEEP])
        waiting += self._take_all(self._line_hits(matcher.text, admits))
        if waiting:
            self._take_in_head([hit for hit in waiting if _place(hit) is Place.HEAD])
            self._take_in_tail([hit for hit in waiting if _place(hit) is Place.TAIL])
        if published is not None:
            self._take_datelines(published)
        if sight is not None:
            self.sightings = sight.look([line for line in outline.lines if line.shows])
            while self._take_learned(sight, admits):  # what goes makes room for what may go at an edge only
                self._take_in_head([hit for hit in waiting if _place(hit) is Place.HEAD])
                self._take_in_tail([hit for hit in waiting if _place(hit) is Place.TAIL])
                if published is not None:
                    self._take_datelines(published)
        self._take_loose_lines()

    def _line_hits(self, find: Callable[[str], list[Rule]], admits: Callable[[Rule], bool]) -> list[Hit]:
        hits = []
        for line in self._outline.lines:
            if line.shows and (rules := find(matching_form(line.text))):
                hits += [_line_hit(rule, line) for rule in rules if admits(rule)]
        return hits

    def _take_all(self, hits: list[Hit]) -> list[Hit]:
        """Take what may be taken anywhere; give back the rest."""
        waiting = []
        for hit in hits:
            if _place(hit) is None:
                self._take(hit)
            else:
                waiting.append(hit)
        return waiting

    def _take(self, hit: Hit) -> None:
        """Mark what a hit takes, unless it is gone already or something in or around it is kept."""
        if self._kept.overlaps(hit.start, hit.end) or self._covered.covers(hit.start, hit.end):
            return
        if _action(hit) is Action.UNWRAP:
            if isinstance(hit.what, Tag) and hit.what.contents:
                self.unwrapped.add(id(hit.what))
            return
        if isinstance(hit.what, Line):
            # A rule about text takes text: a picture on the same line is not what it knows.
            leaves = [leaf for leaf in hit.what.leaves if leaf.text and leaf.stays]
            if not leaves:
                return
        else:
            first, last = (bisect_left(self._positions, edge) for edge in (hit.start, hit.end))
            leaves = [leaf for leaf in self._outline.leaves[first:last] if leaf.stays]
            self._covered.add(hit.start, hit.end)
        for leaf in leaves:
            leaf.stays = False
        self.gone.append((hit, leaves))

    def _take_in_head(self, hits: list[Hit]) -> None:
        """Take what begins before or in the first lines that stay; what goes makes room for the next line."""
        hits = sorted(hits, key=lambda hit: -hit.start)
        staying = 0
        for line in self._outline.lines:
            while hits and hits[-1].start <= line.leaves[-1].position:
                self._take(hits.pop())
            staying += line.shows
            if staying == EDGE_LINES:
                return
        for hit in reversed(hits):
            self._take(hit)

    def _take_in_tail(self, hits: list[Hit]) -> None:
        """Take what ends in or after the last lines that stay."""
        hits = sorted(hits, key=lambda hit: hit.end)
        staying = 0
        for line in reversed(self._outline.lines):
            while hits and hits[-1].end > line.leaves[0].position:
                self._take(hits.pop())
            staying += line.shows
            if staying == EDGE_LINES:
                return
        for hit in reversed(hits):
            self._take(hit)

    def _take_learned(self, sight: Sight, admits: Callable[[Rule], bool]) -> bool:
        """Take learned blocks from the first and last lines that stay; tell whether any went."""
        before = len(self.gone)
        for lines, most in ((self._outline.lines, HEAD_LINES), (self._outline.lines[::-1], TAIL_LINES)):
            staying = 0
            for line in lines:
                if line.shows and (rule := sight.rule(line)) and admits(rule):
                    self._take(_line_hit(rule, line))
                staying += line.shows
                if staying == most:
                    break
        return len(self.gone) > before

    def _take_datelines(self, published: datetime) -> None:
        """Take dates from the first lines that stay, but not the last thing there is."""
        lines = [line for line in self._outline.lines if line.shows]
        left, staying = len(lines), 0
        for line in lines:
            if left > 1 and is_dateline(matching_form(line.text), published):
                self._take(_line_hit(DATELINE, line))
            if line.shows:
                staying += 1
                if staying == EDGE_LINES:
                    return
            else:
                left -= 1

    def _take_loose_lines(self) -> None:
        leaves = [leaf for leaf in self._outline.leaves if leaf.stays and (leaf.shows or not leaf.text)]
        shown = [number for number, leaf in enumerate(leaves) if leaf.shows]
        outer = leaves[: shown[0]] + leaves[shown[-1] + 1 :] if shown else leaves
        for leaf in outer:
            if isinstance(leaf.node, Tag):
                self._take(Hit(LOOSE_LINE, leaf.position, leaf.position + 1, leaf.node))


def _action(hit: Hit) -> Action:
    return Action.REMOVE if isinstance(hit.rule, Cause) else hit.rule.action


def _place(hit: Hit) -> Place | None:
    return None if isinstance(hit.rule, Cause) else hit.rule.where


def _line_hit(rule: Rule | Cause, line: Line) -> Hit:
    return Hit(rule, line.leaves[0].position, line.leaves[-1].position + 1, line)


def _account(decision: _Decision, *, stood_back: bool) -> Stripped:
    """Name the nodes that go, and write the ledger."""
    gone: set[int] = set()
    found: list[tuple[int, Removal, Action]] = []
    # Lines last, so that their HTML is without what has a removal of its own.
    for hit, leaves in sorted(decision.gone, key=lambda pair: isinstance(pair[0].what, Line)):
        nodes = _line_nodes(hit.what, leaves) if isinstance(hit.what, Line) else [hit.what]
        html = "".join(dumped_html(node, gone) for node in nodes)
        gone.update(map(id, nodes))
        found.append((hit.start, Removal(hit.rule.name, hit.rule.reason, _joined(leaves), html), _action(hit)))
    found.sort(key=lambda each: each[0])
    rights = [removal.text for _, removal, action in found if action is Action.RIGHTS and removal.text]
    return Stripped(
        gone=frozenset(gone),
        unwrapped=frozenset(decision.unwrapped),
        removals=tuple(removal for _, removal, _ in found),
        rights=tuple(dict.fromkeys(rights)),
        kept=decision.keeps,
        stood_back=stood_back,
        sightings=decision.sightings,
    )


def _joined(leaves: list[Leaf]) -> str:
    pieces = []
    line = None
    for leaf in leaves:
        if leaf.line != line:
            pieces.append(" ")
            line = leaf.line
        pieces.append(leaf.text)
    return fold("".join(pieces))


def _line_nodes(line: Line, leaves: list[Leaf]) -> list[PageElement]:
    if not line.shows and line.block is not None:
        return [line.block]
    nodes = [_widest(leaf.node) for leaf in leaves]
    if not line.shows and line.end is not None:
        nodes.append(line.end)
    return nodes


def _widest(node: PageElement) -> PageElement:
    """Give the outermost inline element that holds this alone."""
    while node.parent is not None and node.parent.name not in BLOCKS and len(node.parent.contents) == 1:
        node = node.parent
    return node
