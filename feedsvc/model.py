"""The data that flow through feedsvc, a frozen dataclass a stage.

    dump file -> Dump -> CleanEntry -> Entry -> FeedDocument -> Representation

No input or output happens here, and no clock is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class Outcome(StrEnum):
    """The outcome of reading a dump file."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"  # all its articles were known from other dumps
    IGNORED = "ignored"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """One article as it stands in a dump file.

    Attributes:
        position: The article's place in the file, from 0.
        line: The first line of the article in the file, from 1.
        title: Plain text: entities decoded, white space folded, never empty.
        link: The article's address as it was written, or None.
        published: Aware, in UTC, whole seconds; None if the dump does not say.
        html: The body as it was dumped; may be empty.
    """

    path: str
    position: int = 0
    line: int = 1
    title: str
    link: str | None
    published: datetime | None
    html: str
    author: str | None = None
    source: str | None = None
    categories: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Alternate:
    """Another version of an entry, such as the original of a translation.

    Attributes:
        href: An absolute address.
        language: A language tag (RFC 5646), or None if unknown.
    """

    href: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that cleaning took out.

    Attributes:
        reason: The rule's reason, for people.
        text: Its plain text, white space folded; may be empty.
        html: Its HTML.
        restored: It was restored for good, and is in the content.
    """

    rule: str
    reason: str
    text: str
    html: str
    restored: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the HTML in hexadecimal; identifies a restored removal."""
        return hashlib.sha256(self.html.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A line of an article as learning sees it (see `feedsvc.clean.learning.census`).

    Attributes:
        block: Fingerprint of its text, and of whether it is a link, as 16 hexadecimal digits; "" for
            long prose, for only its shape counts.
        shape: The elements it stands in, outermost first, and whether it is a link.
        links: Fingerprint of the targets of its links; "" without links.
        text: Its first characters.
        edge: It is in the head or tail of the article.
        closes: Prose comes before it and none after it.
        leads: The next line is prose.
    """

    block: str
    shape: str
    links: str
    text: str
    edge: bool
    closes: bool
    leads: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanEntry:
    """One cleaned article: safe to show, not yet known to the store.

    Attributes:
        given_title: The title as the dump gives it, on one line; "" if that is `title`.
        link: A valid absolute address without tracking parameters, or None.
        content: Sanitised HTML; may be empty.
        text: The plain text of the content, a block a line.
        summary: The first lines of the text, at most 300 characters.
        rights: Copyright notices that were found in the article.
        images: Absolute addresses of the pictures in the content, posters of videos among them, in order.
        removals: Removals, restored ones among them, in document order.
        alternates: Other versions of the article that it linked to.
        stood_back: Rules that match were left out, for they would have removed too much.
        sightings: The lines to learn from.
    """

    title: str
    link: str | None
    published: datetime
    content: str
    text: str
    summary: str
    author: str | None = None
    source: str | None = None
    categories: tuple[str, ...] = ()
    language: str | None = None
    rights: str | None = None
    images: tuple[str, ...] = ()
    alternates: tuple[Alternate, ...] = ()
    given_title: str = ""
    removals: tuple[Removal, ...] = field(default=())
    stood_back: bool = False
    sightings: tuple[Sighting, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as the store keeps it and feeds publish it (RFC 4287, section 4.1.2).

    Attributes:
        id: A tag: URI (RFC 4151), minted once, never changed.
        key: The entry's name in addresses: lower-case letters and digits.
        digest: Fingerprint of the article itself; `updated` moves only when it changes.
        cleaner: Fingerprint of the rules and the version that cleaned it.
    """

    id: str
    key: str
    title: str
    link: str | None
    published: datetime
    updated: datetime
    content: str
    text: str
    summary: str
    author: str | None
    source: str | None
    categories: tuple[str, ...]
    language: str | None
    rights: str | None
    images: tuple[str, ...]
    digest: str
    cleaner: str
    alternates: tuple[Alternate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedDocument:
    """A feed before it takes a format (RFC 4287, section 4.1.1).

    Attributes:
        id: A URI that the store minted once.
        name: The feed's name in addresses: "feed" for the feed of everything.
        updated: The newest `updated` of its entries, or the birth of the store if there are none.
        entries: Newest first by `published`; perhaps read from the store as they are needed.
        hubs: Addresses of WebSub hubs.
        archive: The number of the archive page that this is (RFC 5005, section 4), from 1, the oldest; None for
            the feed itself.
        previous: The number of the archive page before this one; None if there is none.
        next: The number of the archive page after this one; None if there is none.
        open_state: Identifies the state of the open archive page, in its address; None if this document
            neither is nor names the open page.
    """

    id: str
    name: str
    title: str
    subtitle: str | None
    author: str
    language: str | None
    updated: datetime
    entries: Sequence[Entry]
    hubs: tuple[str, ...] = ()
    archive: int | None = None
    previous: int | None = None
    next: int | None = None
    open_state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """All that a response needs, made once (RFC 9110, section 3.2).

    Attributes:
        media_type: The Content-Type field's value.
        body: The bytes as they are.
        codings: The same bytes compressed, by content coding, the smallest first; none that would be larger.
        etag: The opaque part of the strong validator, without quotes.
        last_modified: Aware, whole seconds; None if unknown.
        max_age: Seconds: so long a cache may reuse the response.
        immutable: It will not change within `max_age`: no cache need ask (RFC 8246).
    """

    media_type: str
    body: bytes
    codings: Mapping[str, bytes]
    etag: str
    last_modified: datetime | None
    max_age: int
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an article: a dump by its number in the store, and a position in it."""

    dump: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An entry that the store knows.

    Attributes:
        owner: The place that the entry's content came from; None when that dump is gone.
        said: The time that this dump gives for the article; None if unknown.
        retired: Retention took the content away; only the identity is left.
    """

    entry: Entry
    owner: Place | None
    said: datetime | None
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of a feed that no closed page holds.

    Attributes:
        number: The store's; a later entry has a higher one.
        published: In seconds since 1970, as `updated` is.
    """

    number: int
    key: str
    published: int
    updated: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong at present.

    Attributes:
        key: Its kind, a colon and its subject: "job:rescan".
        since: When it began; None if unknown.
        line: The line of the dump, from 1.
    """

    key: str
    message: str
    since: datetime | None = None
    line: int | None = None
