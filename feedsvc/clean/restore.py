"""What was taken out and brought back for good: it is kept however often the article is cleaned.

Something is known again by its HTML, whichever rule takes it: a rule that is renamed, or another that takes the same,
does not take it away once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from feedsvc.clean.outline import Line
from feedsvc.clean.strip import strip

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from feedsvc.clean.learning.sightings import Sight
    from feedsvc.clean.ledger import Stripped
    from feedsvc.clean.outline import Hit, Outline
    from feedsvc.clean.rules.matcher import Matcher

__all__ = ["strip_but"]


def strip_but(
    outline: Outline, matcher: Matcher, published: datetime | None, sight: Sight | None, restored: Collection[str]
) -> Stripped:
    """Decide what rules take out of an article, but for what was restored.

    That is decided without regard to it first. What then goes and is to be kept is kept as if by a keep rule, with
    what it holds and what holds it, and all is decided again. So the ledger names the same removals in the same order
    whether any of them is restored or not, and their numbers can be relied on.

    Args:
        outline: The article's; its marks change.
        matcher: The rules that apply.
        published: As for `strip`.
        sight: As for `strip`.
        restored: The digests of the removals that were restored.

    Returns:
        What goes. In the ledger, what was restored and what stays because of it are marked as restored.
    """
    first = stripped = strip(outline, matcher, published, sight)
    while kept := [
        hit for hit, removal in zip(stripped.hits, stripped.removals, strict=True) if removal.digest in restored
    ]:
        outline.restored += kept  # a hit that is kept is never taken again, so this ends
        stripped = strip(outline, matcher, published, sight)
    if stripped is first:
        return first
    ledger = {_name(hit): (hit, removal) for hit, removal in zip(stripped.hits, stripped.removals, strict=True)}
    for hit, removal in zip(first.hits, first.removals, strict=True):
        ledger.setdefault(_name(hit), (hit, replace(removal, restored=True)))
    ordered = sorted(ledger.values(), key=lambda pair: pair[0].start)
    return replace(stripped, hits=tuple(hit for hit, _ in ordered), removals=tuple(removal for _, removal in ordered))


def _name(hit: Hit) -> tuple[str, int]:
    """What is the same of a hit each time it is decided: lines' hits are made anew."""
    return hit.rule.name, id(hit.what.leaves[0]) if isinstance(hit.what, Line) else id(hit.what)
