"""Problems: their kinds, those that the daemon reports, and those that the store knows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.model import Outcome, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from feedsvc.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem, with advice to the operator; if it is `stored`, `find_problems` finds it in the store."""

    title: str
    advice: str
    stored: bool = False


KINDS = {
    "cleaning": Kind(
        "Dumps cannot be cleaned",
        "Dumps wait, and what was published is served on. The processes that clean are started again.",
    ),
    "config": Kind(
        "Configuration refused",
        "The configuration before it is still in force. Mend the file, then reload feedsvc.",
    ),
    "drift": Kind(
        "Rule drifts",
        "A site may have changed its pages, or a rule takes too much. Look at what it takes, then mend it.",
        stored=True,
    ),
    "dump": Kind(
        "Dump quarantined",
        "Mend the file, or delete it: it is read again as soon as it changes. "
        "`feedsvc clean --explain FILE` shows how it is read.",
        stored=True,
    ),
    "entry": Kind(
        "Entry left out",
        "It comes back by itself when the article, or feedsvc, changes. Report it as a bug of feedsvc.",
    ),
    "guard": Kind("Change of what readers know refused", "Readers go on seeing what they saw before."),
    "intake": Kind(
        "Dumps cannot be taken in",
        "Dumps wait, and what was published is served on. It is tried again every second.",
    ),
    "job": Kind("Job fails", "It is tried again at its next time. The log has the details."),
    "part": Kind(
        "A part does not work",
        "What was published is served on. It is started again by itself; if that goes on, see the log.",
    ),
    "retention": Kind("Nothing is retired", "Set the clock of this machine right; nothing is lost meanwhile."),
    "stood-back": Kind(
        "Rules stood back from an entry",
        "The article is whole, with what those rules would have removed.",
        stored=True,
    ),
    "store": Kind(
        "Store cannot be used",
        "What was published is served on, and dumps wait. Make room on the disk, or see to the permissions; "
        "it is tried again every second.",
    ),
    "watch": Kind(
        "Folder cannot be watched",
        "Mend the folder or name another one in [watch] directories; it is tried again by itself.",
    ),
    "websub": Kind(
        "Hub cannot be told",
        "Readers who ask by themselves have everything; only those who wait for the hub are late.",
    ),
    "other": Kind("Problem", "The log has more about it."),
}
_STOOD_BACK = (
    "rules stood back, for they would have taken too much of it ({entry.title}); "
    "see: feedsvc removed --entry {entry.key}; then add a keep rule, or raise the bound"
)


def kind_of(key: str) -> str:
    """Return the kind of a problem, one of KINDS."""
    kind = key.partition(":")[0]
    return kind if kind in KINDS else "other"


def find_problems(store: Store, *, most_stood_back: int) -> tuple[list[Problem], int]:
    """Find the problems that the daemon does not report: drifting rules, entries, dumps.

    Of the entries that rules stood back from, the newest `most_stood_back` are named, and all are counted.

    Raises:
        StoreError: The store cannot be read.
    """
    with store.reading() as reader:
        found = [
            Problem(f"drift:{count.rule}:{count.source}", count.message or "", count.began)
            for count in reader.counters.alarms()
            if count.began
        ]
        number, newest = reader.removals.stood_back(most_stood_back)
    found += [Problem(f"stood-back:{entry.key}", _STOOD_BACK.format(entry=entry)) for entry in newest]
    for file in store.load_refused(Outcome.QUARANTINED):
        found.append(Problem(f"dump:{file.path}", file.reason or "", line=file.line))
    return found, number


class Problems:
    """The problems that the daemon reports: kept in the store for `feedsvc status`, and logged."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        """Begin with none."""
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._standing: dict[str, str] = {}
        self._refused = False  # by the store, and logged
        self._unsaved: set[str | None] = set()  # None: those of an earlier run are to be forgotten

    def begin(self) -> None:
        """Forget those of an earlier run, as soon as the store can be written."""
        with self._lock:
            self._unsaved.add(None)
            self._save()

    def save(self) -> None:
        """Try again to keep the problems that the store refused; to be called now and then."""
        with self._lock:
            if self._unsaved:
                self._save()

    def standing(self) -> dict[str, str]:
        """Return the messages of those that stand by key, without asking the store."""
        with self._lock:
            return dict(self._standing)

    def report(self, key: str, message: str | None) -> None:
        """Take down that a problem stands, with advice in the message, or has ended (None); see `Problem` for keys."""
        with self._lock:
            if self._standing.get(key) == message:
                return
            if message is None:
                del self._standing[key]
                logger.info("problem ended", extra={"problem": key})
            else:
                self._standing[key] = message
                logger.error("problem", extra={"problem": key, "reason": message})
            late = bool(self._unsaved)
            self._unsaved.add(key)
            if not late:  # nobody waits twice for a store that cannot be written
                self._save()

    def _save(self) -> None:
        keys = self._standing.keys() if None in self._unsaved else self._unsaved
        try:
            with self._store.writing() as writer:
                if None in self._unsaved:
                    writer.drop_problem(None)
                for key in keys:
                    if key is not None and (message := self._standing.get(key)) is not None:
                        writer.save_problem(key, message, self._clock())
                    elif key is not None:
                        writer.drop_problem(key)
        except StoreError as error:
            if not self._refused:
                logger.warning("problems cannot be kept in the store yet", extra={"reason": str(error)})
            self._refused = True
        else:
            self._unsaved.clear()
            self._refused = False
