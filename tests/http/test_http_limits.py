from __future__ import annotations

import subprocess
import sys

import pytest

from feedsvc.http import limits
from feedsvc.http.limits import MOST_CONNECTIONS, Held, RateLimit, choose_to_end


@pytest.mark.parametrize(
    ("held", "number", "ended"),
    [
        ("", 3, ""),
        ("a1", 0, ""),
        ("a1 a2 a3", 2, "a1 a2"),
        ("a3 a1 a2", 1, "a1"),
        ("a1 b2 c3", 2, "a1 b2"),
        ("a1 b2 b3", 1, "b2"),  # b has more, though a waits longer
        ("a1 b2 b3", 2, "b2 a1"),  # then both have as many
        ("a1 b5 b6 b7 c2 c3", 3, "b5 c2 b6"),
        ("a1 a2", 9, "a1 a2"),
    ],
)
def test_who_makes_room(held: str, number: int, ended: str) -> None:
    found = choose_to_end([Held(name[0], float(name[1]), name) for name in held.split()], number)
    assert " ".join(str(one.connection) for one in found) == ended


COUNT = """
import resource, sys
from feedsvc.http.limits import count_room
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(count_room(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (100, 100, 16, 100),
        (100, 1000, 744, 1000),
        (1000, 1000, 744, 1000),
        (256, 8192, MOST_CONNECTIONS, 8192),
    ],
)
def test_room_is_what_files_leave(soft: int, hard: int, room: int, raised: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(soft), str(hard)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(room), str(raised), str(hard)]


ONE, OTHER = "192.0.2.1", "192.0.2.2"


def allowed(limit: RateLimit, address: str, now: float, tries: int = 1000) -> int:
    return sum(limit.take(address, now) == 0 for _ in range(tries))


def test_a_third_of_a_minutes_requests_may_come_at_once() -> None:
    assert allowed(RateLimit(60), ONE, 0.0) == 20


def test_one_at_least() -> None:
    assert allowed(RateLimit(1), ONE, 0.0) == 1


def test_over_a_minute_it_is_the_rate() -> None:
    limit = RateLimit(60)
    assert allowed(limit, ONE, 0.0) == 20
    assert sum(allowed(limit, ONE, float(second), 5) for second in range(1, 61)) == 60


def test_tokens_do_not_gather_for_ever() -> None:
    limit = RateLimit(60)
    allowed(limit, ONE, 0.0)
    assert allowed(limit, ONE, 1e6) == 20


def test_who_waits_as_long_as_told_is_answered() -> None:
    limit = RateLimit(6)
    allowed(limit, ONE, 0.0)
    seconds = limit.take(ONE, 0.0)
    assert 0 < seconds <= 10
    assert limit.take(ONE, 0.0 + seconds) == 0


def test_clients_do_not_share() -> None:
    limit = RateLimit(60)
    allowed(limit, ONE, 0.0)
    assert allowed(limit, OTHER, 0.0) == 20


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),  # one network's
        ("::ffff:192.0.2.1", ONE),
    ],
)
def test_addresses_of_one_client(address: str, same: str) -> None:
    limit = RateLimit(60)
    allowed(limit, address, 0.0)
    assert limit.take(same, 0.0) > 0


def test_networks_do_not_share() -> None:
    limit = RateLimit(60)
    allowed(limit, "2001:db8:1:2::1", 0.0)
    assert limit.take("2001:db8:1:3::1", 0.0) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_CLIENTS", 10)
    limit = RateLimit(3)
    assert [limit.take(f"10.0.0.{number}", 0.0) for number in range(11)] == [0] * 11
    assert limit.take("10.0.0.10", 0.0) > 0  # the newest is known still
    assert limit.take("10.0.0.0", 0.0) == 0  # the one that was silent the longest is not


def test_what_is_no_address_is_a_client_too() -> None:
    limit = RateLimit(3)
    assert limit.take("unix:socket", 0.0) == 0
    assert limit.take("unix:socket", 0.0) > 0
