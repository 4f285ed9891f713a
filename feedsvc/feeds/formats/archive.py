"""Archived feeds (RFC 5005, section 4): the pages that entries go to, and the documents of pages.

The feed itself holds the newest entries by `published`. All others are in archive pages, in the order
in which they arrived, so that one that is dated back lengthens the newest page and changes no other.
The newest page is open: it holds the entries that have left the feed, or were never in it, until they
suffice to close a page. So the feed, the open page and the closed pages together hold every entry once.

There are two exceptions. An entry whose article changes after its page was closed is listed again, for
the closed page cannot change; readers take the version that was updated last (section 4.2). And
entries of closed pages come back to the feed if it is made longer, or if more of its entries are
withdrawn than the open page holds in reserve.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from feedsvc.model import Entry, FeedDocument, Member

PAGE_ENTRIES = 100
# So many of the newest entries below the feed stay in the open page: they are the ones that come back to the feed
# when some of its entries are withdrawn.
RESERVE = 50
# Stands for the base URL in kept pages. No article has it: its digits are random.
ANY_BASE = "https://a5d7c2f09be14368.feedsvc.invalid"


@dataclass(frozen=True, slots=True)
class Split:
    """The new pages of the entries that no closed page holds.

    Attributes:
        pages: The numbers of the entries of each page to be closed, the oldest page first.
        open: Those that stay in the open page, in the order of arrival.
    """

    pages: tuple[tuple[int, ...], ...]
    open: tuple[int, ...]


def split(
    members: Iterable[Member], shown: Collection[int], *, page_entries: int = PAGE_ENTRIES, reserve: int = RESERVE
) -> Split:
    """Choose the pages to be closed, of `page_entries` each.

    Args:
        members: The entries that no closed page holds, in any order.
        shown: The numbers of the entries that the feed itself holds.
        page_entries: Entries a page.
        reserve: So many of the newest entries outside the feed stay in the open page.
    """
    outside = sorted((member for member in members if member.number not in shown), key=lambda member: member.number)
    newest = sorted(outside, key=lambda member: member.key)
    newest.sort(key=lambda member: member.published, reverse=True)
    kept = {member.number for member in newest[:reserve]}
    ready = [member.number for member in outside if member.number not in kept]
    whole = len(ready) - len(ready) % page_entries
    closed = set(ready[:whole])
    return Split(
        tuple(tuple(ready[start : start + page_entries]) for start in range(0, whole, page_entries)),
        tuple(member.number for member in outside if member.number not in closed),
    )


def state_of(members: Iterable[Member]) -> str | None:
    """Fingerprint of the entries in an open page; None if there are none."""
    held = sorted((member.number, member.key, member.updated) for member in members)
    return hashlib.sha256(repr([rest for _, *rest in held]).encode()).hexdigest()[:12] if held else None


def page_of(
    feed: FeedDocument,
    entries: Sequence[Entry],
    number: int,
    *,
    first: int,
    closed: int,
    state: str | None = None,
) -> FeedDocument:
    """Make the document of an archive page; `state` is that of the open page, if this is it."""
    newest = sorted(entries, key=lambda entry: entry.id)
    newest.sort(key=lambda entry: entry.published, reverse=True)
    return replace(
        feed,
        updated=max((entry.updated for entry in entries), default=feed.updated),
        entries=tuple(newest),
        archive=number,
        previous=number - 1 if number != first and number > 1 else None,
        next=number + 1 if number <= closed else None,
        open_state=state,
    )


def set_base(body: bytes, base_url: str) -> bytes:
    """Put the base URL into the bytes of a page that was rendered for `ANY_BASE`."""
    return body.replace(ANY_BASE.encode(), quoteattr(base_url)[1:-1].encode())
