"""The entries inside a rendered feed: read and taken out without a change of any other byte."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import unescape

if TYPE_CHECKING:
    from collections.abc import Collection

_ENTRY = re.compile(rb"<(entry|item)[ >].*?</\1>", re.DOTALL)  # content is escaped: a tag is a tag
_ID = re.compile(rb"<(?:id|guid[^>]*)>(.*?)</", re.DOTALL)


def split_xml(body: bytes) -> dict[str, bytes]:
    """Give the bytes of each entry of an Atom or RSS feed by its id."""
    return {_id_of(found[0]): found[0] for found in _ENTRY.finditer(body)}


def cut_xml(body: bytes, ids: Collection[str]) -> bytes:
    """Take entries out of an Atom or RSS feed by their ids."""
    return _ENTRY.sub(lambda found: b"" if _id_of(found[0]) in ids else found[0], body)


def split_json(body: bytes) -> dict[str, bytes]:
    """Give the bytes of each item of a JSON Feed by its id."""
    return {item["id"]: dump_json(item) for item in json.loads(body)["items"]}


def cut_json(body: bytes, ids: Collection[str]) -> bytes:
    """Take items out of a JSON Feed by their ids."""
    feed = json.loads(body)
    return dump_json(feed | {"items": [item for item in feed["items"] if item["id"] not in ids]})


def dump_json(value: object) -> bytes:
    """Write JSON as all JSON Feeds are written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _id_of(entry: bytes) -> str:
    found = _ID.search(entry)
    return unescape(found[1].decode()) if found else ""
