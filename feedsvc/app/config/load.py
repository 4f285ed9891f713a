"""Reads the configuration; messages name the key, and the file or variable."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from feedsvc.app.config.sections import Config, FeedsSection, Section
from feedsvc.errors import ConfigError
from feedsvc.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

_PREFIX = "FEEDSVC_"


def load_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the configuration.

    Args:
        path: The TOML file; None for the defaults, with paths relative to the working folder.
        environment: May hold overrides.

    Raises:
        ConfigError: The file cannot be read, or a key or value is wrong; the message names it.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
    overridden = _override(data, environment)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        lines = [_explain(path, detail, overridden, data) for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    if config.websub.hubs and config.base_url is None:
        raise ConfigError(f"{path or 'environment'}: websub.hubs: set base_url too: hubs know a feed by its address")
    return config.resolve((path.parent if path else Path()).absolute())


def _keys(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Return each key with the section that it is, or None for a value."""
    return {
        name: field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, Section) else None
        for name, field in model.model_fields.items()
    }


def _variables() -> dict[str, tuple[str, ...]]:
    """Return each environment variable with the key that it overrides."""
    found: dict[str, tuple[str, ...]] = {}
    for name, section in _keys(Config).items():
        for key in _keys(section) if section else ():
            found[f"{_PREFIX}{name}_{key}".upper()] = (name, key)
        if section is None:
            found[f"{_PREFIX}{name}".upper()] = (name,)
    return found


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Write the overrides into `data`; return each key with its variable."""
    known = _variables()
    overridden = {}
    for variable, text in environment.items():
        if not variable.startswith(_PREFIX) or variable == f"{_PREFIX}CONFIG":
            continue
        key = known.get(variable.replace("__", "_"))
        if key is None:
            raise ConfigError(f"environment: {variable}: no such key{_suggest(variable, known)}")
        section = data if len(key) == 1 else data.setdefault(key[0], {})
        if isinstance(section, dict):  # else the file is wrong, and validation says how
            section[key[-1]] = _parse_value(text)
            overridden[key] = variable
    return overridden


def _parse_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(
    path: Path | None, detail: ErrorDetails, overridden: Mapping[tuple[str, ...], str], data: Mapping[str, Any]
) -> str:
    place = tuple(str(part) for part in detail["loc"])
    variable = overridden.get(place[:2]) or overridden.get(place[:1])
    origin = f"environment: {variable}" if variable else f"{path}: {_say_place(detail['loc'], data)}"
    if detail["type"] == "extra_forbidden":
        return f"{origin}: no such key{_suggest(place[-1], _keys(_section_at(place[:-1])))}"
    if place == ("feeds",) and detail["type"] == "list_type":
        return f"{origin}: write each feed below a [[feeds]] of its own"
    if detail["type"] == "model_type":
        return f"{origin}: is a section; write its keys below [{place[-1]}]"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{origin}: is missing"
    is_whole_feed = place[0] == "feeds" and len(place) <= len(("feeds", "0"))
    given = "" if is_whole_feed else f" (it is {detail['input']!r})"
    return f"{origin}: {message[0].lower()}{message[1:]}{given}"


def _say_place(place: Sequence[str | int], data: Mapping[str, Any]) -> str:
    """Return a key as in the file; one of [[feeds]] is named by its name, or else by its number."""
    if len(place) == 1 or place[0] != "feeds" or not isinstance(place[1], int):
        return ".".join(map(str, place))
    feed = data["feeds"][place[1]]
    name = feed.get("name") if isinstance(feed, dict) else None
    feed_label = f'"{name}"' if isinstance(name, str) and place[2:] != ("name",) else f"number {place[1] + 1}"
    return ": ".join(filter(None, (f"[[feeds]] {feed_label}", ".".join(map(str, place[2:])))))


def _section_at(place: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in place:
        if part == "feeds":
            section = FeedsSection
        elif not part.isdigit():
            section = _keys(section).get(part) or section
    return section


def _suggest(name: str, known: Mapping[str, object]) -> str:
    found = nearest(name, known, similarity=0)
    return f"; the nearest known one is {found}" if found else ""
