"""A changed path -> the bytes of a dump file, or why there is nothing to clean."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Final

from feedsvc.clean.sandbox import Job, parse_safely
from feedsvc.dumps import ignored_name
from feedsvc.errors import BrokenDump, NotADump, ShortageError
from feedsvc.model import Outcome
from feedsvc.store import DumpFile

_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_PEEK_BYTES: Final = 4096  # enough of a file that is too large to tell if it is a dump


@dataclass(frozen=True, slots=True)
class FileRead:
    """A dump file that was read: its fault, or its cleaning; with neither, its bytes are those in the store."""

    file: DumpFile
    fault: NotADump | BrokenDump | None = None
    job: Job | None = None


def read_changed(path: str, max_bytes: int, known: str | None) -> FileRead | None:
    """Read a file that may be a dump; None if it is gone. Bytes with the digest `known` need no cleaning.

    Raises:
        ShortageError: No file can be read at present.
    """
    try:
        status = os.lstat(path)
        if reason := ignored_name(path):
            return FileRead(_file(path, status, None), NotADump(path, reason))
        data, status = read_dump(path, max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return None  # the watcher will say so
    except (NotADump, BrokenDump) as error:
        return FileRead(_file(path, status, None), error)
    except OSError as error:
        # No file has this time: each rescan reads it again, for the trouble may end without a trace.
        file = DumpFile(path=path, size=0, mtime_ns=-1, digest="", outcome=Outcome.QUARANTINED)
        return FileRead(file, BrokenDump(path, f"cannot be read: {error.strerror}", 1))
    file = _file(path, status, data)
    return FileRead(file, job=None if file.digest == known else Job(path, data, status.st_mtime_ns))


def read_dump(path: str, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """Read the bytes of a dump file, and its status at that moment.

    Raises:
        NotADump: It is no regular file, or does not start as a dump.
        BrokenDump: It starts as a dump but is larger than `max_bytes`.
        ShortageError: No file can be read at present.
        OSError: It cannot be read.
    """
    try:
        with open(path, "rb", opener=_open_unblocked) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotADump(path, "not a regular file")
            data = file.read(_PEEK_BYTES if status.st_size > max_bytes else max_bytes + 1)
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.ELOOP}:
            raise NotADump(path, "not a regular file") from error
        if error.errno in _SHORTAGES:  # the file is not to blame
            raise ShortageError(f"no file can be read: {error.strerror}; raise the limit of open files") from error
        raise
    if max(len(data), status.st_size) > max_bytes:
        _, fault = parse_safely(data[:_PEEK_BYTES], path)
        if isinstance(fault, NotADump):
            raise fault
        raise BrokenDump(path, f"larger than {max_bytes} bytes ([watch] max_bytes)", 1)
    return data, status


def _open_unblocked(path: str, flags: int) -> int:
    # Opening a FIFO must not wait for its writer, and a link may lead out of the folder.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _file(path: str, status: os.stat_result, data: bytes | None) -> DumpFile:
    return DumpFile(
        path=path,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        digest="" if data is None else hashlib.sha256(data).hexdigest(),
        outcome=Outcome.PUBLISHED,
        raw=data,
    )
