"""Times of dumps: the marker's epoch and the front matter's date. Both in UTC, in whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_MILLISECONDS_FROM = 10**11  # as seconds that would be the year 5138, as milliseconds it is 1973
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2101, 1, 1, tzinfo=UTC)
_MOST_DIGITS = 20

# ISO 8601 as RFC 3339 has it, YAML's timestamps, and Jekyll's `2020-09-26 10:00:00 +0800`.
_DATE = re.compile(
    r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})"
    r"(?:(?:[Tt]|\s{1,9})(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]{0,9})?)?"
    r"(?:\s{0,9}(?P<zone>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?))?)?"
)
_RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3,9},?\s{1,9})?[0-9]{1,2}\s{1,9}[A-Za-z]{3,9}\s{1,9}[0-9]{2,4}\s{1,9}[0-9: ].{0,60}"
)


def parse_epoch(digits: str) -> datetime:
    """Read a time counted since 1970 in ASCII digits, as seconds or milliseconds by its size.

    Raises:
        ValueError: The time is before 1990 or after 2100; the message says so.
    """
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"the time {digits[:_MOST_DIGITS]}… is before 1990 or after 2100")
    count = int(digits)
    seconds = count if count < _MILLISECONDS_FROM else count // 1000
    if not _EARLIEST.timestamp() <= seconds < _LATEST.timestamp():
        raise ValueError(f"the time {digits} is before 1990 or after 2100")
    return datetime.fromtimestamp(seconds, UTC)


def parse_date(text: str) -> datetime:
    """Read ISO 8601, a YAML timestamp, `2020-09-26 10:00:00 +0800`, RFC 2822, or an epoch; without a zone in UTC.

    Raises:
        ValueError: It is none of these, no such day exists, or it is before 1990 or after 2100; the message says so.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return parse_epoch(text)
    try:
        if match := _DATE.fullmatch(text):
            date = _from_parts(match.groupdict())
        elif _RFC_2822.fullmatch(text):
            date = parsedate_to_datetime(text)
        else:
            raise ValueError("no known form")  # noqa: TRY301 - the same answer as for a day that does not exist
        date = date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the date {text[:60]!r} cannot be read") from error
    if not _EARLIEST <= date < _LATEST:
        raise ValueError(f"the date {text[:60]!r} is before 1990 or after 2100")
    return date


def _from_parts(parts: dict[str, str | None]) -> datetime:
    number = {name: int(parts[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")}
    zone: timezone = UTC
    if parts["sign"]:
        offset = timedelta(hours=int(parts["hours"] or 0), minutes=int(parts["minutes"] or 0))
        zone = timezone(-offset if parts["sign"] == "-" else offset)
    return datetime(**number, tzinfo=zone)
