"""What readers know of entries, and what may change of it. Pure: it looks at what was published and what is stored."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from feedsvc import __version__
from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.store.schema import LIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feedsvc.model import Entry, FeedDocument
    from feedsvc.store.published import Mark, State

__all__ = ["find_lost", "hold", "version_of"]


def hold(entry: Entry, mark: Mark | None, origin: str | None) -> tuple[Entry, str | None]:
    """Compare an entry with what was last published of it.

    Args:
        entry: As the store has it now.
        mark: As it was published; None where it was not.
        origin: Fingerprint of the dump that it comes from now, or None.

    Returns:
        The entry as it may be published, and what was refused, in words, or None.
    """
    if mark is None or (entry.id, entry.updated) == (mark.id, mark.updated):
        return entry, None
    held, refused = entry, []
    if entry.id != mark.id:
        held = replace(held, id=mark.id)
        refused.append(f"has the id {entry.id!r} now")
    same = entry.digest == mark.digest or (origin is not None and origin == mark.origin)
    if entry.updated < mark.updated:
        refused.append(f"is dated back to {entry.updated.isoformat()}")
    elif entry.updated > mark.updated and same:
        refused.append(f"is dated {entry.updated.isoformat()} now though the article is the same")
    else:
        return held, "; ".join(refused) or None
    return replace(held, updated=mark.updated), "; ".join(refused)


def find_lost(
    before: Iterable[str], after: FeedDocument, states: Mapping[str, State], left_out: Iterable[str] = ()
) -> list[str]:
    """Say what a feed has lost without a reason.

    Reasons are that an entry was withdrawn or retired, is left out, was pushed out by newer ones, or (for
    feeds other than that of everything) does not match the feed's filter any more.

    Args:
        before: The keys of the entries that were published.
        after: The feed as it is to be published.
        states: What became of the entries that are in the store, by key.
        left_out: The keys of those that are left out.
    """
    gone = set(before) - {entry.key for entry in after.entries} - set(left_out)
    oldest = min((entry.published for entry in after.entries), default=None)
    lost = []
    for key in sorted(gone):
        state = states.get(key)
        if state is None:
            lost.append(f"entry {key} was published and is not in the store any more")
        elif after.name == EVERYTHING and state.state == LIVE and (oldest is None or state.published > oldest):
            lost.append(f"entry {state.id!r} is missing, though others that are older are there")
    return lost


def version_of(entry: Entry) -> str:
    """Fingerprint of an entry and of what renders it: with another one it is tried again."""
    text = f"{__version__} {replace(entry, cleaner='')!r}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
