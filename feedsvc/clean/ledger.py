"""The account of the removals: the nodes that go, and a Removal for each hit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from bs4 import Tag

from feedsvc.clean.elements import BLOCKS
from feedsvc.clean.markup import dumped_html, plain_attributes
from feedsvc.clean.outline import Line
from feedsvc.clean.rules.causes import Cause
from feedsvc.clean.rules.patterns import compile_pattern
from feedsvc.clean.rules.rule import Action
from feedsvc.clean.text import matching_form, one_line
from feedsvc.model import Removal

if TYPE_CHECKING:
    from bs4.element import PageElement

    from feedsvc.clean.outline import Hit, Leaf
    from feedsvc.clean.rules.rule import Rule
    from feedsvc.model import Sighting


@dataclass(frozen=True, slots=True)
class Stripped:
    """Everything that rules decided about an article.

    Attributes:
        gone: The id() of each node of the tree that goes, with all that is in it.
        unwrapped: The id() of each element of which only the content stays.
        removals: In document order.
        rights: The text of each block that moved to the entry's rights.
        alternates: The address, as it stands, and the language of each other version of the article.
        authors: Names from bylines.
        kept: Whether a keep rule matched anything.
        stood_back: Whether rules were left out because they would have taken too much of the article.
        hits: The hit of each removal.
        sightings: Lines to learn from, learned blocks still in place.
    """

    gone: frozenset[int]
    unwrapped: frozenset[int]
    removals: tuple[Removal, ...]
    rights: tuple[str, ...]
    alternates: tuple[tuple[str, str | None], ...]
    authors: tuple[str, ...]
    kept: bool
    stood_back: bool
    hits: tuple[Hit, ...]
    sightings: tuple[Sighting, ...]


def action_of(rule: Rule | Cause) -> Action:
    """Return what a rule does; causes remove."""
    return Action.REMOVE if isinstance(rule, Cause) else rule.action


def write_ledger(
    taken: list[tuple[Hit, list[Leaf]]],
    unwrapped: frozenset[int],
    sightings: tuple[Sighting, ...],
    *,
    kept: bool,
    stood_back: bool,
) -> Stripped:
    """Name the nodes that go with each hit and its leaves, and write a Removal for each hit."""
    gone: set[int] = set()
    found: list[tuple[Hit, Removal]] = []
    alternates: dict[tuple[str, str | None], None] = {}
    authors: dict[str, None] = {}
    # Lines last: their HTML leaves out the elements that have a removal of their own.
    for hit, leaves in sorted(taken, key=lambda pair: isinstance(pair[0].target, Line)):
        nodes: list[PageElement] = _line_nodes(hit.target, leaves) if isinstance(hit.target, Line) else [hit.target]
        html = "".join(dumped_html(node, gone) for node in nodes)
        gone.update(map(id, nodes))
        text = _joined(leaves)
        found.append((hit, Removal(hit.rule.name, hit.rule.reason, text, html)))
        if not isinstance(hit.rule, Cause):
            if hit.rule.action is Action.ALTERNATE:
                alternates.update({(href, hit.rule.hreflang): None for href in _first_address(nodes)})
            elif hit.rule.action is Action.AUTHOR:
                authors[_author(hit.rule, text)] = None
    found.sort(key=lambda each: each[0].start)
    rights = [removal.text for hit, removal in found if action_of(hit.rule) is Action.RIGHTS and removal.text]
    return Stripped(
        gone=frozenset(gone),
        unwrapped=unwrapped,
        removals=tuple(removal for _, removal in found),
        rights=tuple(dict.fromkeys(rights)),
        alternates=tuple(alternates),
        authors=tuple(filter(None, authors)),
        kept=kept,
        stood_back=stood_back,
        hits=tuple(hit for hit, _ in found),
        sightings=sightings,
    )


def _first_address(nodes: list[PageElement]) -> list[str]:
    """Return the address of the first link in or around the nodes, in a list; an empty one if there is none."""
    for node in nodes:
        inside = [node, *node.find_all("a", href=True, limit=1)] if isinstance(node, Tag) else []
        for tag in (*inside, *node.parents):
            if tag.name == "a" and "href" in tag.attrs:
                return [plain_attributes(tag)["href"]]
    return []


def _author(rule: Rule, line: str) -> str:
    """Return the name on a byline: the first group of the pattern, or else the line."""
    line = matching_form(line)
    matches = filter(None, (compile_pattern(pattern).fullmatch(line) for pattern in rule.text))
    match = next(matches, None)
    return (match[1] or "").strip() if match is not None and match.re.groups else line


def _joined(leaves: list[Leaf]) -> str:
    lines = groupby(leaves, key=lambda leaf: leaf.line)
    return one_line(" ".join("".join(leaf.text for leaf in line) for _, line in lines))


def _line_nodes(line: Line, leaves: list[Leaf]) -> list[PageElement]:
    if not line.shows and line.block is not None:
        return [line.block]
    nodes = [_widest(leaf.node) for leaf in leaves]
    if not line.shows and line.end is not None:
        nodes.append(line.end)
    return nodes


def _widest(node: PageElement) -> PageElement:
    """Return the outermost inline element that holds this node alone."""
    while node.parent is not None and node.parent.name not in BLOCKS and len(node.parent.contents) == 1:
        node = node.parent
    return node
