"""Reads a dump file, whatever stands in its place."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from feedsvc.clean.sandbox import parse_safely
from feedsvc.errors import BrokenDump, NotADump, ShortageError

__all__ = ["read_dump"]

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
PEEK_BYTES: Final = 4096  # enough of a file that is too large to tell whether it is a dump


def read_dump(path: str, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """The bytes of a dump file, and its status when they were read.

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
            data = file.read(PEEK_BYTES if status.st_size > max_bytes else max_bytes + 1)
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.ELOOP}:
            raise NotADump(path, "not a regular file") from error
        if error.errno in SHORTAGES:  # of which the file is not to blame
            raise ShortageError(f"no file can be read: {error.strerror}; raise the limit of open files") from error
        raise
    if max(len(data), status.st_size) > max_bytes:
        _, fault = parse_safely(data[:PEEK_BYTES], path)
        if isinstance(fault, NotADump):
            raise fault
        raise BrokenDump(path, f"larger than {max_bytes} bytes ([watch] max_bytes)", 1)
    return data, status


def _open_unblocked(path: str, flags: int) -> int:
    # Opening a FIFO must not wait for its writer, and a link may lead out of the folder.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
