"""Addresses of articles: one key for all spellings, one tidy form to show.

Addresses come out of dumps and web pages and are often not quite legal, so nothing here raises: the
answer for anything else than an http(s) address with a host is None.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import idna

# Parameters that say where a reader came from and never name the article. Names that some site uses to pick the
# article (id, ref, source, sid, from, p) have no place here. Names are lower case.
TRACKING: Final = MappingProxyType(
    {
        "__twitter_impression": "X: view counter",
        "_branch_match_id": "Branch: app link",
        "_ga": "Google Analytics: visitor across domains",
        "_gl": "Google Analytics: visitor across domains",
        "_hsenc": "HubSpot: mail recipient",
        "_hsmi": "HubSpot: mailing",
        "_openstat": "Openstat: campaign",
        "at_campaign": "Piano (AT Internet): campaign",
        "at_campaign_type": "Piano (AT Internet): campaign",
        "at_creation": "Piano (AT Internet): campaign",
        "at_custom1": "Piano (AT Internet): campaign",
        "at_custom2": "Piano (AT Internet): campaign",
        "at_custom3": "Piano (AT Internet): campaign",
        "at_custom4": "Piano (AT Internet): campaign",
        "at_format": "Piano (AT Internet): campaign",
        "at_link_id": "Piano (AT Internet): campaign",
        "at_link_origin": "Piano (AT Internet): campaign",
        "at_link_type": "Piano (AT Internet): campaign",
        "at_medium": "Piano (AT Internet): campaign",
        "at_platform": "Piano (AT Internet): campaign",
        "at_variant": "Piano (AT Internet): campaign",
        "dclid": "Google Display: click",
        "dicbo": "Outbrain: click",
        "epik": "Pinterest: click",
        "fb_action_ids": "Facebook: action",
        "fb_action_types": "Facebook: action",
        "fb_ref": "Facebook: referrer",
        "fb_source": "Facebook: referrer",
        "fbclid": "Facebook: click",
        "gbraid": "Google Ads: click",
        "gclid": "Google Ads: click",
        "gclsrc": "Google Ads: click",
        "guce_referrer": "Yahoo: referrer",
        "guce_referrer_sig": "Yahoo: referrer",
        "guccounter": "Yahoo: consent counter",
        "igsh": "Instagram: share",
        "igshid": "Instagram: share",
        "irclickid": "impact.com: click",
        "isappinstalled": "WeChat: share",
        "li_fat_id": "LinkedIn: click",
        "mc_cid": "Mailchimp: campaign",
        "mc_eid": "Mailchimp: recipient",
        "mkt_tok": "Marketo: recipient",
        "msclkid": "Microsoft Ads: click",
        "ns_campaign": "Comscore: campaign",
        "ns_linkname": "Comscore: campaign",
        "ns_mchannel": "Comscore: campaign",
        "ns_source": "Comscore: campaign",
        "nsukey": "WeChat: share",
        "oly_anon_id": "Omeda: recipient",
        "oly_enc_id": "Omeda: recipient",
        "rb_clickid": "Russian ad networks: click",
        "ref_src": "X: embedding page",
        "ref_url": "X: embedding page",
        "spm": "Alibaba: position on the page",
        "spm_id_from": "Bilibili: position on the page",
        "srsltid": "Google Merchant: click",
        "ttclid": "TikTok: click",
        "twclid": "X Ads: click",
        "vd_source": "Bilibili: sharer",
        "vero_id": "Vero: recipient",
        "wbraid": "Google Ads: click",
        "wickedid": "Wicked Reports: click",
        "xtor": "AT Internet, before Piano: campaign",
        "xtref": "AT Internet, before Piano: referrer",
        "yclid": "Yandex: click",
    }
)
TRACKING_PREFIXES: Final = ("utm_", "hsa_", "mtm_", "pk_")  # Urchin and all after it, HubSpot Ads, Matomo twice

# Characters that are in no address: controls, line and paragraph separators, zero-width space, BOM, lone surrogates.
_NEVER = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ud800-\udfff]")
_SPLIT = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
_LEGAL = r"A-Za-z0-9._~!$&'()*+,;=:@/-"  # RFC 3986, appendix A: pchar, and the slash
_BAD_IN_PATH = re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^%{_LEGAL}]+")
_BAD_IN_QUERY = re.compile(rf"%(?![0-9A-Fa-f]{{2}})|[^%?{_LEGAL}]+")
_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT = re.compile("[0-9]{1,5}")
_LONGEST_NAME = 254  # RFC 1035, section 2.3.4, with the trailing dot
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class _Address:
    """The parts of RFC 3986, section 3; None for an absent part, "" for an empty one."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None
    fragment: str | None

    def __str__(self) -> str:
        """Join the parts (RFC 3986, section 5.3)."""
        return "".join(
            (
                "" if self.scheme is None else f"{self.scheme}:",
                "" if self.authority is None else f"//{self.authority}",
                self.path,
                "" if self.query is None else f"?{self.query}",
                "" if self.fragment is None else f"#{self.fragment}",
            )
        )


