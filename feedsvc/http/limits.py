"""Limits on clients: requests a minute for each, and connections for all.

Slow clients must not take the place of others: see `choose_to_end`.
"""

from __future__ import annotations

import math
import resource
from collections import OrderedDict, defaultdict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_CONNECTIONS = 4096
_MOST_FILES = 65_536  # more are of no use, and some systems allow a thousand million
_OTHER_FILES = 256  # for the store, the watched folders, processes that clean
_FEWEST = 16
_CLIENTS = 8192  # remembered; beyond, the longest silent one is forgotten
_PREFIX = 64  # bits of an IPv6 address that stand for one client


class RateLimit:
    """A token bucket for each client (429, RFC 6585), in bounded memory. Used by one thread."""

    def __init__(self, per_minute: int) -> None:
        """Allow a client more than 0 requests a minute; a third of them may come at once."""
        self._rate = per_minute / 60  # a second
        self._most = max(per_minute / 3, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, address: str, now: float) -> int:
        """Take a token of a client address at `now` (monotonic seconds).

        Returns 0 if the request may be answered, else the seconds after which one may be.
        """
        client = client_of(address)
        tokens, then = self._buckets.get(client, (self._most, now))
        tokens = min(tokens + (now - then) * self._rate, self._most)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else math.ceil((1 - tokens) / self._rate)


def client_of(address: str) -> str:
    """The client of an IP address: the address itself, or its IPv6 network."""
    if ":" not in address:
        return address
    try:
        number = IPv6Address(address)
    except ValueError:
        return address
    if number.ipv4_mapped:
        return str(number.ipv4_mapped)
    return str(ip_address(int(number) >> (128 - _PREFIX) << (128 - _PREFIX)))


class Held(NamedTuple):
    """A client's connection that only waits, since a time in seconds of any clock."""

    address: str
    since: float
    connection: object


def count_room(most: int = MOST_CONNECTIONS) -> int:
    """The number of connections that may be open at once, at most `most`.

    Raises the limit of open files of this process as far as it may (RLIMIT_NOFILE, getrlimit(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft not in {resource.RLIM_INFINITY, wanted} and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return most if soft == resource.RLIM_INFINITY else max(min(most, soft - _OTHER_FILES), _FEWEST)


def choose_to_end(held: Iterable[Held], number: int) -> list[Held]:
    """Choose at most `number` of the connections that only wait, to make room for others.

    First those of the address with the most, down to as many as the next address has, and so on; among equals those
    that have waited longest.
    """
    by_address: defaultdict[str, list[Held]] = defaultdict(list)
    for one in sorted(held, key=lambda one: one.since, reverse=True):
        by_address[one.address].append(one)
    ranked = [(rank, one) for those in by_address.values() for rank, one in enumerate(those)]
    ranked.sort(key=lambda pair: (-pair[0], pair[1].since))
    return [one for _, one in ranked[:number]]
