"""Conditional requests (RFC 9110, section 13). Pure functions over strings; no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate
from http import HTTPStatus
from typing import TYPE_CHECKING

from feedsvc.http.negotiate import IDENTITY, choose_coding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from feedsvc.model import Representation

_SAFE = ("GET", "HEAD")

# entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE (section 8.8.3); a comma may stand inside.
_TAG = re.compile(r'[ \t,]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?=,|$)')
_CODINGS = ("br", "gzip", "zstd")
# The mark of a coding's tag, and the suffixes of compressing proxies: Apache -gzip, Jetty --gzip, others ;gzip.
_SUFFIX = re.compile(rf"(?:--?|;)({'|'.join(_CODINGS)})$")

# The three forms of an HTTP-date; `parsedate` reads them, and much that is none.
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = "[A-Z][a-z][a-z]"
_TIME = r"\d\d:\d\d:\d\d"
_HTTP_DATE = re.compile(
    rf"{_DAY}, \d\d {_MONTH} \d\d\d\d {_TIME} GMT"
    rf"|{_LONG_DAY}, \d\d-{_MONTH}-\d\d {_TIME} GMT"
    rf"|{_DAY} {_MONTH} [ \d]\d {_TIME} \d\d\d\d",
    re.ASCII,
)
_FULL_YEAR = re.compile(r"\d{4}", re.ASCII)


def entity_tag(representation: Representation, coding: str) -> str:
    """The ETag of a representation under a coding: a strong validator, in quotes (RFC 9110, section 8.8.3.3)."""
    return f'"{representation.etag}"' if coding == IDENTITY else f'"{representation.etag}-{coding}"'


def evaluate(method: str, representation: Representation, fields: Mapping[str, str]) -> HTTPStatus:
    """Evaluate the preconditions of a request in the order of RFC 9110, section 13.2.2.

    The tags of all codings match, with the suffixes and weak marks that proxies add. But If-None-Match does not match
    by a coding that the client refuses: a shared cache would hand it the wrong bytes. `fields` are by lower-case name.

    Returns:
        200 to answer as usual, 304 Not Modified, or 412 Precondition Failed.
    """
    modified = representation.last_modified
    if (if_match := fields.get("if-match")) is not None:
        if not _matches(if_match, representation, weak=False, taken=_CODINGS):
            return HTTPStatus.PRECONDITION_FAILED
    elif _unmodified_since(fields.get("if-unmodified-since"), modified) is False:
        return HTTPStatus.PRECONDITION_FAILED

    if (if_none_match := fields.get("if-none-match")) is not None:
        accept = fields.get("accept-encoding")
        taken = [coding for coding in _CODINGS if accept is None or choose_coding(accept, (coding,)) == coding]
        if _matches(if_none_match, representation, weak=True, taken=taken):
            return HTTPStatus.NOT_MODIFIED if method in _SAFE else HTTPStatus.PRECONDITION_FAILED
    elif method in _SAFE and _unmodified_since(fields.get("if-modified-since"), modified):
        return HTTPStatus.NOT_MODIFIED
    return HTTPStatus.OK


def parse_http_date(value: str, near: datetime) -> datetime | None:
    """Read an HTTP-date in any of its three forms (RFC 9110, section 5.6.7), in UTC; None for any other text.

    A year of two digits lies at most 50 years after `near`, and less than 50 before it.
    """
    parts = parsedate(value) if _HTTP_DATE.fullmatch(value) else None
    if parts is None:
        return None
    year, month, day, hour, minute, second = parts[:6]
    full_year = _FULL_YEAR.search(value)
    latest = near.year + 50
    # `parsedate` guesses the century by rules of its own, also of a year such as 0001.
    year = int(full_year[0]) if full_year else latest - (latest - year) % 100
    second = min(second, 59)  # 60 is a leap second
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # 31 February, 25 o'clock
        return None


def _unmodified_since(value: str | None, modified: datetime | None) -> bool | None:
    """True if nothing was modified since a date; None if the field or its meaning is missing."""
    if value is None or modified is None:
        return None
    date = parse_http_date(value, modified)
    return None if date is None else modified <= date


def named_tags(value: str) -> list[str]:
    """The entity tags of an If-None-Match field as they were sent, up to the first malformed one."""
    return [f'{"W/" if is_weak else ""}"{opaque}"' for is_weak, opaque in _tags(value)]


def core_of(tag: str) -> str:
    """The representation's own part of an entity tag: without quotes, weak mark and a coding's suffix."""
    return _SUFFIX.sub("", tag.removeprefix("W/").strip('"'))


def _matches(value: str, representation: Representation, *, weak: bool, taken: Collection[str]) -> bool:
    if value.strip(" \t") == "*":
        return True
    for is_weak, opaque in _tags(value):
        suffix = _SUFFIX.search(opaque)
        core = opaque[: suffix.start()] if suffix else opaque
        if core == representation.etag and (weak or not is_weak) and (suffix is None or suffix[1] in taken):
            return True
    return False


def _tags(value: str) -> Iterator[tuple[bool, str]]:
    """Yield each tag of a list and if it is weak, up to the first malformed one."""
    match = _TAG.match(value)
    while match:
        yield match[1] is not None, match[2]
        match = _TAG.match(value, match.end())
