"""Image proxies: their addresses hold the address of the picture itself.

A dump made for one reader may show its pictures through a proxy, scaled down and gone when the proxy is. The article
shows the picture that the proxy would fetch.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import unquote, urlsplit

from feedsvc.links import resolve

# One of these is in every address that a pattern below matches. Most addresses have none: a cheap test.
_HINTS: Final = (
    *("weserv.nl", "wsrv.nl", ".wp.com/", "/iu/", "proxy", "image/fetch", "cdn-cgi/image", "/_next/", "/_vercel/"),
    "timthumb",
)

_IN_QUERY: Final = re.compile(
    r"https?://(?:"
    r"(?:[a-z0-9-]+\.)?(?:weserv|wsrv)\.nl/?"
    r"|(?:external-content|proxy)\.duckduckgo\.com/iu/?"
    r"|[a-z0-9-]+\.googleusercontent\.com/(?:gadgets/)?proxy(?:/[^?#]*)?"
    r"|[^/?#]+/(?:[^?#]*/)?(?:im(?:age|g)-?proxy|proxy-?im(?:age|g)|proxy/im(?:age|g)|timthumb)(?:\.[a-z]{3,4})?/?"
    r"|[^/?#]+/(?:[^?#]*/)?_(?:next|vercel)/image/?"
    r")\?(?:[^#]*&)?(?:url|src|u)=(?P<wrapped>[^&#]+)",
    re.IGNORECASE,
)
_IN_PATH: Final = re.compile(
    r"https?://[^/?#]+/(?:[^?#]*/)?(?:image/fetch|cdn-cgi/image|im(?:age|g)-?proxy)/(?:[^?#]*?/)?"
    r"(?P<wrapped>https?(?::/|%3A%2F)[^#]+)",
    re.IGNORECASE,
)
_PHOTON: Final = re.compile(r"https?://i[0-3]\.wp\.com/(?P<wrapped>[^?#]+)(?:\?(?P<query>[^#]*))?", re.IGNORECASE)
_BARE: Final = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*(?::\d+)?/", re.IGNORECASE)
_ENCODED_SCHEME: Final = re.compile("https?%3A", re.IGNORECASE)
_LONGEST: Final = 8_000  # no server takes longer ones, and each proxy in a proxy costs a pass over the address
_HERE: Final = frozenset({"home", "internal", "intranet", "lan", "local", "localdomain", "localhost"})


def unwrap(address: str) -> str:
    """Return the address of the picture that an image proxy shows.

    Proxies in proxies are unwrapped as well. Parameters of the proxy (size, quality, format) go with it. The result is
    a valid public http(s) address, or the very same string if the valid absolute address given is no proxy's.
    """
    while len(address) <= _LONGEST and any(hint in address for hint in _HINTS):
        inner = _wrapped(address)
        # The inner address must be shorter: so this ends, and doing it again changes nothing.
        if inner is None or len(inner) >= len(address):
            break
        address = inner
    return address


def is_public(address: str) -> bool:
    """Tell whether the host of a valid http(s) address can be reached by others too, judged by its name or number."""
    host = (urlsplit(address).hostname or "").removesuffix(".")
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        name, dot, last = host.rpartition(".")
        return bool(name and dot) and not last.isdigit() and last not in _HERE


def _wrapped(address: str) -> str | None:
    scheme = "https"
    if match := _PHOTON.match(address):
        inner = match["wrapped"]
        if "ssl=1" not in (match["query"] or "").split("&"):
            scheme = "http"  # Photon adds ssl=1 if the picture's own server has TLS
    elif match := _IN_QUERY.match(address):
        inner = unquote(match["wrapped"])
    elif match := _IN_PATH.match(address):
        inner = match["wrapped"]
        if _ENCODED_SCHEME.match(inner):
            inner = unquote(inner.partition("?")[0])
    else:
        return None
    if "\ufffd" in inner:
        return None  # not encoded in UTF-8: the original bytes are lost
    inner = inner.removeprefix("ssl:").removeprefix("//")
    if _BARE.match(inner):
        inner = f"{scheme}://{inner}"
    found = resolve(None, inner)
    if found is None or not found.startswith("http") or not is_public(found):
        return None
    parts = urlsplit(found)
    return found if parts.path.strip("/") or parts.query else None
