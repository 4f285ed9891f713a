"""Bytes become a Representation: hashed and compressed once, then served many times."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

from feedsvc.model import Representation

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["represent"]


def represent(
    body: bytes, media_type: str, *, last_modified: datetime | None, max_age: int, immutable: bool = False
) -> Representation:
    """Make everything that a response with this body needs.

    Args:
        body: The bytes as they are.
        media_type: The Content-Type field's value.
        last_modified: Aware; None where none is known.
        max_age: Seconds for which a cache may reuse the response.
        immutable: It will not change within `max_age`.

    Returns:
        The same Representation for the same arguments, in any process.
    """
    compressed = {"gzip": gzip.compress(body, 9, mtime=0)}
    return Representation(
        media_type=media_type,
        body=body,
        codings={coding: made for coding, made in compressed.items() if len(made) < len(body)},
        etag=hashlib.blake2b(body, digest_size=16).hexdigest(),
        last_modified=last_modified.replace(microsecond=0) if last_modified else None,
        max_age=max_age,
        immutable=immutable,
    )
