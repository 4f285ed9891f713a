"""One watched folder: its name, its identity, and its problems."""

# Paths stay strings here: they may be no valid Unicode.
# ruff: noqa: PTH116, PTH118, PTH206

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from feedsvc.runtime.backoff import Backoff
from feedsvc.watch.files import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchdog.observers.api import EventEmitter

logger = logging.getLogger(__name__)


class Identity(NamedTuple):
    """The difference between a folder and another one of the same name."""

    device: int
    inode: int


@dataclass(slots=True)
class Folder:
    """A watched folder, its problems for people, and its times to try again.

    Attributes:
        name: As configured, made absolute. All paths told to others begin with it.
        real: The same without symbolic links: the path that is watched.
        identity: At the last look; None if there was no folder.
        emitter: watchdog's, if it is watched.
        overflows: The emitter's count that is already dealt with.
        device: The file system of the files seen last.
        rearm: Whether its watch is to be set anew although it works.
        missing: The problem with the folder itself.
        unwatched: Why it is not watched, or not wholly.
        unlisted: Why its listing cannot be had or believed.
        partly: The problem with the files in it that cannot be read.
        restless: The problem with the files in it that do not come to rest.
        seconds: Of its last listing.
        watching: The time to set its watches again.
        listing: The time to list it again.
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
    watching: Backoff = field(default_factory=Backoff)
    listing: Backoff = field(default_factory=Backoff)

    @property
    def prefix(self) -> str:
        """The start of all paths below it."""
        return os.path.join(self.name, "")

    @property
    def problem(self) -> str | None:
        """Its worst problem, for people."""
        return self.missing or self.unwatched or self.unlisted or self.partly or self.restless

    def look(self) -> Identity | None:
        """Give the identity of the folder that stands there; else say in `missing` why there is none."""
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
        """Translate a path from its emitter into one under its name; None if it is not to be told."""
        real = os.path.join(self.real, "")
        if not event_path.startswith(real):
            return None
        relative = event_path[len(real) :]
        *folders, name = relative.split(os.sep)
        if not name or any(map(is_hidden, folders)) or (folders and not recursive):
            return None
        return self.prefix + relative


def distinct(directories: Iterable[str], *, recursive: bool) -> list[Folder]:
    """Make folders of paths, absolute or not, but none of a path with the same files as another."""
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
