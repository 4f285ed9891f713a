"""Answers the search page from the store's index."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from feedsvc.feeds.pages.found import PER_PAGE, Found

if TYPE_CHECKING:
    from feedsvc.feeds.pages.found import Query
    from feedsvc.store import Store

_ANSWER_SECONDS = 1.0  # that a search may take
_CATCH_UP_SECONDS = 1.0  # that a run of `catch_up` may take: the daemon waits for it when it ends


class Search:
    """Finds entries, and keeps the index up to date."""

    def __init__(self, store: Store) -> None:
        """Open the index of a store.

        Raises:
            StoreError: The store cannot be read or written.
        """
        self._store = store
        self._index = store.open_search()
        self.tidy = self._index.tidy

    def find(self, query: Query) -> Found:
        """Return a page of the entries that match.

        Raises:
            StoreError: The store cannot be read, or the search took too long.
        """
        skip = (query.page - 1) * PER_PAGE
        hits = self._index.find(query.phrases, skip=skip, limit=PER_PAGE, seconds=_ANSWER_SECONDS)
        return Found(tuple(self._store.load_entries(hits.numbers)), hits.total, hits.waiting)

    def catch_up(self) -> None:
        """Take entries that changed into the index.

        Raises:
            StoreError: The store or the index cannot be read or written.
        """
        until = time.monotonic() + _CATCH_UP_SECONDS
        while self._index.catch_up() and time.monotonic() < until:
            pass
