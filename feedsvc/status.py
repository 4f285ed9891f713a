"""What the daemon is doing, from the store and from the daemon itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from feedsvc.assemble import EVERYTHING, newest_entries
from feedsvc.errors import DaemonUnreachable
from feedsvc.model import Outcome

if TYPE_CHECKING:
    from feedsvc.assemble import FeedSettings
    from feedsvc.store import Store

__all__ = ["ask_ready", "collect_status"]

TIMEOUT_SECONDS = 5.0


def ask_ready(address: str) -> bool:
    """Ask the daemon at `address` (such as http://127.0.0.1:8080) whether it is ready.

    Raises:
        DaemonUnreachable: Nobody answers there, or somebody else does.
    """
    try:
        # No proxy is asked for an address of one's own.
        response = httpx.get(f"{address}/readyz", timeout=TIMEOUT_SECONDS, trust_env=False)
        return bool(response.json()["ready"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise DaemonUnreachable(f"no feedsvc answers at {address}: {error}") from error


def collect_status(store: Store, settings: FeedSettings) -> dict[str, Any]:
    """Entries, feeds, dumps by outcome, and what is wrong; ready to be written as JSON.

    Raises:
        StoreError: The store cannot be read.
    """
    quarantined = [
        {"about": file.path, "line": file.line, "message": file.reason}
        for file in store.load_refused(Outcome.QUARANTINED)
    ]
    reported = [
        {"about": problem.key, "message": problem.message, "since": problem.since.isoformat()}
        for problem in store.load_problems()
    ]
    return {
        "entries": store.count_entries(),
        "feeds": {EVERYTHING: len(newest_entries(store, settings))},
        "dumps": store.count_dumps(),
        "problems": reported + quarantined,
        "ignored": [{"about": file.path, "message": file.reason} for file in store.load_refused(Outcome.IGNORED)],
    }
