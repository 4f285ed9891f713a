"""Pages for people: jinja2 templates, escaped throughout, without any script.

Links begin with the path of the base URL, so that the same pages work at the
root of a host, below a path, and as static files.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from feedsvc.clean.drift import count_removals
from feedsvc.feeds.formats.addresses import EVERYTHING, archive_path, feed_path, page_path
from feedsvc.feeds.pages.found import excerpt, mark

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from feedsvc.clean import Explanation
    from feedsvc.feeds.pages.found import Found, Query
    from feedsvc.model import Entry, FeedDocument, Removal

MEDIA_TYPE = "text/html; charset=utf-8"

_NEWEST = 30  # entries on the front page
_FEW = 6  # so many feeds are listed openly on the front page
_MANY = 40  # more than that are listed without their addresses
_FORMATS = (
    ("Atom", "atom", "application/atom+xml"),
    ("RSS", "rss", "application/rss+xml"),
    ("JSON Feed", "json", "application/feed+json"),
)
_IMAGE = re.compile(r'<img((?: [\w:-]+="[^"]*")*)>')  # as the sanitiser writes it
_ALL_FORMATS: Mapping[str, Collection[str]] = {}

_ERRORS = {
    HTTPStatus.BAD_REQUEST: "The request does not say which host it is for in a way that can be answered.",
    HTTPStatus.UNAUTHORIZED: "This address asks for a user name and a password.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address can only be read: use GET or HEAD.",
    HTTPStatus.PRECONDITION_FAILED: "What the request expects to find here has changed.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests came from your address. Try again in a little while.",
    HTTPStatus.SERVICE_UNAVAILABLE: "This cannot be shown at the moment. Try again in a little while.",
}


@dataclass(frozen=True, slots=True)
class _Site:
    """The values of every page: title, path of the base URL, and a mark if something answers searches."""

    title: str
    root: str
    searchable: bool


@dataclass(frozen=True, slots=True)
class _Link:
    """A format of a feed."""

    label: str
    media_type: str
    path: str
    base_url: str

    @property
    def address(self) -> str:
        """The address to be pasted into a feed reader."""
        return f"{self.base_url}{self.path}"


@dataclass(frozen=True, slots=True)
class _Listed:
    """A feed as lists show it."""

    document: FeedDocument
    page: str
    links: tuple[_Link, ...]


_templates = Environment(
    loader=PackageLoader("feedsvc.feeds.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_front(
    documents: Mapping[str, FeedDocument],
    base_url: str,
    *,
    formats: Mapping[str, Collection[str]] = _ALL_FORMATS,
    searchable: bool = True,
) -> bytes:
    """Render the front page: subscribing, all feeds, the newest entries, a search.

    Args:
        documents: All feeds by name, in the order they shall be listed; the feed of everything among them.
        base_url: Without a slash at its end.
        formats: The extensions of the formats of a feed, by its name; a feed that is not named has all.
        searchable: Something answers searches; static files do not.
    """
    document = documents[EVERYTHING]
    return _render(
        "front.html",
        document=document,
        feed=_listed(document, base_url, formats),
        feeds=[_listed(other, base_url, formats) for name, other in documents.items() if name != EVERYTHING],
        few=_FEW,
        many=_MANY,
        entries=document.entries[:_NEWEST],
        site=_Site(document.title, _path(base_url), searchable),
    )


def render_feed(
    document: FeedDocument,
    base_url: str,
    *,
    formats: Mapping[str, Collection[str]] = _ALL_FORMATS,
    searchable: bool = True,
    site_title: str = "All feeds",
) -> bytes:
    """Render a feed other than that of everything as a page: subscribing, and all its entries."""
    return _render(
        "feed.html",
        document=document,
        feed=_listed(document, base_url, formats),
        archive=_archive(document),
        entries=document.entries,
        site=_Site(site_title, _path(base_url), searchable),
    )


def render_entry(
    entry: Entry, removals: Sequence[Removal], base_url: str, feed_title: str, *, searchable: bool = True
) -> bytes:
    """Render an entry as a page, with its removals. Its content must be sanitised: it is shown as it stands."""
    site = _Site(feed_title, _path(base_url), searchable)
    content = _describe_images(entry.content)
    return _render("entry.html", entry=entry, content=content, removals=removals, site=site)


def render_search(query: Query, found: Found | None, base_url: str, feed_title: str) -> bytes:
    """Render a page of answers; `found` is None if the query has nothing to look for."""
    hits = [
        {
            "entry": entry,
            "title": mark(entry.title, query.phrases),
            "excerpt": excerpt(entry.text, query.phrases) or mark(entry.summary, query.phrases),
        }
        for entry in (found.entries if found else ())
    ]
    site = _Site(feed_title, _path(base_url), searchable=True)
    return _render("search.html", query=query, found=found, hits=hits, site=site)


def render_explanations(explanations: Sequence[Explanation]) -> bytes:
    """Render articles and their removals in place, as one page that needs no other file. The HTML must be sanitised."""
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
    """Render a small page for an error status code of RFC 9110; `base_url` is "" if it is not known."""
    status = HTTPStatus(status)
    explanation = _ERRORS.get(status, "Something went wrong here. It has been noted.")
    return _render(
        "error.html",
        status=status,
        explanation=explanation,
        site=_Site("Front page", _path(base_url), searchable=False),
    )


def _describe_images(content: str) -> str:
    """Give pictures without a description an empty one, or else their addresses are read out."""
    return _IMAGE.sub(lambda tag: tag[0] if ' alt="' in tag[1] else f'<img alt=""{tag[1]}>', content)


def _listed(document: FeedDocument, base_url: str, formats: Mapping[str, Collection[str]]) -> _Listed:
    served = formats.get(document.name)
    links = tuple(
        _Link(label, media_type, feed_path(document.name, extension), base_url.rstrip("/"))
        for label, extension, media_type in _FORMATS
        if served is None or extension in served
    )
    return _Listed(document, page_path(document.name), links)


def _archive(document: FeedDocument) -> str | None:
    number: int | None = getattr(document, "previous", None)
    return archive_path(document.name, number) if number is not None else None


def _path(base_url: str) -> str:
    return urlsplit(base_url).path.rstrip("/")


def _render(template: str, **values: object) -> bytes:
    # A lone surrogate has no UTF-8; it becomes "?" rather than an error.
    return _templates.get_template(template).render(values).encode("utf-8", "replace")
