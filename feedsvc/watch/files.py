"""Files as the file system has them. All paths are `str`; they may hold surrogate escapes."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

_STRIDE = 256  # files that are looked at in a row


@dataclass(frozen=True, slots=True)
class FileState:
    """The properties of a file that change with it, in bytes and nanoseconds since 1970.

    The inode changes if a file is replaced by one of the same size and time.
    """

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Change:
    """A file has settled and wants to be read, or is gone."""

    path: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """All regular files below one watched folder at one moment. A path in none of its three collections is gone.

    Attributes:
        directory: The watched folder, as configured, made absolute.
        unsettled: Paths of Changes that will follow. One that is not in `files` has just vanished, and may come back.
        unreadable: Files and folders that could not be looked at: nothing is known of them, nor of files below them.
    """

    directory: str
    files: Mapping[str, FileState]
    unsettled: frozenset[str]
    unreadable: frozenset[str] = frozenset()


def _state_of(status: os.stat_result) -> FileState | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileState(status.st_size, status.st_mtime_ns, status.st_ino)


def observe(path: str) -> FileState | None:
    """Look at one path; None if there is no regular file.

    Raises:
        OSError: It cannot be looked at.
    """
    try:
        return _state_of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_gone(path: str) -> bool:
    """True if nothing stands at a path; False if that cannot be told."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_hidden(name: str) -> bool:
    """True if the folder of this name is not to be entered."""
    return name.startswith(".")


def scan(
    directory: str, *, recursive: bool, interrupted: Callable[[], bool]
) -> tuple[dict[str, FileState], frozenset[str]]:
    """Look at all files below a folder; give the regular files, and the paths that could not be looked at.

    The folder itself may be a symbolic link. `interrupted` is asked before each folder, and now and then within; if
    True, the scan ends early, and its result is worth nothing. It may do other work: no lock and no state is held.

    Raises:
        OSError: The folder itself cannot be read.
    """
    files: dict[str, FileState] = {}
    unreadable: set[str] = set()
    folders = [directory]
    while folders and not interrupted():
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for number, entry in enumerate(entries, 1):
                    if number % _STRIDE == 0 and interrupted():
                        return files, frozenset(unreadable)
                    if entry.is_dir(follow_symlinks=False):
                        if recursive and not is_hidden(entry.name):
                            folders.append(entry.path)
                    elif state := _look(entry, unreadable):
                        files[entry.path] = state
        except OSError as error:
            if folder == directory:
                raise
            # A folder that vanished meanwhile may have moved to where this scan has already been.
            unreadable.add(folder)
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                _log_unreadable(folder, error)
    return files, frozenset(unreadable)


def _look(entry: os.DirEntry[str], unreadable: set[str]) -> FileState | None:
    try:
        return _state_of(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return None  # gone since the folder was read
    except OSError as error:
        unreadable.add(entry.path)
        _log_unreadable(entry.path, error)
        return None


def _log_unreadable(path: str, error: OSError) -> None:
    logger.warning("cannot be read", extra={"path": path, "reason": error.strerror})
