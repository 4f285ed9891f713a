"""Stands between the store and readers: no entry that they know changes without a reason.

Each entry is compared with its last published state (`hold`): its `id` never changes, and `updated`
moves only forward, and only if the article changed. It did not if its fingerprint is the same, or if
it comes from the same bytes of a dump: then cleaning or parsing changed, not the article. So an
upgrade, a migration or a mended store that gives old entries new ids or dates is noticed, and refused:
they are published with the old ones, and a problem says so until it is accepted (`feedsvc accept`).

The published state is kept in the store itself. A store that is restored from a backup, or made
anew from the dumps, therefore knows no more than it did then; ids are made of the articles alone, so
they are the same.

A feed's bytes are looked at before they go live (`Guard.checked`): an entry that makes them invalid is
left out until it, or feedsvc, is another; a feed that lost an entry for no reason is refused, and the
last good one stays.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from feedsvc import __version__
from feedsvc.errors import RenderError
from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.feeds.formats.sift import sift
from feedsvc.store.marks import LeftOut, Mark
from feedsvc.store.schema import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.feeds.formats import Format, Renderer
    from feedsvc.feeds.formats.sift import Fault
    from feedsvc.model import Entry, FeedDocument
    from feedsvc.store import Store
    from feedsvc.store.marks import State

logger = logging.getLogger(__name__)

_NAMED = 3  # ids in a message
_ACCEPT = "if that is meant, run `feedsvc accept` and restart feedsvc"


def find_refused(store: Store) -> dict[str, str]:
    """Describe, by the id that readers know, each change of a live entry that will be refused.

    Raises:
        StoreError: The store cannot be read.
    """
    with store.reading() as reader:
        moved = [entry for _, entry in reader.load_live(reader.marks.load_moved())]
        keys = [entry.key for entry in moved]
        marks, origins = reader.marks.load_marks(keys), reader.marks.load_origins(keys)
    compared = [hold(entry, marks.get(entry.key), origins.get(entry.key)) for entry in moved]
    return {held.id: refused for held, refused in compared if refused}


def count_entries(number: int) -> str:
    """So many entries, in words."""
    return "1 entry" if number == 1 else f"{number} entries"


def describe_refused(refused: Mapping[str, str]) -> str:
    """Describe refused changes and the remedy, for people."""
    some = sorted(refused)[:_NAMED]
    reasons = "; ".join(f"{entry_id} {refused[entry_id]}" for entry_id in some)
    keep = "keeps" if len(refused) == 1 else "keep"
    return f"{count_entries(len(refused))} {keep} the id and date that readers know: {reasons}; {_ACCEPT}"


class Guard:
    """Looks at all feeds of a store before they are published. Any thread may ask it.

    It only reads while feeds are rendered; `save` writes the result.
    """

    def __init__(self, store: Store, report: Callable[[str, str | None], None]) -> None:
        """Begin to look. `report` takes a problem by its key, and None when it has ended.

        Raises:
            StoreError: The store cannot be read.
        """
        self._store = store
        self._report = report
        self._lock = Lock()
        self._shown: dict[str, tuple[str, ...]] = {}  # feed to the keys of the entries that it published last
        self._refused: dict[str, str] = {}  # id to the change that was refused
        self._new: dict[str, Mark] = {}
        self._faults: dict[str, LeftOut] = {}
        self._mended: set[str] = set()
        with store.reading() as reader:
            self._left_out = reader.marks.load_left_out()

    def look_back(self) -> None:
        """Report present problems, such as after an upgrade; to be called once, at the start.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.reading() as reader:
            number, some = reader.marks.load_lost(_NAMED)
        refused = find_refused(self._store)
        with self._lock:
            self._refused |= refused
        self._report("guard:refused", describe_refused(refused) if refused else None)
        for item in self._left_out.values():
            self._report(f"entry:{item.key}", _say_left_out(item))
        message = None
        if number:
            message = f"{count_entries(number)} published before and not in the store any more: {', '.join(some)}"
            message += f"; if the store was restored or made anew, let feedsvc read the dumps again; {_ACCEPT}"
        self._report("guard:lost", message)

    def admit(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Give entries as readers may see them: with the ids and dates that they know, and none that is left out.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.reading() as reader:
            tables = reader.marks
            marks = tables.load_marks([entry.key for entry in entries])
            moved = [entry.key for entry in entries if _moved(entry, marks.get(entry.key))]
            origins = tables.load_origins(moved) if moved else {}
        admitted = []
        with self._lock:
            for entry in entries:
                if self._is_left_out(entry):
                    continue
                held, refused = hold(entry, self._new.get(entry.key) or marks.get(entry.key), origins.get(entry.key))
                self._take_down(held.id, refused)
                admitted.append(held)
        return tuple(admitted)

    def _is_left_out(self, entry: Entry) -> bool:
        item = self._left_out.get(entry.key)
        if item is None:
            return False
        if item.version == _version_of(entry):
            return True
        del self._left_out[entry.key]
        self._faults.pop(entry.key, None)
        self._mended.add(entry.key)
        return False

    def _take_down(self, entry_id: str, refused: str | None) -> None:
        if refused is None:
            self._refused.pop(entry_id, None)
        elif self._refused.get(entry_id) != refused:
            self._refused[entry_id] = refused
            logger.error("change of what readers know refused", extra={"entry": entry_id, "reason": refused})

    def checked(self, form: Format) -> Renderer:
        """Make a renderer of feeds of admitted entries; its bytes are fit to go live.

        It raises RenderError if they cannot be made so: the last good ones are to stay. The entries of the Atom feed
        count as published.
        """

        def _render(document: FeedDocument, base_url: str) -> bytes:
            sifted = sift(self._keep(document), base_url, form.render, form.inspect)
            if form.extension == "atom":
                self._note(sifted.document)
            self._leave_out(sifted.faults)
            return sifted.body

        return _render

    def _keep(self, document: FeedDocument) -> FeedDocument:
        """Leave out entries at fault; refuse a feed that lost others."""
        admitted = self._spare(document)
        with self._lock:
            before, left_out = self._shown.get(document.name, ()), set(self._left_out)
        gone = set(before) - {entry.key for entry in admitted.entries}
        if gone:
            with self._store.reading() as reader:
                states = reader.marks.load_states(gone)
            lost = find_lost(before, admitted, states, left_out)
            if lost:
                raise RenderError(f"feed {document.name}: {lost[0]}; {_ACCEPT}")
        return admitted

    def _spare(self, document: FeedDocument) -> FeedDocument:
        with self._lock:
            if not self._left_out:
                return document
            kept = tuple(entry for entry in document.entries if not self._is_left_out(entry))
        return replace(document, entries=kept)

    def _note(self, document: FeedDocument) -> None:
        with self._lock:
            self._shown[document.name] = tuple(entry.key for entry in document.entries)
            for entry in document.entries:
                self._new[entry.key] = Mark(entry.key, entry.id, entry.updated, entry.digest, None)

    def _leave_out(self, faults: Sequence[Fault]) -> None:
        with self._lock:
            for fault in faults:
                key = fault.entry.key
                logger.error("entry left out", extra={"entry": fault.entry.id, "reason": fault.reason})
                item = LeftOut(key, fault.reason, _version_of(fault.entry), fault.entry.updated)
                self._left_out[key] = self._faults[key] = item

    def save(self, now: datetime) -> None:
        """Save the entries that were published or left out; to be called after each publication and at the end.

        Raises:
            StoreError: The store cannot be written; it is tried again at the next call.
        """
        with self._lock:
            new, faults, mended = dict(self._new), dict(self._faults), set(self._mended)
            refused = dict(self._refused)
        with self._store.reading() as reader:
            origins = reader.marks.load_origins(new)
            marks = {key: replace(mark, origin=origins.get(key)) for key, mark in new.items()}
            known = reader.marks.load_marks(marks)
        changed = [mark for key, mark in marks.items() if known.get(key) != mark]
        if changed or faults or mended:
            with self._store.writing() as writer:
                writer.marks.save_marks(changed)
                writer.marks.save_left_out([replace(item, since=now) for item in faults.values()])
                writer.marks.drop_left_out(mended - faults.keys())
        with self._lock:
            self._new = {key: mark for key, mark in self._new.items() if new.get(key) != mark}
            self._faults = {key: item for key, item in self._faults.items() if faults.get(key) != item}
            self._mended -= mended
        for key in mended - faults.keys():
            self._report(f"entry:{key}", None)
        for item in faults.values():
            self._report(f"entry:{item.key}", _say_left_out(item))
        self._report("guard:refused", describe_refused(refused) if refused else None)


def _moved(entry: Entry, mark: Mark | None) -> bool:
    return mark is not None and (entry.id, entry.updated) != (mark.id, mark.updated)


def _say_left_out(item: LeftOut) -> str:
    return f"entry {item.key} is left out of all feeds until it changes: {item.reason}"


def hold(entry: Entry, mark: Mark | None, origin: str | None) -> tuple[Entry, str | None]:
    """Compare an entry as it is now with its published state and its dump's fingerprint (`origin`).

    Return the entry as it may be published, and the refused change in words, or None.
    """
    if mark is None or (entry.id, entry.updated) == (mark.id, mark.updated):
        return entry, None
    held, refused = entry, []
    if entry.id != mark.id:
        held = replace(held, id=mark.id)
        refused.append(f"has the id {entry.id!r} now")
    same = entry.digest == mark.digest or (origin is not None and origin == mark.origin)
    if entry.updated < mark.updated:
        refused.append(f"is dated back to {entry.updated.isoformat()}")
    elif entry.updated > mark.updated and same:
        refused.append(f"is dated {entry.updated.isoformat()} now though the article is the same")
    else:
        return held, "; ".join(refused) or None
    return replace(held, updated=mark.updated), "; ".join(refused)


def find_lost(
    before: Iterable[str], after: FeedDocument, states: Mapping[str, State], left_out: Iterable[str] = ()
) -> list[str]:
    """List, in words, the entries that a feed lost without a reason.

    Reasons are that an entry was withdrawn or retired, is left out, was pushed out by newer ones, or (for
    feeds other than that of everything) does not match the feed's filter any more.
    """
    gone = set(before) - {entry.key for entry in after.entries} - set(left_out)
    oldest = min((entry.published for entry in after.entries), default=None)
    lost = []
    for key in sorted(gone):
        state = states.get(key)
        if state is None:
            lost.append(f"entry {key} was published and is not in the store any more")
        elif after.name == EVERYTHING and state.state == LIVE and (oldest is None or state.published > oldest):
            lost.append(f"entry {state.id!r} is missing, though others that are older are there")
    return lost


def _version_of(entry: Entry) -> str:
    """Fingerprint of an entry and its renderer: with another one it is tried again."""
    text = f"{__version__} {replace(entry, cleaner='')!r}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
