"""Removals that no rule in a pack can state, under their names in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cause:
    """The name and, for people, the reason of a removal without a rule."""

    name: str
    reason: str


DATELINE: Final = Cause("dateline", "the date of publication, which the entry states already")
LEFTOVER: Final = Cause("leftover", "signs left on a line of which a rule took all the words")
LOOSE_LINE: Final = Cause("loose-line", "a horizontal line with nothing of the article before or after it")
NOSCRIPT_COPY: Final = Cause("noscript-copy", "a picture once more, for readers without scripts")
TRACKING_PIXEL: Final = Cause("tracking-pixel", "a picture too small to see, which tells its server who reads")
UNUSABLE_PICTURE: Final = Cause("unusable-picture", "a placeholder, or a picture without an address of its own")

CAUSES: Final = (DATELINE, LEFTOVER, LOOSE_LINE, NOSCRIPT_COPY, TRACKING_PIXEL, UNUSABLE_PICTURE)
