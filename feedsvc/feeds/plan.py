"""The feeds that the configuration asks for, and the entries of each, by Filter.

All keys of a filter must match; of the several values of a key, one. Values are folded: case and width do
not count (Unicode NFKC and case folding). A word is found if no other letter touches it; scripts that are written
without spaces, such as Chinese, have no such bounds.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.text import is_unspaced

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import timedelta

KEYS: Final = ("source", "category", "author", "title", "text", "language")
"""The properties that a filter may name, beside the age."""

_COLUMNS: Final = {"category": "categories"}  # by another name in the entry


def fold_case(text: str) -> str:
    """Fold case, width and white space, so that equal readings compare equal."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The properties of an entry that filters name (see `feedsvc.model.Entry`), folded when a filter asks for them."""

    source: str | None = None
    author: str | None = None
    categories: Sequence[str] = ()
    title: str = ""
    text: str = ""
    language: str | None = None
    _folded: dict[str, tuple[str, ...]] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def of_row(cls, row: Any, columns: Collection[str]) -> Candidate:  # noqa: ANN401 - any object with these attributes
        """Take its source and these properties from a row of the store."""
        return cls(source=row.source, **{name: getattr(row, name) for name in columns if name != "source"})

    def folded(self, key: str) -> tuple[str, ...]:
        """The values of a key of filters, folded."""
        found = self._folded.get(key)
        if found is None:
            values = self.categories if key == "category" else (getattr(self, key),)
            found = self._folded[key] = tuple(fold_case(value) for value in values if value)
        return found


@dataclass(frozen=True, slots=True)
class Filter:
    """A decision on entries.

    Attributes:
        include: All must hold.
        exclude: None may hold.
        age: The time from its publication for which an entry stays; None for ever.
        source: The condition on the source; None for any source.
        columns: The properties of an entry that it looks at.
        rule: Fingerprint of all but the age; the same in any process.
    """

    include: tuple[Callable[[Candidate], bool], ...] = ()
    exclude: tuple[Callable[[Candidate], bool], ...] = ()
    age: timedelta | None = None
    source: Callable[[Candidate], bool] | None = None
    columns: frozenset[str] = frozenset()
    rule: str = ""

    def matches(self, entry: Candidate) -> bool:
        """Return whether the entry belongs, at any age."""
        return all(holds(entry) for holds in self.include) and not any(holds(entry) for holds in self.exclude)

    def accepts(self, source: Candidate) -> bool:
        """Return whether any entry of this source may belong."""
        return self.source is None or self.source(source)


def make_filter(
    include: Mapping[str, Sequence[str]], exclude: Mapping[str, Sequence[str]], age: timedelta | None
) -> Filter:
    """Make a filter.

    Args:
        include: Values by key, see KEYS; a key without values does not count.
        exclude: The same: an entry that matches any of these keys does not belong.
        age: The time from its publication for which an entry stays; None for ever.
    """
    conditions = {key: _condition(key, include[key]) for key in KEYS if include.get(key)}
    columns = {_COLUMNS.get(key, key) for key in KEYS if include.get(key) or exclude.get(key)}
    return Filter(
        include=tuple(conditions.values()),
        exclude=tuple(_condition(key, exclude[key]) for key in KEYS if exclude.get(key)),
        age=age,
        source=conditions.get("source"),
        columns=frozenset(columns),
        rule=_fingerprint(include, exclude),
    )


def of_source(source: str) -> Filter:
    """The filter of just one source, as it is written."""
    is_it = partial(_is_source, source)
    return Filter(include=(is_it,), source=is_it, columns=frozenset({"source"}), rule=_fingerprint(source))


def _fingerprint(*rule: str | Mapping[str, Sequence[str]]) -> str:
    parts = [
        part if isinstance(part, str) else [[key, sorted(map(fold_case, part[key]))] for key in KEYS if part.get(key)]
        for part in rule
    ]
    # A filter that matches everything has none.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() if any(parts) else ""


def _condition(key: str, values: Sequence[str]) -> Callable[[Candidate], bool]:
    folded = tuple(fold_case(value) for value in values)
    if key in {"source", "category"}:
        return partial(_equals, key, frozenset(folded))
    return partial(_speaks if key == "language" else _says, key, folded)  # a byline may name several authors


def _is_source(source: str, entry: Candidate) -> bool:
    return entry.source == source


def _equals(key: str, values: frozenset[str], entry: Candidate) -> bool:
    return not values.isdisjoint(entry.folded(key))


def _speaks(key: str, values: tuple[str, ...], entry: Candidate) -> bool:
    """RFC 4647, section 3.3.1: "zh" stands for "zh-CN" as well."""
    return any(tag == value or tag.startswith(f"{value}-") for tag in entry.folded(key) for value in values)


def _says(key: str, values: tuple[str, ...], entry: Candidate) -> bool:
    return any(_holds(text, value) for text in entry.folded(key) for value in values)


def _holds(text: str, word: str) -> bool:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if not (_runs_on(before) and _runs_on(word[:1])) and not (_runs_on(after) and _runs_on(word[-1:])):
            return True
        start = text.find(word, start + 1)
    return False


def _runs_on(character: str) -> bool:
    """Return whether a letter or digit beside this character belongs to the same word."""
    return character.isalnum() and not is_unspaced(character)


_ALL_FORMATS = ("atom", "rss", "json")
_ALL_ENTRIES = Filter()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """The user's settings of a feed.

    Attributes:
        entries: The most entries that it holds, the newest.
        max_bytes: The most bytes of its entries together; None for no limit.
        name: As in its addresses.
        formats: The extensions of the formats that it is served in.
        filter: Chooses its entries.
        hubs: Addresses of WebSub hubs.
        listed: It stands in lists of feeds.
    """

    title: str
    subtitle: str | None
    author: str
    language: str | None
    entries: int
    max_bytes: int | None
    name: str = EVERYTHING
    formats: tuple[str, ...] = _ALL_FORMATS
    filter: Filter = _ALL_ENTRIES
    hubs: tuple[str, ...] = ()
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the user says of feeds.

    Attributes:
        everything: The feed of everything; the feeds of sources take their other settings from it.
        configured: The others that the user names, in their order.
        sources: Each source has a feed, unless a configured feed has the name.
    """

    everything: FeedSettings
    configured: tuple[FeedSettings, ...] = ()
    sources: bool = True

    @property
    def unlisted(self) -> frozenset[str]:
        """The names of the feeds that nobody is told of."""
        return frozenset(feed.name for feed in self.configured if not feed.listed)

    def feeds(self, sources: Mapping[str, str]) -> dict[str, FeedSettings]:
        """All feeds by name, in the order they are listed."""
        found = {feed.name: feed for feed in (self.everything, *self.configured)}
        if self.sources:
            for source, name in sorted(sources.items(), key=lambda item: (fold_case(item[0]), item)):
                found.setdefault(name, self._of_source(source, name))
        return found

    def _of_source(self, source: str, name: str) -> FeedSettings:
        return replace(self.everything, name=name, title=source, subtitle=None, language=None, filter=of_source(source))
