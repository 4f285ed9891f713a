from __future__ import annotations

import pytest

from feedsvc.http import rate
from feedsvc.http.rate import RateLimit

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
    monkeypatch.setattr(rate, "_CLIENTS", 10)
    limit = RateLimit(3)
    assert [limit.take(f"10.0.0.{number}", 0.0) for number in range(11)] == [0] * 11
    assert limit.take("10.0.0.10", 0.0) > 0  # the newest is known still
    assert limit.take("10.0.0.0", 0.0) == 0  # the one that was silent the longest is not


def test_what_is_no_address_is_a_client_too() -> None:
    limit = RateLimit(3)
    assert limit.take("unix:socket", 0.0) == 0
    assert limit.take("unix:socket", 0.0) > 0
