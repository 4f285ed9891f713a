"""CSS selectors, with a short cut for those that look at one element only.

A pack has hundreds of selectors and an article hundreds of elements: trying each on each would be slow. A simple
selector (a tag, classes, an id, attributes) is filed under its rarest condition, and looked up during the walk over the
tree. All others are left to soupsieve: it walks the tree once for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import soupsieve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = r"-?[A-Za-z_][\w-]*"
_PIECE = re.compile(
    rf"(?P<mark>[.#])(?P<name>{_NAME})"
    rf"""|\[\s*(?P<attribute>{_NAME})\s*(?:(?P<operator>[~^$*]?=)\s*(?P<quote>["']?)(?P<value>[^"'\\\]]+)(?P=quote)\s*)?\]""",
    re.ASCII,
)
_TAG = re.compile(_NAME, re.ASCII)
# HTML compares these without regard to case (WHATWG HTML, section 4.16.2); soupsieve knows how.
_FOLDED: Final = frozenset({"type", "lang", "dir", "media", "rel", "method", "scope"})

_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "": lambda _actual, _value: True,
    "=": str.__eq__,
    "~=": lambda actual, value: value in actual.split(),
    "^=": str.startswith,
    "$=": str.endswith,
    "*=": str.__contains__,
}


@dataclass(frozen=True, slots=True)
class Simple:
    """A selector that looks at one element: all its conditions must hold.

    Attributes:
        tag: The element's name, or None for any.
        conditions: Attribute, operator ("" for presence) and value.
    """

    tag: str | None
    conditions: tuple[tuple[str, str, str], ...]

    @property
    def key(self) -> tuple[str, str]:
        """The key under which the selector is filed: ("class", token), ("attribute", name) or ("tag", name)."""
        for attribute, operator, value in self.conditions:
            if (attribute, operator) == ("class", "~="):
                return "class", value
        for attribute, _, _ in self.conditions:
            return "attribute", attribute
        return "tag", self.tag or ""

    def matches(self, name: str, attributes: Mapping[str, str]) -> bool:
        """Tell whether the selector matches an element of this name with these attributes."""
        if self.tag is not None and self.tag != name:
            return False
        return all(_holds(attributes.get(attribute), *rest) for attribute, *rest in self.conditions)


def compile_selector(css: str) -> Simple | soupsieve.SoupSieve:
    """Compile a CSS selector.

    Args:
        css: Any selector that soupsieve understands (CSS Selectors, level 4).

    Returns:
        A Simple if one element decides, else soupsieve's own.

    Raises:
        ValueError: The selector cannot be read; the message says where.
    """
    try:
        compiled = soupsieve.compile(css)
    except soupsieve.SelectorSyntaxError as error:
        # Only the first line: the others draw the selector.
        raise ValueError(str(error).partition("\n")[0].rstrip(":")) from error
    return _simple(css.strip()) or compiled


def _simple(css: str) -> Simple | None:
    start = _TAG.match(css)
    at = start.end() if start else 0
    conditions = []
    while piece := _PIECE.match(css, at):
        at = piece.end()
        if piece["mark"]:
            conditions.append(("class", "~=", piece["name"]) if piece["mark"] == "." else ("id", "=", piece["name"]))
            continue
        attribute = piece["attribute"].lower()
        unquoted = piece["operator"] and not piece["quote"] and not _TAG.fullmatch(piece["value"])
        if attribute in _FOLDED or unquoted:
            return None
        conditions.append((attribute, piece["operator"] or "", piece["value"] or ""))
    if at != len(css) or not css:
        return None
    return Simple(start[0].lower() if start else None, tuple(conditions))


def _holds(actual: str | None, operator: str, value: str) -> bool:
    return actual is not None and _OPERATORS[operator](actual, value)
