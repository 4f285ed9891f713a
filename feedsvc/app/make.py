"""Makes the cleaner, the processes that clean, and the pipeline into a store from a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.clean import Cleaner, load_rules
from feedsvc.clean.sandbox import Limits, Pool
from feedsvc.intake.ingest import Ingest
from feedsvc.intake.rules_diff import make_saved
from feedsvc.model import Outcome
from feedsvc.runtime.clock import read_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from feedsvc.app.config import Config
    from feedsvc.clean import RuleSet
    from feedsvc.clean.learning.learned import Learned
    from feedsvc.store import Store

_PATIENCE = 0.3  # seconds that a slow dump may hold up others


def make_cleaner(config: Config, learned: Learned | None = None) -> Cleaner:
    """Return the cleaner of a configuration; without `learned` blocks it does not learn.

    Raises:
        RuleError: A pack of rules is wrong.
    """
    return Cleaner(load_configured(config), learned=learned)


def load_configured(config: Config, more: Sequence[Path] = ()) -> RuleSet:
    """Load the rules that the configuration names, and those in more folders.

    Raises:
        RuleError: A pack of rules is wrong.
    """
    folders = [*(Path(folder) for folder in config.clean.rules), *more]
    return load_rules(site_rules=config.clean.site_rules, folders=folders)


def make_ingest(
    config: Config,
    store: Store,
    report: Callable[[str, str | None], None] | None = None,
    *,
    owe: Callable[[Callable[[], None]], None] = lambda write: write(),
    clock: Callable[[], datetime] = read_clock,
) -> Ingest:
    """Return the pipeline of a configuration into a store. Its rules are the live ones from now on.

    `owe` takes a write that may wait; by default it is done at once. For `report` see `make_pool`.

    Raises:
        RuleError: A pack of rules is wrong.
        StoreError: The store cannot be read, or not written.
    """
    rules = load_configured(config)
    cleaner = Cleaner(rules, learned=store.load_learned() if config.clean.learn else None)
    limits = _limits(config)
    live = store.load_live_rules()
    other_rules = live is not None and live.digest != cleaner.digest
    refused = store.load_refused(Outcome.QUARANTINED)
    retried = [file.path for file in refused if other_rules or limits.outgrown(file.reason or "")]
    saved = make_saved(rules, cleaner.digest)
    owe(lambda: store.save_live_rules(saved, clock()))
    return Ingest(
        store,
        cleaner,
        max_bytes=config.watch.max_bytes,
        withdraw=config.watch.on_delete == "withdraw",
        clock=clock,
        pool=make_pool(config, cleaner, report),
        retried=retried,
    )


def make_pool(config: Config, cleaner: Cleaner, report: Callable[[str, str | None], None] | None = None) -> Pool:
    """Return the processes that clean by `cleaner`, within the bounds of the configuration.

    `report` is told of problems of the processes; then no slow dump holds up others. Without it dumps stay in order.
    """
    limits = _limits(config)
    if report is None:
        return Pool(cleaner, limits, number=min(2, len(os.sched_getaffinity(0))))
    return Pool(cleaner, limits, number=2, patience=_PATIENCE, report=report)


def _limits(config: Config) -> Limits:
    return Limits(config.clean.seconds, config.clean.memory)
