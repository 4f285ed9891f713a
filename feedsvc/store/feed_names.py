"""The names of feeds in addresses."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

FEED_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_LONGEST: Final = 40  # characters of a source's own that are kept
_DIGITS: Final = 6  # of the fingerprint, where one is needed
_WORD: Final = re.compile("[a-z0-9]+")


def name_source(source: str, taken: Collection[str]) -> str:
    """Name the feed of a source.

    That is its ASCII letters and digits, in lower case: "bbc-news" for "BBC News". If other letters were lost, or
    the name is among `taken`, a fingerprint of the source is added: "cna-k5w3qf" for "(臺)中央社CNA".

    Returns:
        Lower-case letters, digits and hyphens, at most 64 characters; not one of `taken`, and not "feed".
    """
    folded = unicodedata.normalize("NFKD", source).casefold()
    kept = "-".join(_WORD.findall(folded))[:_LONGEST].strip("-")
    lost = any(character.isalnum() and not character.isascii() for character in folded)
    fingerprint = base64.b32encode(hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()).decode().lower()
    if kept and not lost and kept != "feed" and len(kept) < _LONGEST and kept not in taken:
        return kept
    for digits in range(_DIGITS, len(fingerprint)):  # a longer one where even that is taken
        name = "-".join(filter(None, (kept, fingerprint[:digits].strip("="))))[:64]
        if name not in taken:
            return name
    raise ValueError(f"no name is left for the feed of {source!r}")
