"""Deltas of feeds: only the entries that a client lacks (RFC 3229 with the instance manipulation "feed").

A delta is cut out of the bytes of the whole feed, so it holds nothing that the whole feed does not.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feedsvc.feeds.formats import Format
    from feedsvc.model import Representation

_TAGS = 64  # versions of a feed that are known, so that hourly polls find theirs
_KEPT = 128  # deltas that are kept: those that were made last


class Versions:
    """The recent versions of one feed in one format, without their contents. Threads may share it."""

    def __init__(self) -> None:
        """Know no version."""
        self._lock = Lock()
        self._version = 0
        self._entries: dict[str, tuple[int, int]] = {}  # id to fingerprint, and the version that has it since
        self._tags: OrderedDict[str, int] = OrderedDict()  # entity tag to version, the newest last

    def remember(self, etag: str, entries: Mapping[str, bytes]) -> None:
        """Note a version before it is served."""
        with self._lock:
            before, self._version = self._entries, self._version + 1
            self._entries = {}
            for id_, body in entries.items():
                print_ = hash(body)
                known = before.get(id_)
                self._entries[id_] = known if known and known[0] == print_ else (print_, self._version)
            self._tags[etag] = self._version
            self._tags.move_to_end(etag)
            if len(self._tags) > _TAGS:
                self._tags.popitem(last=False)

    def find_held(self, etags: Iterable[str], entries: Mapping[str, bytes]) -> tuple[str, set[str]] | None:
        """Find the entries that a client need not be sent.

        Give the newest of its tags that is known, and the ids of the entries that are as they were then, or None.
        """
        with self._lock:
            known = [etag for etag in etags if etag in self._tags]
            if not known:
                return None
            base = max(known, key=self._tags.__getitem__)
            version, noted = self._tags[base], self._entries
        new = (0, version + 1)
        return base, {
            id_
            for id_, body in entries.items()
            if (found := noted.get(id_, new))[1] <= version and found[0] == hash(body)
        }


class Deltas:
    """The deltas that were made last. Threads may share it."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], Representation] = OrderedDict()

    def represent(
        self, versions: Versions, whole: Representation, form: Format, etags: Iterable[str]
    ) -> tuple[str, Representation] | None:
        """Represent the entries that are new or changed since a version that a client holds.

        Give the tag that was known, and the delta with the validator of the whole feed. None if the whole feed is to be
        sent: no tag is known, or the delta would hold all entries or none.
        """
        entries = form.split(whole.body)
        found = versions.find_held(etags, entries)
        if found is None or not 0 < len(found[1]) < len(entries):
            return None
        etag, held = found
        with self._lock:
            delta = self._kept.get((etag, whole.etag))
        if delta is None:
            body = form.cut(whole.body, held)
            delta = represent(body, whole.media_type, last_modified=whole.last_modified, max_age=whole.max_age)
            delta = replace(delta, etag=whole.etag)
            with self._lock:
                self._kept[etag, whole.etag] = delta
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return etag, delta
