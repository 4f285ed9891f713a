"""Reads packs of rules: the built-in ones, and the user's."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from feedsvc.clean.rules.causes import CAUSES
from feedsvc.clean.rules.rule import Rule, RuleSet
from feedsvc.errors import RuleError
from feedsvc.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from pydantic_core import ErrorDetails

_KEYS: Final = ("rule", "test")

_Table = TypeVar("_Table", bound=BaseModel)


def load_rules(*, site_rules: bool, generic: bool = True, folders: Sequence[Path] = ()) -> RuleSet:
    """Load the built-in packs, then the user's.

    Args:
        site_rules: Whether to load the built-in packs for single sites.
        generic: Whether to load the built-in packs for every dump. Without these, site rules and folders there are
            no rules at all.
        folders: Folders of user packs: every `*.toml` directly in them, by name.

    Raises:
        RuleError: A folder or pack cannot be read, or a rule is wrong.
    """
    rules: dict[str, Rule] = {}
    origin: dict[str, Traversable | str] = {cause.name: "feedsvc itself" for cause in CAUSES}
    for pack in rule_packs(site_rules=site_rules, generic=generic, folders=folders):
        for rule in read_tables(pack, "rule", Rule):
            if rule.name in origin:
                where = "the same file" if origin[rule.name] == pack else origin[rule.name]
                raise RuleError(f'{pack}: rule "{rule.name}": the name is taken by {where}; choose another')
            origin[rule.name] = pack
            rules[rule.name] = rule
    return RuleSet(tuple(rules.values()))


def rule_packs(*, site_rules: bool, generic: bool = True, folders: Sequence[Path] = ()) -> list[Traversable]:
    """List the packs that `load_rules` loads, in that order."""
    packs = files("feedsvc.clean") / "packs"
    found: list[Traversable] = packs_in(packs) if generic else []
    if site_rules:
        found += packs_in(packs / "sites")
    for folder in folders:
        found += packs_in(folder)
    return found


def packs_in(folder: Traversable) -> list[Traversable]:
    """List the packs directly in a folder, by name."""
    try:
        return sorted((item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    except OSError as error:
        raise RuleError(f"{folder}: the folder of rules cannot be read: {error.strerror}") from error


def read_tables(pack: Traversable, key: str, model: type[_Table]) -> Iterator[_Table]:
    """Read one kind of table of a pack, in order.

    Args:
        pack: A TOML file.
        key: "rule" or "test".
        model: The type of the tables.

    Raises:
        RuleError: The pack cannot be read, or a table in it is wrong.
    """
    for number, table in enumerate(_tables(pack).get(key, []), start=1):
        try:
            yield model.model_validate(table)
        except ValidationError as error:
            named = isinstance(table, dict) and isinstance(table.get("name"), str)
            which = f'{key} "{table["name"]}"' if named else f"{key} {number}"
            known = tuple(model.model_fields)
            faults = "; ".join(_fault(each, known) for each in error.errors(include_url=False))
            raise RuleError(f"{pack}: {which}: {faults}") from error


def _tables(pack: Traversable) -> dict[str, list[Any]]:
    try:
        data = tomllib.loads(pack.read_text("utf-8"))
    except OSError as error:
        raise RuleError(f"{pack}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RuleError(f"{pack}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{pack}: is not TOML: {error}") from error
    for key, tables in data.items():
        if key not in _KEYS:
            raise RuleError(f'{pack}: unknown key "{key}"; a pack holds [[rule]] and [[test]] tables only')
        if not isinstance(tables, list):
            raise RuleError(f"{pack}: write [[{key}]], with two brackets, above each {key}")
    return data


def _fault(error: ErrorDetails, known: tuple[str, ...]) -> str:
    """Describe one fault as "key: the mistake, and the remedy"."""
    key = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = nearest(key, known)
        right = f'did you mean "{near}"?' if near else f"known are {', '.join(known)}"
        return f'unknown key "{key}"; {right}'
    if error["type"] == "missing":
        return f'"{key}" is missing'
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        message = "write lower-case letters, digits and hyphens, such as 'share-links'"
    return f"{key}: {message}" if key else message
