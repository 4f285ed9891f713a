"""The difference between a stored entry and its dump cleaned by other rules."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from feedsvc.clean.sandbox import clean_job
from feedsvc.intake.cleanings import job_again
from feedsvc.intake.decide import mint_entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from feedsvc.clean import Cleaner
    from feedsvc.model import CleanEntry, Entry
    from feedsvc.store import Article

# One Chinese or Japanese character, one word of other scripts, or one mark.
_TOKEN = re.compile(r"[^\W\u2e80-\uffff]+|[^\s]")
_MOST_TOKENS: Final = 1000  # beyond, an exact comparison takes long

LARGEST_LOSS: Final = 0.5
"""The share of an entry's text that may go without an alarm."""

Removed = tuple[str, str]
"""The rule and the text of a removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDiff:
    """The change that other rules would make in one entry.

    Attributes:
        published: Aware, in UTC.
        lost: Characters of its text that would go, without white space.
        regained: Characters that would come back.
        share: `lost` as a share of the text as it is, 0 to 1.
        gone: The removals that are new.
        back: The removals that would no longer be made.
        emptied: Whether nothing to see would be left.
        stood_back: Whether rules would stand back because they would take too much.
        visible: Whether readers would see a change; else only the account of removals changes.
    """

    key: str
    title: str
    published: datetime
    lost: int
    regained: int
    share: float
    gone: tuple[Removed, ...]
    back: tuple[Removed, ...]
    emptied: bool
    stood_back: bool
    visible: bool

    @property
    def alarms(self) -> bool:
        """True if so much would go that somebody should look first."""
        return self.emptied or self.share > LARGEST_LOSS


def clean_again(stored: Article, cleaner: Cleaner) -> CleanEntry | None:
    """Clean an entry's own dump; None if that no longer holds it or cannot be cleaned: such an entry stays as it is."""
    cleaned = clean_job(job_again(stored), cleaner)
    return cleaned.articles[0][1] if cleaned.articles else None


def diff_entry(stored: Entry, removed: Sequence[Removed], article: CleanEntry) -> EntryDiff | None:
    """Compare an entry, and its `removed` parts, with its article cleaned again; None if they are equal."""
    fresh = as_stored(stored, article)
    now = [(removal.rule, removal.text) for removal in article.removals]
    gone = tuple((Counter(now) - Counter(removed)).elements())
    back = tuple((Counter(removed) - Counter(now)).elements())
    if fresh == stored and not gone and not back:
        return None
    lost, regained = text_difference(stored.text, fresh.text)
    return EntryDiff(
        key=stored.key,
        title=stored.title,
        published=stored.published,
        lost=lost,
        regained=regained,
        share=lost / max(1, count_characters(stored.text)),
        gone=gone,
        back=back,
        emptied=bool(stored.content) and not fresh.content,
        stood_back=article.stood_back,
        visible=fresh != stored,
    )


def as_stored(stored: Entry, article: CleanEntry) -> Entry:
    """Make the entry that is in the store after its article was cleaned again, as far as readers see it."""
    fresh = mint_entry(article, cleaner=stored.cleaner)
    return replace(
        fresh,
        id=stored.id,
        key=stored.key,
        published=stored.published,
        updated=stored.updated,
        digest=stored.digest,
    )


def count_characters(text: str) -> int:
    """Count characters, white space left out."""
    return len("".join(text.split()))


def text_difference(before: str, after: str) -> tuple[int, int]:
    """Count the characters of `before` that are not in `after`, and the other way round; white space left out."""
    old, new = before.split("\n"), after.split("\n")
    gone = list((Counter(old) - Counter(new)).elements())
    come = list((Counter(new) - Counter(old)).elements())
    if gone and come:  # some line may have changed in part
        return _token_difference("\n".join(gone), "\n".join(come))
    return sum(map(count_characters, gone)), sum(map(count_characters, come))


def _token_difference(before: str, after: str) -> tuple[int, int]:
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if len(old) + len(new) > _MOST_TOKENS:
        old, new = list("".join(old)), list("".join(new))
        return (Counter(old) - Counter(new)).total(), (Counter(new) - Counter(old)).total()
    lost = regained = 0
    for kind, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            lost += sum(map(len, old[start:end]))
            regained += sum(map(len, new[new_start:new_end]))
    return lost, regained
