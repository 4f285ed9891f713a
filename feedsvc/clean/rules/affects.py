"""Tells from the bytes of a dump whether a rule can match in it at all, without parsing or cleaning it.

A rule needs something in a dump to match: a class, an id, an attribute, a word. It is searched for in one of two forms
of the dump:

    markup   as it is, without regard to case: for selectors and addresses
    text     without tags, white space and zero-width characters, since any of them may break a text

Character references are decoded in both, so `&#x5206;` is found. Signs leave out everything that cleaning itself could
change before a rule sees it: a scheme or a slash of an address, percent-encoded characters, elements that a parser
adds. The search misses only notations that nobody uses: letters of an address that are percent-encoded or parted by
line ends, words parted by a tag with ">" in an attribute, i without its dot.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import soupsieve
from soupsieve.css_types import Selector

from feedsvc.clean.rules.literals import literals
from feedsvc.dumps.encoding import decode
from feedsvc.errors import NotADump

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feedsvc.clean.rules.literals import Clauses
    from feedsvc.clean.rules.rule import Rule

_ZERO_WIDTH: Final = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_UNSEEN = re.compile(f"[\0-\x1f{_ZERO_WIDTH}]+")
_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^>]*>", re.DOTALL)
_REFERENCE = re.compile("&#|&[A-Za-z]")
_WORD = re.compile(r"[a-z0-9._-]")
_WIDE = re.compile(rb"\0|\xff\xfe|\xfe\xff")  # UTF-16 and UTF-32; all other encodings of dumps contain ASCII
_PEEK: Final = 64  # bytes
_IDEOGRAPHS: Final = "\u4e00"  # from here on no letter has a case, but for full-width Latin ones
_ENCODED = re.compile("%.{0,2}")
_INSIDE: Final = r"[^\s\"'=<>/]"
_SHORTEST: Final = 3  # letters; fewer are in every dump, or the rest of a percent-encoded character
_SCHEMES: Final = frozenset({"http", "https"})  # added to addresses that begin with //
# Elements that the parser adds, or that cleaning makes of others.
_ADDED: Final = frozenset({"*", "a", "body", "colgroup", "head", "html", "img", "p", "span", "tbody"})


@dataclass(frozen=True, slots=True)
class _MarkupSign:
    """Conditions on the markup for a selector or address to match: all the words, and one literal of each clause.

    A word is a class, id, attribute or tag, with the expression that finds it as a whole.
    """

    words: tuple[tuple[bytes, re.Pattern[bytes]], ...]
    clauses: tuple[tuple[bytes, ...], ...]

    def is_in(self, dump: _Forms) -> bool:
        markup = dump.markup
        return all(any(literal in markup for literal in clause) for clause in self.clauses) and all(
            word in markup and whole.search(markup) for word, whole in self.words
        )


@dataclass(frozen=True, slots=True)
class _TextSign:
    """The condition on the text for an expression to match: one literal of each clause."""

    clauses: Clauses

    def is_in(self, dump: _Forms) -> bool:
        # A search for characters is much faster than making the text.
        return all(any(dump.has_characters(literal) for literal in clause) for clause in self.clauses) and all(
            any(literal in dump.text for literal in clause) for clause in self.clauses
        )


class _Forms:
    """The forms of one dump, each made when it is first needed."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.has_references = b"&#" in raw

    @cached_property
    def markup(self) -> bytes:
        if self.has_references or _WIDE.search(self._raw[:_PEEK]):
            return html.unescape(self._decoded).lower().encode("utf-8", "surrogatepass")
        return self._raw.lower()

    @cached_property
    def text(self) -> str:
        text = _TAG.sub("", self._decoded.replace("<![CDATA[", "").replace("]]>", ""))
        if _REFERENCE.search(text):
            text = html.unescape(text)
        text = "".join(text.split())
        return (text if text.isprintable() else _UNSEEN.sub("", text)).casefold()

    def has_characters(self, literal: str) -> bool:
        """Tell whether the dump holds all ideographs of a literal: these have one notation only."""
        if self.has_references:
            return True
        return all(character in self._decoded for character in literal if character >= _IDEOGRAPHS)

    @cached_property
    def _decoded(self) -> str:
        try:
            return decode(self._raw, "")
        except NotADump:
            return ""


