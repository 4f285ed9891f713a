"""Who may read: basic authentication (RFC 7617) against hashes, and feeds that are kept private."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from dataclasses import dataclass

__all__ = ["Account", "Guard", "hash_password", "parse_account"]

# 16 MiB and some 50 ms a try: too dear to guess by, cheap enough for the one that is not cached.
_COST = {"n": 2**14, "r": 8, "p": 1}
_HASH = re.compile(r"scrypt\$([0-9a-f]{32})\$([0-9a-f]{64})")
_CACHED = 256  # credentials that were right lately


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps a feed from the public.

    Attributes:
        account: Who may read it; None for everybody who knows its address.
    """

    account: Account | None = None


class Account:
    """A user and the hash of a password. Threads may use it together."""

    def __init__(self, user: str, salt: bytes, digest: bytes) -> None:
        """See `parse_account`."""
        self._user = user
        self._salt = salt
        self._digest = digest
        self._key = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._hashing = threading.Lock()  # guesses wait for each other, not for all processors

    def knows(self, authorization: str) -> bool:
        """Tell whether this field was right before; takes no time to speak of.

        Args:
            authorization: The Authorization field's value.
        """
        return self._mark(authorization) in self._right

    def admits(self, authorization: str) -> bool:
        """Tell whether this field is right; takes the time of a hash unless it was right before.

        Args:
            authorization: The Authorization field's value.
        """
        if self.knows(authorization):
            return True
        found = _credentials(authorization)
        user, password = found or ("", "")
        with self._hashing:
            same = hmac.compare_digest(_scrypt(password, self._salt), self._digest)
        if not (same and hmac.compare_digest(user.encode(), self._user.encode())) or found is None:
            return False
        if len(self._right) >= _CACHED:  # the same credentials in many spellings
            self._right.clear()
        self._right[self._mark(authorization)] = None
        return True

    def _mark(self, authorization: str) -> bytes:
        return hmac.digest(self._key, authorization.encode("latin-1", "replace"), "sha256")


def hash_password(password: str) -> str:
    """Hash a password with a salt of its own.

    Returns:
        What the configuration keeps: "scrypt$SALT$HASH".
    """
    salt = os.urandom(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def parse_account(text: str) -> Account:
    """Read "USER:scrypt$SALT$HASH".

    Raises:
        ValueError: It is something else; says how to make one.
    """
    user, _, hashed = text.partition(":")
    match = _HASH.fullmatch(hashed)
    if not user or match is None:
        raise ValueError('give a user and the hash of a password, "USER:scrypt$...", as `feedsvc password` makes it')
    return Account(user, bytes.fromhex(match[1]), bytes.fromhex(match[2]))


def _credentials(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (user, password) if colon else None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, dklen=32, maxmem=2**26, **_COST)
