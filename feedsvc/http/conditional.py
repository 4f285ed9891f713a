"""Conditional requests (RFC 9110, section 13). Pure functions over strings; no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime
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
# What marks a coding's tag, and what compressing proxies append: Apache -gzip, Jetty --gzip, others ;gzip.
_SUFFIX = re.compile(rf"(?:--?|;)({'|'.join(_CODINGS)})$")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_HTTP_DATE = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)


def entity_tag(representation: Representation, coding: str) -> str:
    """The strong validator of a representation under a content coding (RFC 9110, section 8.8.3.3).

    Args:
        representation: Whose tag it is.
        coding: "identity", or the coding that names the suffix.

    Returns:
        The ETag field's value, quotes included.
    """
    return f'"{representation.etag}"' if coding == IDENTITY else f'"{representation.etag}-{coding}"'


def evaluate(method: str, representation: Representation, fields: Mapping[str, str]) -> HTTPStatus:
    """Evaluate the preconditions of a request in the order of RFC 9110, section 13.2.2.

    The tags of all codings of a representation match, with the suffixes and
    weak marks that proxies add. Only where the client does not take a coding does the
    tag of its response not match: a shared cache would hand it the wrong bytes.

    Args:
        method: The request's method.
        representation: What a GET would be answered with.
        fields: The request's fields by lower-case name, lines of one name joined by ", ".

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
    """Read an HTTP-date in any of its three forms (RFC 9110, section 5.6.7).

    Args:
        value: The field's value.
        near: Settles the century of a two-digit year: none lies over 50 years past it.

    Returns:
        Aware, in UTC; None where the value is no HTTP-date.
    """
    match = next(filter(None, (form.fullmatch(value) for form in _HTTP_DATE)), None)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == len("yy"):
        year += near.year // 100 * 100
        year += 100 * ((year < near.year - 49) - (year > near.year + 50))
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(int(match["second"]), 59),  # 60 is a leap second
            tzinfo=UTC,
        )
    except ValueError:  # 31 February, 25 o'clock
        return None


def _unmodified_since(value: str | None, modified: datetime | None) -> bool | None:
    """Tell whether nothing was modified since a date; None where the field or its meaning is missing."""
    if value is None or modified is None:
        return None
    date = parse_http_date(value, modified)
    return None if date is None else modified <= date


def named_tags(value: str) -> list[str]:
    """The entity tags of an If-None-Match field as they were sent; what follows something malformed is not read."""
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
    """Yield each tag of a list, weak or not; what follows something malformed is not read."""
    match = _TAG.match(value)
    while match:
        yield match[1] is not None, match[2]
        match = _TAG.match(value, match.end())
