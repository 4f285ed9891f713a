"""The health of the daemon's parts: loops beat, probes ask, and nothing here ever waits for any of them."""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.errors import FeedsvcError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0  # at most between two beats of a loop that has nothing to do
_JOIN_SECONDS = 2.0  # that a probe that ends is waited for; one that hangs is left
_NAME_CHARACTERS = 15  # of a thread's name that Linux keeps


class Pulse:
    """The time of something's latest sign of life: `last`, in monotonic seconds. Safe for threads."""

    def __init__(self) -> None:
        """Begin with a beat."""
        self.last = time.monotonic()

    def beat(self) -> None:
        """Note that it goes on."""
        self.last = time.monotonic()

    def age(self) -> float:
        """Return the seconds since the last beat."""
        return time.monotonic() - self.last


def _yes() -> bool:
    return True


def _none() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Part:
    """A part that must answer.

    Attributes:
        name: As operators know it, such as "watcher".
        seconds: The longest silence of its pulse.
        alive: Returns True while its threads run; without them it never answers again.
        fault: Returns any other fault, in a few words without paths, or None.
    """

    name: str
    pulse: Pulse
    seconds: float
    alive: Callable[[], bool] = _yes
    fault: Callable[[], str | None] = _none

    def reason(self) -> str | None:
        """Return the reason why it does not answer, in a few words without paths; None if it does."""
        if not self.alive():
            return "has ended"
        age = self.pulse.age()
        if age > self.seconds:
            return f"has not answered for {age:.0f} s"
        return self.fault()


class Health:
    """The parts of one service. It tells facts that are known already: nothing that hangs can hold it up."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Take the parts; they count as well until `begin`, for they may not have been started."""
        self._parts = tuple(parts)
        self._watching = False

    def begin(self) -> None:
        """All parts run from now on."""
        for part in self._parts:
            part.pulse.beat()
        self._watching = True

    def rest(self) -> None:
        """The parts are about to be stopped on purpose: they count as well from now on."""
        self._watching = False

    def check(self) -> dict[str, str | None]:
        """Return the reason why each part does not answer, by its name; None for one that does."""
        return {part.name: part.reason() if self._watching else None for part in self._parts}

    def dead(self) -> tuple[str, ...]:
        """Return the names of the parts with threads that ended though nobody stopped them."""
        return tuple(part.name for part in self._parts if self._watching and not part.alive())


@dataclass(slots=True)
class Probe:
    """Asks something every `seconds` in a thread of its own, so that nothing else hangs; `pulse` beats at each answer.

    `ask` returns if there was an answer; a FeedsvcError that it raises is none.
    """

    name: str
    ask: Callable[[], None]
    seconds: float
    pulse: Pulse = field(default_factory=Pulse)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, name=f"probe {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question that hangs is not waited for."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    @property
    def alive(self) -> bool:
        """True while it asks."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self.ask()
            except FeedsvcError as error:
                if str(error) != said:
                    logger.warning("no answer", extra={"part": self.name, "reason": str(error)})
                said = str(error)
            else:
                self.pulse.beat()
                said = ""
            self._stopping.wait(self.seconds)


def show_thread(name: str) -> None:
    """Have the system know the calling thread by a name as well (`ps -T`, `top -H`; proc(5), comm); Linux only."""
    if sys.platform != "linux":
        return
    try:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name[:_NAME_CHARACTERS], "utf-8")
    except OSError as error:  # no /proc: only the name is missing
        logger.debug("thread has no name", extra={"name_of_thread": name, "reason": str(error)})
