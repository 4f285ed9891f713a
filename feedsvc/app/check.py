"""Checks configuration, rules, folders, store and address, with advice on mistakes."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.app.make import load_configured
from feedsvc.clean import Cleaner, failed_samples, packs_in
from feedsvc.errors import DaemonUnreachable, FeedsvcError
from feedsvc.feeds.guard import describe_refused, find_refused
from feedsvc.feeds.plan import Candidate
from feedsvc.http import bind
from feedsvc.ops.status import ask_ready
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.app.config import Config
    from feedsvc.feeds.plan import Plan

_INOTIFY_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


class Level(StrEnum):
    """Severity."""

    FINE = "fine"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """A result; the message of a mistake says how to mend it."""

    level: Level
    about: str
    message: str


def check_all(config: Config) -> Iterator[Check]:
    """Check everything that `config` names; nothing is changed."""
    yield from _check_rules(config)
    for folder in config.watch.directories:
        yield _check_folder(folder, polling=config.watch.polling)
    yield from _check_store(config.store.url, config.plan)
    yield _check_listen(config)
    yield from _check_published(config.store.url)


def _check_rules(config: Config) -> Iterator[Check]:
    try:
        rules = load_configured(config)
        yield Check(Level.FINE, "rules", f"{len(rules.rules)} rules")
        cleaner = Cleaner(rules)
        for folder in map(Path, config.clean.rules):
            for pack in packs_in(folder):
                for failure in failed_samples(pack, folder, cleaner):
                    yield Check(Level.ERROR, "rules", failure)
    except FeedsvcError as error:
        yield Check(Level.ERROR, "rules", str(error))


def _check_folder(folder: str, *, polling: bool) -> Check:
    if not Path(folder).is_dir():
        return Check(Level.ERROR, folder, "no such folder; create it, or change watch.directories")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Check(Level.ERROR, folder, "cannot be read; give this user read and search permission")
    folders = sum(1 for _ in os.walk(folder))
    if not polling and _INOTIFY_WATCHES.exists() and folders >= int(_INOTIFY_WATCHES.read_text()):
        advice = "raise fs.inotify.max_user_watches, or set watch.polling = true"
        return Check(Level.ERROR, folder, f"holds {folders} folders, more than inotify may watch; {advice}")
    return Check(Level.FINE, folder, "watched folder is there")


def _check_store(url: str, plan: Plan) -> Iterator[Check]:
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        home = next(parent for parent in path.parents if parent.exists())
        if os.access(home, os.W_OK | os.X_OK):
            yield Check(Level.FINE, url, "store will be made at the first start")
        else:
            yield Check(Level.ERROR, url, f"store cannot be made: {home} is not writable; change store.url")
        return
    try:
        with closing(Store(url)) as store:
            store.verify()
            entries = store.count_entries()
            yield Check(Level.FINE, url, f"store holds {entries} entries")
            if entries:
                yield from _check_feeds(store, plan)
    except FeedsvcError as error:
        yield Check(Level.ERROR, url, str(error))


def _check_feeds(store: Store, plan: Plan) -> Iterator[Check]:
    empty = {feed.name: feed.filter for feed in plan.configured}
    columns = frozenset().union(*(each.columns for each in empty.values()))
    with store.reading() as reader:
        for row in reader.feeds.live_rows(columns, None) if empty else ():
            entry = Candidate.of_row(row, columns)
            empty = {name: each for name, each in empty.items() if not each.matches(entry)}
            if not empty:
                break
    for feed in plan.configured:
        if feed.name in empty:
            advice = "no entry in the store matches its filter, whatever its age; is it spelt as in the entries?"
            yield Check(Level.WARNING, f'[[feeds]] "{feed.name}"', advice)
        else:
            yield Check(Level.FINE, f'[[feeds]] "{feed.name}"', "there are entries that match its filter")


def _check_published(url: str) -> Iterator[Check]:
    """Name the changes that an upgrade makes for readers; `_check_store` reports a store that cannot be read."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        return
    with suppress(FeedsvcError), closing(Store(url)) as store:
        if refused := find_refused(store):
            yield Check(Level.WARNING, "published", describe_refused(refused))


def _check_listen(config: Config) -> Check:
    listen = config.server.listen
    try:
        listener = bind(listen)
    except FeedsvcError as error:
        try:
            ask_ready(f"http://{listen}")
        except DaemonUnreachable:
            return Check(Level.ERROR, listen, str(error))
        return Check(Level.FINE, listen, "feedsvc is running there")
    host = listener.getsockname()[0]
    listener.close()
    if config.base_url is None and not ip_address(host).is_loopback:
        advice = "others can reach this address: set base_url, or what they ask for decides the addresses in the feed"
        return Check(Level.WARNING, listen, advice)
    return Check(Level.FINE, listen, "address is free")
