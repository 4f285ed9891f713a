"""The last step of cleaning: nothing harmful comes out of it, even if an earlier step went wrong."""

from __future__ import annotations

import re
from typing import Final

import nh3
from lxml import etree

from feedsvc.clean.elements import ALLOWED, ANYWHERE, DROPPED

_SANITISER: Final = nh3.Cleaner(
    tags=set(ALLOWED),
    attributes={"*": set(ANYWHERE), **{name: set(attributes) for name, attributes in ALLOWED.items()}},
    clean_content_tags=set(DROPPED),
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel=None,  # feed readers decide what a link may do
)
_PARSER: Final = etree.HTMLParser(encoding="utf-8", huge_tree=True)
_OUR_PARSERS_OWN: Final = frozenset({"<html", "<body", "</body", "</html", "</source", "</track"})
_TAG = re.compile("</?[a-z0-9]+")


def sanitise(html: str) -> str:
    """Return well-formed HTML of allowed elements only (`feedsvc.clean.elements`), without comments and odd schemes."""
    return _SANITISER.clean(html)


def is_settled(html: str) -> bool:
    """Tell whether the parser of cleaning sees in sanitised HTML the elements that are written there.

    It repairs less than the sanitiser's parser, and differently. If the two agree, cleaning again changes nothing.
    """
    written = _TAG.findall(html)
    if not written:
        return True
    root = etree.fromstring(f"<body>{html}".encode(), _PARSER)
    read = _TAG.findall(etree.tostring(root, encoding="unicode", method="html"))
    return written == [tag for tag in read if tag not in _OUR_PARSERS_OWN]
