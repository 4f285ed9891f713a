"""What the daemon is doing, from the store and from the daemon itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feedsvc.assemble import Assembler
from feedsvc.errors import DaemonUnreachable, RequestError
from feedsvc.model import Outcome
from feedsvc.outgoing import get_json

if TYPE_CHECKING:
    from datetime import datetime

    from feedsvc.assemble import Plan
    from feedsvc.store import Store

__all__ = ["ask_ready", "collect_status"]

TIMEOUT_SECONDS = 5.0
MOST_STOOD_BACK = 20  # entries that are named
STOOD_BACK = (
    "rules stood back, for they would have taken too much of it ({entry.title}); "
    "see: feedsvc removed --entry {entry.key}; then add a keep rule, or raise the bound"
)


def ask_ready(address: str) -> bool:
    """Ask the daemon at `address` (such as http://127.0.0.1:8080) whether it is ready.

    Raises:
        DaemonUnreachable: Nobody answers there, or somebody else does.
    """
    try:
        return bool(get_json(f"{address}/readyz", seconds=TIMEOUT_SECONDS)["ready"])
    except (RequestError, KeyError, TypeError) as error:
        raise DaemonUnreachable(f"no feedsvc answers at {address}: {error}") from error


def collect_status(store: Store, plan: Plan, now: datetime) -> dict[str, Any]:
    """Entries, feeds, dumps by outcome, and what is wrong; ready to be written as JSON.

    Raises:
        StoreError: The store cannot be read, or a feed that it does not know yet cannot be written.
    """
    assembler = Assembler(store, plan)
    assembler.refresh(now)
    quarantined = [
        {"about": file.path, "line": file.line, "message": file.reason}
        for file in store.load_refused(Outcome.QUARANTINED)
    ]
    reported = [
        {"about": problem.key, "message": problem.message, "since": problem.since.isoformat()}
        for problem in store.load_problems()
    ]
    with store.accounting() as account:
        drifting = [
            {"about": f"drift:{count.rule}:{count.source}", "message": count.message, "since": count.began.isoformat()}
            for count in account.counters.alarms()
            if count.began
        ]
        number, newest = account.stood_back(MOST_STOOD_BACK)
    stood_back = [{"about": f"entry {entry.key}", "message": STOOD_BACK.format(entry=entry)} for entry in newest]
    if number > len(newest):
        more = f"rules stood back from {number} entries; these are the newest {len(newest)}"
        stood_back.append({"about": "entries", "message": more})
    return {
        "entries": store.count_entries(),
        "feeds": {name: len(document.entries) for name, document in assembler.documents.items()},
        "dumps": store.count_dumps(),
        "problems": reported + drifting + stood_back + quarantined,
        "ignored": [{"about": file.path, "message": file.reason} for file in store.load_refused(Outcome.IGNORED)],
    }
