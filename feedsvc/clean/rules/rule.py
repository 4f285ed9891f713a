r"""Rules as data: the keys of a pack.

A pack is a TOML file, built in or the user's own. It holds rules, and samples that show their effect (see
`feedsvc.clean.samples`). A rule has a name, a reason and exactly one of link, css, classes, text:

    [[rule]]
    name = "share-links"            # unique in all packs; lower-case letters, digits and hyphens
    reason = "links that share the article on other sites"
    link = ['https?://wa\.me/\?']   # regular expressions, matched from the start of an address: href or src of an
                                    # element, as it stands in the dump or made absolute
    css = ["div.share"]             # selectors of elements
    classes = ['share-\w+']         # regular expressions for the whole of one class, or of the id, of an element
    text = ['share:']               # regular expressions for the whole of a line: a block, or a part of it between
                                    # <br> (in its matching form, see feedsvc.clean.text); pictures in it stay

    action = "remove"               # the default; or unwrap, keep, rights, alternate, author
    hreflang = "en"                 # with alternate: the language of the other version, if it is known
    where = "tail"                  # only among the first (head) or last (tail) few lines of the article
    hosts = ["rfi.fr"]              # only for dumps from this host and its subdomains ...
    sources = ["法广"]              # ... or with this source

If words and classes do not tell, the structure of a page may. These keys narrow a rule; with the first four, it never
matches an element that holds the whole article:

    link_density = 0.8              # css, classes, text: at least this share of the text is in links
    share_density = 0.6             # css, classes: at least this share of the links is taken by rules with link
    form = true                     # css, classes: it holds a field to type into
    max_text = 200                  # css, classes: it holds no more text than this many characters
    then = "links"                  # text: it heads lines of links, which go too, or is the last line of the article
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from feedsvc import __version__
from feedsvc.clean.rules.patterns import compile_pattern
from feedsvc.clean.rules.selectors import compile_selector

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Action(StrEnum):
    """The effect of a rule on its matches."""

    REMOVE = "remove"
    UNWRAP = "unwrap"  # the element goes, its content stays
    KEEP = "keep"  # no other rule takes it, its descendants or its ancestors
    RIGHTS = "rights"  # it moves to the entry's rights
    ALTERNATE = "alternate"  # the link in it leads to another version of the entry, and becomes one
    AUTHOR = "author"  # its text, or the first group of the pattern, is the author if the dump names no person


class Edge(StrEnum):
    """The part of the article that a rule is limited to."""

    HEAD = "head"
    TAIL = "tail"


_Text = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(gt=0, le=1)]


class Rule(BaseModel):
    """One rule of a pack; the head of this module describes its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    reason: _Text
    link: tuple[_Text, ...] = ()
    css: tuple[_Text, ...] = ()
    classes: tuple[_Text, ...] = ()
    text: tuple[_Text, ...] = ()
    action: Action = Action.REMOVE
    hreflang: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$")] | None = None
    where: Edge | None = None
    link_density: _Share | None = None
    share_density: _Share | None = None
    form: bool = False
    max_text: Annotated[int, Field(ge=1)] | None = None
    then: Literal["links"] | None = None
    hosts: tuple[str, ...] = ()
    sources: tuple[_Text, ...] = ()

    @property
    def is_generic(self) -> bool:
        """The rule applies to every dump."""
        return not self.hosts and not self.sources

    def applies(self, host: str, source: str | None) -> bool:
        """Tell whether the rule applies to a dump with a link to this host ("" for none) and this source."""
        if not self.hosts:
            return not self.sources or source in self.sources
        return source in self.sources or any(host == each or host.endswith(f".{each}") for each in self.hosts)

    @property
    def looks_inside(self) -> bool:
        """The rule has conditions on the content of an element, known at its end only."""
        return bool(self.css or self.classes) and not (
            self.link_density is None and self.share_density is None and self.max_text is None and not self.form
        )

    @field_validator("link", "classes", "text")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                compiled = compile_pattern(pattern)
            except ValueError as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
            if compiled.match(""):
                raise ValueError(f"{pattern!r} matches the empty text, and so nearly everything")
        return patterns

    @field_validator("css")
    @classmethod
    def _selectors_compile(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        for selector in selectors:
            try:
                compile_selector(selector)
            except ValueError as error:
                raise ValueError(f"{selector!r} is no CSS selector: {error}") from error
        return selectors

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host; write the name alone in lower case, such as 'example.org'")
        return hosts

    @model_validator(mode="after")
    def _matches_in_one_way(self) -> Self:
        if sum(map(bool, (self.link, self.css, self.classes, self.text))) != 1:
            raise ValueError("give exactly one of link, css, classes, text")
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        about_elements = bool(self.css or self.classes)
        faults = (
            (self.text and self.action is Action.UNWRAP, "action 'unwrap' is for elements; use css or link"),
            (not self.text and self.action is Action.AUTHOR, "action 'author' is for lines; use text"),
            (self.hreflang is not None and self.action is not Action.ALTERNATE, "hreflang needs action 'alternate'"),
            (self.link and self.link_density is not None, "link_density is for css, classes, text"),
            (not about_elements and self.share_density is not None, "share_density is for css, classes"),
            (not about_elements and self.form, "form is for css, classes"),
            (not about_elements and self.max_text is not None, "max_text is for css, classes"),
            (not self.text and self.then is not None, "then is for text"),
            (self.then is not None and self.where is not None, "then and where do not go together"),
            (self.then is not None and self.action is not Action.REMOVE, "then goes with action 'remove' only"),
        )
        for wrong, message in faults:
            if wrong:
                raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of all packs that were loaded, in the order in which they are tried.

    Attributes:
        rules: Names are unique.
        digest: SHA-256 in hexadecimal over the rules and the version of feedsvc; the same in every process.
    """

    rules: tuple[Rule, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the digest."""
        data = [__version__, [rule.model_dump(mode="json") for rule in self.rules]]
        object.__setattr__(self, "digest", hashlib.sha256(json.dumps(data).encode()).hexdigest())
