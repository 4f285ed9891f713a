"""The client's address, scheme and host, as trusted proxies name them: Forwarded (RFC 7239) and X-Forwarded-*."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST = 32  # members of a list; a longer one is not believed
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word, no secret
_PAIR = re.compile(rf'[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*')
_NODE = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?|(?P<bare>[0-9a-fA-F:]+:[0-9a-fA-F:.]+)"
)


class Client(NamedTuple):
    """A client's IP address, or a proxy's name for it, and the scheme and Host field that it used.

    Scheme and host are None if no trusted proxy names them.
    """

    address: str
    scheme: str | None = None
    host: str | None = None


class Proxies:
    """The networks of trusted proxies."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """Trust networks such as "127.0.0.1/32" or "fd00::/8".

        Raises:
            ValueError: One is no network.
        """
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(network) for network in networks]

    def __bool__(self) -> bool:
        """True if any is trusted."""
        return bool(self._networks)

    def trust(self, address: str) -> bool:
        """True for an IP address of a trusted proxy; False for text that is no address."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found.version == network.version and found in network for network in self._networks)

    def resolve(self, peer: str, asked: Mapping[str, str]) -> Client:
        """The client of a request from `peer`: the peer itself if it is not trusted or says nothing that can be read.

        Each proxy appends its client, so the list is read from its end for as long as its writers are trusted. If a
        request has fields of both kinds, neither is believed: a proxy that writes one kind hands on the other as the
        client wrote it.
        """
        if not self.trust(peer):
            return Client(peer)
        modern, common = asked.get("forwarded"), asked.get("x-forwarded-for")
        others = [asked.get(f"x-forwarded-{part}") for part in ("proto", "host")]
        if modern is not None and (common is not None or any(others)):
            return Client(peer)
        hops = parse_forwarded(modern) if modern is not None else _common(common, *others)
        found = Client(peer)
        for hop in reversed(hops):
            found = Client(
                _address(hop.get("for", "")) or found.address,
                _scheme(hop.get("proto")) or found.scheme,
                hop.get("host") or found.host,
            )
            if not self.trust(found.address):
                break
        return found


def parse_forwarded(value: str) -> list[dict[str, str]]:
    """Read a Forwarded field (RFC 7239, section 4).

    Returns the parameters of each proxy by lower-case name, the client's own first; nothing if it is malformed.
    """
    hops: list[dict[str, str]] = [{}]
    position = 0
    while position < len(value):
        if match := _PAIR.match(value, position):
            name, text = match[1].lower(), match[2]
            if name in hops[-1]:
                return []
            hops[-1][name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
            position = match.end()
        elif value[position] in " \t":
            position += 1
            continue
        elif value[position] not in ",;":
            return []
        if position < len(value):
            if value[position] == ",":
                hops.append({})
            elif value[position] != ";":
                return []
            position += 1
    found = [hop for hop in hops if hop]
    return found if len(found) <= _MOST else []


def _common(addresses: str | None, proto: str | None, host: str | None) -> list[dict[str, str]]:
    """Read X-Forwarded-For with -Proto and -Host; the nearest proxy wrote last."""
    members = [member.strip() for member in (addresses or "").split(",")]
    hops = [{"for": member} for member in members if member]
    if len(hops) > _MOST:
        return []
    if not hops:
        hops = [{}]
    for name, value in (("proto", proto), ("host", host)):
        if value:
            hops[-1][name] = value.rpartition(",")[2].strip()
    return hops


def _address(node: str) -> str | None:
    """The IP address of a node identifier (RFC 7239, section 6), without its port; None for "unknown" and names."""
    match = _NODE.fullmatch(node)
    if match is None:
        return None
    text = match["v6"] or match["v4"] or match["bare"]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _scheme(proto: str | None) -> str | None:
    return proto.lower() if proto and proto.lower() in {"http", "https"} else None
