"""How many requests a client may make: a token bucket each (429, RFC 6585)."""

from __future__ import annotations

import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

__all__ = ["RateLimit", "client_of"]

_CLIENTS = 8192  # remembered; past them the one that was silent the longest is forgotten
_PREFIX = 64  # bits of an IPv6 address that stand for one client: the rest is theirs to choose


class RateLimit:
    """Buckets by client address, in bounded memory. Used by one thread."""

    def __init__(self, per_minute: int) -> None:
        """Let each client have this many requests a minute, of which a third may come at once.

        Args:
            per_minute: More than 0.
        """
        self._rate = per_minute / 60  # a second
        self._most = max(per_minute / 3, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, address: str, now: float) -> int:
        """Take a token for one request.

        Args:
            address: The client's.
            now: Monotonic seconds.

        Returns:
            0 where the request may be answered, else the seconds after which one may be.
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
    """What stands for the client of an address: the address itself, or its IPv6 network."""
    if ":" not in address:
        return address
    try:
        number = IPv6Address(address)
    except ValueError:
        return address
    if number.ipv4_mapped:
        return str(number.ipv4_mapped)
    return str(ip_address(int(number) >> (128 - _PREFIX) << (128 - _PREFIX)))
