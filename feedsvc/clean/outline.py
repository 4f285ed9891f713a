"""One walk over the parsed tree: leaves and lines of an article in document order, and hits of rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from bs4 import Tag
from bs4.element import PreformattedString

from feedsvc.clean.elements import BLOCKS, CELLS, DROPPED
from feedsvc.clean.markup import plain_attributes
from feedsvc.clean.repair import is_lazy, is_pixel, raw_addresses
from feedsvc.clean.rules.causes import NOSCRIPT_COPY, TRACKING_PIXEL, UNUSABLE_PICTURE, Cause
from feedsvc.clean.rules.rule import Action
from feedsvc.clean.text import is_blank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4 import BeautifulSoup
    from bs4.element import PageElement

    from feedsvc.clean.repair import Addresses
    from feedsvc.clean.rules.matcher import Matcher
    from feedsvc.clean.rules.rule import Rule

_TYPED: Final = frozenset({"", "email", "number", "password", "search", "tel", "text", "url"})


@dataclass(slots=True, eq=False)
class Leaf:
    """A piece of text, a picture or player, or a horizontal line.

    Attributes:
        position: Its number in document order; elements have numbers too.
        line: The number of its line.
        text: "" for a leaf without text.
        shows: Whether a reader sees something of the article: text that is not blank, a picture, a player.
        linked: Whether it is in a link.
        stays: False once something is to take it out.
    """

    node: PageElement
    position: int
    line: int
    text: str
    shows: bool
    linked: bool
    stays: bool = True


@dataclass(slots=True, eq=False)
class Line:
    """Leaves on one line: between the edges of blocks and `<br>`.

    Attributes:
        end: The `<br>` that ends it, or None.
        block: The innermost block, table cells aside, if it holds this line only.
    """

    leaves: list[Leaf]
    end: Tag | None = None
    block: Tag | None = None

    @property
    def shows(self) -> bool:
        """Something of the article is left in it."""
        for leaf in self.leaves:  # noqa: SIM110 - asked so often that any() shows
            if leaf.stays and leaf.shows:
                return True
        return False

    @property
    def text(self) -> str:
        """The text that is left of it."""
        return "".join([leaf.text for leaf in self.leaves if leaf.stays])

    @property
    def link_density(self) -> float:
        """The share of links in the text that is left; without text, in the pictures and players that are left."""
        if not any(leaf.linked for leaf in self.leaves):
            return 0.0
        left = [leaf for leaf in self.leaves if leaf.stays and leaf.shows]
        sizes = [(len(leaf.text.strip()), leaf.linked) for leaf in left if leaf.text] or [
            (1, leaf.linked) for leaf in left
        ]
        return _share(sum(size for size, linked in sizes if linked), sum(size for size, _ in sizes))


@dataclass(slots=True)
class Totals:
    """Counts of a walk over an article so far. An element holds the difference between its end and its start.

    Attributes:
        text: Characters, white space at the ends of each piece of text aside.
        linked_text: Those of them that are in links.
        links: Elements that link somewhere.
        taken_links: Links with an address that a rule takes.
        fields: Fields to type into.
    """

    text: int = 0
    linked_text: int = 0
    links: int = 0
    taken_links: int = 0
    fields: int = 0

    def now(self) -> Totals:
        """Return a copy, to be compared with later."""
        return Totals(self.text, self.linked_text, self.links, self.taken_links, self.fields)

    def meets(self, rule: Rule, before: Totals) -> bool:
        """Tell whether an element that began at `before` and ends now meets the conditions of a rule on its content."""
        text = self.text - before.text
        if rule.max_text is not None and text > rule.max_text:
            return False
        if rule.form and self.fields == before.fields:
            return False
        if rule.link_density is not None and _share(self.linked_text - before.linked_text, text) < rule.link_density:
            return False
        return rule.share_density is None or (
            _share(self.taken_links - before.taken_links, self.links - before.links) >= rule.share_density
        )


@dataclass(slots=True, eq=False)
class Hit:
    """A rule or cause that matches an element or a line.

    Attributes:
        start: The position at which it begins.
        end: The position after its last node.
        target: The element, or the line.
        before: The totals when the element began, if the rule has conditions on its content.
    """

    rule: Rule | Cause
    start: int
    end: int
    target: Tag | Line
    before: Totals | None = None


@dataclass(slots=True)
class Outline:
    """An article as rules see it, in document order.

    Attributes:
        text_length: Characters, white space at the ends of each leaf aside.
        restored: Hits of removals that were restored: kept as if by a keep rule.
    """

    leaves: list[Leaf] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    text_length: int = 0
    restored: list[Hit] = field(default_factory=list)

    @property
    def shows(self) -> bool:
        """A reader would see something."""
        return any(leaf.stays and leaf.shows for leaf in self.leaves)


def make_outline(soup: BeautifulSoup, root: Tag, matcher: Matcher, addresses: Addresses) -> Outline:
    """Walk the tree once, from the element whose content is the article.

    Returns:
        Leaves, lines, and the hits of element and address rules. Text rules wait until it is known how much of each
        line is left.
    """
    walk = _Walk(matcher, addresses, matcher.elsewhere(soup))
    stack: list[tuple[Iterator[PageElement], Tag, list[Hit]]] = [(iter(root.contents), root, [])]
    while stack:
        children, parent, parent_hits = stack[-1]
        for child in children:
            if isinstance(child, Tag):
                hits, descend = walk.element(child)
                if descend:
                    stack.append((iter(child.contents), child, hits))
                    break
                walk.end(hits)
            elif not isinstance(child, PreformattedString):
                walk.text(child)
        else:
            stack.pop()
            if stack:
                walk.close(parent, parent_hits)
    return walk.finish()


class _Walk:
    def __init__(self, matcher: Matcher, addresses: Addresses, elsewhere: dict[int, list[Rule]]) -> None:
        self.outline = Outline()
        self._matcher = matcher
        self._addresses = addresses
        self._elsewhere = elsewhere
        self._position = 0
        self._line: list[Leaf] = []
        self._line_shows = False
        self._line_number = 0
        self._blocks: list[int] = []  # how many lines there were when each open block began
        self._last_picture: tuple[Tag, bool] | None = None  # and whether it is in a <noscript>
        self._noscripts = 0
        self._tally = Totals()
        self._open_links = 0

    def text(self, node: PageElement) -> None:
        text = str(node)
        self._leaf(node, text, shows=not is_blank(text))

    def element(self, tag: Tag) -> tuple[list[Hit], bool]:
        """Note an element; return its hits, and whether its content matters."""
        name = tag.name
        hits = self._hits(tag)
        if name == "br":
            self._end_line(tag)
        elif name == "hr":
            self._end_line()
            self.outline.leaves.append(Leaf(tag, self._position, self._line_number, "", shows=False, linked=False))
        elif name in ("img", "image"):
            self._picture(tag, hits)
            return hits, name == "image"  # the parser does not know it as void
        elif name in ("iframe", "embed"):
            if self._addresses.player(tag) is not None:
                # It becomes a link on a line of its own.
                self._end_line()
                self._leaf(tag, "", shows=True)
                self._end_line()
            return hits, name == "embed"
        elif name in ("video", "audio"):
            if self._addresses.player(tag) is not None:
                self._leaf(tag, "", shows=True)
            return hits, True
        elif name in DROPPED:
            return hits, False
        else:
            self._noscripts += name == "noscript"
            if name in BLOCKS:
                self._end_line()
                self._blocks.append(len(self.outline.lines))
            return hits, True
        return hits, False

    def finish(self) -> Outline:
        self._end_line()
        self.outline.text_length = self._tally.text
        return self.outline

    def close(self, tag: Tag, hits: list[Hit]) -> None:
        if tag.name in BLOCKS:
            self._end_line()
            lines = self.outline.lines
            if self._blocks.pop() == len(lines) - 1 and lines[-1].block is None and tag.name not in CELLS:
                lines[-1].block = tag
        self._noscripts -= tag.name == "noscript"
        if tag.name == "a":
            self._open_links -= "href" in tag.attrs
        self.end(hits)

    def end(self, hits: list[Hit]) -> None:
        for hit in hits:
            hit.end = self._position + 1
            if hit.before is None or (not isinstance(hit.rule, Cause) and self._tally.meets(hit.rule, hit.before)):
                self.outline.hits.append(hit)

    def _hits(self, tag: Tag) -> list[Hit]:
        self._position += 1
        rules = self._matcher.element(tag)
        if self._elsewhere:
            rules += self._elsewhere.get(id(tag), [])
        by_address = []
        if tag.attrs:
            for raw in raw_addresses(tag):
                by_address += self._matcher.address(raw)
                absolute = self._addresses.absolute(raw)
                if absolute is not None and absolute != raw:
                    by_address += self._matcher.address(absolute)
        hits = [self._hit(rule, tag) for rule in (*rules, *by_address)] if rules or by_address else []
        if tag.name == "a":
            if "href" in tag.attrs:
                self._open_links += 1
                self._tally.links += 1
                self._tally.taken_links += any(rule.action is Action.REMOVE for rule in by_address)
        elif tag.name in ("input", "textarea"):
            self._tally.fields += _is_field(tag)
        return hits

    def _hit(self, rule: Rule | Cause, tag: Tag) -> Hit:
        before = self._tally.now() if rule.name in self._matcher.looking_inside else None
        return Hit(rule, self._position, self._position + 1, tag, before)

    def _leaf(self, node: PageElement, text: str, *, shows: bool) -> None:
        self._position += 1
        linked = self._open_links > 0
        leaf = Leaf(node, self._position, self._line_number, text, shows, linked)
        if shows and text:
            length = len(text.strip())
            self._tally.text += length
            if linked:
                self._tally.linked_text += length
        self.outline.leaves.append(leaf)
        self._line.append(leaf)
        self._line_shows |= shows

    def _end_line(self, end: Tag | None = None) -> None:
        if not self._line:
            return
        if self._line_shows:
            self.outline.lines.append(Line(self._line, end))
            self._line_shows = False
        self._line = []
        self._line_number += 1

    def _picture(self, tag: Tag, hits: list[Hit]) -> None:
        if is_pixel(tag):
            hits.append(self._hit(TRACKING_PIXEL, tag))
        elif self._addresses.picture(tag) is None:
            hits.append(self._hit(UNUSABLE_PICTURE, tag))
        elif self._is_copy(tag):
            hits.append(self._hit(NOSCRIPT_COPY, tag))
            self._last_picture = None  # the next one in the same <noscript> is another picture
        else:
            self._leaf(tag, "", shows=True)
            self._last_picture = tag, self._noscripts > 0

    def _is_copy(self, tag: Tag) -> bool:
        """Tell whether this picture repeats the one just before it, one for readers with scripts and one without."""
        if self._last_picture is None:
            return False
        last, last_is_plain = self._last_picture
        is_plain = self._noscripts > 0
        if is_plain == last_is_plain or self._shows_since(last):
            return False
        same = self._addresses.picture(last) == self._addresses.picture(tag)
        return same or is_lazy(last if is_plain else tag)

    def _shows_since(self, tag: Tag) -> bool:
        since = takewhile(lambda leaf: leaf.node is not tag, reversed(self.outline.leaves))
        return any(leaf.shows for leaf in since)


def _is_field(tag: Tag) -> bool:
    """Tell whether an `<input>` or `<textarea>` is there to type into."""
    kind = plain_attributes(tag).get("type", "").strip().lower()
    return tag.name == "textarea" or kind in _TYPED


def _share(part: int, whole: int) -> float:
    """Return the share of a part in a whole; 0 for an empty whole."""
    return part / whole if whole else 0.0
