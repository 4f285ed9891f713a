"""WebSub publishing against real servers: what hubs are told, when, and what comes of their troubles."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import Site, running
from waiting import wait_for

from feedsvc.errors import StoreError
from feedsvc.feeds.websub import _LONGEST_PAUSE, _LONGEST_RETRY_AFTER, Pinger, pause_after, retry_after
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
TOPIC, OTHER = "https://feeds.example.org/feed.atom", "https://feeds.example.org/feeds/x.rss"


class Memory:
    """What hubs have accepted, in place of the store."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.broken = False

    def load_announced(self, hub: str) -> dict[str, str]:
        return {topic: version for (known, topic), version in self.known.items() if known == hub}

    def save_announced(self, hub: str, topic: str, version: str) -> None:
        if self.broken:
            raise StoreError("disk full")
        self.known[hub, topic] = version


class Problems:
    """What stands, and all that was ever said."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        self.said: list[str] = []

    def __call__(self, key: str, message: str | None) -> None:
        if message is None:
            self.standing.pop(key, None)
        else:
            self.standing[key] = message
            self.said.append(message)


@pytest.fixture
def hub() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


def address(hub: Site) -> str:
    return f"http://127.0.0.1:{hub.port}/"


def told(hub: Site) -> list[str]:
    """The topics of the pings, in order."""
    return [dict(parse_qsl(body.decode()))["hub.url"] for _, _, body in list(hub.asked)]


@contextmanager
def pinging(
    *hubs: Site | str,
    memory: Memory | None = None,
    problems: Problems | None = None,
    first_pause: float = 0.01,
    deadline: float = 5.0,
    allow_private: bool = True,
) -> Iterator[Pinger]:
    pinger = Pinger(
        [hub if isinstance(hub, str) else address(hub) for hub in hubs],
        memory or Memory(),
        allow_private=allow_private,
        report=problems or Problems(),
        clock=lambda: NOW,
        chance=lambda: 1.0,
        deadline=deadline,
        first_pause=first_pause,
    )
    pinger.start()
    try:
        yield pinger
    finally:
        pinger.stop()


@pytest.mark.parametrize(
    ("failures", "chance", "asked", "seconds"),
    [
        (1, 0.0, None, 2.5),
        (1, 1.0, None, 5.0),
        (2, 1.0, None, 10.0),
        (4, 0.5, None, 30.0),
        (100, 1.0, None, _LONGEST_PAUSE),
        (100_000, 0.0, None, _LONGEST_PAUSE / 2),
        (1, 1.0, 120.0, 120.0),
        (1, 1.0, 1.0, 5.0),
        (1, 1.0, 1e12, _LONGEST_RETRY_AFTER),
    ],
)
def test_backoff(failures: int, chance: float, asked: float | None, seconds: float) -> None:
    assert pause_after(failures, chance, asked) == seconds


@given(st.integers(1, 100), st.floats(0, 1))
def test_pauses_grow_whatever_chance_says(failures: int, chance: float) -> None:
    assert pause_after(failures, 1.0) <= pause_after(failures + 1, chance) * 2
    assert 0 < pause_after(failures, chance) <= _LONGEST_PAUSE


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("9" * 5000, 999_999_999.0),
        ("Wed, 01 May 2024 12:01:30 GMT", 90.0),
        ("Wed, 01 May 2024 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Wed, 99 May 2024 12:01:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_a_hub_is_told(hub: Site) -> None:
    memory = Memory()
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "1", OTHER: "1"})
        wait_for(lambda: len(memory.known) == 2)
    assert told(hub) == [TOPIC, OTHER]
    form = parse_qsl(hub.asked[0][2].decode())
    assert form == [("hub.mode", "publish"), ("hub.url", TOPIC), ("hub.topic", TOPIC)]


def test_the_store_remembers_what_hubs_know(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/feedsvc.db"
    with closing(Store(url)) as store:
        for hub, topic, version in (("a", "x", "1"), ("a", "x", "2"), ("a", "y", "1"), ("b", "x", "3")):
            store.save_announced(hub, topic, version)
    with closing(Store(url)) as store:
        known = {hub: store.load_announced(hub) for hub in "abc"}
    assert known == {"a": {"x": "2", "y": "1"}, "b": {"x": "3"}, "c": {}}


def test_what_is_announced_before_it_runs_waits(hub: Site) -> None:
    memory = Memory()
    pinger = Pinger([address(hub)], memory, allow_private=True, report=Problems(), clock=lambda: NOW)
    pinger.announce({TOPIC: "1"})
    pinger.start()
    wait_for(lambda: memory.known)
    pinger.stop()


@pytest.mark.slow
def test_what_a_hub_knows_is_not_told_again(hub: Site) -> None:
    memory = Memory()
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: memory.known)
        pinger.announce({TOPIC: "1"})
        pinger.announce({OTHER: "1"})
        wait_for(lambda: len(memory.known) == 2)
    with pinging(hub, memory=memory) as pinger:  # after a restart
        pinger.announce({TOPIC: "1", OTHER: "2"})
        wait_for(lambda: memory.known[address(hub), OTHER] == "2")
    assert told(hub) == [TOPIC, OTHER, OTHER]


def test_what_waits_outlives_a_restart(hub: Site) -> None:
    hub.answer = 503, (), b""
    memory = Memory()
    with pinging(hub, memory=memory, first_pause=100) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: told(hub))
    assert not memory.known
    hub.answer = 204, (), b""
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "1"})  # as every start does
        wait_for(lambda: memory.known)


def test_a_newer_version_takes_the_place_of_an_older(hub: Site) -> None:
    memory, gate = Memory(), threading.Event()
    hub.gate = gate
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "0"})
        wait_for(lambda: told(hub))
        for version in range(1, 1000):
            pinger.announce({TOPIC: str(version), OTHER: str(version)})
        gate.set()
        wait_for(lambda: len(memory.known) == 2 and set(memory.known.values()) == {"999"})
    assert sorted(told(hub)) == [TOPIC, TOPIC, OTHER]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, (), b"oh"), "is in trouble: status 500"),
        ((503, (("Retry-After", "0"),), b""), "is in trouble: status 503"),
        ((429, (), b"slow down"), "does not take https://feeds.example.org/feed.atom: status 429 (slow down)"),
        ((408, (), b""), "status 408"),
    ],
)
def test_trouble_passes(hub: Site, answer: tuple[int, tuple[tuple[str, str], ...], bytes], said: str) -> None:
    hub.answer = answer
    memory, problems = Memory(), Problems()
    with pinging(hub, memory=memory, problems=problems) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: len(told(hub)) >= 3)
        assert said in problems.standing[f"websub:{address(hub)}"]
        assert problems.standing[f"websub:{address(hub)}"].endswith("it will be tried again")
        hub.answer = 202, (), b""
        wait_for(lambda: memory.known)
        wait_for(lambda: not problems.standing)
    number = len(told(hub))
    assert told(hub) == [TOPIC] * number


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (404, (), b"no such\n topic"),
            "does not take https://feeds.example.org/feed.atom: status 404 (no such topic)",
        ),
        ((400, (), b""), "does not take https://feeds.example.org/feed.atom: status 400;"),
        (
            (302, (("Location", "http://127.0.0.1:1/"),), b""),
            "on to http://127.0.0.1:1/; name the hub by its own address",
        ),
    ],
)
def test_mistakes_are_reported_and_not_repeated(
    hub: Site, answer: tuple[int, tuple[tuple[str, str], ...], bytes], said: str
) -> None:
    hub.answer = answer
    memory, problems = Memory(), Problems()
    with pinging(hub, memory=memory, problems=problems) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: problems.standing)
        assert said in problems.standing[f"websub:{address(hub)}"]
        hub.answer = 204, (), b""
        pinger.announce({OTHER: "1"})
        wait_for(lambda: memory.known)
        assert told(hub) == [TOPIC, OTHER]
        assert problems.standing  # of the first, which the hub still does not know
        pinger.announce({TOPIC: "2"})
        wait_for(lambda: not problems.standing)


@pytest.mark.slow
def test_a_hub_that_refuses_much_is_one_problem(hub: Site) -> None:
    hub.answer = 404, (), b""
    problems = Problems()
    with pinging(hub, problems=problems) as pinger:
        pinger.announce({f"https://feeds.example.org/feeds/{number}.atom": "1" for number in range(50)})
        wait_for(lambda: "(49 more like it)" in "".join(problems.standing.values()))
    assert list(problems.standing) == [f"websub:{address(hub)}"]


def test_retry_after_is_obeyed(hub: Site) -> None:
    hub.answer = 429, (("Retry-After", "86400"),), b""
    with pinging(hub) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: told(hub))
        before = time.monotonic()
        pinger.announce({TOPIC: "2"})
        pinger.stop()
        assert time.monotonic() - before < 5  # a pause of a day does not keep it from stopping
    assert told(hub) == [TOPIC]


@pytest.mark.slow
def test_pauses_double(hub: Site) -> None:
    hub.answer = 500, (), b""
    times: list[float] = []
    hub.heard = lambda: times.append(time.monotonic())
    with pinging(hub, first_pause=0.05) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: len(times) == 4)
    for number, (earlier, later) in enumerate(pairwise(times)):
        assert later - earlier >= 0.05 * 2**number


def test_one_topic_in_trouble_holds_no_other_up(hub: Site) -> None:
    hub.choose = lambda body: (500 if b"feed.atom" in body else 204, (), b"")
    memory = Memory()
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "1", OTHER: "1"})
        wait_for(lambda: memory.known)
    assert memory.known == {(address(hub), OTHER): "1"}


@pytest.mark.slow
def test_one_hub_in_trouble_holds_no_other_up(hub: Site) -> None:
    memory, problems = Memory(), Problems()
    with running(Site()) as slow:
        slow.gate = threading.Event()
        nobody, private = "http://127.0.0.9:9/", "http://127.0.0.1:9/"
        with pinging(slow, nobody, hub, private, memory=memory, problems=problems) as pinger:
            pinger.announce({TOPIC: "1"})
            wait_for(lambda: memory.known)
            assert list(memory.known) == [(address(hub), TOPIC)]
            wait_for(lambda: f"websub:{nobody}" in problems.standing)
        slow.gate.set()


def test_a_hub_that_never_answers_is_given_up_after_the_deadline(hub: Site) -> None:
    hub.gate = threading.Event()
    problems = Problems()
    with pinging(hub, problems=problems, deadline=0.1) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: problems.standing)
        assert "no answer within 0.1 s" in "".join(problems.said)
    hub.gate.set()


def test_a_private_hub_is_not_contacted_unless_it_may_be(hub: Site) -> None:
    problems = Problems()
    with pinging(hub, problems=problems, allow_private=False) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: problems.standing)
    assert "127.0.0.1 is at 127.0.0.1, which is no public address" in problems.said[0]
    assert told(hub) == []


def test_a_store_that_cannot_be_written_stops_nothing(hub: Site) -> None:
    memory = Memory()
    memory.broken = True
    with pinging(hub, memory=memory) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: told(hub))
        pinger.announce({TOPIC: "2"})
        wait_for(lambda: len(told(hub)) == 2)


def test_announcing_never_waits_and_never_fails(hub: Site) -> None:
    hub.gate = threading.Event()
    with pinging(hub) as pinger:
        before = time.monotonic()
        for _ in range(100):
            pinger.announce({f"https://feeds.example.org/feeds/{number}.atom": "1" for number in range(100)})
        assert time.monotonic() - before < 5
        hub.gate.set()
    pinger.announce({TOPIC: "1"})  # it has stopped
    pinger.stop()


def test_a_fault_of_its_own_is_reported(hub: Site) -> None:
    class Broken(Memory):
        def save_announced(self, hub: str, topic: str, version: str) -> None:
            raise ZeroDivisionError(hub, topic, version)

    problems = Problems()
    with pinging(hub, memory=Broken(), problems=problems) as pinger:
        pinger.announce({TOPIC: "1"})
        wait_for(lambda: problems.standing)
    assert "hubs are not told any more" in problems.standing["websub"]
