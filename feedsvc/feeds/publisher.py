"""Feed documents become Representations: rendered once, then served many times.

    documents, resources -> the bytes at each address, under each base URL -> Representation

The most read ones (the feed of everything as Atom, and the front page) are rendered in advance. All others
are rendered at the first request, and kept up to date in advance for as long as they are asked for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from feedsvc.errors import FeedsvcError, RenderError
from feedsvc.feeds.deltas import Deltas, Versions
from feedsvc.feeds.formats.addresses import EVERYTHING, feed_path, parse_archive_path
from feedsvc.feeds.represent import represent
from feedsvc.model import FeedDocument, Representation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from feedsvc.feeds.formats import Format

_log = logging.getLogger(__name__)

# A feed of a name as it is now, and since when it has been so, aware.
_Loader = Callable[[str], tuple[FeedDocument, "datetime"]]

# A page of a feed's archive, by its number and under a base URL.
_ArchiveLoader = Callable[[FeedDocument, int, str], Representation | None]

_SEEN_BASES = 8  # enough for localhost, a LAN name and their spellings; a bound on the memory that a client can use
_MOST_BYTES = 128 * 2**20  # of representations that are kept beside those that are made in advance
_IDLE_RENDERS = 100  # after so many changes without a request it is forgotten until the next one

_Key = tuple[str, str]  # base URL and address
_Shown = tuple[Any, "datetime | None"]  # a document or all, and since when it has been so if known


def _no_archive(_document: FeedDocument, _number: int, _base_url: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Resource:
    """The content of an address.

    Attributes:
        media_type: The Content-Type field's value.
        feed: The name of the feed that it shows; None if it shows all.
        render: Makes its bytes of that feed's document, or of all documents by name, and of a base URL.
        format: The format of the bytes, if they are a feed: deltas are cut out of them.
        on_demand: Not rendered before somebody asks.
    """

    media_type: str
    feed: str | None
    render: Callable[[Any, str], bytes]
    format: Format | None = None
    on_demand: bool = False

    @property
    def eager(self) -> bool:
        """It is rendered before anybody asks."""
        return self.feed in {None, EVERYTHING} and not self.on_demand


@dataclass(slots=True)
class _Held:
    """A representation, its versions, its last use (a count), and the renders since."""

    representation: Representation
    versions: Versions
    last_use: int = -1
    unasked: int = 0

    @property
    def size(self) -> int:
        return len(self.representation.body) + sum(map(len, self.representation.codings.values()))


class Publisher:
    """Holds the representations that are served, for each base URL that clients use.

    Threads may read while another publishes. Readers of a rendered representation never wait: they see it until the new
    one is whole.
    """

    def __init__(
        self,
        load: _Loader,
        *,
        max_age: int,
        base_url: str | None,
        known_bases: Sequence[str] = (),
        load_archive: _ArchiveLoader = _no_archive,
        most_bytes: int = _MOST_BYTES,
        measure: Callable[[str, float], None] | None = None,
    ) -> None:
        """Start with nothing published.

        Args:
            load: Gives a feed as it is now.
            max_age: Seconds for which caches may reuse a representation.
            base_url: For subscribers, without a slash at its end; None to take it from each request.
            known_bases: Rendered in advance and never forgotten, if `base_url` is None.
            load_archive: Gives a page of a feed's archive, or None if there is none of that number.
            most_bytes: Of representations that are kept beside those rendered in advance.
            measure: Told the seconds that each render of an address took; None for nobody.
        """
        self._load = load
        self._load_archive = load_archive
        self._max_age = max_age
        self._base_url = base_url
        # At least one, so that a feed that cannot be rendered is noticed before it is asked for.
        self._kept = (base_url,) if base_url else tuple(known_bases) or ("http://localhost",)
        self._most_bytes = most_bytes
        self._measure = measure
        self._documents: Mapping[str, FeedDocument] = {}
        self._resources: Mapping[str, Resource] = {}
        self._ready = False
        self._uses = count()
        self._publishing = threading.Lock()
        self._rendering = threading.Lock()  # guards the next two against other writers
        self._held: dict[_Key, _Held] = {}
        self._stale: set[_Key] = set()
        self._deltas = Deltas()

    @property
    def ready(self) -> bool:
        """The resources to be rendered in advance have been published."""
        return self._ready

    @property
    def documents(self) -> Mapping[str, FeedDocument]:
        """All feeds as they are now, by name, in the order they are listed; none before the first publication."""
        return self._documents

    @property
    def document(self) -> FeedDocument | None:
        """The feed of everything; None before the first publication."""
        return self._documents.get(EVERYTHING)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses that are published."""
        return tuple(self._resources)

    def has(self, address: str) -> bool:
        """Return whether an address such as "/feeds/asia.atom" is published.

        It is true of any page number of an archive: only `representation` tells the pages that there are.
        """
        return address in self._resources or self._archive_at(address) is not None

    def _archive_at(self, address: str) -> tuple[FeedDocument, int] | None:
        """The feed and the number of the page that an address of an archive means."""
        found = parse_archive_path(address)
        if found is None or feed_path(found[0], "atom") not in self._resources or found[0] not in self._documents:
            return None
        return self._documents[found[0]], found[1]

    def publish(
        self,
        documents: Mapping[str, FeedDocument],
        resources: Mapping[str, Resource],
        changed: Collection[str],
    ) -> None:
        """Serve these feeds from now on, and render the changed ones anew.

        The last used ones are rendered first. Each address is swapped as soon as its bytes are whole; it keeps its
        representation if the bytes stay.

        Raises:
            FeedsvcError: Something could not be read or rendered. It is served as it was before, and tried again at
                the next call; all others are published.
        """
        with self._publishing:
            with self._rendering:
                self._documents, self._resources = documents, resources
                self._held = {key: held for key, held in self._held.items() if key[1] in resources}
                self._stale = {key for key in self._stale if key[1] in resources} | self._touched(changed)
            failures = self._renew()
            self._ready = self._ready or not any(resources[address].eager for _, address in failures)
        for (_, address), error in failures.items():
            _log.error("not rendered", extra={"path": address, "reason": str(error)})
        if failures:
            raise next(iter(failures.values()))

    def prepared(self, address: str, base_url: str) -> Representation | None:
        """Look up a representation that is rendered already; never waits."""
        held = self._held.get((self._base_url or base_url, address))
        if held is None:
            return None
        held.last_use = next(self._uses)
        held.unasked = 0
        return held.representation

    def representation(self, address: str, base_url: str) -> Representation | None:
        """Look up a representation; one that was not rendered yet is rendered now and kept.

        Raises:
            FeedsvcError: The feed cannot be read or rendered.
        """
        base = self._base_url or base_url
        if address not in self._resources and (page := self._archive_at(address)):
            return self._load_archive(*page, base)
        found = self.prepared(address, base)
        if found is not None or address not in self._resources:
            return found
        with self._rendering:
            found = self.prepared(address, base)
            if found is not None or address not in self._resources:  # another thread was faster
                return found
            self._render((base, address), self._show(self._resources[address]))
            found = self.prepared(address, base)
            self._make_room((base, address))
            return found

    def delta(self, address: str, base_url: str, etags: Iterable[str]) -> tuple[str, Representation] | None:
        """Look up only the entries that are new or changed since a representation that a client holds.

        Give the tag that was found, and the delta with the validator of the whole; None if the whole is to be sent.
        """
        held, resource = self._held.get((self._base_url or base_url, address)), self._resources.get(address)
        if held is None or resource is None or resource.format is None:
            return None
        return self._deltas.represent(held.versions, held.representation, resource.format, etags)

    def _touched(self, changed: Collection[str]) -> set[_Key]:
        """The keys that show a changed feed and are rendered already or in advance."""
        names = {*changed, None} if changed else set()
        touched = {key for key in self._held if self._resources[key[1]].feed in names}
        eager = [address for address, resource in self._resources.items() if resource.eager]
        return touched | ({(base, address) for base in self._kept for address in eager} - self._held.keys())

    def _renew(self) -> dict[_Key, FeedsvcError]:
        """Render stale representations, feed after feed, the last used one first."""
        order: dict[str | None, list[_Key]] = {}
        for key in sorted(self._stale, key=self._urgency):
            order.setdefault(self._resources[key[1]].feed, []).append(key)
        failures: dict[_Key, FeedsvcError] = {}
        for keys in order.values():
            shown: _Shown | None = None
            for key in keys:
                with self._rendering:  # between two renders, those who wait for another one have their turn
                    if key not in self._stale or self._let_go(key):  # another thread was faster, or nobody asks
                        continue
                    try:
                        shown = shown or self._show(self._resources[key[1]])
                        self._render(key, shown)
                    except FeedsvcError as error:
                        failures[key] = error
        return failures

    def _urgency(self, key: _Key) -> tuple[int, int, str]:
        """Sort the last used one to the front; else the kept bases in their order."""
        held = self._held.get(key)
        base = self._kept.index(key[0]) if key[0] in self._kept else len(self._kept)
        return (-held.last_use if held else 1, base, key[1])

    def _show(self, resource: Resource) -> _Shown:
        return (self._documents, None) if resource.feed is None else self._load(resource.feed)

    def _render(self, key: _Key, shown: _Shown) -> None:
        base, address = key
        resource, held = self._resources[address], self._held.get(key)
        started = time.monotonic()
        try:
            body = resource.render(shown[0], base)
        except FeedsvcError:
            raise
        except Exception as error:  # one feed must not stop the others
            raise RenderError(f"{address}: rendering failed: {type(error).__name__}: {error}") from error
        self._stale.discard(key)
        if held is None or held.representation.body != body:
            made = represent(body, resource.media_type, last_modified=shown[1], max_age=self._max_age)
            versions = held.versions if held else Versions()
            if resource.format:
                versions.remember(made.etag, resource.format.split(body))
            if held:
                held.representation = made
            else:
                self._held[key] = _Held(made, versions)
        if self._measure:
            self._measure(address, time.monotonic() - started)

    def _is_kept(self, key: _Key) -> bool:
        return key[0] in self._kept and self._resources[key[1]].eager

    def _let_go(self, key: _Key) -> bool:
        """Forget a representation that nobody asks for any more; return whether it was."""
        held = self._held.get(key)
        if held is None or self._is_kept(key):
            return False
        held.unasked += 1
        if held.unasked <= _IDLE_RENDERS:
            return False
        self._forget(key)
        return True

    def _make_room(self, newest: _Key) -> None:
        """Forget the least recently used ones, past the bounds on base URLs and on bytes."""
        others = sorted(
            (key for key in self._held if key != newest and not self._is_kept(key)),
            key=lambda key: self._held[key].last_use,
            reverse=True,
        )
        bases = dict.fromkeys([newest[0], *(base for base, _ in others)])
        seen = [base for base in bases if base not in self._kept][:_SEEN_BASES]
        room = self._most_bytes - self._held[newest].size
        for key in others:
            room -= self._held[key].size
            if room < 0 or key[0] not in {*seen, *self._kept}:
                self._forget(key)

    def _forget(self, key: _Key) -> None:
        del self._held[key]
        self._stale.discard(key)
