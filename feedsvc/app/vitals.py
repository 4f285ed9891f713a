"""The health of a service: its parts, the freshness of its feed, its STATUS line."""

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

_STALE_SECONDS = 60.0  # that a change may be late in the store or the feed
_SILENT_SECONDS = 15.0  # between two signs of life of a part
# A dump may take as long as cleaning may, and a transaction waits half a minute for another process.
_INTAKE_SECONDS = 75.0
_PROBE_SECONDS = 3.0  # between two questions to store and server
_ANSWER_SECONDS = 5.0  # for each step of an answer of the server
_COUNT_SECONDS = 15.0  # between two counts of entries


class Vitals:
    """Watches the parts of a service: loops beat, and store and server are asked, each by a thread of its own.

    `health` tells the parts that do not answer; it never waits.
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
        """Take the parts; `begin` starts to watch them.

        A change may wait `regenerate` seconds for the next regeneration. `report` is told of a store that cannot be
        read, as ("store:read", message), and with None once it can be.
        """
        self._intake = intake
        self._regenerator = regenerator
        self._store = store
        self._regenerate = regenerate
        self._report = report
        self._entries = self._problems = 0
        self._counted_at: float | None = None
        self._refused = False
        self._asker = Asker(f"{address}/healthz", seconds=_ANSWER_SECONDS)
        self._reading = Probe("store", self._read_store, _PROBE_SECONDS)
        self._asking = Probe("server", self._ask_server, _PROBE_SECONDS)
        self.health = Health(
            (
                Part("watcher", watcher.pulse, _SILENT_SECONDS, alive=lambda: watcher.alive),
                Part("intake", intake.pulse, _INTAKE_SECONDS, alive=lambda: intake.alive),
                Part("schedule", schedule.pulse, _SILENT_SECONDS, alive=lambda: schedule.alive, fault=schedule.overdue),
                Part("store", self._reading.pulse, _SILENT_SECONDS, alive=lambda: self._reading.alive),
                Part("server", self._asking.pulse, _SILENT_SECONDS, lambda: server.alive and self._asking.alive),
            )
        )

    def begin(self) -> None:
        """Start to watch: all parts run from now on."""
        self._read_store()  # so that the first STATUS line knows
        self._reading.start()
        self._asking.start()
        self.health.begin()

    def rest(self) -> None:
        """Watch no more: the parts are stopped on purpose."""
        self.health.rest()
        self._reading.stop()
        self._asking.stop()
        self._asker.close()

    @property
    def fresh(self) -> bool:
        """False if the store has refused dumps, or a change has waited to be published, for too long.

        The queue does not count: its dumps are served as they are done.
        """
        refused = self._intake.refused_since
        if refused is not None and time.monotonic() - refused > _STALE_SECONDS:
            return False
        return self._regenerator.waiting() <= self._regenerate + _STALE_SECONDS

    def summarise(self, feeds: int) -> Summary:
        """Return the STATUS line's facts from memory."""
        return Summary(feeds, self._entries, self._problems, self._intake.last_dump)

    def _read_store(self) -> None:
        """Read a little. A refusal is an answer too: a restart would not help."""
        try:
            self._problems = len(self._store.load_problems())
            now = time.monotonic()
            if self._counted_at is None or now - self._counted_at > _COUNT_SECONDS:
                self._entries, self._counted_at = self._store.count_entries(), now
        except StoreError as error:
            self._reading.pulse.beat()  # the report may take its time
            self._refused = True
            self._report("store:read", str(error))
        else:
            if self._refused:  # a report may wait for the store
                self._refused = False
                self._report("store:read", None)

    def _ask_server(self) -> None:
        self._asker.ask()  # any answer will do, 429 and 503 included
