"""What only operators may see: metrics and problems, which name paths and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.http.proxies import Proxies
from feedsvc.http.respond import join_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import Scope

    from feedsvc.model import Representation

__all__ = ["Operations", "Operators"]

# Whoever sends one of these asks on behalf of somebody else.
_HANDED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What operators are shown, and what is counted for them.

    Attributes:
        networks: Where they are, such as "127.0.0.1/32".
        metrics: Makes the metrics of an Accept field; gives the media type and the bytes. Called in a thread.
        problems: Makes the feed of problems under a base URL. Called in a thread.
        counter: Gives what answers of a route, method and status are counted in: one number.
        observe: Told how many seconds an answer took that was not ready: route, seconds.
    """

    networks: Sequence[str]
    metrics: Callable[[str], tuple[str, bytes]]
    problems: Callable[[str], Representation]
    counter: Callable[[str, str, int], list[int]]
    observe: Callable[[str, float], None]


class Operators:
    """Whose requests are an operator's."""

    def __init__(self, networks: Sequence[str], trusted_proxies: Sequence[str]) -> None:
        """Know them by their addresses.

        Args:
            networks: Where operators are.
            trusted_proxies: Networks whose Forwarded and X-Forwarded-* fields are believed.

        Raises:
            ValueError: One is no network.
        """
        self._here = Proxies(networks)
        self._proxies = Proxies(trusted_proxies)

    def admit(self, scope: Scope) -> bool:
        """Whether a request is an operator's.

        A proxy on this machine that nobody was told of would make everybody look like an operator: a request that was
        handed on counts only where a trusted proxy says for whom, and that is no proxy again.
        """
        peer = scope["client"][0] if scope.get("client") else ""
        asked = join_fields(scope["headers"])
        if not any(name in asked for name in _HANDED_ON):
            return self._here.trust(peer)
        client = self._proxies.resolve(peer, asked).address
        return client != peer and not self._proxies.trust(client) and self._here.trust(client)
