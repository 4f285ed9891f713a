"""A cleaned article beside the stored entry -> added, updated, unchanged or duplicate.

Pure. Its rules, so that nothing comes back as unread:

- An entry's `id` and `key` are minted once and never change.
- `updated` moves only when the article's digest changed, and never back.
- `published` is the earliest time that any dump gave: it does not depend on the order of arrival.
- Of several dumps of one article, the latest speaks for it: its text does not depend on the order either.
- Content that differs while the article is the same (other markup, better rules) is replaced quietly.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from feedsvc.links import canonical_link
from feedsvc.model import CleanEntry, Entry, Known, Place

if TYPE_CHECKING:
    from datetime import datetime

# RFC 4151 wants an authority; a dump without a link belongs to no host.
_NO_AUTHORITY = "feedsvc.invalid"
# RFC 4151, section 2.1: no underscore, no dot at the end, no IPv6 address; links may have all of them.
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


class Verdict(StrEnum):
    """The effect of a dump on its entry."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, the entry to be stored, and whether this dump owns it from now on."""

    verdict: Verdict
    entry: Entry
    owns: bool


def identities(article: CleanEntry) -> tuple[str, ...]:
    """Give the names of an article, the one that its key is made of first.

    These are its canonical link and the link as it is shown, so that a later version that knows more spellings finds
    the entry again; without a link, its title and time. It is the title as the dump gives it, for cleaning may take
    more off it once more is known of its source.
    """
    if article.link is None:
        return (f"{article.published:%Y-%m-%dT%H:%M:%SZ} {article.given_title or article.title}",)
    canonical = canonical_link(article.link)
    return (article.link,) if canonical is None else (canonical, article.link)


def article_digest(article: CleanEntry) -> str:
    """Fingerprint of title, text and pictures: the article in the eyes of a reader.

    Markup, white space, hosts and parameters of picture addresses do not count: they change by themselves.
    """
    parts = [article.title, "".join(article.text.split())]
    for image in article.images:
        address = urlsplit(image)
        parts.append(address.path.strip("/") or address.query)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def mint_entry(article: CleanEntry, *, cleaner: str) -> Entry:
    """Make the entry of an article that was never seen before.

    The id is a tag: URI (RFC 4151, section 2.1) of the article's host and day. It depends on the article alone: a store
    rebuilt from the same dumps mints the same ids.
    """
    name = identities(article)[0]
    key = base64.b32encode(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:10]).decode().lower()
    host = urlsplit(article.link).hostname if article.link else None
    authority = host if host and _DNS_NAME.fullmatch(host) else _NO_AUTHORITY
    return Entry(
        id=f"tag:{authority},{article.published:%Y-%m-%d}:{key}",
        key=key,
        title=article.title,
        link=article.link,
        published=article.published,
        updated=article.published,
        content=article.content,
        text=article.text,
        summary=article.summary,
        author=article.author,
        source=article.source,
        categories=article.categories,
        language=article.language,
        rights=article.rights,
        images=article.images,
        alternates=article.alternates,
        digest=article_digest(article),
        cleaner=cleaner,
    )


def decide_entry(article: CleanEntry, known: Known | None, place: Place, *, cleaner: str, now: datetime) -> Decision:
    """Decide about `article`, found at `place`, at the time `now` (aware, in UTC).

    `known` is the entry stored under the article's identity. Both were cleaned by the rules with the fingerprint
    `cleaner`.
    """
    fresh = mint_entry(article, cleaner=cleaner)
    if known is None:
        return Decision(Verdict.ADDED, fresh, owns=True)
    stored = known.entry
    if known.retired:
        return Decision(Verdict.UNCHANGED, stored, owns=False)
    published = min(stored.published, fresh.published)
    changed = fresh.digest != stored.digest
    elsewhere = known.owner not in (None, place)
    if known.owner == place or known.said is None:
        owns = True
    elif known.owner is None:  # the dump that spoke for the entry is gone: another that is no older may
        owns = fresh.published >= known.said
    else:  # of two dumps of the same article the later one speaks for it
        owns = fresh.published > known.said
    if not owns:
        return Decision(Verdict.DUPLICATE, replace(stored, published=published), owns=False)
    entry = replace(fresh, id=stored.id, key=stored.key, published=published, updated=stored.updated)
    if changed:
        # The clock may have been set back; readers must not see time run backwards.
        updated = max(now.replace(microsecond=0), stored.updated + timedelta(seconds=1))
        return Decision(Verdict.UPDATED, replace(entry, updated=updated), owns=True)
    return Decision(Verdict.DUPLICATE if elsewhere else Verdict.UNCHANGED, entry, owns=True)
