"""What the daemon is doing, from the store and from the daemon itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feedsvc.errors import DaemonUnreachable, RequestError
from feedsvc.feeds.assemble import Assembler
from feedsvc.model import Outcome
from feedsvc.ops.troubles import find_troubles
from feedsvc.runtime.outgoing import get_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feedsvc.feeds.assemble import Plan
    from feedsvc.ops.troubles import Trouble
    from feedsvc.store import Store

__all__ = ["Answered", "ask_daemon", "ask_ready", "collect_status"]

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
MOST_STOOD_BACK = 20  # entries that are named


@dataclass(frozen=True, slots=True)
class Answered:
    """What the daemon says of itself.

    Attributes:
        ready: Whether it serves a feed that is fresh enough.
        parts: Each part with "ok", or with why it does not work; none where the daemon does not say.
    """

    ready: bool
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether it is ready and all parts work."""
        return self.ready and all(state == "ok" for state in self.parts.values())


def ask_ready(address: str) -> bool:
    """Ask the daemon at `address` (such as http://127.0.0.1:8080) whether it is ready.

    Raises:
        DaemonUnreachable: Nobody answers there, or somebody else does.
    """
    try:
        return bool(get_json(f"{address}/readyz", seconds=TIMEOUT_SECONDS)["ready"])
    except (RequestError, KeyError, TypeError) as error:
        raise DaemonUnreachable(f"no feedsvc answers at {address}: {error}") from error


def ask_daemon(address: str) -> Answered:
    """Ask the daemon at `address` how it is.

    Raises:
        DaemonUnreachable: Nobody answers there, or somebody else does.
    """
    ready = ask_ready(address)
    try:
        parts = get_json(f"{address}/healthz", seconds=TIMEOUT_SECONDS)["parts"]
        return Answered(ready, {str(name): str(state) for name, state in parts.items()})
    except (RequestError, KeyError, TypeError, AttributeError) as error:
        # One of an earlier version says no more than that it is alive; upgrades restart it.
        logger.debug("the daemon does not tell of its parts", extra={"address": address, "reason": str(error)})
        return Answered(ready)


def collect_status(store: Store, plan: Plan, now: datetime) -> dict[str, Any]:
    """Entries, feeds, dumps by outcome, and what is wrong; ready to be written as JSON.

    Raises:
        StoreError: The store cannot be read, or a feed that it does not know yet cannot be written.
    """
    assembler = Assembler(store, plan)
    assembler.refresh(now)
    reported = [
        {"about": problem.key, "message": problem.message, "since": problem.since.isoformat()}
        for problem in store.load_problems()
    ]
    troubles, number = find_troubles(store, most_stood_back=MOST_STOOD_BACK)
    reported += [_say(trouble) for trouble in troubles]
    if number > MOST_STOOD_BACK:
        more = f"rules stood back from {number} entries; these are the newest {MOST_STOOD_BACK}"
        reported.append({"about": "entries", "message": more})
    return {
        "entries": store.count_entries(),
        "feeds": {name: len(document.entries) for name, document in assembler.documents.items()},
        "dumps": store.count_dumps(),
        "problems": reported,
        "ignored": [{"about": file.path, "message": file.reason} for file in store.load_refused(Outcome.IGNORED)],
    }


def _say(trouble: Trouble) -> dict[str, Any]:
    said: dict[str, Any] = {"about": trouble.about, "message": trouble.message}
    if trouble.since:
        said["since"] = trouble.since.isoformat()
    return said | ({"line": trouble.line} if trouble.key.startswith("dump:") else {})
