"""The addresses of feeds, their archive pages and their pages for people, below the base URL."""

from __future__ import annotations

import re

EVERYTHING = "feed"  # the name of the feed of everything
OPML_PATH = "/feeds.opml"  # the list of all feeds
PROBLEMS_PATH = "/problems.atom"  # for operators; listed nowhere
_ARCHIVE = re.compile(r"/feeds/(?P<name>[^/]+)/archive/(?P<number>[1-9][0-9]{0,8})\.atom", re.ASCII)


def feed_path(name: str, extension: str) -> str:
    """Give the address of a feed; `extension` is "atom", "rss" or "json"."""
    return f"/feed.{extension}" if name == EVERYTHING else f"/feeds/{name}.{extension}"


def archive_path(name: str, number: int, state: str | None = None) -> str:
    """Give the address of a page of a feed's archive; number 1 is the oldest.

    Each state of the open page has another address, for readers need not look twice at a page that they know (RFC 5005,
    section 4.2); all lead to the page as it is.
    """
    path = f"/feeds/{name}/archive/{number}.atom"
    return f"{path}?{state}" if state else path


def parse_archive_path(path: str) -> tuple[str, int] | None:
    """The name of the feed and the number of the page that an address of `archive_path` means, or None."""
    found = _ARCHIVE.fullmatch(path)
    return (found["name"], int(found["number"])) if found else None


def page_path(name: str) -> str:
    """Give the address of a feed's page for people."""
    return "/" if name == EVERYTHING else f"/feeds/{name}"
