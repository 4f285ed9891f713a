"""Lines that hold nothing but a date: does one repeat when the article was published?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_dateline"]

# A line says local time of some zone, and a dump may be dated when it was fetched.
_NEAR: Final = timedelta(days=2)
_LONGEST: Final = 48

_TIME = r"(?:[T ]*(?:- ?|[,，] ?)?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?"
_ZONE = r" ?(Z|(?:UTC|GMT)?[+-]\d{2}:?\d{2}|UTC|GMT)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}{_ZONE}", re.ASCII)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}{_ZONE}", re.ASCII)
_CHINESE = re.compile(
    rf"(\d{{4}})()年(\d{{1,2}})月(\d{{1,2}})日(?:[（(]?(?:星期|周|週)[一二三四五六日天][)）]?)?{_TIME}{_ZONE}"
)
_MAIL = re.compile(r"(?:[A-Z][a-z]{2}, ?)?\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(?::\d{2})? (?:[A-Z]{1,5}|[+-]\d{4})")


def is_dateline(line: str, published: datetime) -> bool:
    """Tell whether a line is wholly a date, with or without a time, near the date of publication.

    Args:
        line: In its matching form.
        published: Aware.

    Returns:
        True where one way to read the date is at most two days from `published`.
    """
    if len(line) > _LONGEST:
        return False
    return any(abs(date - published) <= _NEAR for date in _readings(line))


def _readings(line: str) -> Iterator[datetime]:
    if match := _YEAR_FIRST.fullmatch(line) or _CHINESE.fullmatch(line):
        yield from _date(match, year=1, month=3, day=4)
    elif match := _YEAR_LAST.fullmatch(line):
        yield from _date(match, year=4, month=3, day=1)
        yield from _date(match, year=4, month=1, day=3)
    elif _MAIL.fullmatch(line):
        try:
            date = parsedate_to_datetime(line)
        except ValueError:  # such as 31 Feb
            return
        yield date if date.tzinfo else date.replace(tzinfo=UTC)


def _date(match: re.Match[str], *, year: int, month: int, day: int) -> Iterator[datetime]:
    # Whichever the zone, two days are room enough.
    hour, minute, second = (int(part or 0) for part in match.group(5, 6, 7))
    try:
        yield datetime(int(match[year]), int(match[month]), int(match[day]), hour, minute, second, tzinfo=UTC)
    except ValueError:  # such as 31/02, or the month and the day swapped
        return
