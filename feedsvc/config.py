"""The configuration: one TOML file, every key of which can be overridden by an environment variable.

A key is overridden by `FEEDSVC_` and its name in capitals, sections and keys joined by underscores
(`FEEDSVC_SERVER_LISTEN`); the value is read as TOML where it is TOML, else as a plain string.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from feedsvc.errors import ConfigError
from feedsvc.feeds.addresses import EVERYTHING
from feedsvc.filters import KEYS, fold, make_filter
from feedsvc.http import Guard, parse_account
from feedsvc.links import tidy_link
from feedsvc.names import FEED_NAME
from feedsvc.plan import FeedSettings, Plan
from feedsvc.schedule import parse_trigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["Config", "load_config", "parse_duration"]

PREFIX = "FEEDSVC_"
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
CENTURY = timedelta(days=36525)
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: object) -> timedelta:
    """A number of seconds, or a text such as "500 ms", "5 m", "1.5 h", "90 d".

    Raises:
        ValueError: It is neither, negative, or longer than a century.
    """
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * UNITS[match[2]]
    if seconds > CENTURY.total_seconds():
        raise ValueError("is longer than a century")
    if seconds >= 0:
        return timedelta(seconds=seconds)
    raise ValueError('give seconds as a number, or a text such as "500 ms", "30 s", "5 m", "1 h", "90 d"')


def _parse_when(value: object) -> timedelta | str:
    if isinstance(value, str) and len(value.split()) == 5:  # noqa: PLR2004 - the fields of a cron expression
        parse_trigger(value)
        return value
    when = parse_duration(value)
    parse_trigger(when)
    return when


def _parse_keep(value: object) -> timedelta | int | None:
    if value == "forever":
        return None
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*entries", value.strip())):
        return int(match[1])
    if isinstance(value, str) and DURATION.fullmatch(value.strip()):
        return parse_duration(value)
    raise ValueError('give "forever", an age such as "90 d", or a number such as "10000 entries"')


def _check_base_url(value: str) -> str:
    address = tidy_link(value)
    if address is None or not value.startswith(("http://", "https://")) or "?" in value or "#" in value:
        raise ValueError("give an address such as https://feeds.example.org, without query or fragment")
    return address.rstrip("/")


def _check_hub(value: str) -> str:
    try:
        address = urlsplit(value)
        named = address.hostname and address.port != 0  # a port that is none is an error when it is looked at
    except ValueError:
        named = False
    if not named or not re.fullmatch(r"https?://[\x21-\x7e]+", value) or "@" in address.netloc or address.fragment:
        raise ValueError("give the address of a WebSub hub such as https://hub.example.org/, without user or fragment")
    return value


def _check_network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f'give networks such as "127.0.0.1/32" or "fd00::/8": {error}') from error


def _check_auth(value: str) -> str:
    parse_account(value)
    return value


When = Annotated[timedelta | str, BeforeValidator(_parse_when)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Keep = Annotated[timedelta | int | None, BeforeValidator(_parse_keep)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
HubUrl = Annotated[str, AfterValidator(_check_hub)]
Network = Annotated[str, AfterValidator(_check_network)]
Auth = Annotated[str, AfterValidator(_check_auth)]


class Section(BaseModel):
    """What all sections share: nothing unknown, nothing changed afterwards, nothing guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WatchSection(Section):
    """[watch]."""

    directories: list[str] = Field(default=["seeds"], min_length=1)
    recursive: bool = True
    polling: bool = False
    on_delete: Literal["keep", "withdraw"] = "keep"
    settle: Duration = timedelta(seconds=0.5)
    max_bytes: int = Field(default=8 * 2**20, gt=0)


class StoreSection(Section):
    """[store]."""

    url: str = "sqlite:///var/feedsvc.db"
    keep: Keep = None


