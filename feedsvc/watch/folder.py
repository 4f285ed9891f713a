"""One watched folder: its name, what stands there, and what is wrong with it."""

# Paths stay strings here: they may be no valid Unicode.
# ruff: noqa: PTH116, PTH118, PTH206

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from feedsvc.watch.files import is_hidden
from feedsvc.watch.pace import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchdog.observers.api import EventEmitter

__all__ = ["Folder", "Identity", "distinct"]

logger = logging.getLogger(__name__)

_RETRY = 1.0  # seconds after which something that failed is tried again, twice as many the next time
_LONGEST = 60.0


class Identity(NamedTuple):
    """Tells a folder from another one of the same name."""

    device: int
    inode: int


@dataclass(slots=True)
class Folder:
    """A watched folder.

    Attributes:
        name: As configured, made absolute. All paths told to others begin with it.
        real: Where it is watched: the same without symbolic links.
        identity: What stood there at the last look; None where no folder did.
        emitter: What watches it, or None.
        overflows: The emitter's count that is already dealt with.
        device: The file system on which files were last seen, or None.
        rearm: Whether its watch is to be set anew although it works.
        missing: What is wrong with the folder itself, or None.
        unwatched: Why it is not watched, or not wholly, or None.
        unlisted: Why its listing cannot be had or believed, or None.
        partly: What is in it that cannot be read, or None.
        restless: What is in it that does not come to rest, or None.
        seconds: What its last listing took.
        watching: When to set its watches again.
        listing: When to list it again.
    """

    name: str
    real: str
    identity: Identity | None = None
    emitter: EventEmitter | None = None
    overflows: int = 0
    device: int | None = None
    rearm: bool = False
    missing: str | None = None
    unwatched: str | None = None
    unlisted: str | None = None
    partly: str | None = None
    restless: str | None = None
    seconds: float = 0.0
    watching: Backoff = field(default_factory=lambda: Backoff(_RETRY, _LONGEST))
    listing: Backoff = field(default_factory=lambda: Backoff(_RETRY, _LONGEST))

    @property
    def prefix(self) -> str:
        """What all paths below it begin with."""
        return os.path.join(self.name, "")

    @property
    def problem(self) -> str | None:
        """The worst thing that is wrong with it, for people."""
        return self.missing or self.unwatched or self.unlisted or self.partly or self.restless

    def look(self) -> Identity | None:
        """See what stands there; say in `missing` why it is no folder."""
        try:
            status = os.stat(self.name)
        except OSError as error:
            absent = isinstance(error, FileNotFoundError)
            reason = "is not there" if absent else f"cannot be looked at ({error.strerror})"
        else:
            if stat.S_ISDIR(status.st_mode):
                self.missing = None
                return Identity(status.st_dev, status.st_ino)
            reason = "is no folder"
        self.missing = f"folder {self.name} {reason}; its entries stay, and it is read as soon as it is back"
        return None

    def path_of(self, event_path: str, *, recursive: bool) -> str | None:
        """Translate a path from its emitter into one under its name; None where it is not to be told."""
        real = os.path.join(self.real, "")
        if not event_path.startswith(real):
            return None
        relative = event_path[len(real) :]
        *folders, name = relative.split(os.sep)
        if not name or any(map(is_hidden, folders)) or (folders and not recursive):
            return None
        return self.prefix + relative


def distinct(directories: Iterable[str], *, recursive: bool) -> list[Folder]:
    """Make folders of names, without those whose files another one has as well.

    Args:
        directories: Paths, absolute or not.
        recursive: Whether folders inside are watched too.
    """
    folders: dict[str, Folder] = {}
    for name in map(os.path.abspath, directories):
        folder = Folder(name, os.path.realpath(name))
        first = folders.setdefault(folder.real, folder)
        if first is not folder:
            _log_dropped(folder, first)
    if not recursive:
        return list(folders.values())
    kept: list[Folder] = []
    for folder in folders.values():
        outer = next((other for other in folders.values() if _lies_inside(folder, other)), None)
        if outer is None:
            kept.append(folder)
        else:
            _log_dropped(folder, outer)
    return kept


def _lies_inside(inner: Folder, outer: Folder) -> bool:
    prefix = os.path.join(outer.real, "")
    if inner is outer or not inner.real.startswith(prefix):
        return False
    return not any(map(is_hidden, inner.real[len(prefix) :].split(os.sep)))


def _log_dropped(folder: Folder, other: Folder) -> None:
    logger.warning("watched already", extra={"path": folder.name, "within": other.name})
