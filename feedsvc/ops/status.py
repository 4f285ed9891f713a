"""The content of `feedsvc status`, from the store and from the daemon."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from feedsvc.errors import DaemonUnreachable, RequestError
from feedsvc.feeds.assemble import Assembler
from feedsvc.model import Outcome
from feedsvc.ops.problems import find_problems
from feedsvc.runtime.outgoing import get_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feedsvc.feeds.plan import Plan
    from feedsvc.model import Problem
    from feedsvc.store import Store

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5.0
_MOST_STOOD_BACK = 20  # entries that are named


@dataclass(frozen=True, slots=True)
class Answered:
    """The daemon's own account: `ready` if it serves a feed that is fresh enough, and the state of its parts.

    Each part has "ok", or the reason why it does not work; there are none if the daemon does not tell.
    """

    ready: bool
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """It is ready and all parts work."""
        return self.ready and all(state == "ok" for state in self.parts.values())


def ask_ready(address: str) -> bool:
    """Ask the daemon at `address` (http://127.0.0.1:8080) if it is ready.

    Raises:
        DaemonUnreachable: No feedsvc answers there.
    """
    try:
        return bool(get_json(f"{address}/readyz", seconds=_TIMEOUT_SECONDS)["ready"])
    except (RequestError, KeyError, TypeError) as error:
        raise DaemonUnreachable(f"no feedsvc answers at {address}: {error}") from error


def ask_daemon(address: str) -> Answered:
    """Ask the daemon at `address` how it is.

    Raises:
        DaemonUnreachable: No feedsvc answers there.
    """
    ready = ask_ready(address)
    try:
        parts = get_json(f"{address}/healthz", seconds=_TIMEOUT_SECONDS)["parts"]
        return Answered(ready, {str(name): str(state) for name, state in parts.items()})
    except (RequestError, KeyError, TypeError, AttributeError) as error:
        # One of an earlier version only says that it is alive; upgrades restart it.
        logger.debug("the daemon does not tell of its parts", extra={"address": address, "reason": str(error)})
        return Answered(ready)


def collect_status(store: Store, plan: Plan, now: datetime) -> dict[str, Any]:
    """Return entries, feeds, dumps by outcome, and problems, as JSON has them.

    Raises:
        StoreError: The store cannot be read, or a feed that it does not know yet cannot be written.
    """
    assembler = Assembler(store, plan)
    assembler.refresh(now)
    found, stood_back = find_problems(store, most_stood_back=_MOST_STOOD_BACK)
    problems = [_as_json(problem) for problem in (*store.load_problems(), *found)]
    if stood_back > _MOST_STOOD_BACK:
        more = f"rules stood back from {stood_back} entries; these are the newest {_MOST_STOOD_BACK}"
        problems.append({"about": "entries", "message": more})
    return {
        "entries": store.count_entries(),
        "feeds": {name: len(document.entries) for name, document in assembler.documents.items()},
        "dumps": store.count_dumps(),
        "problems": problems,
        "ignored": [{"about": file.path, "message": file.reason} for file in store.load_refused(Outcome.IGNORED)],
    }


def _as_json(problem: Problem) -> dict[str, Any]:
    kind, _, about = problem.key.partition(":")
    if kind == "dump":
        return {"about": about, "message": problem.message, "line": problem.line}
    shown = {"about": f"entry {about}" if kind == "stood-back" else problem.key, "message": problem.message}
    return shown | ({"since": problem.since.isoformat()} if problem.since else {})
