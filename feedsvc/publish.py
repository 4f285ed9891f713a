"""Feed documents become Representations: rendered once, then served many times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from feedsvc.deltas import Deltas
from feedsvc.model import FeedDocument, Representation
from feedsvc.represent import represent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["Publisher", "Renderer"]

Renderer = Callable[[FeedDocument, str], bytes]

_SEEN_BASES = 8  # enough for localhost, a LAN name and their spellings; a bound on what a client can make us keep


@dataclass(frozen=True, slots=True)
class _Published:
    """One state of what is served; replaced as a whole, so that readers need no lock."""

    document: FeedDocument
    last_modified: datetime
    bases: Mapping[str, Mapping[str, Representation]]


class Publisher:
    """Holds the last good feed, rendered for each base URL it is read under.

    Threads may read while another publishes. Readers of a base that is known
    never wait for a render: they see the old state until the new one is whole.
    """

    def __init__(
        self,
        renderers: Mapping[str, tuple[str, Renderer]],
        *,
        max_age: int,
        base_url: str | None,
        known_bases: Sequence[str] = (),
    ) -> None:
        """Start with nothing published.

        Args:
            renderers: Media type and renderer of each address, such as "/feed.atom".
            max_age: Seconds for which caches may reuse what is published.
            base_url: What subscribers see, without a slash at its end; None to take it from each request.
            known_bases: Rendered in advance and never forgotten, where `base_url` is None.
        """
        self.addresses = tuple(renderers)
        self._renderers = dict(renderers)
        self._max_age = max_age
        self._base_url = base_url
        # At least one, so that a document that cannot be rendered is refused before it goes live.
        self._kept = (base_url,) if base_url else tuple(known_bases) or ("http://localhost",)
        self._published: _Published | None = None
        self._rendering = threading.Lock()
        self._uses = count()
        self._last_use: dict[str, int] = {}
        self._deltas = Deltas()

    def has(self, address: str) -> bool:
        """Whether something is published there."""
        return self._published is not None and address in self._renderers

    @property
    def ready(self) -> bool:
        """Whether something has been published."""
        return self._published is not None

    @property
    def document(self) -> FeedDocument | None:
        """What is published now; None before the first publication."""
        return self._published.document if self._published else None

    def publish(self, document: FeedDocument, last_modified: datetime) -> None:
        """Render every address for every known base, then swap them all at once.

        A representation whose bytes stay keeps its `last_modified`.

        Args:
            document: The feed as it shall be served from now on.
            last_modified: When it came to be, aware.

        Raises:
            RenderError: Nothing was swapped; the last good feed is still served.
        """
        with self._rendering:
            before = self._published
            bases = before.bases if before else {base: {} for base in self._kept}
            self._published = _Published(
                document,
                last_modified,
                {base: self._render(document, last_modified, base, old) for base, old in bases.items()},
            )

    def prepared(self, address: str, base_url: str) -> Representation | None:
        """Look up what is rendered already, without ever waiting.

        Args:
            address: Such as "/feed.atom".
            base_url: The base URL of the request; ignored where one is configured.

        Returns:
            None where `representation` would have to render, or has nothing either.
        """
        base = self._base_url or base_url
        published = self._published
        if published is None or base not in published.bases:
            return None
        self._last_use[base] = next(self._uses)
        return published.bases[base].get(address)

    def representation(self, address: str, base_url: str) -> Representation | None:
        """Look up what is served; a base that was never seen is rendered now and remembered.

        Args:
            address: Such as "/feed.atom".
            base_url: The base URL of the request; ignored where one is configured.

        Returns:
            None where there is no such address, or nothing has been published yet.

        Raises:
            RenderError: The feed cannot be rendered for this base.
        """
        base = self._base_url or base_url
        found = self.prepared(address, base)
        if found or address not in self._renderers:
            return found
        with self._rendering:
            if self._published is None:
                return None
            if base not in self._published.bases:  # else another thread was faster
                self._published = self._remember(base, self._published)
            return self._published.bases[base][address]

    def delta(self, address: str, base_url: str, etags: Iterable[str]) -> tuple[str, Representation] | None:
        """Render only the entries that are new or changed since a representation that a client holds.

        Args:
            address: Such as "/feed.atom".
            base_url: The base URL of the request; ignored where one is configured.
            etags: The opaque parts of the validators of what the client holds.

        Returns:
            The one that was found, and the representation, which has the validator of the whole; None where the
            whole is to be sent.

        Raises:
            RenderError: The feed cannot be rendered for this base.
        """
        base, published = self._base_url or base_url, self._published
        found = published.bases.get(base, {}).get(address) if published else None
        if published is None or found is None:
            return None
        _, render = self._renderers[address]
        return self._deltas.represent(found, published.document, etags, lambda newer: render(newer, base))

    def _remember(self, base: str, published: _Published) -> _Published:
        """Add a new base; past the bound, the one that was not asked for the longest goes."""
        document, last_modified = published.document, published.last_modified
        bases = dict(published.bases)
        seen = sorted((known for known in bases if known not in self._kept), key=self._last_use.__getitem__)
        for oldest in seen[: max(len(seen) + 1 - _SEEN_BASES, 0)]:
            del bases[oldest]
        bases[base] = self._render(document, last_modified, base, {})
        # Made anew, so that a reader that held on to a forgotten base leaves nothing behind.
        self._last_use = {known: self._last_use.get(known, 0) for known in bases}
        self._last_use[base] = next(self._uses)
        return _Published(document, last_modified, bases)

    def _render(
        self, document: FeedDocument, last_modified: datetime, base: str, old: Mapping[str, Representation]
    ) -> dict[str, Representation]:
        rendered = {}
        for address, (media_type, render) in self._renderers.items():
            new = represent(render(document, base), media_type, last_modified=last_modified, max_age=self._max_age)
            self._deltas.remember(new.etag, document)
            same = address in old and old[address].etag == new.etag
            rendered[address] = old[address] if same else new
        return rendered
