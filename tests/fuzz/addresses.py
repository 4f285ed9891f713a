"""Addresses out of dumps, and whether one that goes out leads where it says."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import httpx

from feedsvc.clean.proxies import is_public as is_public_address
from feedsvc.clean.proxies import unwrap
from feedsvc.clean.repair import Addresses
from feedsvc.clean.videos import find_video
from feedsvc.links import canonical_link, resolve, strip_tracking, tidy_link
from feedsvc.runtime.outgoing import is_public_address as may_be_reached

__all__ = ["PIECES", "check"]

PIECES = tuple(
    piece.encode("utf-8", "surrogatepass")
    for piece in (
        *("http://", "https://", "HTTPS:", "//", "/", "\\", "/\\", "javascript:", "data:text/html,", "mailto:", "tel:"),
        *("h.example", "user:pw@", "@", ":", ":80", ":0443", ":99999", "%00", "%2e%2e", "%", "%zz", "%25", "..", "."),
        *(
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "127.1",
            "0177.0.0.1",
        ),
        *("::1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:0:0::", "fec0::1", "%eth0", "::"),
        *("169.254.169.254", "localhost", "x.local", "１２７.0.0.1", "ⓔxample", "xn--", "xn--a", "ß.example", "🎉.la"),
        *("例え.テスト", "\u200b", "\u00ad", "\u2028", "\u202e", "。", "．", "_", "-", "\t", "\n", " ", "\0", "\ufeff"),
        *("?", "#", "&", "=", "?utm_source=x", "&fbclid=y", "amp;", "#!", ";", "'", '"', "<", ">", "`", "{", "}", "|"),
        *("https://wsrv.nl/?url=", "https://i0.wp.com/", "https://x.example/cdn-cgi/image/", "image/fetch/", "/_next/"),
        *("https://www.youtube.com/embed/", "dQw4w9-_Xc0", "https://w.soundcloud.com/player/?url=", "%3A%2F%2F"),
        *("https://www.facebook.com/plugins/video.php?href=", "https%3A%2F%2Ffacebook.com%2F", "\ud800", "é", "%C3%A9"),
    )
)

_LEGAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#\[\]-]|%[0-9A-Fa-f]{2})*")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SCHEMES = {"http", "https", "mailto", "tel"}


def check(data: bytes) -> None:
    """No address raises; what comes out is valid, settled, and leads to the host that everybody reads in it."""
    text = data.decode("utf-8", "surrogateescape")
    _check_tidy(text)
    for base in (None, "https://h.example/x/y?z", text):
        found = resolve(base, text)
        if found is not None:
            assert _LEGAL.fullmatch(found), found
            assert urlsplit(found).scheme in _SCHEMES
            assert resolve(base, found) == found
            _check_web(strip_tracking(unwrap(found)))
    for raw in (text, f"https://h.example/{text}"):
        absolute = Addresses("https://h.example/x").absolute(raw)
        assert absolute is None or Addresses("https://h.example/x").absolute(absolute) == absolute, absolute
    _check_public(text)


def _check_tidy(text: str) -> None:
    tidy = tidy_link(text)
    key = canonical_link(text)
    assert (tidy is None) is (key is None)
    if tidy is None or key is None:
        return
    assert tidy_link(tidy) == tidy
    assert canonical_link(tidy) == key
    assert canonical_link(key) == key, (canonical_link(key), key)
    _check_web(tidy)
    video = find_video(tidy)
    if video is not None:
        _check_web(video.page)
        _check_web(video.thumbnail or video.page)


def _check_web(address: str) -> None:
    assert _LEGAL.fullmatch(address), address
    parts = urlsplit(address)
    assert parts.scheme in _SCHEMES
    if parts.scheme.startswith("http"):
        assert parts.hostname
        assert parts.username is None
        assert parts.port is None or parts.port <= 65535
        try:
            client = httpx.URL(address)  # what would be connected to
        except httpx.InvalidURL:
            client = None
        if client is not None:
            assert client.raw_host.decode("ascii").strip("[]") == parts.hostname, (client.host, parts.hostname)
        is_public_address(address)


def _check_public(text: str) -> None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return
    if may_be_reached(text):
        wrapped = next((number for number in map(_wrapped, _WRAPPERS, [found] * 4) if number is not None), found)
        assert wrapped.is_global, text
        special = (wrapped.is_private, wrapped.is_loopback, wrapped.is_link_local, wrapped.is_multicast)
        assert not any(special), text


_WRAPPERS = (("::ffff:0:0/96", 0, 0), ("64:ff9b::/96", 0, 0), ("2002::/16", 80, 0), ("2001::/32", 0, 0xFFFFFFFF))


def _wrapped(wrapper: tuple[str, int, int], address: _Address) -> _Address | None:
    """The address of version 4 in one of version 6, by network, place and mask."""
    network, shift, mask = wrapper
    if address.version == 4 or address not in ipaddress.ip_network(network):
        return None
    return ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF ^ mask)
