"""Which entries of a feed are newer than what a client holds (RFC 3229 with the instance manipulation "feed")."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.model import Entry, FeedDocument, Representation

__all__ = ["Deltas"]

_FEEDS = 256  # whose history is kept: those that were rendered last
_TAGS = 192  # a feed: in three formats, the last 64 versions, so that hourly polls find theirs
_RENDERED = 128  # deltas that are kept: those that were asked for last


@dataclass(slots=True)
class _History:
    """What is known of one feed's past; versions are numbered from 1.

    Attributes:
        version: The number of the newest version.
        entries: Fingerprint of each entry that it holds, and the version that it is in since, by id.
        tags: The version that an entity tag stands for, the newest last.
    """

    version: int = 0
    entries: dict[str, tuple[int, int]] = field(default_factory=dict)
    tags: OrderedDict[str, int] = field(default_factory=OrderedDict)


class Deltas:
    """The recent versions of feeds, without their contents. Threads may use it together."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = Lock()
        self._feeds: OrderedDict[str, _History] = OrderedDict()
        self._rendered: OrderedDict[tuple[str, str], Representation] = OrderedDict()

    def remember(self, etag: str, document: FeedDocument) -> None:
        """Note that a representation shows just this document, before it is served.

        Args:
            etag: The opaque part of its strong validator.
            document: The feed.
        """
        prints = {entry.id: _fingerprint(entry) for entry in document.entries}
        with self._lock:
            history = self._feeds.setdefault(document.name, _History())
            self._feeds.move_to_end(document.name)
            if len(self._feeds) > _FEEDS:
                self._feeds.popitem(last=False)
            if {id_: known for id_, (known, _) in history.entries.items()} != prints:
                history.version += 1
                history.entries = {
                    id_: _as_before(history.entries.get(id_), fingerprint, history.version)
                    for id_, fingerprint in prints.items()
                }
            history.tags[etag] = history.version
            history.tags.move_to_end(etag)
            if len(history.tags) > _TAGS:
                history.tags.popitem(last=False)

    def represent(
        self,
        whole: Representation,
        document: FeedDocument,
        etags: Iterable[str],
        render: Callable[[FeedDocument], bytes],
    ) -> tuple[str, Representation] | None:
        """Represent only the entries that are new or changed since what a client holds.

        Args:
            whole: The feed as it is served.
            document: What `whole` shows.
            etags: The opaque parts of the validators of what the client holds.
            render: What made `whole` of `document`.

        Returns:
            The validator that was known, and the representation, which has the validator of the whole; None where
            the whole is to be sent.

        Raises:
            RenderError: It cannot be rendered.
        """
        newer = self.since(document, etags)
        if newer is None:
            return None
        held, reduced = newer
        with self._lock:
            found = self._rendered.get((held, whole.etag))
        if found is None:
            made = represent(
                render(reduced), whole.media_type, last_modified=whole.last_modified, max_age=whole.max_age
            )
            found = replace(made, etag=whole.etag)
            with self._lock:
                self._rendered[held, whole.etag] = found
                if len(self._rendered) > _RENDERED:
                    self._rendered.popitem(last=False)
        return held, found

    def since(self, document: FeedDocument, etags: Iterable[str]) -> tuple[str, FeedDocument] | None:
        """Leave out what the client has.

        Args:
            document: The feed as it is now.
            etags: The opaque parts of the validators of what the client holds.

        Returns:
            The newest of them that is known, and the feed with only the entries that are new or changed since;
            None where none is known, or nothing can be left out, or nothing would be left.
        """
        with self._lock:
            history = self._feeds.get(document.name)
            if history is None:
                return None
            known = [etag for etag in etags if etag in history.tags]
            if not known:
                return None
            base = max(known, key=history.tags.__getitem__)
            version = history.tags[base]
            entries = dict(history.entries)
        newer = tuple(
            entry
            for entry in document.entries
            if (found := entries.get(entry.id)) is None or found[1] > version or found[0] != _fingerprint(entry)
        )
        if not newer or len(newer) == len(document.entries):
            return None
        return base, replace(document, entries=newer)


def _as_before(known: tuple[int, int] | None, fingerprint: int, version: int) -> tuple[int, int]:
    """An entry that is as it was stays in its version; any other is in the newest."""
    return known if known is not None and known[0] == fingerprint else (fingerprint, version)


def _fingerprint(entry: Entry) -> int:
    """Differs where anything differs that a feed shows: not which rules cleaned the entry."""
    return hash(replace(entry, cleaner=""))
