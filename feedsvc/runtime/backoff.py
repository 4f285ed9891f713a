"""Pauses before something that failed is tried again."""

from __future__ import annotations

from typing import Final

__all__ = ["RETRY_SECONDS", "backoff"]

RETRY_SECONDS: Final = 1.0  # pause before the system or the store is asked again: nobody else is bothered by it
_MOST_DOUBLINGS: Final = 30  # 2.0 ** 1024 would overflow


def backoff(failures: int, *, first: float, longest: float) -> float:
    """Seconds to pause: `first`, doubled with each further failure up to `longest`.

    Args:
        failures: In a row, from 1.
        first: Seconds.
        longest: Seconds.
    """
    return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest)
