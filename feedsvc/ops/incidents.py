"""When something was wrong: a history of bounded length, and the operator's feed of it.

    what stands now -> catch_up -> incidents, in memory and in the store -> render -> /problems.atom

Memory comes first, so that a store that cannot be written is told of like everything else.
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
from feedsvc.ops.troubles import Trouble, advise, find_troubles, kind_of, list_reported
from feedsvc.store.operations import Incident, OperationTables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from feedsvc.model import Representation
    from feedsvc.store import Store

__all__ = ["Incidents", "describe", "follow"]

logger = logging.getLogger(__name__)

RECORD = "/problems"  # the feed's name in the store; no feed that subscribers see has a slash in its own
MOST_ENDED = 1000  # incidents that are remembered after their end
MOST_SHOWN = 200  # in the feed
MOST_STOOD_BACK = 500  # entries that have an incident of their own
_IN_STORE = frozenset({"drift", "stood-back", "dump"})  # kinds that only the store knows of
_BASES = 8  # base URLs for which a rendered feed is kept
_TITLES = {
    "cleaning": "Dumps cannot be cleaned",
    "config": "Configuration refused",
    "drift": "Rule drifts",
    "dump": "Dump quarantined",
    "entry": "Entry left out",
    "guard": "Change of what readers know refused",
    "intake": "Dumps cannot be taken in",
    "job": "Job fails",
    "part": "A part does not work",
    "retention": "Nothing is retired",
    "stood-back": "Rules stood back from an entry",
    "store": "Store cannot be used",
    "watch": "Folder cannot be watched",
    "websub": "Hub cannot be told",
    "other": "Problem",
}


def follow(
    known: Iterable[Incident], troubles: Iterable[Trouble], now: datetime, *, unseen: frozenset[str], first: int
) -> list[Incident]:
    """Decide which incidents begin, change and end.

    Args:
        known: Those that stand.
        troubles: What is wrong now.
        now: Aware, whole seconds.
        unseen: Kinds of which not all are known: none of these ends.
        first: The number of the next new one.

    Returns:
        Those that are new or other than before.
    """
    standing = {incident.key: incident for incident in known}
    changed = []
    for trouble in {trouble.key: trouble for trouble in troubles}.values():
        message = f"line {trouble.line}: {trouble.message}" if trouble.line else trouble.message
        before = standing.pop(trouble.key, None)
        if before is None:
            new = Incident(number=first, key=trouble.key, message=message, since=trouble.since or now, changed=now)
            changed.append(new)
            first += 1
        elif before.message != message:
            changed.append(replace(before, message=message, changed=max(now, before.changed)))
    for gone in standing.values():
        if kind_of(gone.key) not in unseen:
            ended = max(now, gone.changed)  # the clock may have gone back
            changed.append(replace(gone, changed=ended, ended=ended))
    return changed


def describe(incident: Incident, namespace: uuid.UUID) -> ProblemEntry:
    """Say for people what is wrong, since when, and what to do.

    Args:
        incident: The incident.
        namespace: What its id is derived from, with its number.
    """
    kind, about = kind_of(incident.key), incident.key.partition(":")[2]
    title = f"{_TITLES[kind]}: {about}" if about else _TITLES[kind]
    said = f"{incident.message}\n\nSince {incident.since:%Y-%m-%d %H:%M:%S} UTC."
    if incident.ended:
        title, text = f"Ended: {title}", f"{said} Ended {incident.ended:%Y-%m-%d %H:%M:%S} UTC."
    else:
        text = f"{said}\n\n{advise(incident.key)}"
    return ProblemEntry(
        id=uuid.uuid5(namespace, str(incident.number)).urn,
        title=title.encode("utf-8", "backslashreplace").decode(),  # a path need not be Unicode
        text=text.encode("utf-8", "backslashreplace").decode(),
        kind=kind,
        published=incident.since,
        updated=incident.changed,
        page=f"/entries/{about}" if kind in {"entry", "stood-back"} else None,
    )


class Incidents:
    """The history. Any thread may ask it."""

    def __init__(
        self, store: Store, standing: Callable[[], Mapping[str, str]], clock: Callable[[], datetime], *, title: str
    ) -> None:
        """Know nothing yet; the store is read when it is asked for first.

        Args:
            store: Where it is kept.
            standing: What the daemon reports at present, message by key.
            clock: The time, aware, in UTC.
            title: The service's, for the feed.
        """
        self._store = store
        self._standing = standing
        self._clock = clock
        self._title = title
        self._lock = threading.Lock()  # guards all below
        self._known: dict[int, Incident] | None = None  # by number
        self._next = 1
        self._unsaved: set[int] = set()
        self._id, self._born = "", clock()
        self._rendered: dict[str, Representation] = {}
        self._stale = threading.Event()
        self._stale.set()
        self._closed = False

    def expire(self) -> None:
        """Something changed: `refresh` has something to do."""
        self._stale.set()

    def refresh(self) -> None:
        """Catch up if something changed since the last time.

        Raises:
            StoreError: The store cannot be read or written; what the daemon itself reports is known all the same.
        """
        if self._stale.is_set():
            self.catch_up()

    def close(self) -> None:
        """Take nothing down any more: another one does from now on."""
        with self._lock:
            self._closed = True

    def catch_up(self) -> None:
        """Take down what began, changed and ended.

        Raises:
            StoreError: As with `refresh`.
        """
        with self._lock:
            if not self._closed:
                self._stale.clear()
                try:
                    self._catch_up()
                except StoreError:
                    self._stale.set()
                    raise

    def render(self, base_url: str) -> Representation:
        """The feed as it is now.

        Args:
            base_url: Where it is served, without a slash at its end.

        Raises:
            StoreError: The store could not be read since the daemon started.
        """
        try:
            self.catch_up()
        except StoreError as error:
            if self._known is None:
                raise
            logger.warning("incidents cannot be kept", extra={"store": self._store.url, "reason": str(error)})
        with self._lock:
            known = self._rendered.get(base_url)
            if known is None:
                if len(self._rendered) >= _BASES:
                    self._rendered.clear()
                known = self._rendered[base_url] = self._render(base_url)
            return known

    def _render(self, base_url: str) -> Representation:
        newest = sorted((self._known or {}).values(), key=lambda one: (one.changed, one.number), reverse=True)
        newest.sort(key=lambda one: one.ended is not None)  # what stands is seen, however old it is
        updated = max((one.changed for one in newest), default=self._born)
        entries = [describe(one, uuid.UUID(self._id)) for one in newest[:MOST_SHOWN]]
        body = render_problems(self._id, self._title, updated, entries, base_url)
        return represent(body, MEDIA_TYPE, last_modified=updated, max_age=0)

    def _catch_up(self) -> None:
        known = self._load()
        now = self._clock().replace(microsecond=0)
        troubles, unseen, failure = list_reported(self._standing()), _IN_STORE, None
        try:
            found, stood_back = find_troubles(self._store, most_stood_back=MOST_STOOD_BACK)
        except StoreError as error:
            failure = error
        else:
            troubles += found
            unseen = frozenset({"stood-back"} if stood_back > MOST_STOOD_BACK else ())
        standing = [one for one in known.values() if one.ended is None]
        changed = follow(standing, troubles, now, unseen=unseen, first=self._next)
        for incident in changed:
            known[incident.number] = incident
            self._next = max(self._next, incident.number + 1)
        if changed:
            self._rendered.clear()
            self._unsaved |= {incident.number for incident in changed}
        self._save(known)
        if failure is not None:
            raise failure

    def _load(self) -> dict[int, Incident]:
        if self._known is None:
            record = self._store.load_feeds([RECORD], self._clock())[RECORD]
            with self._store.archiving() as reader:
                loaded = OperationTables(reader.connection).load_incidents()
            self._known = {incident.number: incident for incident in loaded}
            self._next = max(self._known, default=0) + 1
            self._id, self._born = record.id, record.born
        return self._known

    def _save(self, known: dict[int, Incident]) -> None:
        """Keep what changed, and forget what ended long ago."""
        ended = sorted((one for one in known.values() if one.ended), key=lambda one: (one.changed, one.number))
        gone = [one.number for one in ended[: max(len(ended) - MOST_ENDED, 0)]]
        for number in gone:
            del known[number]
        changed = [known[number] for number in self._unsaved if number in known]
        if changed or gone:
            with self._store.writing() as writer:
                OperationTables(writer.connection).save_incidents(changed, gone)
            self._unsaved.clear()
