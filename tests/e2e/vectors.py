"""What would run a script: every shape of ../xss/vectors.toml, filled."""

from __future__ import annotations

import base64
import html
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from places import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Vector", "load_vectors"]

_FILE = DATA / "xss" / "vectors.toml"
_FEW = 4  # of the addresses are tried in every place
# Tells the outermost window, whatever its origin; without quotes, angle brackets and ampersands.
_PAYLOAD = "top.postMessage({id},String.fromCharCode(42))"


@dataclass(frozen=True)
class Vector:
    """One piece of markup, or an address alone.

    Attributes:
        number: What it says when it runs.
        address: What it holds as an address; None where it has none.
    """

    number: int
    html: str
    address: str | None = None


def load_vectors() -> list[Vector]:
    """All of them, numbered from 1."""
    return [
        Vector(number, _fill(shape, number), None if address is None else html.unescape(_fill(address, number)))
        for number, (shape, address) in enumerate(_shapes(tomllib.loads(_FILE.read_text("utf-8"))), start=1)
    ]


def _shapes(table: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    urls = table["urls"]
    for place in table["address_places"]:
        yield from ((place.replace("{url}", url), url) for url in urls)
    for place in table["few_address_places"]:
        yield from ((place.replace("{url}", url), None) for url in urls[:_FEW])
    for kind, ways in (("handler_places", table["handlers"]), ("few_handler_places", table["handlers"][:1])):
        for place in table[kind]:
            event, shape = place["event"], place["html"]
            yield from ((shape.replace("{on}", way.replace("{event}", event)), None) for way in ways)
    yield from ((other, None) for other in table["others"])


def _fill(shape: str, number: int) -> str:
    js = _PAYLOAD.replace("{id}", str(number))
    script = f"<script>{js}</script>"
    filled = {
        "{js}": js,
        "{html}": script,
        "{attribute}": script.replace("<", "&lt;"),
        "{base64}": base64.b64encode(script.encode()).decode(),
        "{percent}": quote(script),
        "{decimal}": "".join(f"&#{ord(each)};" for each in f"javascript:{js}"),
        "{hex}": "".join(f"&#x{ord(each):06x}" for each in f"javascript:{js}"),
        "{id}": str(number),
    }
    for name, text in filled.items():
        shape = shape.replace(name, text)
    return shape
