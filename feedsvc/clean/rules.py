r"""Rules as data: what a pack may say, and how packs are read.

A pack is a TOML file, built in or the user's own, and holds rules:

    [[rule]]
    name = "share-links"            # unique in all packs; lower-case letters, digits and hyphens
    reason = "links that share the article on other sites"
    link = ['https?://wa\.me/\?']   # one of link, css, text; see Rule
    action = "remove"               # the default; or unwrap, keep, rights
    where = "tail"                  # only among the first (head) or last (tail) lines of the article
    hosts = ["rfi.fr"]              # only for dumps from this host and its subdomains ...
    sources = ["法广"]              # ... or with this source
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from feedsvc import __version__
from feedsvc.clean.causes import CAUSES
from feedsvc.clean.patterns import compile_pattern
from feedsvc.clean.selectors import compile_selector
from feedsvc.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from pydantic_core import ErrorDetails

__all__ = ["Action", "Place", "Rule", "RuleSet", "load_rules"]

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Action(StrEnum):
    """What becomes of what a rule matches."""

    REMOVE = "remove"
    UNWRAP = "unwrap"  # the element goes, its content stays
    KEEP = "keep"  # no other rule takes it, what it holds, or what holds it
    RIGHTS = "rights"  # it moves to the entry's rights


class Place(StrEnum):
    """Where in the article a rule looks."""

    HEAD = "head"
    TAIL = "tail"


_Text = Annotated[str, Field(min_length=1)]


class Rule(BaseModel):
    """One rule of a pack.

    Attributes:
        name: Unique within all packs that are loaded.
        reason: For people: what it is that goes.
        link: Regular expressions that an address must match from its start: `href` or `src` of an element, as it
            stands in the dump or made absolute. The element goes.
        css: Selectors. The elements go.
        text: Regular expressions that must match the whole text of a block, or of one of its lines where `<br>`
            parts it (see `feedsvc.clean.text.matching_form` for white space). The line goes; pictures in it stay.
        action: What becomes of what matches.
        where: Limits the rule to the first or last few lines of the article.
        hosts: Limits the rule to dumps whose link is on one of these hosts or their subdomains.
        sources: Limits the rule to dumps from one of these sources. With `hosts`, either is enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    reason: _Text
    link: tuple[_Text, ...] = ()
    css: tuple[_Text, ...] = ()
    text: tuple[_Text, ...] = ()
    action: Action = Action.REMOVE
    where: Place | None = None
    hosts: tuple[str, ...] = ()
    sources: tuple[_Text, ...] = ()

    @property
    def is_generic(self) -> bool:
        """Whether the rule applies to every dump."""
        return not self.hosts and not self.sources

    @field_validator("link", "text")
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
        if sum(map(bool, (self.link, self.css, self.text))) != 1:
            raise ValueError("give exactly one of link, css, text")
        if self.text and self.action is Action.UNWRAP:
            raise ValueError("action 'unwrap' is for elements; use css or link, or another action")
        return self


_KEYS: Final = tuple(Rule.model_fields)


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


def load_rules(*, site_rules: bool, folders: Sequence[Path] = ()) -> RuleSet:
    """Load the built-in packs, then the user's.

    Args:
        site_rules: Whether to load the built-in packs for single sites too.
        folders: Folders of user packs: every `*.toml` directly in them, by name.

    Returns:
        All rules.

    Raises:
        RuleError: A folder or pack cannot be read, or a rule is wrong.
    """
    packs = files("feedsvc.clean") / "packs"
    found: list[Traversable] = _packs_in(packs)
    if site_rules:
        found += _packs_in(packs / "sites")
    for folder in folders:
        found += _packs_in(folder)
    rules: dict[str, Rule] = {}
    origin: dict[str, Traversable | str] = {cause.name: "feedsvc itself" for cause in CAUSES}
    for pack in found:
        for rule in _load_pack(pack):
            if rule.name in origin:
                where = "the same file" if origin[rule.name] == pack else origin[rule.name]
                raise RuleError(f'{pack}: rule "{rule.name}": the name is taken by {where}; choose another')
            origin[rule.name] = pack
            rules[rule.name] = rule
    return RuleSet(tuple(rules.values()))


def _packs_in(folder: Traversable) -> list[Traversable]:
    try:
        return sorted((item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    except OSError as error:
        raise RuleError(f"{folder}: the folder of rules cannot be read: {error.strerror}") from error


def _load_pack(pack: Traversable) -> Iterable[Rule]:
    try:
        data = tomllib.loads(pack.read_text("utf-8"))
    except OSError as error:
        raise RuleError(f"{pack}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RuleError(f"{pack}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{pack}: is not TOML: {error}") from error
    for key in data:
        if key != "rule":
            raise RuleError(f'{pack}: unknown key "{key}"; a pack holds [[rule]] tables only')
    tables = data.get("rule", [])
    if not isinstance(tables, list):
        raise RuleError(f"{pack}: write [[rule]], with two brackets, above each rule")
    for number, table in enumerate(tables, start=1):
        try:
            yield Rule.model_validate(table)
        except ValidationError as error:
            named = isinstance(table, dict) and isinstance(table.get("name"), str)
            which = f'rule "{table["name"]}"' if named else f"rule {number}"
            faults = "; ".join(_fault(each) for each in error.errors(include_url=False))
            raise RuleError(f"{pack}: {which}: {faults}") from error


def _fault(error: ErrorDetails) -> str:
    """Say one fault as "key: what is wrong, and what would be right"."""
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _KEYS, n=1)
        right = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(_KEYS)}"
        return f'unknown key "{key}"; {right}'
    if error["type"] == "missing":
        return f'"{key}" is missing'
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        message = "write lower-case letters, digits and hyphens, such as 'share-links'"
    return f"{key}: {message}" if key else message
