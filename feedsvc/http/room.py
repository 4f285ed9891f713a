"""How many connections may be open at once, and which make place for another.

Slow clients must not take the place of others, so a connection that comes is never turned away for those that only
wait: of them, the longest waiting end, first those of addresses that hold the most.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Held", "choose_to_end", "count_room"]

MOST_CONNECTIONS = 4096
_MOST_FILES = 65_536  # more than that is of no use, and some systems allow a thousand million
_OTHER_FILES = 256  # for the store, the watched folders, processes that clean
_FEWEST = 16


class Held(NamedTuple):
    """A connection that only waits.

    Attributes:
        address: The client's.
        since: When it began to wait; seconds of any clock.
        connection: Whatever stands for it.
    """

    address: str
    since: float
    connection: object


def count_room(most: int = MOST_CONNECTIONS) -> int:
    """Let this process open as many files as it may (RLIMIT_NOFILE, getrlimit(2)), and count what is for connections.

    Args:
        most: Where files are no bound.

    Returns:
        How many connections may be open at once.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft not in {resource.RLIM_INFINITY, wanted} and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return most if soft == resource.RLIM_INFINITY else max(min(most, soft - _OTHER_FILES), _FEWEST)


def choose_to_end(held: Iterable[Held], number: int) -> list[Held]:
    """Choose connections that make place for others.

    Args:
        held: All that only wait.
        number: How many are to end, at most.

    Returns:
        First those of the address that has the most, down to as many as the next one has, and so on; of one address,
        and of addresses that have as many, those first that have waited longest.
    """
    by_address: defaultdict[str, list[Held]] = defaultdict(list)
    for one in sorted(held, key=lambda one: one.since, reverse=True):
        by_address[one.address].append(one)
    ranked = [(rank, one) for those in by_address.values() for rank, one in enumerate(those)]
    ranked.sort(key=lambda pair: (-pair[0], pair[1].since))
    return [one for _, one in ranked[:number]]