def canonical_link(link: str) -> str | None:
    """Give the identity of an article's address: the same string for every spelling of it.

    A key for comparing, never shown and never fetched. Follows RFC 3986, section 6.2.2 and 6.2.3, and goes further,
    as sites do: http is https, a slash at the end of the path is nothing, and only fragments that are routes
    of an app (`#!` and `#/`) tell articles apart.

    Returns:
        The key, itself an https address; None if it is no http(s) address with a host.
    """
    tidy = tidy_link(link)
    if tidy is None:
        return None
    address = _split(tidy)
    # Both default ports go with either scheme, since the key has but one scheme.
    name, _, port = _split_port(address.authority or "")
    name = name.removesuffix(".")
    query = "&".join(filter(None, _normal(address.query or "").split("&")))
    fragment = _normal(address.fragment or "")
    is_route = fragment.startswith(("!", "/")) and fragment.strip("!/")
    return str(
        _Address(
            scheme="https",
            authority=name if port in ("", "80", "443") else f"{name}:{port}",
            path=_canonical_path(address.path),
            query=query or None,
            fragment=fragment if is_route else None,
        )
    )


def tidy_link(link: str) -> str | None:
    """Give the form of an address that is shown: a valid absolute URI (RFC 3986) without tracking parameters.

    Scheme, slashes of the path and fragment stay as they are. User names and passwords go (RFC 9110,
    section 4.2.4). None if it is no http(s) address with a host. Idempotent.
    """
    address = _valid(_split(_readable(link)))
    return None if address is None else strip_tracking(str(address))


def strip_tracking(address: str) -> str:
    """Take the tracking parameters out of the query and the fragment of any address, absolute or not, valid or not.

    The same object comes back if it has none.
    """
    if "?" not in address and "#" not in address:
        return address
    rest, hash_sign, fragment = address.partition("#")
    head, question_mark, query = rest.partition("?")
    kept_query = _without_tracking(query)
    kept_fragment = _without_tracking(fragment)
    if kept_query != query and not kept_query:
        question_mark = ""
    if kept_fragment != fragment and not kept_fragment:
        hash_sign = ""
    return head + question_mark + kept_query + hash_sign + kept_fragment


def resolve(base: str | None, address: str) -> str | None:
    """Make an address that stands in a page absolute (RFC 3986, section 5.2).

    Args:
        base: The page's own address, or None if unknown.
        address: As it stands in the page.

    Returns:
        A valid http(s), mailto or tel address, tracking parameters kept; None for every other scheme, and for a
        relative address if the base is no http(s) address.
    """
    readable = _readable(address)
    target = _split(readable)
    scheme = (target.scheme or "").lower()
    if scheme in ("mailto", "tel"):
        # Neither has an authority: two slashes begin the address itself.
        path = _encode(_BAD_IN_PATH, target.path if target.authority is None else f"//{target.authority}{target.path}")
        return str(replace(target, scheme=scheme, authority=None, path=path, **_encoded_tail(target))) if path else None
    if not scheme and target.authority is None:
        start = _valid(_split(_readable(base or "")))
        if start is None:
            return None
        target = _joined(start, target)
    elif not scheme and base is not None:
        start = _split(_readable(base))
        target = replace(target, scheme="http" if (start.scheme or "").lower() == "http" else "https")
    joined = _valid(target)
    return None if joined is None else str(joined)


