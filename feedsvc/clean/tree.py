"""HTML -> the tree that cleaning works on: the one that Beautiful Soup makes with its lxml builder, in less time.

Beautiful Soup hands each event of the parser through half a dozen methods and constructors; they take most of the time
of parsing. Here the same events become nodes and links between them at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from bs4 import BeautifulSoup, ParserRejectedMarkup, Tag
from bs4.builder import HTMLTreeBuilder
from bs4.element import Comment, Doctype, NamespacedAttribute, NavigableString
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bs4.element import AttributeDict, PageElement

_SPACES: Final = BeautifulSoup.ASCII_SPACES
_PREFIXES: Final = {"http://www.w3.org/XML/1998/namespace": "xml"}


def make_tree(html: str) -> BeautifulSoup:
    """Parse the body of a page.

    Args:
        html: Any HTML; text at its very beginning is put in no paragraph.

    Returns:
        The tree of `BeautifulSoup(f"<body>{html}", "lxml", multi_valued_attributes=None, string_containers={})`: each
        attribute is one string, and all text but comments and the like is a plain NavigableString.

    Raises:
        ParserRejectedMarkup: The parser rejects it.
    """
    try:
        builder = _idle.pop()
    except IndexError:
        builder = _Builder()
    soup = BeautifulSoup(f"<body>{html}", builder=builder)
    _idle.append(builder)  # one that raised is not used again
    return soup


class _Builder(HTMLTreeBuilder):
    """Receives the parser's events, and does the work of Beautiful Soup.

    Only the links between nodes are set by hand. All other attributes of a tag are copied from one that the installed
    Beautiful Soup has made itself.
    """

    def __init__(self) -> None:
        super().__init__(multi_valued_attributes=None, string_containers={})  # type: ignore[arg-type]
        # Reused: for each new parser, lxml inspects the methods below, which takes time.
        self._parser = etree.HTMLParser(target=self)  # type: ignore[arg-type] # bytes are what Python 2 gets
        self._model: dict[str, object] = {}
        self._texts: list[str] = []

    def feed(self, markup: str) -> None:  # type: ignore[override]
        """Build the tree."""
        soup = self.soup
        assert soup is not None  # noqa: S101 - Beautiful Soup sets it first
        self._model = self._model or vars(Tag(soup, self, "p"))
        self._parent: Tag = soup
        self._last: PageElement | None = None
        self._preformatted = 0
        try:
            self._parser.feed(markup)
            self._parser.close()
        except (UnicodeDecodeError, LookupError, etree.ParserError) as error:
            raise ParserRejectedMarkup(error) from error
        self._end_text()
        del self._parent, self._last

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        if self._texts:
            self._end_text()
        tag = Tag.__new__(Tag)
        known = vars(tag)
        known.update(self._model)
        known["name"] = name
        known["attrs"] = self._attributes(attributes) if attributes else self.attribute_dict_class()
        known["contents"] = []
        known["can_be_empty_element"] = self.can_be_empty_element(name)
        self._link(tag)
        self._parent = tag
        if name in self.preserve_whitespace_tags:
            self._preformatted += 1
        elif name == "meta":
            self.set_up_substitutions(tag)

    def end(self, name: str) -> None:
        """End the open element: libxml2 ends its descendants first, and never ends an element that has not begun."""
        if self._texts:
            self._end_text()
        parent = self._parent.parent
        assert parent is not None  # noqa: S101
        self._parent = parent
        self._preformatted -= name in self.preserve_whitespace_tags

    def data(self, data: str) -> None:
        """Collect a part of a text."""
        self._texts.append(data)

    def comment(self, text: str) -> None:
        """Add a comment; in HTML, a processing instruction is one too."""
        self._end_text()
        self._string(Comment, text)

    def doctype(self, name: str, pubid: str, system: str) -> None:
        """Add a doctype."""
        self._end_text()
        self._string(Doctype, str(Doctype.for_name_and_ids(name, pubid, system)))

    def close(self) -> None:
        """Do nothing: the parser demands the method."""

    def _end_text(self) -> None:
        if self._texts:
            self._string(NavigableString, "".join(self._texts))
            self._texts.clear()

    def _string(self, kind: type[NavigableString], text: str) -> None:
        if not self._preformatted and not text.strip(_SPACES):
            text = "\n" if "\n" in text else " "
        self._link(kind(text))

    def _attributes(self, given: Mapping[str, str]) -> AttributeDict:
        attributes = self.attribute_dict_class(given)
        if "{" in "".join(given):
            # Beautiful Soup takes `{name}` at the beginning for a namespace, although HTML has no such notation.
            attributes.clear()
            for key, value in given.items():
                namespace, brace, name = key.removeprefix("{").partition("}")
                if brace and key.startswith("{"):
                    prefix = _PREFIXES.get(namespace)
                    attributes[NamespacedAttribute(prefix, name, namespace)] = value
                else:
                    attributes[key] = value
        return attributes

    def _link(self, node: PageElement) -> None:
        last, self._last = self._last, node
        parent = self._parent
        siblings = parent.contents
        node.parent = parent
        node.previous_element = last
        if last is not None:
            last.next_element = node
        if siblings:
            before = siblings[-1]
            node.previous_sibling = before
            before.next_sibling = node
        siblings.append(node)


_idle: Final[deque[_Builder]] = deque(maxlen=8)
