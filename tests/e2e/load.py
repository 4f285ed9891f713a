"""A steady load of requests, each on a connection of its own, and what became of each."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from waiting import GENEROUS

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = 4
PAUSE = 0.02  # seconds that a client waits between two requests


class Fate(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"  # 200, and whole
    REFUSED = "refused"  # nobody listened
    DROPPED = "dropped"  # the connection ended before any answer
    BROKEN = "broken"  # the answer was cut off, or was another one


@dataclass
class Load:
    """Clients that ask for one path, again and again, from entering until leaving it.

    Attributes:
        port: Where they ask, on 127.0.0.1.
        enter: Called first in each client's thread.
    """

    port: int
    enter: Callable[[], None]
    path: str = "/feed.atom"
    fates: Counter[Fate] = field(default_factory=Counter)
    slowest: float = 0.0  # seconds from connecting to the end of an answer
    _ended: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _threads: list[Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [Thread(target=self._ask_on) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        counts = ", ".join(f"{self.fates[fate]} {fate}" for fate in Fate)
        return f"{counts}; the slowest answer took {self.slowest:.2f} s"

    def answered_since(self) -> Callable[[], bool]:
        """What tells whether each client could have had a whole answer to a request that it began after now."""
        goal = self.fates[Fate.ANSWERED] + 2 * CLIENTS
        return lambda: self.fates[Fate.ANSWERED] >= goal

    def _ask_on(self) -> None:
        self.enter()
        while not self._ended.wait(PAUSE):
            began = time.monotonic()
            fate = self._ask()
            with self._lock:
                self.fates[fate] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _ask(self) -> Fate:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GENEROUS)
        try:
            connection.request("GET", self.path, headers={"Connection": "close"})
            response = connection.getresponse()
        except ConnectionRefusedError:
            return Fate.REFUSED
        except (OSError, http.client.HTTPException):
            connection.close()
            return Fate.DROPPED
        try:
            body = response.read()
        except (OSError, http.client.HTTPException):  # IncompleteRead is one
            return Fate.BROKEN
        finally:
            connection.close()
        return Fate.ANSWERED if response.status == http.client.OK and body else Fate.BROKEN