def _readable(address: str) -> str:
    """Drop characters that no address holds, and read backslashes as browsers do (WHATWG URL, section 4.4)."""
    text = _NEVER.sub("", address).strip()
    end = min((at for at in (text.find("?"), text.find("#")) if at >= 0), default=len(text))
    return text[:end].replace("\\", "/") + text[end:]


def _split(address: str) -> _Address:
    match = _SPLIT.fullmatch(address)
    assert match is not None  # noqa: S101 - every part of the pattern may be empty; line ends are gone by now
    return _Address(*match.groups())


def _valid(address: _Address) -> _Address | None:
    scheme = "https" if address.scheme is None else address.scheme.lower()
    if scheme not in ("http", "https") or address.authority is None:
        return None
    authority = _valid_authority(address.authority)
    if authority is None:
        return None
    return _Address(scheme, authority, _encode(_BAD_IN_PATH, address.path), **_encoded_tail(address))


def _encoded_tail(address: _Address) -> dict[str, str | None]:
    return {
        "query": None if address.query is None else _encode(_BAD_IN_QUERY, address.query),
        "fragment": None if address.fragment is None else _encode(_BAD_IN_QUERY, address.fragment),
    }


def _encode(bad: re.Pattern[str], text: str) -> str:
    return bad.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _valid_authority(authority: str) -> str | None:
    name, colon, port = _split_port(authority.rpartition("@")[2])
    if port:
        port = port.lstrip("0") or "0"
        if not _PORT.fullmatch(port) or int(port) > _LARGEST_PORT:
            return None
    host = _valid_host(name)
    return f"{host}{colon if port else ''}{port}" if host else None


def _split_port(authority: str) -> tuple[str, str, str]:
    """Split at the colon before the port, past those of an IPv6 address in brackets."""
    bracket = authority.rfind("]") + 1
    name, colon, port = authority[bracket:].partition(":")
    return authority[:bracket] + name, colon, port


def _valid_host(host: str) -> str | None:
    if host.startswith("["):
        return _valid_ipv6(host)
    if len(host) > 3 * _LONGEST_NAME:  # each byte may be percent-encoded
        return None
    try:
        name = unquote_to_bytes(host).decode()
        if not name.isascii():
            # UTS 46 folds case and width; browsers look up even names that IDNA 2008 forbids (emoji, underscores).
            name = ".".join(_ascii_label(label) for label in idna.uts46_remap(name, std3_rules=False).split("."))
    except UnicodeError:
        return None
    name = name.lower()
    return name if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else None


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError:
        return "xn--" + label.encode("punycode").decode("ascii")


def _valid_ipv6(host: str) -> str | None:
    try:
        # A zone (`%eth0`) means something on one machine only.
        return None if "%" in host else f"[{ipaddress.IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        return None


def _without_tracking(query: str) -> str:
    pieces = query.split("&")
    kept = [piece for piece in pieces if not _tracks(piece)]
    if len(kept) == len(pieces):
        return query
    return "&".join(kept) if any(kept) else ""


def _tracks(piece: str) -> bool:
    # `&amp;utm_source` comes from an address that was escaped twice.
    name = unquote(piece.partition("=")[0]).lower().removeprefix("amp;")
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def _normal(text: str) -> str:
    """Upper-case percent-encodings, and decode those of unreserved characters (RFC 3986, section 6.2.2.1 and 2)."""
    return _ENCODED.sub(_normal_encoding, text)


def _normal_encoding(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _canonical_path(path: str) -> str:
    # A doubled slash is a slip of the code that joined the address (`http://host//path`); servers answer both alike. So
    # with the slash at the end: one form redirects to the other, and no news site keeps two articles there.
    single = re.sub("/{2,}", "/", _normal(path))
    return _without_dots(single).rstrip("/") or "/"


def _joined(base: _Address, target: _Address) -> _Address:
    """Join a reference without scheme and authority (RFC 3986, section 5.2.2)."""
    if not target.path:
        query = base.query if target.query is None else target.query
        return replace(base, query=query, fragment=target.fragment)
    path = target.path
    if not path.startswith("/"):
        path = base.path[: base.path.rfind("/") + 1] + path if base.path else f"/{path}"
    return replace(target, scheme=base.scheme, authority=base.authority, path=_without_dots(path))


def _without_dots(path: str) -> str:
    """Remove dot segments of a path that starts with a slash or is empty (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)
