"""Addresses and pictures of one dump, made to work outside their page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bs4 import Tag

from feedsvc.clean.markup import plain_attributes
from feedsvc.clean.proxies import unwrap
from feedsvc.clean.text import is_blank
from feedsvc.links import resolve, strip_tracking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bs4.element import PageElement

# Attributes in which loading scripts keep the real address, the likeliest first.
_LAZY: Final = (
    *("data-src", "data-original", "data-lazy-src", "data-original-src", "data-actualsrc", "data-lazyload"),
    *("data-lazy", "data-echo", "data-url", "data-hi-res-src", "data-lazy-url", "data-cfsrc", "data-img-src"),
    *("data-image-src", "data-full-src", "data-ll-src", "data-ks-lazyload", "zoomfile"),
)
_LAZY_SETS: Final = ("data-srcset", "data-lazy-srcset", "data-original-set", "data-ll-srcset", "srcset")
_ADDRESSES: Final = frozenset({"href", "src", *_LAZY})

# Most addresses match and need no repair: resolve() would return them unchanged.
_PLAIN = re.compile(
    r"https?://[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,3}/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_PLACEHOLDER = re.compile(
    r"(?:blank|dot|grey|lazy(?:load)?|loading|none|pixel|placeholder|spacer|transparent|1x1)[\d_.-]*\.(?:gif|png|svg)",
    re.IGNORECASE,
)
_TINY = re.compile(r"\s*[0-3](?:\.\d*)?(?:px)?\s*", re.IGNORECASE)
_TINY_STYLE = re.compile(r"(?:^|;)\s*(?:width|height)\s*:\s*[0-3](?:\.\d*)?px", re.IGNORECASE)

_MOST_PARTS: Final = 20
"""How many sources of one picture or player are looked at: they all show the same."""
_SIZE = re.compile(r"\d+(?:\.\d+)?[wx]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Player:
    """Addresses of a player.

    Attributes:
        src: Its own address, or None if only its parts have one.
        parts: Its `<source>` and `<track>` elements, each with its address.
    """

    src: str | None
    parts: tuple[tuple[Tag, str], ...] = ()


class Addresses:
    """Makes the addresses of one dump absolute, without tracking parameters and image proxies."""

    def __init__(self, base: str | None) -> None:
        """Resolve relative addresses against the dump's own."""
        self._base = base
        self._known: dict[str, str | None] = {}
        self._pictures: dict[int, dict[str, str] | None] = {}  # by id(): the tree outlives this
        self._players: dict[int, Player | None] = {}

    def absolute(self, raw: str) -> str | None:
        """Return an http(s), mailto or tel address, or None if a feed can carry none."""
        if raw not in self._known:
            if _PLAIN.fullmatch(raw):
                address: str | None = raw
            else:
                address = resolve(self._base, raw) if raw.strip() else None
            self._known[raw] = None if address is None else _settle(address)
        return self._known[raw]

    def web(self, raw: str | None) -> str | None:
        """Return an http(s) address, or None."""
        address = None if raw is None else self.absolute(raw)
        return address if address is not None and address.startswith("http") else None

    def picture(self, tag: Tag) -> dict[str, str] | None:
        """Return `src` and, if there is one, `srcset` of an `<img>`; None if it has no address at all."""
        if id(tag) not in self._pictures:
            self._pictures[id(tag)] = self._picture(tag)
        return self._pictures[id(tag)]

    def srcset(self, attributes: Mapping[str, str]) -> str:
        """Return the candidates of a picture or source in the syntax of `srcset`; "" if there are none."""
        for name in _LAZY_SETS:
            candidates = self._candidates(attributes.get(name, ""))
            if candidates:
                return ", ".join(f"{address} {size}".rstrip() for address, size in candidates)
        return ""

    def source(self, attributes: Mapping[str, str]) -> str | None:
        """Return the first http(s) address among the lazy ones and `src`."""
        return next(filter(None, (self.web(attributes.get(name)) for name in (*_LAZY, "src"))), None)

    def player(self, tag: Tag) -> Player | None:
        """Return the addresses of an `<iframe>`, `<embed>`, `<video>` or `<audio>`; None if it can play nothing."""
        if id(tag) not in self._players:
            self._players[id(tag)] = self._player(tag)
        return self._players[id(tag)]

    def _player(self, tag: Tag) -> Player | None:
        src = self.source(plain_attributes(tag))
        if tag.name in ("iframe", "embed"):
            return None if src is None else Player(src)
        parts = tuple(
            (part, address)
            for part in _leading(tag, {"source", "track"})[0]
            if (address := self.source(plain_attributes(part)))
        )
        if src is None and not any(part.name == "source" for part, _ in parts):
            return None
        return Player(src, parts)

    def _picture(self, tag: Tag) -> dict[str, str] | None:
        attributes = plain_attributes(tag)
        found = [self.web(attributes.get(name)) for name in (*_LAZY, "src") if name in attributes]
        src = next((address for address in found if address and not _is_placeholder(address)), None)
        srcset = self.srcset(attributes)
        sets = [srcset, *(self.srcset(plain_attributes(source)) for source in picture_sources(tag))]
        src = src or next(filter(None, map(self._largest, sets)), None)
        if src is None:
            return None
        return {"src": src, "srcset": srcset} if srcset else {"src": src}

    def _largest(self, srcset: str) -> str | None:
        sized = [(float(size[:-1] or 1), address) for address, size in self._candidates(srcset)]
        return max(sized, key=lambda pair: pair[0])[1] if sized else None

    def _candidates(self, srcset: str) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for raw, size in _split_srcset(srcset):
            address = self.web(raw)
            if address is not None and not address.endswith(",") and not _is_placeholder(address):
                found.setdefault(address, size)  # several sizes of one proxy lead to a single picture
        return list(found.items())


