"""Passwords, and what is asked for them."""

from __future__ import annotations

import base64

import pytest

from feedsvc.http import access
from feedsvc.http.access import Access, Credentials, Restriction, hash_password, parse_credentials

HASHED = hash_password("秘密: word")


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


RIGHT = basic("reader", "秘密: word")


def make_credentials() -> Credentials:
    return parse_credentials(f"reader:{HASHED}")


def test_the_right_password() -> None:
    credentials = make_credentials()
    assert not credentials.knows(RIGHT)
    assert credentials.admits(RIGHT)
    assert credentials.knows(RIGHT)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Bearer token",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        basic("reader", "wrong"),
        basic("reader", ""),
        basic("Reader", "秘密: word"),
        basic("", "秘密: word"),
        RIGHT[:-1],
        "\udc00",
    ],
)
def test_anything_else(authorization: str) -> None:
    credentials = make_credentials()
    assert not credentials.admits(authorization)
    assert not credentials.knows(authorization)


def test_the_scheme_has_no_case() -> None:
    assert make_credentials().admits(RIGHT.replace("Basic", "bASIC"))


def test_what_was_right_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = make_credentials()
    assert credentials.admits(RIGHT)
    monkeypatch.setattr(access, "_scrypt", None)
    assert credentials.admits(RIGHT)


def test_credentials_of_its_own_knows_nothing() -> None:
    one, other = make_credentials(), make_credentials()
    assert one.admits(RIGHT)
    assert not other.knows(RIGHT)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_CACHED", 1)
    monkeypatch.setattr(access, "_scrypt", lambda _password, _salt: bytes.fromhex(HASHED[-64:]))
    credentials = make_credentials()
    other = RIGHT.replace("Basic", "basic")
    assert credentials.admits(RIGHT)
    assert credentials.admits(other)
    assert (credentials.knows(RIGHT), credentials.knows(other)) == (False, True)


def test_each_hash_has_salt_of_its_own() -> None:
    assert hash_password("a") != hash_password("a")


@pytest.mark.parametrize(
    "text",
    ["", "reader", "reader:secret", f":{HASHED}", HASHED, f"reader:{HASHED}0", f"reader:{HASHED.upper()}"],
    ids=["nothing", "no hash", "no hash but a password", "no user", "no colon", "longer", "capitals"],
)
def test_what_is_no_credentials(text: str) -> None:
    with pytest.raises(ValueError, match="feedsvc password"):
        parse_credentials(text)


def test_restrictions() -> None:
    everybody, reader = make_credentials(), make_credentials()
    assert Access(None, {}).credentials("/feed.atom") is None
    assert not Access(None, {}).is_private("/feed.atom")
    whole = Access(everybody, {})
    assert whole.credentials("/entries/k1") is everybody
    assert whole.is_private("/style.css")
    assert whole.credentials("/healthz") is whole.credentials("/readyz") is None
    restricted = Access(None, {"inner": Restriction(reader), "hidden": Restriction()})
    for path in ("/feeds/inner.atom", "/feeds/inner.rss", "/feeds/inner", "/feeds/inner/archive/3.atom"):
        assert restricted.credentials(path) is reader
        assert restricted.is_private(path)
    assert restricted.is_private("/feeds/hidden.json")
    assert restricted.credentials("/feeds/hidden.json") is None
    for path in ("/", "/feed.atom", "/feeds/inner2.atom", "/feeds/", "/entries/inner"):
        assert not restricted.is_private(path)
