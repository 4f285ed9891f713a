"""What an entry would become if its dump were cleaned by other rules."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, CleaningError, NotADump
from feedsvc.intake.decide import mint_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from feedsvc.clean import Cleaner
    from feedsvc.model import CleanEntry, Dump, Entry
    from feedsvc.store import Article

__all__ = ["LARGEST_LOSS", "Change", "as_stored", "clean_again", "compare", "count_characters", "text_difference"]

# One Chinese or Japanese character, one word of other scripts, or one mark.
_TOKEN = re.compile(r"[^\W\u2e80-\uffff]+|[^\s]")
_MOST_TOKENS: Final = 1000  # beyond, an exact comparison takes long

LARGEST_LOSS: Final = 0.5
"""The share of an entry's text whose loss is an alarm."""

Removed = tuple[str, str]
"""The rule and the text of a removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would change in one entry.

    Attributes:
        published: Aware, in UTC.
        lost: How many characters of its text would go, white space not counted.
        regained: How many would come back.
        share: `lost` as a share of the text as it is, 0 to 1.
        gone: What would be removed that is not now.
        back: What is removed now and would no longer be.
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
        """Whether so much would go that somebody should look first."""
        return self.emptied or self.share > LARGEST_LOSS


def clean_again(source: Article, cleaner: Cleaner) -> CleanEntry | None:
    """Clean the dump that an entry came from.

    Returns:
        The article, or None where its dump no longer holds it or cannot be cleaned: such an entry stays as it is.
    """
    try:
        dumps: Iterable[Dump] = parse_dump(source.raw, source.path)
    except NotADump:
        return None
    except BrokenDump as error:
        dumps = error.dumps
    for dump in dumps:
        if dump.position == source.place.position:
            published = dump.published or datetime.fromtimestamp(source.mtime_ns // 10**9, UTC)
            try:
                return cleaner.clean(dump, published, source.restored)
            except CleaningError:
                return None
    return None


def compare(stored: Entry, removed: Sequence[Removed], article: CleanEntry) -> Change | None:
    """Tell what changes between an entry and its article as it was cleaned now.

    Args:
        stored: The entry as it is.
        removed: What cleaning took out of it.
        article: The same article, cleaned again.

    Returns:
        The change, or None where there is none.
    """
    fresh = as_stored(stored, article)
    now = [(removal.rule, removal.text) for removal in article.removals]
    gone = tuple((Counter(now) - Counter(removed)).elements())
    back = tuple((Counter(removed) - Counter(now)).elements())
    if fresh == stored and not gone and not back:
        return None
    lost, regained = text_difference(stored.text, fresh.text)
    return Change(
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
    for what, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            lost += sum(map(len, old[start:end]))
            regained += sum(map(len, new[new_start:new_end]))
    return lost, regained
