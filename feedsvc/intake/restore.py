"""Restores a removal; finds entries by the names that people give."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError, UnknownName
from feedsvc.store import Writer
from feedsvc.text import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

    from feedsvc.clean.sandbox import Cleaned
    from feedsvc.intake.ingest import Ingest
    from feedsvc.store import Article, Store
    from feedsvc.store.removals import RemovalReader, RemovedItem, Subject

logger = logging.getLogger(__name__)


def find_entry(removals: RemovalReader, name: str) -> Subject:
    """Give the entry with this key, id or link.

    Raises:
        UnknownName: There is none; the message names some that are like it.
    """
    found = removals.find_entry(name)
    if found is None:
        raise UnknownName(f"no such entry: {name}{_did_you_mean(name, removals.names_like(name))}")
    return found


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Check that a name is known.

    Raises:
        UnknownName: It is not; the message names some that are like it.
    """
    if name not in known:
        raise UnknownName(f"no such {kind}: {name}{_did_you_mean(name, known)}")


def restore_removal(store: Store, ingest: Ingest, name: str, number: int, *, undo: bool) -> RemovedItem:
    """Bring removal `number`, from 1, of an entry's ledger back for good, or `undo` that; `updated` does not move.

    `name` is the entry's key, id or link. Gives the removal as it is now.

    Raises:
        UnknownName: There is no such entry, or no such removal in it any more.
        StoreError: The entry's dump is no longer kept or cannot be cleaned, or the store cannot be written.
    """
    cleaned: tuple[Article, Cleaned] | None = None
    while True:
        with store.writing() if cleaned else store.reading() as rows:
            entry = find_entry(rows.removals, name)
            item = _find_removal(rows.removals, entry, number)
            stored = rows.load_article(entry.id)
            if stored is None:
                raise StoreError(f"{entry.key}: its dump is no longer kept, so it cannot be cleaned again")
            digest = item.removal.digest
            others = stored.restored - {digest}
            stored = replace(stored, restored=others if undo else others | {digest})
            if cleaned and isinstance(rows, Writer) and cleaned[0] == stored:  # nobody changed it since
                rows.removals.save_restored(entry, item.removal, undo=undo)
                ingest.refresh(rows, *cleaned)
                now = next((each for each in rows.removals.ledger(entry.number) if each.digest == digest), None)
                if undo and now is not None and now.restored and others:
                    reason = "because of another that was restored; undo that"
                    raise UnknownName(f"removal {number} of {entry.key} stays {reason}")
                if now is not None and now.restored is undo:
                    raise StoreError(f"{entry.key}: its dump can no longer be cleaned")
                break
        cleaned = stored, ingest.clean_again(stored)
    logger.info(
        "removal %s", "goes again" if undo else "restored", extra={"entry": entry.id, "rule": item.removal.rule}
    )
    return replace(item, removal=now or replace(item.removal, restored=not undo))


def _find_removal(removals: RemovalReader, entry: Subject, number: int) -> RemovedItem:
    found = removals.removed(entry=entry, rule=None, source=None, limit=None)
    for item in found:
        if item.position == number:
            return item
    there = ", ".join(f"{item.position} ({item.removal.rule})" for item in found) or "nothing was removed from it"
    raise UnknownName(f"{entry.key} has no removal {number}; there are: {there}")


def _did_you_mean(name: str, known: Collection[str]) -> str:
    near = nearest(name, known, most=3)
    return f"; did you mean {near}?" if near else ""
