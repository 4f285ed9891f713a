"""Learned blocks at one moment, and their rules for the ledger."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from feedsvc.clean.rules.rule import Action, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sign(StrEnum):
    """The sign that a block is no article."""

    LINKS = "links"
    SHAPE = "shape"
    NOTICE = "notice"
    TITLE = "title"
    PINNED = "pinned"


_REASONS: Final = {
    Sign.LINKS: "recurs in many dumps of this source with the same links",
    Sign.SHAPE: "recurs in many dumps of this source in a place of its own",
    Sign.NOTICE: "a copyright notice that recurs in many dumps of this source",
    Sign.TITLE: "ends most titles of this source",
    Sign.PINNED: "recurs, and was pinned by hand",
}


@dataclass(frozen=True, slots=True)
class LearnedBlock:
    """A block that goes.

    Attributes:
        links: The fingerprint of its links; None for any links.
        text: A sample.
        rule: Its rule in the ledger.
    """

    block: str
    sign: Sign
    links: str | None
    text: str
    rule: Rule = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Make the rule."""
        action = Action.RIGHTS if self.sign is Sign.NOTICE else Action.REMOVE
        rule = Rule(
            name=f"learned-{self.block[:8]}",
            reason=_REASONS[self.sign],
            text=(re.escape(self.text) or "-",),
            action=action,
        )
        object.__setattr__(self, "rule", rule)


_NOTHING: Final[Mapping[str, LearnedBlock]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Learned:
    """All that is learned at one moment.

    Attributes:
        sources: Source to block to learned block.
        version: Grows with every change.
    """

    sources: Mapping[str, Mapping[str, LearnedBlock]] = field(default_factory=dict)
    version: int = 0

    def of(self, source: str) -> Mapping[str, LearnedBlock]:
        """Return the blocks learned from one source."""
        return self.sources.get(source, _NOTHING)

    def spread(self) -> Counter[str]:
        """Count for each block in how many sources it is learned."""
        return Counter(
            block for known in self.sources.values() for block, each in known.items() if each.sign is not Sign.PINNED
        )


def census_source(source: str | None, link: str | None) -> str:
    """Return the name under which an article is counted: its source, else the host of its link, else ""."""
    return source or (urlsplit(link).hostname if link else None) or ""
