"""Metrics and problems name paths and reasons: only operators may see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.http.proxies import Proxies
from feedsvc.http.respond import join_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Scope

    from feedsvc.model import Representation

# A request with one of these fields was sent on behalf of somebody else.
_HANDED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Functions that make the operators' pages and count for them.

    Attributes:
        networks: Of operators, such as "127.0.0.1/32".
        metrics: From an Accept field to a media type and bytes. Called in a thread.
        problems: From a base URL to the feed of problems. Called in a thread.
        counter: From a route, a method and a status to the number that counts its answers, in a list of one.
        observe: Told the seconds that an answer of a route took, if it had to be waited for.
    """

    networks: Sequence[str]
    metrics: Callable[[str], tuple[str, bytes]]
    problems: Callable[[str], Representation]
    counter: Callable[[str, str, int], list[int]]
    observe: Callable[[str, float], None]


class Operators:
    """Knows operators by their networks."""

    def __init__(self, networks: Sequence[str], trusted_proxies: Sequence[str]) -> None:
        """Know operators by their networks, and the proxies whose Forwarded and X-Forwarded-* fields are believed.

        Raises:
            ValueError: One is no network.
        """
        self._here = Proxies(networks)
        self._proxies = Proxies(trusted_proxies)

    def admit(self, scope: Scope) -> bool:
        """True if a request is an operator's.

        A proxy on this machine that the configuration does not name would make everybody look like an operator. So a
        request that was handed on counts only if a trusted proxy names its client, and the client is no proxy.
        """
        peer = scope["client"][0] if scope.get("client") else ""
        asked = join_fields(scope["headers"])
        if not any(name in asked for name in _HANDED_ON):
            return self._here.trust(peer)
        client = self._proxies.resolve(peer, asked).address
        return client != peer and not self._proxies.trust(client) and self._here.trust(client)
