"""The C library's heap, in a process that runs for years (mallopt(3))."""

from __future__ import annotations

import ctypes
from typing import Final

# Parameters of glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 128 * 1024  # bytes; glibc's own threshold; it moves up to 32 MiB unless it is set
_ARENAS: Final = 2  # by default eight a processor


def keep_heap_small() -> bool:
    """Give large blocks back as soon as they are free, and let all threads share a few heaps; before threads start.

    Feeds are rendered and compressed in blocks that are large and soon free. Left to itself glibc keeps those between
    the small ones that stay, in each thread's heap: the daemon grew by more than a KiB with each dump. Returns False
    if the C library is not glibc, and cannot be told.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    wanted = {_ARENA_MAX: _ARENAS, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: _LARGE}
    return all(tell(parameter, value) for parameter, value in wanted.items())
