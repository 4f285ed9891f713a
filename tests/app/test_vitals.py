"""A service's parts as they are seen: the store and the server are real ones, the loops do not run."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from articles import NOW, make_article, save_dump
from waiting import wait_for

from feedsvc.app import vitals as module
from feedsvc.app.vitals import Vitals
from feedsvc.errors import StoreError
from feedsvc.http import Server, bind
from feedsvc.intake.queue import Intake
from feedsvc.runtime.schedule import Regenerator, Schedule
from feedsvc.runtime.supervisor import Summary
from feedsvc.store import Store
from feedsvc.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


async def answer(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Place:
    """The parts, and what looks at them."""

    def __init__(self, folder: Path) -> None:
        self.reports: list[tuple[str, str | None]] = []
        self.store = Store(f"sqlite:///{folder}/feedsvc.db")
        self.schedule = Schedule(self.report, lambda: datetime.now(UTC))
        self.regenerator = Regenerator(self.schedule, "regenerate", timedelta(0), lambda: None)
        self.intake = Intake(None, changed=self.regenerator.request, report=self.report)  # type: ignore[arg-type]  # not used
        self.watcher = Watcher(
            [folder], recursive=True, polling=False, settle=1, deliver=self.intake.deliver, report=self.report
        )
        self.listener = bind("127.0.0.1:0")
        self.server = Server(self.listener.dup())
        self.vitals = Vitals(
            watcher=self.watcher,
            intake=self.intake,
            schedule=self.schedule,
            regenerator=self.regenerator,
            store=self.store,
            server=self.server,
            address="http://{}:{}".format(*self.listener.getsockname()),
            regenerate=10.0,
            report=self.report,
        )

    def report(self, key: str, message: str | None) -> None:
        self.reports.append((key, message))

    def close(self) -> None:
        self.vitals.rest()
        self.server.stop(1)
        self.listener.close()
        self.store.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(module, "_PROBE_SECONDS", 0.01)
    with closing(Place(tmp_path)) as made:
        yield made


def test_what_does_not_run_has_ended(place: Place) -> None:
    place.server.start(answer)
    place.vitals.begin()
    assert place.vitals.health.check() == {
        "watcher": "has ended",
        "intake": "has ended",
        "schedule": "has ended",
        "store": None,
        "server": None,
    }


def test_store_and_server_are_asked_all_the_time(place: Place) -> None:
    save_dump(place.store, *(make_article(number) for number in range(3)))
    with place.store.writing() as writer:
        writer.save_problem("x", "is wrong", NOW)
    place.server.start(answer)
    place.vitals.begin()
    pulses = place.vitals._reading.pulse, place.vitals._asking.pulse  # noqa: SLF001 - what is looked at
    for pulse in pulses:
        pulse.last -= 1000
    wait_for(lambda: all(pulse.age() < 1000 for pulse in pulses))  # 503 is an answer
    wait_for(lambda: place.vitals.summarise(2) == Summary(2, 3, 1, None))


def test_a_server_that_takes_no_connection_does_not_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, closing(Store("sqlite://")) as store:
        vitals = Vitals(
            watcher=place.watcher,
            intake=place.intake,
            schedule=place.schedule,
            regenerator=place.regenerator,
            store=store,
            server=place.server,
            address="http://{}:{}".format(*silent.getsockname()),
            regenerate=10.0,
            report=place.report,
        )
        place.server.start(answer)
        vitals.begin()
        wait_for(lambda: (vitals.health.check()["server"] or "").startswith("has not answered for "))
        vitals.rest()


def test_a_store_that_refuses_answers_and_is_reported(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = True
    load = place.store.load_problems

    def load_problems() -> Any:  # noqa: ANN401 - the store's
        if refusing:
            raise StoreError("disk I/O error")
        return load()

    monkeypatch.setattr(place.store, "load_problems", load_problems)
    place.server.start(answer)
    place.vitals.begin()
    pulse = place.vitals._reading.pulse  # noqa: SLF001 - what is looked at
    wait_for(lambda: ("store:read", "disk I/O error") in place.reports)
    pulse.last -= 1000
    wait_for(lambda: pulse.age() < 1000)
    refusing = False
    wait_for(lambda: place.reports[-1] == ("store:read", None))
    reports = len(place.reports)
    pulse.last -= 1000
    wait_for(lambda: pulse.age() < 1000)
    assert len(place.reports) == reports  # nobody waits for the problems while all is well


@pytest.mark.parametrize(
    ("refused", "waiting", "fresh"),
    [(None, 0, True), (59, 0, True), (61, 0, False), (None, 69, True), (None, 71, False)],
)
def test_fresh_is_what_has_not_waited_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch, refused: float | None, waiting: float, fresh: bool
) -> None:
    place.intake.refused_since = None if refused is None else time.monotonic() - refused
    monkeypatch.setattr(place.regenerator, "waiting", lambda: waiting)
    assert place.vitals.fresh is fresh
