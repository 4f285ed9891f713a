"""The history of problems, of bounded length, and the operator's feed of it.

    problems -> follow -> occurrences, in memory and in the store -> describe_occurrence -> /problems.atom

Memory comes first, so that the feed tells of a store that cannot be written.
"""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.feeds.formats.atom import MEDIA_TYPE
from feedsvc.feeds.formats.problems import ProblemEntry, render_problems
from feedsvc.feeds.represent import represent
from feedsvc.model import Problem
from feedsvc.ops.problems import KINDS, find_problems, kind_of
from feedsvc.store.operations import Occurrence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from feedsvc.model import Representation
    from feedsvc.store import Store

logger = logging.getLogger(__name__)

_RECORD = "/problems"  # the feed's name in the store; no feed that subscribers see has a slash in its own
_MOST_ENDED = 1000  # occurrences that are remembered after their end
_MOST_SHOWN = 200  # in the feed
_MOST_STOOD_BACK = 500  # entries that have an occurrence of their own
_BASES = 8  # base URLs with a rendered feed kept for each


def follow(
    known: Iterable[Occurrence], problems: Iterable[Problem], now: datetime, *, unseen: frozenset[str], first: int
) -> list[Occurrence]:
    """Return the occurrences that begin, change or end at `now` (aware, whole seconds).

    `known` occurrences and `problems` stand; `problems` may lack some of the kinds `unseen`, so none of these ends. New
    occurrences are numbered from `first`.
    """
    standing = {occurrence.key: occurrence for occurrence in known}
    changed = []
    for problem in {problem.key: problem for problem in problems}.values():
        message = f"line {problem.line}: {problem.message}" if problem.line else problem.message
        before = standing.pop(problem.key, None)
        if before is None:
            new = Occurrence(number=first, key=problem.key, message=message, since=problem.since or now, changed=now)
            changed.append(new)
            first += 1
        elif before.message != message:
            changed.append(replace(before, message=message, changed=max(now, before.changed)))
    for gone in standing.values():
        if kind_of(gone.key) not in unseen:
            ended = max(now, gone.changed)  # the clock may have gone back
            changed.append(replace(gone, changed=ended, ended=ended))
    return changed


def describe_occurrence(occurrence: Occurrence, namespace: uuid.UUID) -> ProblemEntry:
    """Return an entry of the feed; its id is made of the namespace and the occurrence's number."""
    name, about = kind_of(occurrence.key), occurrence.key.partition(":")[2]
    kind = KINDS[name]
    title = f"{kind.title}: {about}" if about else kind.title
    text = f"{occurrence.message}\n\nSince {occurrence.since:%Y-%m-%d %H:%M:%S} UTC."
    if occurrence.ended:
        title, text = f"Ended: {title}", f"{text} Ended {occurrence.ended:%Y-%m-%d %H:%M:%S} UTC."
    else:
        text = f"{text}\n\n{kind.advice}"
    return ProblemEntry(
        id=uuid.uuid5(namespace, str(occurrence.number)).urn,
        title=title.encode("utf-8", "backslashreplace").decode(),  # a path need not be Unicode
        text=text.encode("utf-8", "backslashreplace").decode(),
        kind=name,
        published=occurrence.since,
        updated=occurrence.changed,
        page=f"/entries/{about}" if name in {"entry", "stood-back"} else None,
    )


