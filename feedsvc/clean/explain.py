"""An article with its removals in place, for people who ask what cleaning did.

The tree is written once more with a mark at the place of each removal. A mark is the removal's number between two
characters that the article does not hold, so nothing in a dump can pass for one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bs4 import Tag

from feedsvc.clean.elements import BLOCKS
from feedsvc.clean.outline import Line
from feedsvc.clean.sanitise import sanitise
from feedsvc.clean.write import write

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement

    from feedsvc.clean.ledger import Stripped
    from feedsvc.clean.outline import Hit
    from feedsvc.clean.repair import Addresses
    from feedsvc.model import CleanEntry

Pieces: TypeAlias = tuple[str | int, ...]
"""Text or HTML of the article, and the numbers of the removals between, from 0."""

_PRIVATE: Final = range(0xE000, 0xF900)
# Elements around a mark that stands in the place of a part of a list or table.
_AROUND: Final = {
    **{name: (name,) for name in ("caption", "dd", "dt", "figcaption", "li", "summary", "td", "th")},
    "tr": ("tr", "td"),
    **dict.fromkeys(("tbody", "tfoot", "thead"), ("tbody", "tr", "td")),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A cleaned article and where each of its removals was.

    Attributes:
        entry: As `Cleaner.clean` returns it.
        text: Plain text with the removals in place.
        html: Sanitised HTML with the removals in place.
        elsewhere: The numbers of removals without a place: broken markup was cleaned again, and they went then.
    """

    entry: CleanEntry
    text: Pieces
    html: Pieces
    elsewhere: tuple[int, ...]


def mark_removals(soup: BeautifulSoup, root: Tag, stripped: Stripped, addresses: Addresses) -> tuple[Pieces, Pieces]:
    """Write an article with a mark for each removal, as plain text and as sanitised HTML.

    The marks stay in the soup.
    """
    taken = frozenset(soup.decode(formatter="minimal"))
    edge = next((chr(code) for code in _PRIVATE if chr(code) not in taken), None)
    if edge is not None:
        for number, hit in enumerate(stripped.hits):
            place = _place(hit, stripped)
            _insert(soup, place, f"{edge}{number}{edge}")
            if isinstance(hit.target, Line) and not isinstance(place, Tag) and id(hit.target.end) in stripped.gone:
                place.insert_before(soup.new_tag("br"))  # instead of the line's own
    written = write(root, stripped, addresses)
    return _part(written.text, edge), _part(sanitise(written.html), edge)


def _place(hit: Hit, stripped: Stripped) -> PageElement:
    """Return the outermost of the nodes that go with a hit or around it."""
    if isinstance(hit.target, Line):
        leaves = hit.target.leaves
        node = next((leaf.node for leaf in leaves if leaf.text and not leaf.stays), leaves[0].node)
    else:
        node = hit.target
    place = node
    for around in node.parents:
        if id(around) in stripped.gone:
            place = around
    return place


def _insert(soup: BeautifulSoup, place: PageElement, mark: str) -> None:
    name = place.name if isinstance(place, Tag) else ""
    new: PageElement = soup.new_string(mark)
    for around in reversed(_AROUND.get(name, ("div",) if name in BLOCKS else ())):
        tag = soup.new_tag(around)
        tag.append(new)
        new = tag
    place.insert_before(new)


def _part(text: str, edge: str | None) -> Pieces:
    if edge is None:
        return (text,)
    # Every second part is the number between two edges.
    parts = re.split(f"{edge}(\\d+){edge}", text)
    return tuple(int(part) if number % 2 else part for number, part in enumerate(parts) if number % 2 or part)