class ServerSection(Section):
    """[server]."""

    listen: str = "127.0.0.1:8080"
    trusted_proxies: list[Network] = []
    rate: int = Field(default=600, ge=0)
    auth: Auth | None = None
    operators: list[Network] = ["127.0.0.1/32", "::1/128"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_text(value: str) -> str:
    if not fold(value):
        raise ValueError("give at least one character that can be seen")
    return value


def _check_name(value: str) -> str:
    if not FEED_NAME.fullmatch(value):
        raise ValueError('a name is 1 to 64 letters (a to z), digits, "-" and "_", for it stands in addresses')
    if value.casefold() == EVERYTHING:
        raise ValueError("is the name of the feed of everything, which [feed] describes; give another one")
    return value


def _check_secret(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,}", value):
        raise ValueError('give at least 16 letters (a to z), digits, "-" and "_"; `openssl rand -hex 16` makes some')
    return value


def _check_age(value: object) -> timedelta:
    age = parse_duration(value)
    if not age:
        raise ValueError("is shorter than any entry's age")
    return age


Text = Annotated[str, AfterValidator(_check_text)]
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]
Secret = Annotated[str, AfterValidator(_check_secret)]
FeedName = Annotated[str, AfterValidator(_check_name)]
Age = Annotated[timedelta, BeforeValidator(_check_age)]


class FeedSection(Section):
    """[feed]."""

    title: str = Field(default="feedsvc", min_length=1)
    subtitle: str | None = None
    author: str = Field(default="feedsvc", min_length=1)
    language: str | None = None
    entries: int = Field(default=100, gt=0)
    max_bytes: int | None = Field(default=None, gt=0)
    sources: bool = True


class ExcludeSection(Section):
    """What a feed leaves out."""

    source: Texts | None = None
    category: Texts | None = None
    author: Texts | None = None
    title: Texts | None = None
    text: Texts | None = None
    language: Texts | None = None

    @property
    def values(self) -> dict[str, list[str]]:
        """What is said, by key."""
        return {key: value for key in KEYS if (value := getattr(self, key))}


class FilterSection(ExcludeSection):
    """What a feed holds."""

    age: Age | None = None


class FeedsSection(Section):
    """One of [[feeds]]; what is not said is as in [feed]."""

    name: FeedName
    title: Text
    subtitle: str | None = None
    author: str | None = Field(default=None, min_length=1)
    language: str | None = None
    entries: int | None = Field(default=None, gt=0)
    max_bytes: int | None = Field(default=None, gt=0)
    formats: list[Literal["atom", "rss", "json"]] = Field(default=["atom", "rss", "json"], min_length=1)
    filter: FilterSection = FilterSection()
    exclude: ExcludeSection = ExcludeSection()
    secret: Secret | None = None
    auth: Auth | None = None

    @property
    def served_as(self) -> str:
        """Its name in addresses, which the secret is a part of."""
        return f"{self.name}-{self.secret}" if self.secret else self.name

    @model_validator(mode="after")
    def _check_served_as(self) -> Self:
        if not FEED_NAME.fullmatch(self.served_as):
            raise ValueError("name and secret are longer than 63 characters together; shorten one of them")
        return self


def _check_names(feeds: list[FeedsSection]) -> list[FeedsSection]:
    seen: set[str] = set()
    for feed in feeds:
        # Files of a static site may live where case does not count.
        if feed.served_as.casefold() in seen:
            raise ValueError(f"two feeds have the name {feed.served_as!r} (case does not count); give each its own")
        seen.add(feed.served_as.casefold())
    return feeds


class CleanSection(Section):
    """[clean]."""

    site_rules: bool = True
    learn: bool = True
    rules: list[str] = []
    seconds: float = Field(default=10, ge=0.1, le=3600)
    memory: int = Field(default=2**30, ge=64 * 2**20)


class ScheduleSection(Section):
    """[schedule]."""

    regenerate: Duration = timedelta(seconds=0.25)
    rescan: When = timedelta(minutes=5)
    retention: When = timedelta(hours=1)
    upkeep: When = timedelta(days=1)


class WebsubSection(Section):
    """[websub]."""

    hubs: list[HubUrl] = []
    allow_private: bool = False


