"""Where feeds, their archive pages and their pages for people are served, below the base URL."""

from __future__ import annotations

__all__ = ["EVERYTHING", "OPML_PATH", "archive_path", "feed_path", "page_path"]

EVERYTHING = "feed"  # the name of the feed of everything
OPML_PATH = "/feeds.opml"  # where all feeds are listed


def feed_path(name: str, extension: str) -> str:
    """Where a feed is.

    Args:
        name: The feed's name.
        extension: "atom", "rss" or "json".
    """
    return f"/feed.{extension}" if name == EVERYTHING else f"/feeds/{name}.{extension}"


def archive_path(name: str, number: int) -> str:
    """Where a page of a feed's archive is, as Atom.

    Args:
        name: The feed's name.
        number: From 1, the oldest.
    """
    return f"/feeds/{name}/archive/{number}.atom"


def page_path(name: str) -> str:
    """Where people read a feed.

    Args:
        name: The feed's name.
    """
    return "/" if name == EVERYTHING else f"/feeds/{name}"
