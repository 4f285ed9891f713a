"""Whether a service answers, how fresh its feed is, and what there is to say of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from feedsvc.errors import StoreError
from feedsvc.runtime.health import Health, Part, Probe
from feedsvc.runtime.outgoing import Asker
from feedsvc.runtime.supervisor import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedsvc.http import Server
    from feedsvc.intake.queue import Intake
    from feedsvc.runtime.schedule import Regenerator, Schedule
    from feedsvc.store import Store
    from feedsvc.watch import Watcher

__all__ = ["Vitals"]

STALE_SECONDS = 60.0  # for which something may wait, past its time, to be stored or published
SILENT_SECONDS = 15.0  # for which a part may give no sign of life
# A dump may take as long as cleaning may, and a transaction waits for that of another process for half a minute.
INTAKE_SECONDS = 75.0
PROBE_SECONDS = 3.0  # between two questions to store and server
ANSWER_SECONDS = 5.0  # for each step of an answer of the server
COUNT_SECONDS = 15.0  # between two counts of entries


class Vitals:
    """Looks at the parts of a service: loops beat, and store and server are asked, each in a thread of its own.

    Attributes:
        health: Tells which parts do not answer; it never waits.
    """

    def __init__(
        self,
        *,
        watcher: Watcher,
        intake: Intake,
        schedule: Schedule,
        regenerator: Regenerator,
        store: Store,
        server: Server,
        address: str,
        regenerate: float,
        report: Callable[[str, str | None], None],
    ) -> None:
        """Look at nothing yet.

        Args:
            watcher: One of the parts, as are the next, `store` and `server`.
            intake: See above.
            schedule: See above.
            regenerator: Knows how long a change waits to be published.
            store: See above.
            server: See above.
            address: Where the server is reached, such as "http://127.0.0.1:8080".
            regenerate: Seconds that a change may have to wait for the next regeneration.
            report: Told of a store that cannot be read, as ("store:read", message), and with None once it can be.
        """
        self._intake = intake
        self._regenerator = regenerator
        self._store = store
        self._regenerate = regenerate
        self._report = report
        self._entries = self._problems = 0
        self._counted_at: float | None = None
        self._refused = False
        self._asker = Asker(f"{address}/healthz", seconds=ANSWER_SECONDS)
        self._reading = Probe("store", self._read_store, PROBE_SECONDS)
        self._asking = Probe("server", self._ask_server, PROBE_SECONDS)
        self.health = Health(
            (
                Part("watcher", watcher.pulse, SILENT_SECONDS, alive=lambda: watcher.alive),
                Part("intake", intake.pulse, INTAKE_SECONDS, alive=lambda: intake.alive),
                Part("schedule", schedule.pulse, SILENT_SECONDS, alive=lambda: schedule.alive, fault=schedule.overdue),
                Part("store", self._reading.pulse, SILENT_SECONDS, alive=lambda: self._reading.alive),
                Part(
                    "server",
                    self._asking.pulse,
                    SILENT_SECONDS,
                    alive=lambda: server.alive and self._asking.alive,
                ),
            )
        )

    def begin(self) -> None:
        """All parts run from now on."""
        self._read_store()  # so that the first STATUS line knows
        self._reading.start()
        self._asking.start()
        self.health.begin()

    def rest(self) -> None:
        """The parts are about to be stopped on purpose."""
        self.health.rest()
        self._reading.stop()
        self._asking.stop()
        self._asker.close()

    @property
    def fresh(self) -> bool:
        """Whether nothing has waited for longer than `STALE_SECONDS` past its time.

        That is: no dump has been refused by the store for so long, and no change in the store has waited for so long,
        and the interval of regenerating, to be published, be it that rendering fails or that it takes its time. Dumps
        that the queue holds while others are taken in do not count: they are served as they are done.
        """
        refused = self._intake.refused_since
        if refused is not None and time.monotonic() - refused > STALE_SECONDS:
            return False
        return self._regenerator.waiting() <= self._regenerate + STALE_SECONDS

    def summarise(self, feeds: int) -> Summary:
        """What the STATUS line says, as far as it is known: nothing is read."""
        return Summary(feeds, self._entries, self._problems, self._intake.last_dump)

    def _read_store(self) -> None:
        """Read a little; that the store refuses is an answer as well, and a restart would not make it give another."""
        try:
            self._problems = len(self._store.load_problems())
            now = time.monotonic()
            if self._counted_at is None or now - self._counted_at > COUNT_SECONDS:
                self._entries, self._counted_at = self._store.count_entries(), now
        except StoreError as error:
            self._reading.pulse.beat()  # the report may take its time
            self._refused = True
            self._report("store:read", str(error))
        else:
            if self._refused:  # or this would wait for whoever else reports while the store is locked
                self._refused = False
                self._report("store:read", None)

    def _ask_server(self) -> None:
        self._asker.ask()  # whatever it answers, 429 and 503 among it, it does answer
