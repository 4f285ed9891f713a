"""Looks at config, rules, folders, store and address, and says what is wrong and how to mend it."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.clean import Cleaner, failed_samples, load_rules, packs_in
from feedsvc.errors import DaemonUnreachable, FeedsvcError
from feedsvc.feeds.filters import Candidate
from feedsvc.feeds.guard import compare, describe_refused
from feedsvc.http import bind
from feedsvc.ops.status import ask_ready
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.app.config import Config
    from feedsvc.feeds.plan import Plan

__all__ = ["Finding", "Level", "check_all"]

INOTIFY_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


class Level(StrEnum):
    """How bad it is."""

    FINE = "fine"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was found; where something is wrong, with what to do."""

    level: Level
    about: str
    message: str


def check_all(config: Config) -> Iterator[Finding]:
    """Look at everything that `config` names; nothing is changed."""
    yield from _check_rules(config)
    for folder in config.watch.directories:
        yield _check_folder(folder, polling=config.watch.polling)
    yield from _check_store(config.store.url, config.plan)
    yield _check_listen(config)
    yield from _check_published(config.store.url)


def _check_rules(config: Config) -> Iterator[Finding]:
    folders = [Path(path) for path in config.clean.rules]
    try:
        rules = load_rules(site_rules=config.clean.site_rules, folders=folders)
        yield Finding(Level.FINE, "rules", f"{len(rules.rules)} rules")
        cleaner = Cleaner(rules)
        for folder in folders:
            for pack in packs_in(folder):
                for failure in failed_samples(pack, folder, cleaner):
                    yield Finding(Level.ERROR, "rules", failure)
    except FeedsvcError as error:
        yield Finding(Level.ERROR, "rules", str(error))


def _check_folder(folder: str, *, polling: bool) -> Finding:
    if not Path(folder).is_dir():
        return Finding(Level.ERROR, folder, "no such folder; create it, or change watch.directories")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Finding(Level.ERROR, folder, "cannot be read; give this user read and search permission")
    folders = sum(1 for _ in os.walk(folder))
    if not polling and INOTIFY_WATCHES.exists() and folders >= int(INOTIFY_WATCHES.read_text()):
        advice = "raise fs.inotify.max_user_watches, or set watch.polling = true"
        return Finding(Level.ERROR, folder, f"holds {folders} folders, more than inotify may watch; {advice}")
    return Finding(Level.FINE, folder, "watched folder is there")


def _check_store(url: str, plan: Plan) -> Iterator[Finding]:
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        home = next(parent for parent in path.parents if parent.exists())
        if os.access(home, os.W_OK | os.X_OK):
            yield Finding(Level.FINE, url, "store will be made at the first start")
        else:
            yield Finding(Level.ERROR, url, f"store cannot be made: {home} is not writable; change store.url")
        return
    try:
        store = Store(url)
        try:
            store.verify()
            entries = store.count_entries()
            yield Finding(Level.FINE, url, f"store holds {entries} entries")
            if entries:
                yield from _check_feeds(store, plan)
        finally:
            store.close()
    except FeedsvcError as error:
        yield Finding(Level.ERROR, url, str(error))


def _check_feeds(store: Store, plan: Plan) -> Iterator[Finding]:
    empty = {feed.name: feed.filter for feed in plan.configured}
    columns = frozenset().union(*(each.columns for each in empty.values()))
    with store.feeding() as tables:
        for row in tables.live_rows(columns, None) if empty else ():
            entry = Candidate.of_row(row, columns)
            empty = {name: each for name, each in empty.items() if not each.matches(entry)}
            if not empty:
                break
    for feed in plan.configured:
        if feed.name in empty:
            advice = "no entry in the store matches its filter, whatever its age; is it spelt as in the entries?"
            yield Finding(Level.WARNING, f'[[feeds]] "{feed.name}"', advice)
        else:
            yield Finding(Level.FINE, f'[[feeds]] "{feed.name}"', "there are entries that match its filter")


def _check_published(url: str) -> Iterator[Finding]:
    """What an upgrade would change for readers; a store that cannot be read has its finding already."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        return
    with suppress(FeedsvcError), closing(Store(url)) as store:
        if refused := compare(store):
            yield Finding(Level.WARNING, "published", describe_refused(refused))


def _check_listen(config: Config) -> Finding:
    listen = config.server.listen
    try:
        listener = bind(listen)
    except FeedsvcError as error:
        try:
            ask_ready(f"http://{listen}")
        except DaemonUnreachable:
            return Finding(Level.ERROR, listen, str(error))
        return Finding(Level.FINE, listen, "feedsvc is running there")
    host = listener.getsockname()[0]
    listener.close()
    if config.base_url is None and not ip_address(host).is_loopback:
        advice = "others can reach this address: set base_url, or what they ask for decides the addresses in the feed"
        return Finding(Level.WARNING, listen, advice)
    return Finding(Level.FINE, listen, "address is free")
