"""Stops one thread of another process, as a hung system call would; the other threads go on (ptrace(2))."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.harness import lack

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000  # waitpid(2): threads count as well


def find_thread(pid: int, name: str) -> int:
    """The id of the thread that shows this name (`feedsvc.runtime.health.show_thread`)."""
    (found,) = (
        int(task.name)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if (task / "comm").read_text("utf-8").strip() == name
    )
    return found


@contextmanager
def frozen(pid: int, name: str) -> Iterator[None]:
    """Freeze a thread for as long as the context lasts."""
    thread = find_thread(pid, name)
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(request: int) -> None:
        if libc.ptrace(request, thread, None, None) == -1:
            raise OSError(ctypes.get_errno(), f"ptrace: {os.strerror(ctypes.get_errno())}")

    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    try:
        trace(_SEIZE)
    except OSError as error:
        lack(f"threads of other processes cannot be stopped here: {error}")
    try:
        trace(_INTERRUPT)
        os.waitpid(thread, _WALL)
        yield
    finally:
        trace(_DETACH)
