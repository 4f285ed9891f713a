"""Who may read: basic authentication (RFC 7617) against hashes, and private feeds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.http.addresses import feed_at

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPEN = ("/healthz", "/readyz")  # for monitoring
# 16 MiB and some 50 ms a try: too expensive to guess with, cheap enough for the one that is not cached.
_COST = {"n": 2**14, "r": 8, "p": 1}
_HASH = re.compile(r"scrypt\$([0-9a-f]{32})\$([0-9a-f]{64})")
_CACHED = 256  # credentials that were right lately


@dataclass(frozen=True, slots=True)
class Restriction:
    """Keeps a feed private: its `credentials` admit readers; None admits everybody who knows the feed's address."""

    credentials: Credentials | None = None


class Access:
    """Tells who may read an address."""

    def __init__(self, credentials: Credentials | None, restrictions: Mapping[str, Restriction]) -> None:
        """Restrict the whole site with credentials, and single feeds by their names."""
        self._credentials = credentials
        self._restrictions = restrictions

    def is_private(self, path: str) -> bool:
        """True for an address that is not for everybody."""
        return self._credentials is not None or self._restriction(path) is not None

    def credentials(self, path: str) -> Credentials | None:
        """The credentials that an address asks for; None if everybody who knows the address may read it."""
        if path in _OPEN:
            return None
        restriction = self._restriction(path)
        return restriction.credentials if restriction and restriction.credentials else self._credentials

    def _restriction(self, path: str) -> Restriction | None:
        feed = feed_at(path) if self._restrictions else None
        return self._restrictions.get(feed.name) if feed else None


class Credentials:
    """A user and the hash of a password (RFC 9110, section 11.4). Threads may share it."""

    def __init__(self, user: str, salt: bytes, digest: bytes) -> None:
        """See `parse_credentials`."""
        self._user = user
        self._salt = salt
        self._digest = digest
        self._key = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._hashing = threading.Lock()  # guesses wait for each other, not for all processors

    def knows(self, authorization: str) -> bool:
        """True if this Authorization field was right before. Never takes long."""
        return self._mark(authorization) in self._right

    def admits(self, authorization: str) -> bool:
        """True if this Authorization field is right. Takes the time of a hash unless it was right before."""
        if self.knows(authorization):
            return True
        found = _user_and_password(authorization)
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
    """Hash a password with a new salt, as the configuration keeps it: "scrypt$SALT$HASH"."""
    salt = os.urandom(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def parse_credentials(text: str) -> Credentials:
    """Read "USER:scrypt$SALT$HASH".

    Raises:
        ValueError: The text has another form; the message says how to make one.
    """
    user, _, hashed = text.partition(":")
    match = _HASH.fullmatch(hashed)
    if not user or match is None:
        raise ValueError('give a user and the hash of a password, "USER:scrypt$...", as `feedsvc password` makes it')
    return Credentials(user, bytes.fromhex(match[1]), bytes.fromhex(match[2]))


def _user_and_password(authorization: str) -> tuple[str, str] | None:
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
