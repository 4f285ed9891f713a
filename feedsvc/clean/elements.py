"""Tables of the elements and attributes of an entry's content (WHATWG HTML, section 4)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

ANYWHERE: Final = frozenset({"dir", "lang", "title"})
"""Attributes that every allowed element may have."""

_NONE: Final[frozenset[str]] = frozenset()
_CITE: Final = frozenset({"cite"})
_CELL: Final = frozenset({"colspan", "headers", "rowspan", "scope"})
_PLAYER: Final = frozenset({"controls", "height", "poster", "src", "width"})

ALLOWED: Final = MappingProxyType(
    {
        **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6", "hgroup"), _NONE),
        **dict.fromkeys(("address", "article", "aside", "footer", "header", "main", "section"), _NONE),
        **dict.fromkeys(("div", "figcaption", "figure", "hr", "p", "pre"), _NONE),
        **dict.fromkeys(("dd", "dl", "dt", "ul"), _NONE),
        **dict.fromkeys(("abbr", "b", "bdi", "bdo", "br", "cite", "code", "dfn", "em", "i", "kbd"), _NONE),
        **dict.fromkeys(("mark", "s", "samp", "small", "span", "strong", "sub", "sup", "u", "var"), _NONE),
        **dict.fromkeys(("rb", "rp", "rt", "rtc", "ruby"), _NONE),
        **dict.fromkeys(("caption", "table", "tbody", "tfoot", "thead", "tr"), _NONE),
        **dict.fromkeys(("col", "colgroup"), frozenset({"span"})),
        **dict.fromkeys(("td", "th"), _CELL),
        **dict.fromkeys(("blockquote", "q"), _CITE),
        **dict.fromkeys(("del", "ins"), _CITE | {"datetime"}),
        "a": frozenset({"href", "hreflang"}),
        "audio": _PLAYER - {"height", "poster", "width"},
        "details": frozenset({"open"}),
        "img": frozenset({"alt", "height", "sizes", "src", "srcset", "width"}),
        "li": frozenset({"value"}),
        "ol": frozenset({"reversed", "start"}),
        "picture": _NONE,
        "source": frozenset({"media", "sizes", "src", "srcset", "type"}),
        "summary": _NONE,
        "time": frozenset({"datetime"}),
        "track": frozenset({"kind", "label", "src", "srclang"}),
        "video": _PLAYER,
    }
)
"""Elements of an article, each with the attributes that it may have beside those of every element.

Style, class and id are missing: they mean something on their own page only. An element that is neither here nor in
DROPPED is unwrapped: its content stays.
"""

BOOLEANS: Final = frozenset({"controls", "open", "reversed"})

DROPPED: Final = frozenset({"noembed", "noframes", "script", "style", "svg", "template", "title"})
"""Elements whose content is no part of any article."""

CELLS: Final = frozenset({"col", "td", "th"})
"""Elements that mean something even when they are empty."""

BLOCKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
        *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "head", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol"),
        *("optgroup", "option", "p", "pre", "search", "section", "select", "summary", "table", "tbody", "td", "tfoot"),
        *("th", "thead", "tr", "ul"),
    }
)
"""Elements that stand on lines of their own, allowed or not."""
