"""The sections of the configuration and their keys, with their defaults."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from feedsvc.app.config import values
from feedsvc.errors import ConfigError
from feedsvc.feeds.plan import KEYS, FeedSettings, Plan, make_filter
from feedsvc.http import Restriction, parse_credentials
from feedsvc.store.feed_names import FEED_NAME


class Section(BaseModel):
    """A section: no unknown keys, no conversions, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WatchSection(Section):
    """[watch]."""

    directories: list[str] = Field(default=["seeds"], min_length=1)
    recursive: bool = True
    polling: bool = False
    on_delete: Literal["keep", "withdraw"] = "keep"
    settle: values.Duration = timedelta(seconds=0.5)
    max_bytes: int = Field(default=8 * 2**20, gt=0)


class StoreSection(Section):
    """[store]."""

    url: str = "sqlite:///var/feedsvc.db"
    keep: values.Keep = None


class ServerSection(Section):
    """[server]."""

    listen: str = "127.0.0.1:8080"
    trusted_proxies: list[values.Network] = []
    rate: int = Field(default=600, ge=0)
    auth: values.Auth | None = None
    operators: list[values.Network] = ["127.0.0.1/32", "::1/128"]


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
    """[feeds.exclude]: the entries that a feed leaves out."""

    source: values.Texts | None = None
    category: values.Texts | None = None
    author: values.Texts | None = None
    title: values.Texts | None = None
    text: values.Texts | None = None
    language: values.Texts | None = None

    @property
    def given(self) -> dict[str, list[str]]:
        """The keys that are given."""
        return {key: value for key in KEYS if (value := getattr(self, key))}


class FilterSection(ExcludeSection):
    """[feeds.filter]: the entries that a feed holds."""

    age: values.Age | None = None


class FeedsSection(Section):
    """One of [[feeds]]; keys that are not given are as in [feed]."""

    name: values.FeedName
    title: values.Text
    subtitle: str | None = None
    author: str | None = Field(default=None, min_length=1)
    language: str | None = None
    entries: int | None = Field(default=None, gt=0)
    max_bytes: int | None = Field(default=None, gt=0)
    formats: list[Literal["atom", "rss", "json"]] = Field(default=["atom", "rss", "json"], min_length=1)
    filter: FilterSection = FilterSection()
    exclude: ExcludeSection = ExcludeSection()
    secret: values.Secret | None = None
    auth: values.Auth | None = None

    @property
    def served_as(self) -> str:
        """Its name in addresses, with the secret."""
        return f"{self.name}-{self.secret}" if self.secret else self.name

    @model_validator(mode="after")
    def _check_served_as(self) -> Self:
        if not FEED_NAME.fullmatch(self.served_as):
            raise ValueError("name and secret are longer than 63 characters together; shorten one of them")
        return self


def _check_names(feeds: list[FeedsSection]) -> list[FeedsSection]:
    seen: set[str] = set()
    for feed in feeds:
        # A file system may not tell the case of a static site's files apart.
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

    regenerate: values.Duration = timedelta(seconds=0.25)
    rescan: values.When = timedelta(minutes=5)
    retention: values.When = timedelta(hours=1)
    upkeep: values.When = timedelta(days=1)


class WebsubSection(Section):
    """[websub]."""

    hubs: list[values.HubUrl] = []
    allow_private: bool = False


class Config(Section):
    """The whole configuration."""

    base_url: values.BaseUrl | None = None
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
        """The feeds."""
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
                filter=make_filter(own.filter.given, own.exclude.given, own.filter.age),
            )
            for own in self.feeds
        ]
        return Plan(everything, tuple(configured), sources=feed.sources)

    @property
    def restrictions(self) -> dict[str, Restriction]:
        """The restrictions of private feeds, by their names in addresses."""
        return {
            own.served_as: Restriction(parse_credentials(own.auth) if own.auth else None)
            for own in self.feeds
            if own.secret or own.auth
        }

    def resolve(self, folder: Path) -> Config:
        """Return a copy with absolute paths; relative ones are relative to `folder`.

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


def _absolute(folder: Path, paths: list[str]) -> list[str]:
    try:
        # As the watcher names them: links stay, ".." goes.
        return [os.path.abspath(folder / Path(path).expanduser()) for path in paths]  # noqa: PTH100 - resolve() follows links
    except RuntimeError as error:
        raise ConfigError(f"{folder}: no such user's home in {', '.join(paths)}") from error