def _settle(address: str) -> str:
    """Remove proxies and tracking parameters in turn, until the address has neither."""
    while (found := strip_tracking(unwrap(address))) != address:
        address = found
    return address


def raw_addresses(tag: Tag) -> list[str]:
    """Return the addresses of an element as they stand, white space at the ends aside."""
    return [value.strip() for name, value in plain_attributes(tag).items() if name in _ADDRESSES]


def is_lazy(tag: Tag) -> bool:
    """Tell whether a script was to load this picture."""
    return any(name in tag.attrs for name in _LAZY)


def is_pixel(tag: Tag) -> bool:
    """Tell whether a picture is at most 3 pixels wide or high, and not just until a script has loaded it."""
    attributes = plain_attributes(tag)
    sizes = (attributes.get("width", ""), attributes.get("height", ""))
    tiny = any(map(_TINY.fullmatch, sizes)) or _TINY_STYLE.search(attributes.get("style", ""))
    return bool(tiny) and not is_lazy(tag)


def is_placeholder_size(tag: Tag, name: str) -> bool:
    """Tell whether `width` or `height` is that of the placeholder of a picture that a script was to load."""
    return is_lazy(tag) and name in ("height", "width") and bool(_TINY.fullmatch(plain_attributes(tag)[name]))


def picture_sources(tag: Tag) -> list[Tag]:
    """Return the `<source>` elements of an `<img>` in its `<picture>`."""
    parent = tag.parent
    for _ in range(_MOST_PARTS):
        if parent is None or parent.name != "source":
            break
        parent = parent.parent
    if parent is None or parent.name != "picture":
        return []
    sources, then = _leading(parent, {"source"})
    return sources if then is tag else []


def _leading(holder: Tag, names: Collection[str]) -> tuple[list[Tag], PageElement | None]:
    """Return the elements of these names at the beginning of an element, and the node after them."""
    # The parser nests a <source> or <track> without an end tag in the one before. Walking `descendants` would be slow:
    # it looks for the end of the element first.
    found: list[Tag] = []
    inside = {id(holder)}
    node = holder.next_element
    while node is not None and id(node.parent) in inside:
        if isinstance(node, Tag):
            if node.name not in names or len(found) == _MOST_PARTS:
                break
            found.append(node)
            inside.add(id(node))
        elif not is_blank(str(node)):
            break
        node = node.next_element
    return found, node


def _is_placeholder(address: str) -> bool:
    return _PLACEHOLDER.fullmatch(address.partition("?")[0].rpartition("/")[2]) is not None


def _split_srcset(srcset: str) -> Iterator[tuple[str, str]]:
    """Yield address and size ("" for none) of each candidate (WHATWG HTML, section 4.8.4.2.1)."""
    words = srcset.split()[::-1]
    while words:
        address = words.pop().lstrip(",")
        if not address:
            continue
        sizes: list[str] = []
        if address.endswith(","):
            address = address.rstrip(",")
        else:
            while words:
                size, comma, rest = words.pop().partition(",")
                sizes.append(size)
                if rest:
                    words.append(rest)
                if comma:
                    break
        if all(map(_SIZE.fullmatch, sizes[:1])):
            yield address, "".join(sizes[:1])