class History:
    """The occurrences of problems. Any thread may ask it."""

    def __init__(
        self, store: Store, standing: Callable[[], Mapping[str, str]], clock: Callable[[], datetime], *, title: str
    ) -> None:
        """Know nothing yet; the store is read at the first call.

        `standing` gives the problems that the daemon reports, message by key; `title` is the service's.
        """
        self._store = store
        self._standing = standing
        self._clock = clock
        self._title = title
        self._lock = threading.Lock()  # guards all below
        self._known: dict[int, Occurrence] | None = None  # by number
        self._next = 1
        self._unsaved: set[int] = set()
        self._id, self._born = "", clock()
        self._rendered: dict[str, Representation] = {}
        self._stale = threading.Event()
        self._stale.set()
        self._closed = False

    def begin(self) -> None:
        """Mint the id of the feed unless the store holds it.

        Raises:
            StoreError: The store cannot be read or written.
        """
        self._store.load_feeds([_RECORD], self._clock())

    def expire(self) -> None:
        """Have the next `refresh` catch up."""
        self._stale.set()

    def refresh(self) -> None:
        """Catch up if `expire` was called since the last time.

        Raises:
            StoreError: The store cannot be read or written; the problems that the daemon reports are taken down.
        """
        if self._stale.is_set():
            self.catch_up()

    def close(self) -> None:
        """Take nothing down any more, for a successor does so."""
        with self._lock:
            self._closed = True

    def catch_up(self) -> None:
        """Take down the problems that began, changed or ended.

        Raises:
            StoreError: See `refresh`.
        """
        with self._lock:
            if self._closed:
                return
            self._stale.clear()
            try:
                failure = self._follow()
                self._save()
                if failure is not None:
                    raise failure
            except StoreError:
                self._stale.set()
                raise

    def render(self, base_url: str) -> Representation:
        """Return the feed as it is now; `base_url` has no slash at its end. The store is only read.

        Raises:
            StoreError: The store could not be read since the daemon started.
        """
        with self._lock:
            if not self._closed and (failure := self._follow()) is not None:
                more = {"store": self._store.url, "reason": str(failure)}
                logger.warning("problems in the store cannot be read", extra=more)
            if self._unsaved:
                self._stale.set()  # for the next `refresh`
            known = self._rendered.get(base_url)
            if known is None:
                if len(self._rendered) >= _BASES:
                    self._rendered.clear()
                known = self._rendered[base_url] = self._render(base_url)
            return known

    def _render(self, base_url: str) -> Representation:
        newest = sorted((self._known or {}).values(), key=lambda one: (one.changed, one.number), reverse=True)
        newest.sort(key=lambda one: one.ended is not None)  # those that stand are shown, however old they are
        updated = max((one.changed for one in newest), default=self._born)
        entries = [describe_occurrence(one, uuid.UUID(self._id)) for one in newest[:_MOST_SHOWN]]
        body = render_problems(self._id, self._title, updated, entries, base_url)
        return represent(body, MEDIA_TYPE, last_modified=updated, max_age=0)

    def _follow(self) -> StoreError | None:
        """Follow the problems in memory; return why those in the store could not be read, if so."""
        known = self._load()
        now = self._clock().replace(microsecond=0)
        problems = [Problem(key, message) for key, message in self._standing().items()]
        unseen = frozenset(name for name, kind in KINDS.items() if kind.stored)
        failure: StoreError | None = None
        try:
            found, stood_back = find_problems(self._store, most_stood_back=_MOST_STOOD_BACK)
        except StoreError as error:
            failure = error
        else:
            problems += found
            unseen = frozenset({"stood-back"} if stood_back > _MOST_STOOD_BACK else ())
        standing = [one for one in known.values() if one.ended is None]
        changed = follow(standing, problems, now, unseen=unseen, first=self._next)
        for occurrence in changed:
            known[occurrence.number] = occurrence
            self._next = max(self._next, occurrence.number + 1)
        if changed:
            self._rendered.clear()
            self._unsaved |= {occurrence.number for occurrence in changed}
        return failure

    def _load(self) -> dict[int, Occurrence]:
        if self._known is None:
            with self._store.reading() as reader:
                record = reader.feeds.records().get(_RECORD)
                loaded = reader.operations.load_occurrences()
            if record is None:
                raise StoreError(f"{self._store.url}: the history of problems is not begun yet")
            self._known = {occurrence.number: occurrence for occurrence in loaded}
            self._next = max(self._known, default=0) + 1
            self._id, self._born = record.id, record.born
        return self._known

    def _save(self) -> None:
        """Write the occurrences that changed, and forget those that ended long ago."""
        known = self._load()
        ended = sorted((one for one in known.values() if one.ended), key=lambda one: (one.changed, one.number))
        gone = [one.number for one in ended[: max(len(ended) - _MOST_ENDED, 0)]]
        for number in gone:
            del known[number]
        changed = [known[number] for number in self._unsaved if number in known]
        if changed or gone:
            with self._store.writing() as writer:
                writer.operations.save_occurrences(changed, gone)
            self._unsaved.clear()
