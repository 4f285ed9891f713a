"""All that is wrong at present, wherever it is kept: what the daemon reported, dumps, rules, entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feedsvc.store import Store

__all__ = ["KINDS", "Trouble", "advise", "find_troubles", "kind_of", "list_reported"]

# What to do about a problem of a kind, where its message cannot know.
KINDS = {
    "cleaning": "Dumps wait, and what was published is served on. The processes that clean are started again.",
    "config": "The configuration before it is still in force. Mend the file, then reload feedsvc.",
    "drift": "A site may have changed its pages, or a rule takes too much. Look at what it takes, then mend it.",
    "dump": "Mend the file, or delete it: it is read again as soon as it changes. "
    "`feedsvc clean --explain FILE` shows how it is read.",
    "entry": "It comes back by itself when the article, or feedsvc, changes. Report it as a bug of feedsvc.",
    "guard": "Readers go on seeing what they saw before.",
    "intake": "Dumps wait, and what was published is served on. It is tried again every second.",
    "job": "It is tried again at its next time. The log has the details.",
    "part": "What was published is served on. It is started again by itself; if that goes on, see the log.",
    "retention": "Set the clock of this machine right; nothing is lost meanwhile.",
    "stood-back": "The article is whole, with what those rules would have removed.",
    "store": "What was published is served on, and dumps wait. Make room on the disk, or see to the permissions; "
    "it is tried again every second.",
    "watch": "Mend the folder or name another one in [watch] directories; it is tried again by itself.",
    "websub": "Readers who ask by themselves have everything; only those who wait for the hub are late.",
}
OTHER = "The log has more about it."
STOOD_BACK = (
    "rules stood back, for they would have taken too much of it ({entry.title}); "
    "see: feedsvc removed --entry {entry.key}; then add a keep rule, or raise the bound"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong.

    Attributes:
        key: What it is known by: its kind, a colon, and what has it.
        about: What has it, as people know it.
        message: What is wrong.
        since: When it began, where that is known.
        line: The line of the dump where it is, from 1.
    """

    key: str
    about: str
    message: str
    since: datetime | None = None
    line: int | None = None


def kind_of(key: str) -> str:
    """The kind of a problem: one of KINDS, or "other"."""
    kind = key.partition(":")[0]
    return kind if kind in KINDS else "other"


def advise(key: str) -> str:
    """Say what to do about a problem of this kind."""
    return KINDS.get(kind_of(key), OTHER)


def list_reported(standing: Mapping[str, str]) -> list[Trouble]:
    """What the daemon itself says; needs no store."""
    return [Trouble(key=key, about=key, message=message) for key, message in standing.items()]


def find_troubles(store: Store, *, most_stood_back: int) -> tuple[list[Trouble], int]:
    """What the store knows beside what the daemon reported: alarms of rules, entries and dumps.

    Args:
        store: The store.
        most_stood_back: How many entries that rules stood back from are named, the newest.

    Returns:
        Alarms, then entries, then dumps; and from how many entries rules stood back in all.

    Raises:
        StoreError: The store cannot be read.
    """
    with store.accounting() as account:
        found = [
            Trouble(key=key, about=key, message=count.message or "", since=count.began)
            for count in account.counters.alarms()
            for key in [f"drift:{count.rule}:{count.source}"]
            if count.began
        ]
        number, newest = account.stood_back(most_stood_back)
    for entry in newest:
        message = STOOD_BACK.format(entry=entry)
        found.append(Trouble(key=f"stood-back:{entry.key}", about=f"entry {entry.key}", message=message))
    for file in store.load_refused(Outcome.QUARANTINED):
        reason = file.reason or ""
        found.append(Trouble(key=f"dump:{file.path}", about=file.path, message=reason, line=file.line))
    return found, number
