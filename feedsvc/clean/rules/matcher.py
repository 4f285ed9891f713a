"""Rules compiled for one kind of dump."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from feedsvc.clean.markup import plain_attributes
from feedsvc.clean.rules.patterns import Patterns
from feedsvc.clean.rules.rule import Action, Edge
from feedsvc.clean.rules.selectors import Simple, compile_selector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bs4 import BeautifulSoup, Tag
    from soupsieve import SoupSieve

    from feedsvc.clean.rules.causes import Cause
    from feedsvc.clean.rules.rule import Rule, RuleSet

_NONE: Final[list[tuple[Simple, Rule]]] = []
_LONGEST_NAME: Final = 200
"""Characters of a class or id: no page has longer names, and a pattern may take the square of their number."""

_MOST_NAMES: Final = 4096
"""How many classes are remembered with their rules: a site has few, and they recur."""


class Lines(Enum):
    """Lines that a rule about text is tried on: trying all rules on all lines takes much of the time."""

    ALL = auto()
    LINKED = auto()  # with a link in them
    HEADING = auto()  # with links below them
    HEAD = auto()
    TAIL = auto()
    KEPT = auto()  # all lines, for keep rules


def _lines(rule: Rule) -> Lines:
    if rule.action is Action.KEEP:
        return Lines.KEPT
    if rule.where is not None:
        return Lines.HEAD if rule.where is Edge.HEAD else Lines.TAIL
    if rule.then is not None:
        return Lines.HEADING
    return Lines.ALL if rule.link_density is None else Lines.LINKED


class Matcher:
    """Tells which rules match an element, an address or a line of text.

    Attributes:
        about: Kinds of lines with rules about them.
        looking_inside: The names of rules with conditions on the content of an element.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Compile the rules."""
        self._ranks = {rule.name: rank for rank, rule in enumerate(rules)}
        self.looking_inside = frozenset(rule.name for rule in rules if rule.looks_inside)
        self._by: dict[str, dict[str, list[tuple[Simple, Rule]]]] = {"attribute": {}, "class": {}, "tag": {}}
        self._soups: list[tuple[SoupSieve, Rule]] = []
        for rule in rules:
            for css in rule.css:
                selector = compile_selector(css)
                if isinstance(selector, Simple):
                    kind, value = selector.key
                    self._by[kind].setdefault(value, []).append((selector, rule))
                else:
                    self._soups.append((selector, rule))
        named = Patterns(((rule, rule.classes) for rule in rules if rule.classes), whole=True)
        self._named = lru_cache(_MOST_NAMES)(named.find) if any(rule.classes for rule in rules) else None
        self._links = Patterns(((rule, rule.link) for rule in rules if rule.link), whole=False)
        by_lines: dict[Lines, list[tuple[Rule, tuple[str, ...]]]] = {lines: [] for lines in Lines}
        for rule in rules:
            if rule.text:
                by_lines[_lines(rule)].append((rule, rule.text))
        self._texts = {lines: Patterns(found, whole=True) for lines, found in by_lines.items()}
        self.about = frozenset(lines for lines, found in by_lines.items() if found)

    def rank(self, rule: Rule | Cause) -> int:
        """Return a rule's place among the others; causes come after all rules."""
        return self._ranks.get(rule.name, len(self._ranks))

    def elsewhere(self, soup: BeautifulSoup) -> dict[int, list[Rule]]:
        """Select elements in the whole tree by the other selectors: the id() of each, with its rules."""
        found: dict[int, list[Rule]] = {}
        for selector, rule in self._soups:
            for tag in selector.select(soup):
                found.setdefault(id(tag), []).append(rule)
        return found

    def element(self, tag: Tag) -> list[Rule]:
        """Return the rules whose simple selectors or classes match this element."""
        found = self._by["tag"].get(tag.name, _NONE)
        attributes = plain_attributes(tag)
        named: list[Rule] = []
        if attributes:
            for name in attributes:
                if name in self._by["attribute"]:
                    found = found + self._by["attribute"][name]
            for token in attributes.get("class", "").split():
                if token in self._by["class"]:
                    found = found + self._by["class"][token]
            if self._named is not None and ("class" in attributes or "id" in attributes):
                for token in (*attributes.get("class", "").split(), attributes.get("id", "")):
                    if len(token) <= _LONGEST_NAME:
                        named += self._named(token)
        if found:
            named += [rule for selector, rule in found if selector.matches(tag.name, attributes)]
        return named

    def address(self, address: str) -> list[Rule]:
        """Return the rules that match an address."""
        return self._links.find(address)

    def text(self, text: str, lines: Lines) -> list[Rule]:
        """Return the rules about such lines that match a line in its matching form."""
        return self._texts[lines].find(text)


class Matchers:
    """Provides the matcher for a dump's host and source; dumps of one kind share one."""

    def __init__(self, rules: RuleSet) -> None:
        """Compile nothing yet."""
        self._rules = rules.rules
        self._made: dict[tuple[int, ...], Matcher] = {}

    def get(self, link: str | None, source: str | None) -> Matcher:
        """Return the matcher of all rules that apply to a dump with this tidy link and source, or None of them."""
        host = (urlsplit(link).hostname or "") if link else ""
        numbers = tuple(number for number, rule in enumerate(self._rules) if rule.applies(host, source))
        if numbers not in self._made:
            self._made[numbers] = Matcher([self._rules[number] for number in numbers])
        return self._made[numbers]
