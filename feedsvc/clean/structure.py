"""Structure as a sign of boilerplate: how much of an element is links, share addresses, fields, text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feedsvc.clean.markup import plain_attributes

if TYPE_CHECKING:
    from bs4 import Tag

    from feedsvc.clean.rules.rule import Rule

__all__ = ["Totals", "is_field", "share"]

_TYPED: Final = frozenset({"", "email", "number", "password", "search", "tel", "text", "url"})


@dataclass(slots=True)
class Totals:
    """What a walk over an article has met so far. An element holds what was met between its start and its end.

    Attributes:
        text: Characters, white space at the ends of each piece of text aside.
        linked_text: Those of them that are in links.
        links: Elements that link somewhere.
        taken_links: Those of them whose address a rule takes.
        fields: Fields to type into.
    """

    text: int = 0
    linked_text: int = 0
    links: int = 0
    taken_links: int = 0
    fields: int = 0

    def now(self) -> Totals:
        """Give a copy, to be compared with later."""
        return Totals(self.text, self.linked_text, self.links, self.taken_links, self.fields)

    def meets(self, rule: Rule, before: Totals) -> bool:
        """Tell whether what was met since `before` is what a rule looks for inside an element."""
        text = self.text - before.text
        if rule.max_text is not None and text > rule.max_text:
            return False
        if rule.form and self.fields == before.fields:
            return False
        if rule.link_density is not None and share(self.linked_text - before.linked_text, text) < rule.link_density:
            return False
        return rule.share_density is None or (
            share(self.taken_links - before.taken_links, self.links - before.links) >= rule.share_density
        )


def is_field(tag: Tag) -> bool:
    """Tell whether an `<input>` or `<textarea>` is there to type into."""
    kind = plain_attributes(tag).get("type", "").strip().lower()
    return tag.name == "textarea" or kind in _TYPED


def share(part: int, whole: int) -> float:
    """Give the share that a part is of a whole; 0 where there is nothing."""
    return part / whole if whole else 0.0