class Config(Section):
    """The whole configuration; relative paths are relative to the folder of the file it came from."""

    base_url: BaseUrl | None = None
    watch: WatchSection = WatchSection()
    store: StoreSection = StoreSection()
    server: ServerSection = ServerSection()
    feed: FeedSection = FeedSection()
    feeds: Annotated[list[FeedsSection], AfterValidator(_check_names)] = []
    clean: CleanSection = CleanSection()
    schedule: ScheduleSection = ScheduleSection()
    websub: WebsubSection = WebsubSection()

    @property
    def plan(self) -> Plan:
        """What it says of feeds."""
        feed = self.feed
        everything = FeedSettings(
            title=feed.title,
            subtitle=feed.subtitle,
            author=feed.author,
            language=feed.language,
            entries=feed.entries,
            max_bytes=feed.max_bytes,
            hubs=tuple(self.websub.hubs),
        )
        configured = [
            FeedSettings(
                name=own.served_as,
                title=own.title,
                subtitle=own.subtitle,
                author=own.author or feed.author,
                language=own.language,
                entries=own.entries or feed.entries,
                max_bytes=own.max_bytes or feed.max_bytes,
                formats=tuple(own.formats),
                # A hub would have to know the secret or the password.
                hubs=() if own.secret or own.auth else tuple(self.websub.hubs),
                listed=own.secret is None,
                filter=make_filter(own.filter.values, own.exclude.values, own.filter.age),
            )
            for own in self.feeds
        ]
        return Plan(everything, tuple(configured), sources=feed.sources)

    @property
    def guards(self) -> dict[str, Guard]:
        """What keeps single feeds from the public, by their names in addresses."""
        return {
            own.served_as: Guard(parse_account(own.auth) if own.auth else None)
            for own in self.feeds
            if own.secret or own.auth
        }

    def resolve(self, folder: Path) -> Config:
        """The same with absolute paths.

        Raises:
            ConfigError: A path begins with "~" and a name that no user has.
        """
        update: dict[str, Any] = {
            "watch": self.watch.model_copy(update={"directories": _absolute(folder, self.watch.directories)}),
            "clean": self.clean.model_copy(update={"rules": _absolute(folder, self.clean.rules)}),
        }
        scheme, found, path = self.store.url.partition(":///")
        if scheme.startswith("sqlite") and found and not path.startswith("/"):
            update["store"] = self.store.model_copy(update={"url": f"{scheme}:///{folder / path}"})
        return self.model_copy(update=update)


def load_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the configuration.

    Args:
        path: The TOML file; None for the defaults, with paths relative to the working folder.
        environment: Where overrides are looked up.

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


def _absolute(folder: Path, paths: list[str]) -> list[str]:
    try:
        # As the watcher names them: links stay, ".." goes.
        return [os.path.abspath(folder / Path(path).expanduser()) for path in paths]  # noqa: PTH100 - resolve() follows links
    except RuntimeError as error:
        raise ConfigError(f"{folder}: no such user's home in {', '.join(paths)}") from error


def _keys(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Key to the section that it is, or None for a value."""
    return {
        name: field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, Section) else None
        for name, field in model.model_fields.items()
    }


def _variables() -> dict[str, tuple[str, ...]]:
    """Environment variable to the key that it overrides."""
    found: dict[str, tuple[str, ...]] = {}
    for name, section in _keys(Config).items():
        for key in _keys(section) if section else ():
            found[f"{PREFIX}{name}_{key}".upper()] = (name, key)
        if section is None:
            found[f"{PREFIX}{name}".upper()] = (name,)
    return found


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Write the overrides into `data`; answers key to variable."""
    known = _variables()
    overridden = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
            continue
        key = known.get(variable.replace("__", "_"))
        if key is None:
            raise ConfigError(f"environment: {variable}: no such key{_nearest(variable, known)}")
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
        return f"{origin}: no such key{_nearest(place[-1], _keys(_section_at(place[:-1])))}"
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
    """A key as the file has it; one of [[feeds]] is told by its name, or else by its number."""
    if len(place) == 1 or place[0] != "feeds" or not isinstance(place[1], int):
        return ".".join(map(str, place))
    feed = data["feeds"][place[1]]
    name = feed.get("name") if isinstance(feed, dict) else None
    which = f'"{name}"' if isinstance(name, str) and place[2:] != ("name",) else f"number {place[1] + 1}"
    return ": ".join(filter(None, (f"[[feeds]] {which}", ".".join(map(str, place[2:])))))


def _section_at(place: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in place:
        if part == "feeds":
            section = FeedsSection
        elif not part.isdigit():
            section = _keys(section).get(part) or section
    return section


def _nearest(name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"; the nearest known one is {nearest[0]}" if nearest else ""
