"""The base URL that a client used, where none is configured."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

__all__ = ["base_of"]

_LONGEST = 255  # of a host name (RFC 1035, section 2.3.4)
_HIGHEST_PORT = 65535
# Host = uri-host [ ":" port ] (RFC 9110, section 7.2), without what no real host name holds.
_HOST = re.compile(r"(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?")


def base_of(scheme: str, host: str | None) -> str | None:
    """Make a base URL of what a client asked for; it ends up in the feed, so it is checked strictly.

    Args:
        scheme: "http" or "https".
        host: The Host field's value; None where the request has none.

    Returns:
        Without a slash at its end and without the default port; None where the field is not valid.
    """
    match = _HOST.fullmatch(host.lower()) if host and len(host) <= _LONGEST else None
    if match is None:
        return None
    if match["v6"] is not None:
        try:
            IPv6Address(match["v6"])
        except ValueError:
            return None
    if match["port"] is None:
        return f"{scheme}://{match['host']}"
    port = int(match["port"])
    if not 0 < port <= _HIGHEST_PORT:
        return None
    if port == {"http": 80, "https": 443}[scheme]:
        return f"{scheme}://{match['host']}"
    return f"{scheme}://{match['host']}:{port}"
