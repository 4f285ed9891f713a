"""Who is an operator: by address, and never by what somebody else wrote into a field."""

from __future__ import annotations

import pytest

from feedsvc.http.operators import Operators

HERE, THERE, PROXY, SOMEBODY = "127.0.0.1", "10.0.0.5", "10.9.9.9", "192.0.2.7"


def admitted(peer: str | None, trusted: list[str], **fields: str) -> bool:
    operators = Operators(["127.0.0.1/32", "::1/128", f"{THERE}/32"], trusted)
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    client = None if peer is None else (peer, 4711)
    return operators.admit({"type": "http", "client": client, "headers": lines})


@pytest.mark.parametrize(
    ("peer", "expected"),
    [(HERE, True), ("::1", True), ("::ffff:127.0.0.1", True), (THERE, True), (SOMEBODY, False), (None, False)],
)
def test_direct_requests(peer: str | None, expected: bool) -> None:
    assert admitted(peer, []) is expected
    assert admitted(peer, [], host="feeds.example", user_agent="Prometheus/3") is expected


@pytest.mark.parametrize(
    "fields",
    [
        {"x_forwarded_for": HERE},
        {"x_forwarded_for": SOMEBODY},
        {"forwarded": "for=127.0.0.1"},
        {"forwarded": ""},
        {"x_real_ip": SOMEBODY},
        {"x_forwarded_host": "feeds.example"},
        {"via": "1.1 proxy"},
    ],
)
@pytest.mark.parametrize("peer", [HERE, THERE])
def test_what_an_unknown_proxy_hands_on_is_no_operators(peer: str, fields: dict[str, str]) -> None:
    assert not admitted(peer, [], **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"x_forwarded_for": THERE}, True),
        ({"forwarded": f"for={THERE}"}, True),
        ({"x_forwarded_for": f"{SOMEBODY}, {THERE}"}, True),
        ({"x_forwarded_for": SOMEBODY}, False),
        ({"x_forwarded_for": f"{THERE}, {SOMEBODY}"}, False),  # the first was written by the client
        ({"x_forwarded_for": f"127.0.0.1, {SOMEBODY}"}, False),
        ({"x_forwarded_for": PROXY}, False),
        ({"x_forwarded_for": HERE, "forwarded": f"for={HERE}"}, False),  # one of the two is the client's
        ({"x_forwarded_for": "nonsense"}, False),
        ({"x_forwarded_proto": "https"}, False),
    ],
)
@pytest.mark.parametrize("proxy", [HERE, PROXY])
def test_what_a_trusted_proxy_hands_on(proxy: str, fields: dict[str, str], expected: bool) -> None:
    assert admitted(proxy, [f"{HERE}/32", f"{PROXY}/32"], **fields) is expected


def test_networks_that_are_none() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Operators(["nonsense"], [])
