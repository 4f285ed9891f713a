"""Pages for people: jinja2 templates, escaped throughout, without any script.

Links begin with the path of the base URL, so that the same pages work at the
root of a host, below a path, and as static files.
"""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from feedsvc.drift import count_removals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedsvc.clean import Explanation
    from feedsvc.model import Entry, FeedDocument, Removal

__all__ = ["MEDIA_TYPE", "render_entry", "render_error", "render_explanations", "render_front"]

MEDIA_TYPE = "text/html; charset=utf-8"

_NEWEST = 30  # entries on the front page

_ERRORS = {
    HTTPStatus.BAD_REQUEST: "The request does not say which host it is for in a way that can be answered.",
    HTTPStatus.UNAUTHORIZED: "This address asks for a user name and a password.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address can only be read: use GET or HEAD.",
    HTTPStatus.PRECONDITION_FAILED: "What the request expects to find here has changed.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests came from your address. Try again in a little while.",
    HTTPStatus.SERVICE_UNAVAILABLE: "This cannot be shown at the moment. Try again in a little while.",
}

_templates = Environment(
    loader=PackageLoader("feedsvc.http"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_front(document: FeedDocument, base_url: str) -> bytes:
    """Render the front page: how to subscribe, and the newest entries.

    Args:
        document: The feed of everything.
        base_url: Where it is served, without a slash at its end.

    Returns:
        HTML in UTF-8.
    """
    return _render(
        "front.html", document=document, entries=document.entries[:_NEWEST], base_url=base_url, root=_path(base_url)
    )


def render_entry(entry: Entry, removals: Sequence[Removal], base_url: str, feed_title: str) -> bytes:
    """Render an entry as a page, with what was removed from it.

    Args:
        entry: Its content must be sanitised: it is shown as it stands.
        removals: What cleaning took out, in order.
        base_url: Where it is served, without a slash at its end.
        feed_title: Plain text.

    Returns:
        HTML in UTF-8.
    """
    return _render("entry.html", entry=entry, removals=removals, feed_title=feed_title, root=_path(base_url))


def render_explanations(explanations: Sequence[Explanation]) -> bytes:
    """Render one page that needs no other file: articles with what cleaning removed in its place.

    Args:
        explanations: From the cleaner; their HTML is sanitised, and shown as it stands.

    Returns:
        HTML in UTF-8.
    """
    articles = [
        {
            "entry": explanation.entry,
            "html": explanation.html,
            "elsewhere": explanation.elsewhere,
            "rules": count_removals(explanation.entry.removals),
        }
        for explanation in explanations
    ]
    style = _templates.get_template("explanation.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _render("explanation.html", articles=articles, style=style, style_digest=digest)


def render_error(status: int, base_url: str) -> bytes:
    """Render a small page that says what went wrong.

    Args:
        status: An error status code of RFC 9110.
        base_url: Where the front page is served; "" where that is not known.

    Returns:
        HTML in UTF-8.
    """
    status = HTTPStatus(status)
    explanation = _ERRORS.get(status, "Something went wrong here. It has been noted.")
    return _render("error.html", status=status, explanation=explanation, root=_path(base_url))


def _path(base_url: str) -> str:
    return urlsplit(base_url).path.rstrip("/")


def _render(template: str, **values: object) -> bytes:
    # A lone surrogate has no UTF-8; it becomes "?" rather than an error.
    return _templates.get_template(template).render(values).encode("utf-8", "replace")