class Affects:
    """Tells which dumps some rules may match.

    Attributes:
        hosts: The hosts that the rules are limited to, subdomains included.
        sources: The sources that they are limited to.
        everywhere: Whether a rule among them has no such limit.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Read the signs of the rules."""
        rules = tuple(rules)
        self.hosts = frozenset(host for rule in rules for host in rule.hosts)
        self.sources = frozenset(source for rule in rules for source in rule.sources)
        self.everywhere = any(rule.is_generic for rule in rules)
        self._signs = [(rule, _signs_of(rule)) for rule in rules]

    def reach(self, link: str | None, source: str | None) -> bool:
        """Tell whether any of the rules applies to a dump with this tidy link and source."""
        host = _host(link)
        return any(rule.applies(host, source) for rule, _ in self._signs)

    def may_match(self, raw: bytes, link: str | None, source: str | None) -> bool:
        """Tell whether any of the rules may match in a dump with this tidy link and source; False is certain."""
        dump, host = _Forms(raw), _host(link)
        return any(
            rule.applies(host, source) and any(sign.is_in(dump) for sign in signs) for rule, signs in self._signs
        )


def _host(link: str | None) -> str:
    return (urlsplit(link).hostname or "") if link else ""


def _signs_of(rule: Rule) -> list[_MarkupSign | _TextSign]:
    signs: list[_MarkupSign | _TextSign] = []
    signs += [_sign_of(selector) for css in rule.css for selector in _selectors(css)]
    signs += [_MarkupSign((), _telling(literals(pattern, _in_attribute))) for pattern in rule.classes]
    signs += [_MarkupSign((), _telling(literals(pattern, _in_address))) for pattern in rule.link]
    signs += [_TextSign(literals(pattern, _in_text)) for pattern in rule.text]
    return signs or [_TextSign(())]  # a rule that names nothing may match anything


def _selectors(css: str) -> list[Selector]:
    return [each for each in soupsieve.compile(css).selectors if isinstance(each, Selector)]


def _sign_of(selector: Selector) -> _MarkupSign:
    """Read the conditions of a selector on the element and those around it."""
    words: list[str] = []
    clauses: list[tuple[bytes, ...]] = []
    waiting = [selector]
    while waiting:
        part = waiting.pop()
        waiting += [around for around in part.relation if isinstance(around, Selector)]
        tag = part.tag
        if tag is not None and not tag.prefix and tag.name.lower() not in _ADDED:
            words.append(f"<{tag.name}")
        words += (*part.ids, *part.classes)
        for attribute in part.attributes:
            words.append(attribute.attribute)
            if attribute.pattern is not None:
                clauses += _telling(literals(attribute.pattern.pattern, _in_attribute))
    # Words with characters that HTML may escape are left out.
    plain = {word.lower() for word in words if not re.search(r"[\s&\"'>]", word)}
    return _MarkupSign(tuple((word.encode(), _whole(word)) for word in sorted(plain)), tuple(clauses))


def _whole(word: str) -> re.Pattern[bytes]:
    before = "" if word.startswith("<") else f"(?<!{_INSIDE})"
    return re.compile(f"{before}{re.escape(word)}(?!{_INSIDE})".encode())


def _in_text(character: str) -> str | None:
    if character.isspace() or _UNSEEN.fullmatch(character):
        return ""
    folded = character.casefold()
    return folded if len(folded) == 1 and not "\uff21" <= folded <= "\uff5a" else None


def _in_address(character: str) -> str | None:
    character = character.lower()
    return character if _WORD.fullmatch(character) or character == "%" else None


def _in_attribute(character: str) -> str | None:
    return character.lower() if character.isascii() and character.isprintable() and character not in " &\"'<>" else None


def _telling(clauses: Clauses) -> tuple[tuple[bytes, ...], ...]:
    """Leave out literals that need not stand in the dump as they do in the address; see `_SHORTEST`."""
    found = []
    for clause in clauses:
        longest = {max(_ENCODED.split(literal), key=len) for literal in clause}
        if all(len(each) >= _SHORTEST and each not in _SCHEMES and "xn--" not in each for each in longest):
            found.append(tuple(literal.encode() for literal in sorted(longest)))
    return tuple(found)
