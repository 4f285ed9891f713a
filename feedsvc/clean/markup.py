"""Tags and text as HTML, escaped as the HTML serialisation algorithm says (WHATWG HTML, section 13.3).

The sanitiser writes by the same algorithm: it returns this HTML byte for byte, unless it has to remove something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bs4 import Tag
from bs4.element import PreformattedString

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bs4.element import PageElement

_NO_END_TAG: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "param"})


def escape(text: str) -> str:
    """Escape text between tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\xa0", "&nbsp;")


def start_tag(name: str, attributes: Mapping[str, str]) -> str:
    """Write a start tag with its attributes in their order."""
    if not attributes:
        return f"<{name}>"
    pairs = [f'{key}="{escape(value).replace(chr(34), "&quot;")}"' for key, value in attributes.items()]
    return f"<{name} {' '.join(pairs)}>"


def plain_attributes(tag: Tag) -> Mapping[str, str]:
    """Return an element's attributes with their actual type: our builder splits no values."""
    return tag.attrs  # type: ignore[return-value]


def dumped_html(node: PageElement, gone: Collection[int]) -> str:
    """Write a node of the parsed tree as it stood in the dump, without nodes that are gone (given by their id())."""
    pieces: list[str] = []
    stack: list[tuple[Iterator[PageElement], str]] = [(iter((node,)), "")]
    while stack:
        children, end = stack[-1]
        for child in children:
            if id(child) in gone or isinstance(child, PreformattedString):
                continue
            if isinstance(child, Tag):
                pieces.append(start_tag(child.name, plain_attributes(child)))
                stack.append((iter(child.contents), "" if child.name in _NO_END_TAG else f"</{child.name}>"))
                break
            pieces.append(escape(str(child)))
        else:
            pieces.append(end)
            stack.pop()
    return "".join(pieces)
