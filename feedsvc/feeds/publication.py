"""The feeds of a store at their addresses.

store -> Assembler, Archives -> Guard -> Publisher -> Pinger
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.feeds.archives import Archives
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.formats.addresses import EVERYTHING, feed_path
from feedsvc.feeds.guard import Guard
from feedsvc.feeds.publisher import Publisher
from feedsvc.feeds.resources import MAX_AGE, make_resources
from feedsvc.feeds.websub import Pinger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from feedsvc.feeds.plan import Plan
    from feedsvc.model import FeedDocument
    from feedsvc.store import Store

logger = logging.getLogger(__name__)


class Publication:
    """Assembles, guards and renders the feeds of a store, and tells hubs of changes.

    Attributes:
        publisher: Holds the representations.
        is_stale: Tells if the store holds changes that are not published.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        base_url: str | None,
        known_bases: Sequence[str],
        private: Collection[str],
        hubs: Sequence[str],
        allow_private: bool,
        clock: Callable[[], datetime],
        report: Callable[[str, str | None], None],
        measure: Callable[[str, float], None],
        published: Callable[[], None],
    ) -> None:
        """Publish nothing yet.

        `private` names the feeds that no hub is told of, `published` is called after each publication; see `Publisher`
        and `Pinger` for the others.

        Raises:
            StoreError: The store cannot be read.
        """
        self._store = store
        self._title = plan.everything.title
        self._base_url = base_url if hubs else None
        self._private = private
        self._clock = clock
        self._published = published
        self._guard = Guard(store, report)
        self._archives = Archives(store, max_age=MAX_AGE, admit=self._guard.admit)
        self._assembler = Assembler(store, plan, archives=self._archives, admit=self._guard.admit)
        self.is_stale = self._assembler.is_stale
        self.publisher = Publisher(
            self._load,
            max_age=MAX_AGE,
            base_url=base_url,
            known_bases=known_bases,
            load_archive=self._archives.load,
            measure=measure,
        )
        self._pinger = Pinger(hubs, store, allow_private=allow_private, report=report, clock=clock)

    @property
    def listed(self) -> dict[str, FeedDocument]:
        """The published feeds without those that nobody is told of, by name."""
        unlisted = self._assembler.unlisted
        return {name: each for name, each in self.publisher.documents.items() if name not in unlisted}

    def begin(self) -> None:
        """Compare the store with what readers know; see `Guard.look_back`."""
        self._guard.look_back()

    def start(self) -> None:
        """Begin to tell hubs."""
        self._pinger.start()

    def stop(self) -> None:
        """Tell hubs no more, and keep what was published. It is served on."""
        self._pinger.stop()
        try:
            self._guard.save(self._clock())
            self.keep()
        except StoreError as error:
            more = {"store": self._store.url, "reason": str(error)}
            logger.error("what was published cannot be kept", extra=more)  # noqa: TRY400 - the reason says it all

    def drop_gone(self) -> None:
        """Cut entries that were withdrawn or retired out of archive pages.

        Raises:
            StoreError: The store cannot be written.
        """
        self._archives.drop_gone(self._clock())

    def keep(self) -> None:
        """Keep what answers have shown since the last call: an answer itself writes nothing.

        Raises:
            StoreError: The store cannot be written; the next call tries again.
        """
        self._assembler.save()
        self._archives.keep()

    def publish(self) -> None:
        """Publish the feeds as they are in the store now, and have hubs told of those that changed.

        Raises:
            FeedsvcError: Something could not be read, rendered or kept; see `Publisher.publish`.
        """
        changed = self._assembler.refresh(self._clock())
        documents = self._assembler.documents
        resources = make_resources(
            self._assembler.formats, title=self._title, guard=self._guard, unlisted=self._assembler.unlisted
        )
        try:
            self.publisher.publish(documents, resources, changed)
        finally:
            self._guard.save(self._clock())
            self._assembler.save()
        if changed:
            more = {"feed": min(changed, key=list(documents).index), "feeds": len(changed)}
            logger.info("published", extra=more | {"entries": len(documents[EVERYTHING].entries)})
        self._published()
        if self._base_url:
            self._announce(self._base_url, changed - frozenset(self._private))

    def _announce(self, base_url: str, changed: Collection[str]) -> None:
        versions = {
            base_url + feed_path(name, extension): self._assembler.version(name)
            for name in changed
            for extension in self._assembler.formats[name]
        }
        self._pinger.announce(versions)

    def _load(self, name: str) -> tuple[FeedDocument, datetime]:
        return self._assembler.load(name, self._clock())
