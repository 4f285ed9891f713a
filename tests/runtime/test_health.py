"""Beats, parts and probes, on real threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from waiting import wait_for

from feedsvc.errors import RequestError
from feedsvc.runtime.health import Health, Part, Probe, Pulse, show_thread

PATIENCE = 30.0


def silent(seconds: float) -> Pulse:
    pulse = Pulse()
    pulse.last -= seconds
    return pulse


def test_a_beat_ends_the_silence() -> None:
    pulse = silent(100)
    assert 100 <= pulse.age() < 200
    pulse.beat()
    assert 0 <= pulse.age() < 100


@pytest.mark.parametrize(
    ("silence", "alive", "fault", "reason"),
    [
        (0, True, None, None),
        (9, True, None, None),
        (11, True, None, "has not answered for 11 s"),
        (0, False, None, "has ended"),
        (11, False, "no", "has ended"),
        (0, True, "the job x has been running for 901 s", "the job x has been running for 901 s"),
        (11, True, "no", "has not answered for 11 s"),
    ],
)
def test_why_a_part_does_not_answer(silence: float, alive: bool, fault: str | None, reason: str | None) -> None:
    part = Part("watcher", silent(silence), 10, alive=lambda: alive, fault=lambda: fault)
    assert part.reason() == reason


def test_parts_count_from_begin_to_rest() -> None:
    ended, hung, well = silent(0), silent(0), silent(100)
    health = Health(
        (Part("ended", ended, 10, alive=lambda: False), Part("hung", hung, 10), Part("well", well, 10)),
    )
    fine = {"ended": None, "hung": None, "well": None}
    assert (health.check(), health.dead()) == (fine, ())
    health.begin()  # what was slow to start is given its time from now on
    hung.last -= 11
    assert health.check() == {"ended": "has ended", "hung": "has not answered for 11 s", "well": None}
    assert health.dead() == ("ended",)
    health.rest()
    assert (health.check(), health.dead()) == (fine, ())


def test_a_probe_beats_at_each_answer() -> None:
    probe = Probe("store", lambda: None, 0.001)
    assert not probe.alive
    probe.pulse.last -= 1000
    probe.start()
    wait_for(lambda: probe.pulse.age() < 1000)
    states = [probe.alive]
    probe.stop()
    states.append(probe.alive)
    assert states == [True, False]


def test_a_probe_without_answers_asks_on(caplog: pytest.LogCaptureFixture) -> None:
    asked = []
    well = threading.Event()

    def ask() -> None:
        asked.append(1)
        if not well.is_set():
            raise RequestError("refused")

    probe = Probe("server", ask, 0.001)
    probe.pulse.last -= 1000
    probe.start()
    wait_for(lambda: len(asked) > 3)
    assert probe.pulse.age() >= 1000
    assert [record.message for record in caplog.records] == ["no answer"]  # said once
    well.set()
    wait_for(lambda: probe.pulse.age() < 1000)
    probe.stop()


def test_a_probe_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.runtime.health._JOIN_SECONDS", 0.01)
    hanging, free = threading.Event(), threading.Event()

    def ask() -> None:
        hanging.set()
        free.wait(PATIENCE)

    probe = Probe("store", ask, 0.001)
    probe.start()
    assert hanging.wait(PATIENCE)
    health = Health((Part("store", probe.pulse, 10),))
    health.begin()
    probe.pulse.last -= 11
    assert health.check() == {"store": "has not answered for 11 s"}
    probe.stop()
    assert probe.alive
    free.set()
    wait_for(lambda: not probe.alive)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_thread_shows_its_name_to_the_system() -> None:
    shown: list[str] = []

    def run() -> None:
        show_thread("a name that is too long")
        shown.append(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/comm").read_text("utf-8"))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert shown == ["a name that is \n"]
