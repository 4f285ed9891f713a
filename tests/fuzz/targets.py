"""The targets by name, and their corpus."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CORPUS", "TARGETS", "Target", "load"]

CORPUS = Path(__file__).with_name("corpus")
"""A folder a target, a file an input."""

TARGETS = ("dump_files", "cleaning", "feed_formats", "http_bytes", "addresses")


class Target(Protocol):
    """A module of this package.

    Attributes:
        PIECES: What its inputs are made of.
    """

    PIECES: Sequence[bytes]

    def check(self, data: bytes) -> None:
        """Raise where something does not hold for these bytes."""


def load(name: str) -> Target:
    """Import a target: not before it is wanted, for a fuzzer hooks the import."""
    return cast("Target", import_module(f"fuzz.{name}"))
