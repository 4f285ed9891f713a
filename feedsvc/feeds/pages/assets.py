"""The files that never change while the program runs: style sheet and icon."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    from feedsvc.model import Representation

_STATIC_MAX_AGE = 3600
_STATIC = {
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.png": ("icon.png", "image/png"),
    "/favicon.ico": ("icon.png", "image/png"),  # browsers ask for it beside a feed
}


def static_files() -> dict[str, Representation]:
    """Load the style sheet and the icons by address."""
    folder = files("feedsvc.feeds.pages") / "static"
    return {
        address: represent((folder / name).read_bytes(), media_type, last_modified=None, max_age=_STATIC_MAX_AGE)
        for address, (name, media_type) in _STATIC.items()
    }
