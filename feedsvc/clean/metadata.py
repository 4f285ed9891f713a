"""Title, author and categories of an entry."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from feedsvc.clean.text import one_line, scrub, without_debris
from feedsvc.clean.titles import strip_site_name, strip_suffix, suffix_of
from feedsvc.dumps.characters import undirected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WITH_MAILBOX: Final = (
    re.compile(r"[^\s()<>]+@[^\s()<>]+\s*\((?P<name>[^()]+)\)"),  # RSS 2.0: jane@example.org (Jane Doe)
    re.compile(r"(?P<name>[^<>@]+)<[^\s<>]+@[^\s<>]+>"),  # RFC 5322: Jane Doe <jane@example.org>
)
# Second levels of the domain name system; sites have their names below them.
_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})
_COUNTRY: Final = 2  # letters


def tidy_phrase(text: str | None) -> str | None:
    """Make one line of a name, fit for a feed; None if nothing is left."""
    return (one_line(undirected(scrub(text))) or None) if text is not None else None


def pick_title(title: str, *, source: str | None, author: str | None, link: str | None, known: Collection[str]) -> str:
    """Return the title, given on one line, without the name of its site at the end.

    That is the name of the source, the author or the host of a valid link, or a known suffix that recurs in titles of
    the source. The result is empty only if the title was; a second call with it changes nothing.
    """
    title = one_line(without_debris(title)) or title
    if not suffix_of(title):
        return title
    names = [name for name in (source, author, site_label(link)) if name]
    stripped = strip_site_name(strip_suffix(title, known), names)
    while known and stripped != title:
        title, stripped = stripped, strip_site_name(strip_suffix(stripped, known), names)
    return stripped


def site_label(link: str | None) -> str | None:
    """Return the label of a host that names its site: "bbc" of `https://www.bbc.co.uk/`."""
    labels = ((urlsplit(link).hostname or "") if link else "").removesuffix(".").split(".")
    if labels[-1].isdigit() or ":" in labels[-1]:
        return None
    if len(labels) > 2 and len(labels[-1]) == _COUNTRY and labels[-2] in _SECOND_LEVEL:  # noqa: PLR2004 - as in co.uk
        labels.pop()
    return labels[-2] if len(labels) > 1 else None


def pick_author(author: str | None, *, source: str | None, byline: str | None = None) -> str | None:
    """Return the author's name: the dump's, or the byline if the dump names nobody or only the source itself."""
    author = tidy_phrase(author)
    if author is not None:
        match = next(filter(None, (pattern.fullmatch(author) for pattern in _WITH_MAILBOX)), None)
        author = author if match is None else match["name"].strip().strip('"') or author
    if author is None or (source is not None and _key(author) == _key(source)):
        author = tidy_phrase(byline) or author
    return author


def tidy_categories(categories: Iterable[str], *, source: str | None) -> tuple[str, ...]:
    """Return each category once, in order, without the source; case and width make no difference."""
    found = {} if source is None else {_key(source): ""}
    for category in filter(None, map(tidy_phrase, categories)):
        found.setdefault(_key(category), category)
    return tuple(filter(None, found.values()))


def _key(name: str) -> str:
    return one_line(unicodedata.normalize("NFKC", name).casefold())
