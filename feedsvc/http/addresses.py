"""Addresses in requests: the base URL that a client used, and the feed that a path belongs to."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from feedsvc.feeds.formats.addresses import EVERYTHING, page_path

_LONGEST = 255  # of a host name (RFC 1035, section 2.3.4)
_HIGHEST_PORT = 65535
# Host = uri-host [ ":" port ] (RFC 9110, section 7.2), restricted to the characters of real host names.
_HOST = re.compile(r"(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?")
# The forms of feedsvc.feeds.formats.addresses; in an archive page's address the extension follows the number.
_FEED = re.compile(r"/(?:feed|feeds/(?P<name>[^/.]+))(?P<archive>/archive/[0-9]+)?(?P<extension>\.[a-z]+)?")


def base_of(scheme: str, host: str | None) -> str | None:
    """The base URL, "http://host:port" without the default port, of a request with this scheme and Host field.

    It ends up in the feed, so the field is checked strictly; None if it is missing or not valid.
    """
    match = _HOST.fullmatch(host.lower()) if host and len(host) <= _LONGEST else None
    if match is None:
        return None
    if match["v6"] is not None:
        try:
            IPv6Address(match["v6"])
        except ValueError:
            return None
    default = {"http": 80, "https": 443}[scheme]
    port = default if match["port"] is None else int(match["port"])
    if not 0 < port <= _HIGHEST_PORT:
        return None
    return f"{scheme}://{match['host']}" + ("" if port == default else f":{port}")


class FeedAddress(NamedTuple):
    """A feed's name and its page's path; `page` is None for an address of its archive or of that page."""

    name: str
    page: str | None


def feed_at(path: str) -> FeedAddress | None:
    """The feed that a percent-decoded path belongs to by its form; None if by its form it is no feed's address."""
    if path == page_path(EVERYTHING):
        return FeedAddress(EVERYTHING, None)
    match = _FEED.fullmatch(path)
    if match is None or (match["name"] is None and match["extension"] is None and match["archive"] is None):
        return None
    name = match["name"] or EVERYTHING
    return FeedAddress(name, page_path(name) if match["extension"] and not match["archive"] else None)
