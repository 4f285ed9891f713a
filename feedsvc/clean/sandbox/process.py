"""One process that cleans, seen from the daemon."""

from __future__ import annotations

import logging
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feedsvc.clean import RuleSet
from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.sandbox.messages import RESERVED, SetUp, load_message, make_news, receive, send
from feedsvc.clean.sandbox.work import NO_MEMORY, Cleaned
from feedsvc.errors import CleaningError, FeedsvcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedsvc.clean import Cleaner
    from feedsvc.clean.sandbox.messages import ChildMessage
    from feedsvc.clean.sandbox.work import Job

logger = logging.getLogger(__name__)

_START_SECONDS: Final = 60.0  # for the imports, on a busy machine
_STUCK_SECONDS: Final = 10.0  # to move a piece of a message
_LOOK_SECONDS: Final = 0.05  # between two questions to `give_way`
_LARGEST: Final = 512 << 20  # bytes of an answer: many times that of the largest dump
_GENTLE_SECONDS: Final = 2.0  # to end by itself
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of cleaning one dump file.

    Attributes:
        seconds: Of processor time. By the clock it may take `patience` times as many: the processor may be busy with
            something else.
        memory: Bytes, beyond those that every dump needs.
        growth: Bytes that a process may grow by for good; more is given back with the process.
    """

    seconds: float = 10.0
    memory: int = 1 << 30
    patience: float = 6.0
    growth: int = 192 << 20

    @property
    def too_slow(self) -> str:
        """The reason to quarantine a dump that took longer."""
        return f"took more than {self.seconds:g} s to clean; mend or remove it, or raise [clean] seconds"

    @property
    def too_large(self) -> str:
        """The reason to quarantine a dump that takes more memory."""
        most = f"{self.memory / _MIB:,.0f} MiB"
        return f"needs more than {most} of memory to clean; mend or remove it, or raise [clean] memory"

    def outgrown(self, reason: str) -> bool:
        """True if a dump was quarantined for this reason by other limits, and may be tried again."""
        return reason.endswith(("raise [clean] seconds", "raise [clean] memory")) and reason not in {
            self.too_slow,
            self.too_large,
        }


class Died(FeedsvcError):  # noqa: N818 - reads as an event
    """The process ended, or had to be ended, before it answered; the message says how."""


class GaveWay(FeedsvcError):  # noqa: N818 - reads as an event
    """The process was ended, for others could not wait for it."""


class Process:
    """A process that cleans, from its start to its end. One thread at a time may use it."""

    def __init__(self, cleaner: Cleaner, limits: Limits) -> None:
        """Start it, to clean as `cleaner` does; it gets ready on its own.

        Raises:
            OSError: No process can be started now.
        """
        self._limits = limits
        self._told = Learned()
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = ours
            try:
                # A group of its own: signals of a terminal are for the daemon. Not a session: Linux may give each
                # of those the same share of the processors (sched(7), autogroup), and niceness would not count. -P: no
                # module is taken from the folder that the daemon was started in.
                self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "feedsvc.clean.sandbox.child"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    process_group=0,
                )
            except OSError:
                ours.close()
                raise
        self.ends = False
        ours.settimeout(_STUCK_SECONDS)
        learns = cleaner.learned is not None
        level = logging.getLogger().getEffectiveLevel()
        rules = RuleSet(cleaner.rules)
        self._set_up = SetUp(rules, learns, limits.seconds, limits.memory, limits.growth, level)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._popen.pid

    @property
    def spent(self) -> float:
        """Seconds of processor time that it has taken; 0 if it has ended."""
        try:
            # The number of the clock of a process, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    @property
    def alive(self) -> bool:
        """True if it runs, and takes jobs."""
        return not self.ends and self._popen.poll() is None

    def get_ready(self, give_way: Callable[[], bool]) -> None:
        """Wait until it takes jobs.

        Raises:
            Died: It does not.
            GaveWay: `give_way` said True meanwhile.
        """
        try:
            send(self._connection, self._set_up)
        except OSError as error:
            raise self._died() from error
        self._answer(_START_SECONDS, give_way)

    def clean(self, job: Job, learned: Learned | None, give_way: Callable[[], bool]) -> Cleaned:
        """Have a job done by all that is learned now; end if `give_way`, asked now and then, says True.

        Raises:
            Died: The process ended before it answered.
            GaveWay: `give_way` said True.
        """
        try:
            if learned is not None and learned is not self._told:
                if learned != self._told:
                    send(self._connection, make_news(self._told, learned))
                self._told = learned
            send(self._connection, job)
        except OSError as error:
            raise self._died() from error
        try:
            answer = self._answer(self._limits.seconds * self._limits.patience, give_way)
        except _TookTooLong:
            return Cleaned((), CleaningError(job.path, self._limits.too_slow))
        self.ends = answer.ends
        for line in answer.logs:
            if line.name.startswith("feedsvc."):
                more = {name: value for name, value in line.more.items() if name not in RESERVED}
                logging.getLogger(line.name).log(line.level, "%s", line.message, extra=more)
        if answer.cleaned is None:
            raise self._died("it gave no answer")
        fault = answer.cleaned.fault
        if fault is not None and fault.reason == NO_MEMORY:
            return Cleaned((), CleaningError(job.path, self._limits.too_large))
        return answer.cleaned

    def end(self) -> None:
        """Let it end; it has nothing in hand."""
        self._connection.close()
        try:
            self._popen.wait(_GENTLE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.ends = True
        self._connection.close()
        self._popen.kill()
        self._popen.wait()

    def _answer(self, seconds: float, give_way: Callable[[], bool]) -> ChildMessage:
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while not poll.poll(_LOOK_SECONDS * 1000):
            if give_way():
                self.kill()
                raise GaveWay
            if time.monotonic() > deadline:
                self.kill()
                raise _TookTooLong(f"it did not answer within {seconds:g} s")
        try:
            return load_message(receive(self._connection, _LARGEST))
        except (OSError, EOFError, ValueError) as error:
            raise self._died(str(error)) from error

    def _died(self, reason: str = "") -> Died:
        """Make the error that says how it ended; `reason` counts if it did not end by itself."""
        self._connection.close()
        self.ends = True
        try:
            code = self._popen.wait(_GENTLE_SECONDS)
        except subprocess.TimeoutExpired:  # it runs on, but makes no sense
            self.kill()
            return Died(reason)
        if code == -signal.SIGPROF:
            return _TookTooLong(self._limits.too_slow)
        return Died(f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}")


class _TookTooLong(Died):
    """It took more time than it may."""
