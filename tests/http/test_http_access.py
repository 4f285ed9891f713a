"""Passwords, and what is asked for them."""

from __future__ import annotations

import base64

import pytest

from feedsvc.http import access
from feedsvc.http.access import Account, Guard, hash_password, parse_account
from feedsvc.http.front import Access

HASHED = hash_password("秘密: word")


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


RIGHT = basic("reader", "秘密: word")


def make_account() -> Account:
    return parse_account(f"reader:{HASHED}")


def test_the_right_password() -> None:
    account = make_account()
    assert not account.knows(RIGHT)
    assert account.admits(RIGHT)
    assert account.knows(RIGHT)


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
    account = make_account()
    assert not account.admits(authorization)
    assert not account.knows(authorization)


def test_the_scheme_has_no_case() -> None:
    assert make_account().admits(RIGHT.replace("Basic", "bASIC"))


def test_what_was_right_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account()
    assert account.admits(RIGHT)
    monkeypatch.setattr(access, "_scrypt", None)
    assert account.admits(RIGHT)


def test_an_account_of_its_own_knows_nothing() -> None:
    one, other = make_account(), make_account()
    assert one.admits(RIGHT)
    assert not other.knows(RIGHT)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_CACHED", 1)
    monkeypatch.setattr(access, "_scrypt", lambda _password, _salt: bytes.fromhex(HASHED[-64:]))
    account = make_account()
    other = RIGHT.replace("Basic", "basic")
    assert account.admits(RIGHT)
    assert account.admits(other)
    assert (account.knows(RIGHT), account.knows(other)) == (False, True)


def test_each_hash_has_salt_of_its_own() -> None:
    assert hash_password("a") != hash_password("a")


@pytest.mark.parametrize(
    "text",
    ["", "reader", "reader:secret", f":{HASHED}", HASHED, f"reader:{HASHED}0", f"reader:{HASHED.upper()}"],
    ids=["nothing", "no hash", "no hash but a password", "no user", "no colon", "longer", "capitals"],
)
def test_what_is_no_account(text: str) -> None:
    with pytest.raises(ValueError, match="feedsvc password"):
        parse_account(text)


def test_guards() -> None:
    everybody, reader = make_account(), make_account()
    assert Access(None, {}).account("/feed.atom") is None
    assert not Access(None, {}).is_private("/feed.atom")
    whole = Access(everybody, {})
    assert whole.account("/entries/k1") is everybody
    assert whole.is_private("/style.css")
    assert whole.account("/healthz") is whole.account("/readyz") is None
    guarded = Access(None, {"inner": Guard(reader), "hidden": Guard()})
    for path in ("/feeds/inner.atom", "/feeds/inner.rss", "/feeds/inner", "/feeds/inner/archive/3.atom"):
        assert guarded.account(path) is reader
        assert guarded.is_private(path)
    assert guarded.is_private("/feeds/hidden.json")
    assert guarded.account("/feeds/hidden.json") is None
    for path in ("/", "/feed.atom", "/feeds/inner2.atom", "/feeds/", "/entries/inner"):
        assert not guarded.is_private(path)
