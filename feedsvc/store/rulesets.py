"""The rules that the store was cleaned with, and the dumps that other rules may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SavedRules:
    """The rules, as JSON values, that a version of feedsvc used; `digest` is the `cleaner` of its entries."""

    digest: str
    version: str
    rules: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RawDump:
    """The data that decide if a rule may change an entry: its time in seconds since 1970, its dump's bytes by zlib."""

    number: int
    published: int
    link: str | None
    source: str | None
    raw: bytes
