"""Whose word on the client counts, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.http.proxies import Client, Proxies, parse_forwarded

PROXIES = Proxies(["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"])
NEAR, FAR, SOMEBODY = "127.0.0.1", "10.1.2.3", "192.0.2.7"


@pytest.mark.parametrize(
    ("peer", "fields", "expected"),
    [
        pytest.param(SOMEBODY, {"x-forwarded-for": "198.51.100.1"}, Client(SOMEBODY), id="anybody is not believed"),
        pytest.param(
            SOMEBODY, {"forwarded": "for=198.51.100.1;host=evil;proto=https"}, Client(SOMEBODY), id="nor by RFC 7239"
        ),
        pytest.param(NEAR, {}, Client(NEAR), id="a proxy that says nothing"),
        pytest.param(NEAR, {"x-forwarded-for": SOMEBODY}, Client(SOMEBODY), id="for"),
        pytest.param(NEAR, {"forwarded": f"for={SOMEBODY}"}, Client(SOMEBODY), id="Forwarded for"),
        pytest.param(
            NEAR,
            {"x-forwarded-for": SOMEBODY, "x-forwarded-proto": "https", "x-forwarded-host": "feeds.example"},
            Client(SOMEBODY, "https", "feeds.example"),
            id="for, proto and host",
        ),
        pytest.param(
            NEAR,
            {"forwarded": f'For="{SOMEBODY}:4711"; Proto=HTTPS; host="feeds.example:8443"'},
            Client(SOMEBODY, "https", "feeds.example:8443"),
            id="Forwarded in all its forms",
        ),
        pytest.param(
            NEAR, {"x-forwarded-proto": "https"}, Client(NEAR, "https"), id="a proxy that does not say for whom"
        ),
        pytest.param(NEAR, {"x-forwarded-for": f"6.6.6.6, {SOMEBODY}"}, Client(SOMEBODY), id="what a client made up"),
        pytest.param(NEAR, {"forwarded": f"for=6.6.6.6, for={SOMEBODY}"}, Client(SOMEBODY), id="made up, Forwarded"),
        pytest.param(NEAR, {"x-forwarded-for": f"6.6.6.6, {SOMEBODY}, {FAR}"}, Client(SOMEBODY), id="two proxies"),
        pytest.param(
            NEAR,
            {"forwarded": f"for={SOMEBODY};proto=https;host=a, for={FAR};proto=http;host=b"},
            Client(SOMEBODY, "https", "a"),
            id="two proxies: the outer one heard the client",
        ),
        pytest.param(
            NEAR,
            {"forwarded": f"for={SOMEBODY}, for={FAR};proto=https;host=b"},
            Client(SOMEBODY, "https", "b"),
            id="two proxies: only the inner one tells",
        ),
        pytest.param(
            NEAR, {"x-forwarded-for": FAR, "x-forwarded-proto": "http, https"}, Client(FAR, "https"), id="last proto"
        ),
        pytest.param(
            NEAR,
            {"forwarded": f"for={SOMEBODY}", "x-forwarded-for": "6.6.6.6"},
            Client(NEAR),
            id="both kinds: one is the client's",
        ),
        pytest.param(
            NEAR, {"forwarded": "host=evil", "x-forwarded-host": "feeds.example"}, Client(NEAR), id="both kinds of host"
        ),
        pytest.param(NEAR, {"forwarded": "for=unknown"}, Client(NEAR), id="unknown"),
        pytest.param(NEAR, {"forwarded": "for=_hidden;proto=https"}, Client(NEAR, "https"), id="a name of its own"),
        pytest.param(NEAR, {"forwarded": 'for="[2001:db8::1]:80"'}, Client("2001:db8::1"), id="IPv6"),
        pytest.param(NEAR, {"x-forwarded-for": "2001:db8::1"}, Client("2001:db8::1"), id="IPv6, bare"),
        pytest.param(NEAR, {"x-forwarded-for": f"{SOMEBODY}:4711"}, Client(SOMEBODY), id="with a port"),
        pytest.param(NEAR, {"x-forwarded-proto": "gopher"}, Client(NEAR), id="no scheme of ours"),
        pytest.param(NEAR, {"forwarded": "for=a b"}, Client(NEAR), id="malformed"),
        pytest.param(NEAR, {"forwarded": "for=1.1.1.1;for=2.2.2.2"}, Client(NEAR), id="twice"),
        pytest.param(NEAR, {"x-forwarded-for": ", ".join(["1.1.1.1"] * 33)}, Client(NEAR), id="too many"),
        pytest.param("::ffff:127.0.0.1", {"x-forwarded-for": SOMEBODY}, Client(SOMEBODY), id="mapped IPv4"),
        pytest.param("fd00::1", {"x-forwarded-for": SOMEBODY}, Client(SOMEBODY), id="trusted IPv6"),
        pytest.param("", {"x-forwarded-for": SOMEBODY}, Client(""), id="no peer at all"),
    ],
)
def test_resolve(peer: str, fields: dict[str, str], expected: Client) -> None:
    assert PROXIES.resolve(peer, fields) == expected


def test_nobody_is_trusted_unless_said() -> None:
    assert not Proxies()
    assert Proxies().resolve(NEAR, {"x-forwarded-for": SOMEBODY}) == Client(NEAR)


@pytest.mark.parametrize("network", ["localhost", "127.0.0.1/33", "10.1.2.3/8", ""])
def test_no_network(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits|address"):
        Proxies([network])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('for="a\\"b"', [{"for": 'a"b'}]),
        ("for=a;;by=b", [{"for": "a", "by": "b"}]),
        (", for=a ,, for=b", [{"for": "a"}, {"for": "b"}]),
        ("", []),
        ("for", []),
        ("for=", []),
        ('for="a', []),
        ("for=a by=b", []),
        ("=a", []),
    ],
)
def test_parse_forwarded(value: str, expected: list[dict[str, str]]) -> None:
    assert parse_forwarded(value) == expected


@given(st.text(alphabet='for=;,"\\ [:]1.a', max_size=80))
def test_hostile_fields_do_no_harm(value: str) -> None:
    assert isinstance(parse_forwarded(value), list)
    for name in ("forwarded", "x-forwarded-for"):
        assert PROXIES.resolve(NEAR, {name: value}).address
