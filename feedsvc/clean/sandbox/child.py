"""The process that cleans: takes one job after the other from the socket that is its standard input.

It imports nothing that cleaning does not need, for it is started anew after each dump that ends it. The kernel ends it
when a job takes too much processor time: no code of its own has to run for that, and a machine that stands still costs
a dump nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from pickle import loads  # the daemon's messages are its own
from typing import Final

from feedsvc.clean import Cleaner
from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.sandbox.messages import RESERVED, ChildMessage, LogLine, News, SetUp, apply_news, receive, send
from feedsvc.clean.sandbox.work import NO_MEMORY, Cleaned, Job, clean_job
from feedsvc.errors import CleaningError

_NICENESS: Final = 5  # those who read go first
_MOST_JOBS: Final = 20_000
_WARM_UP: Final = b"""<!--1712180702000-->
[Title](https://example.org/)
------

<p class="a">A <a href="https://example.org/b">link</a>, and an <img src="https://example.org/c.png">.</p>
"""
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PAGE: Final = resource.getpagesize()


class _Collector(logging.Handler):
    """Keeps log records until the next answer takes them along."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        more = {
            name: value if isinstance(value, int | float | None) else str(value)
            for name, value in vars(record).items()
            if name not in RESERVED
        }
        if record.exc_info and record.exc_info[0]:
            more["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        self.lines.append(LogLine(record.name, record.levelno, record.getMessage(), more))

    def take(self) -> tuple[LogLine, ...]:
        """Give the records since the last call."""
        lines, self.lines = tuple(self.lines), []
        return lines


def main() -> None:
    """Work until the daemon ends."""
    _detach()
    connection = socket.socket(fileno=0)
    with contextlib.suppress(EOFError, ConnectionError):  # the daemon has ended: so does this
        set_up = loads(receive(connection))  # noqa: S301
        _serve(connection, set_up)


def _detach() -> None:
    """Leave signals to the daemon, end with it, and be the first to go when memory runs out."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):  # a container may forbid it
            Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    with contextlib.suppress(OSError):  # a system call filter may forbid it
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one of each bad dump would fill the disk
    faulthandler.enable()


def _serve(connection: socket.socket, set_up: SetUp) -> None:
    collector = _Collector()
    logging.basicConfig(level=set_up.level, handlers=[collector])
    cleaner = Cleaner(set_up.rules, learned=Learned() if set_up.learns else None)
    clean_job(Job("", _WARM_UP, 0), cleaner)  # patterns are compiled when they are first needed: no dump pays for that
    gc.collect()
    gc.freeze()
    base = _pages(1)
    most = _pages(0) * _PAGE + set_up.memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    send(connection, ChildMessage())
    jobs = 0
    while True:
        message = loads(receive(connection))  # noqa: S301
        if isinstance(message, News):
            cleaner.learned = apply_news(cleaner.learned or Learned(), message)
            continue
        assert isinstance(message, Job)  # noqa: S101 - there is no third kind
        signal.setitimer(signal.ITIMER_PROF, set_up.seconds)
        try:
            cleaned = clean_job(message, cleaner)
        except (MemoryError, SystemError):  # some extensions turn the former into the latter
            cleaned = Cleaned((), CleaningError(message.path, NO_MEMORY))
        jobs += 1
        exhausted = cleaned.fault is not None and cleaned.fault.reason == NO_MEMORY
        ends = exhausted or jobs >= _MOST_JOBS or (_pages(1) - base) * _PAGE > set_up.growth
        try:
            send(connection, ChildMessage(cleaned, collector.take(), ends))
        except MemoryError:  # the result is too large to be handed over
            ends = True
            send(connection, ChildMessage(Cleaned((), CleaningError(message.path, NO_MEMORY)), (), ends))
        signal.setitimer(signal.ITIMER_PROF, 0)
        del cleaned, message
        if ends:
            return


def _pages(field: int) -> int:
    """Read a field of /proc/self/statm (proc(5)): 0 for the size of the address space, 1 for resident memory."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[field])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // _PAGE


if __name__ == "__main__":
    main()
