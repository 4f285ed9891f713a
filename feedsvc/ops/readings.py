"""Reads from all parts what metrics show at a scrape."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.model import Outcome
from feedsvc.ops.metrics import Readings
from feedsvc.ops.troubles import KINDS, kind_of
from feedsvc.store.operations import OperationTables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from feedsvc.store import Store

__all__ = ["take_readings"]

logger = logging.getLogger(__name__)


def take_readings(
    store: Store,
    standing: Mapping[str, str],
    *,
    ready: bool,
    parts: Mapping[str, bool],
    feeds: int,
    queue: int,
    hubs: Sequence[str],
    clock: Callable[[], datetime],
) -> Readings:
    """Read what is the case; a store that cannot be read leaves out what only it knows.

    Args:
        store: The store.
        standing: What the daemon reports, message by key.
        ready: Whether the feed is served.
        parts: Whether each part works.
        feeds: How many feeds are served.
        queue: How many changes wait to be taken in.
        hubs: The addresses of WebSub hubs.
        clock: The time, aware.
    """
    problems = Counter(dict.fromkeys([*KINDS, "other"], 0))
    problems.update(kind_of(key) for key in standing)
    known: dict[str, Any] = {}
    try:
        known = _read(store, clock())
    except StoreError as error:
        logger.warning("metrics without the store", extra={"store": store.url, "reason": str(error)})
        known["store_failed"] = True
    problems.update(known.pop("problems", {}))
    return Readings(
        ready=ready,
        parts=parts,
        feeds=feeds,
        queue=queue,
        problems=problems,
        hubs={hub: f"websub:{hub}" not in standing for hub in hubs},
        **known,
    )


def _read(store: Store, now: datetime) -> dict[str, Any]:
    dumps = store.count_dumps()
    with store.accounting() as account:
        drifting, (stood_back, _) = len(account.counters.alarms()), account.stood_back(0)
    with store.archiving() as reader:
        tables = OperationTables(reader.connection)
        newest, learned, sizes = tables.newest_entry(), tables.count_learned(), tables.sizes()
    return {
        "entries": store.count_entries(),
        "dumps": dumps,
        "learned": learned,
        "store_bytes": sizes,
        "newest_entry_age": (now - newest).total_seconds() if newest else None,
        "problems": {"drift": drifting, "stood-back": stood_back, "dump": dumps[Outcome.QUARANTINED]},
    }
