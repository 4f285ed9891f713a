"""Lines with nothing but a date: do they repeat the date of publication?

A line may hold a second date (when the article was changed), each with a label before it: "Publié le : 29/09/2020 -
12:00 Modifié le : 29/09/2020 - 13:05".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from bs4 import Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bs4.element import PageElement

# A line says local time of some zone, and a dump may be dated when it was fetched.
_NEAR: Final = timedelta(days=2)
_LONGEST: Final = 100
_MOST_DATES: Final = 2
_LAST_HOUR_BEFORE_NOON: Final = 11

# In English, French, German, Spanish, Portuguese, Italian, Dutch and Russian, and short for them.
_MONTHS: Final = (
    "january jan janvier janv januar jänner enero ene janeiro gennaio gen januari января",
    "february feb février fevrier févr fév februar febrero fevereiro fev febbraio februari февраля",
    "march mar mars märz mär marzo março maart mrt марта",
    "april apr avril avr abril abr aprile апреля",
    "may mai mayo maio maggio mag mei мая",
    "june jun juin juni junio junho giugno giu июня",
    "july jul juillet juil juli julio julho luglio lug июля",
    "august aug août aout agosto ago augustus августа",
    "september sept sep septembre septiembre setembro settembre set сентября",
    "october oct octobre oktober okt octubre outubro out ottobre ott октября",
    "november nov novembre noviembre novembro ноября",
    "december dec décembre decembre déc dezember dez diciembre dic dezembro dicembre декабря",
)
_NUMBERS: Final = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
_MONTH: Final = "|".join(sorted(_NUMBERS, key=len, reverse=True))

_WEEKDAY_FIRST: Final = (
    r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|(?:lun|mar|mercre|jeu|vendre|same)di|dimanche"
    r"|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lunes|martes|miércoles|jueves|viernes|sábado|domingo)[.,]* "
)
_WEEKDAY_LAST: Final = (
    r" ?[（(]?(?:(?:星期|周|週)[一二三四五六日天]|[月火水木金土日]曜日|[월화수목금토일]요일)[)）]?"
    r"|[（(][月火水木金土日월화수목금토일][)）]"
)
_DATE: Final = (
    r"(?:(?P<y1>\d{4})(?P<sign>[-/.]) ?(?P<m1>\d{1,2})(?P=sign) ?(?P<d1>\d{1,2})(?!\d)\.?"
    r"|(?P<y2>\d{4})[年년] ?(?P<m2>\d{1,2})[月월] ?(?P<d2>\d{1,2})[日일号號]"
    r"|(?P<p3>\d{1,2})(?P<sign3>[-/.])(?P<q3>\d{1,2})(?P=sign3)(?P<y3>\d{4})(?!\d)"
    rf"|(?P<d4>\d{{1,2}})(?:st|nd|rd|th|er|\.|º)? ?(?:de )?(?P<m4>{_MONTH})\.?,? (?:de |del )?(?P<y4>\d{{4}})(?!\d)"
    rf"|(?P<m5>{_MONTH})\.? (?P<d5>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y5>\d{{4}})(?!\d))"
)
_TIME: Final = (
    r"(?:(?:T|[ ,，|·•–-]{0,3}(?:at |um |à |às |kl\.? )?)"
    r"(?P<half1>上午|下午|早上|晚上|中午|凌晨|午前|午後|오전|오후)? ?(?P<hour>\d{1,2})"
    r"(?:[:：h.](?P<minute>\d{2})(?:[:：](?P<second>\d{2})(?:[.,]\d+)?)?|[時时点點시] ?(?:(?P<minute2>\d{1,2})[分분])?)"
    r"(?: ?(?P<half2>[ap]\.?m\b\.?)| uhr)?)?"
)
_ZONE: Final = (
    r"(?: ?(?:Z|(?:UTC|GMT)? ?[+-]\d{1,2}:?(?:\d{2})?|[A-Z]{2,5}|[（(](?:[A-Z]{2,5}|(?:UTC|GMT)[+-]\d{1,2})[)）]"
    r"|[（(]?(?:北京|台北|香港)(?:时间|時間)[)）]?)(?![A-Za-z])){0,2}"
)
_DATED: Final = re.compile(
    rf"(?:{_WEEKDAY_FIRST})?{_DATE}(?:{_WEEKDAY_LAST})?{_TIME}(?-i:{_ZONE})", re.IGNORECASE | re.ASCII
)

_VERB: Final = (
    r"(?:(?:first |last |date )?(?:published|updated|posted|modified|created)|publication date|date"
    r"|publié|mis à jour|modifié|veröffentlicht|aktualisiert|erstellt|stand|publicado|actualizado|atualizado"
    r"|pubblicato|aggiornato|gepubliceerd|опубликовано|обновлено"
    r"|(?:首次|最[后後新])?(?:发布|發布|發佈|发表|發表|刊登|刊出|更新|修改|出版)(?:时间|時間|日期|于|於|日時|日)?|时间|時間|日期"
    r"|(?:公開|配信|掲載|投稿)(?:日時?)?|입력|수정|등록|게시)?"
)
_LABEL: Final = re.compile(rf"{_VERB}(?: (?:on|at|le|am|el|il|em|op|in))?(?: ?[:：|])? ?", re.IGNORECASE)
_BETWEEN: Final = re.compile(r" ?(?:[|·•;/,，—–-] ?)?(?:(?:发布|發布|發佈|更新|公開|配信|発信|掲載)$)?")
_WRAPPED: Final = re.compile(r"[（(\[【](?P<inside>[^（(\[【]+)[)）\]】]")
_YEAR: Final = re.compile(r"\d{4}", re.ASCII)


def is_dateline(line: str, published: datetime) -> bool:
    """Tell whether a line is one or two dates, with or without a time, each at most two days from publication.

    The line is in its matching form, the date of publication aware.
    """
    if len(line) > _LONGEST or not _YEAR.search(line):
        return False
    if match := _WRAPPED.fullmatch(line):
        line = match["inside"]
    at = dates = 0
    while at < len(line) and dates < _MOST_DATES:
        label = _LABEL.match(line, at)  # it may be empty
        date = _DATED.match(line, label.end() if label else at)
        if date is None or not _is_near(date, published):
            return False
        between = _BETWEEN.match(line, date.end())
        at = between.end() if between else date.end()
        dates += 1
    return at == len(line) > 0


def is_in_dated_element(nodes: Iterable[PageElement], published: datetime) -> bool:
    """Tell whether texts of one line are short and all in `<time>` elements with a date near publication (aware)."""
    length = 0
    for node in nodes:
        length += len(str(node))
        if str(node).strip() and not _is_dated(node, published):
            return False
    return 0 < length <= _LONGEST


def _is_dated(node: PageElement, published: datetime) -> bool:
    parent = node.parent
    while isinstance(parent, Tag) and parent.name in ("b", "em", "i", "small", "span", "strong"):
        parent = parent.parent
    if not isinstance(parent, Tag) or parent.name != "time":
        return False
    date = _DATED.match(str(parent.get("datetime", "")).strip())
    return date is not None and _is_near(date, published)


def _is_near(date: re.Match[str], published: datetime) -> bool:
    return any(abs(reading - published) <= _NEAR for reading in _readings(date))


def _readings(date: re.Match[str]) -> Iterator[datetime]:
    hour, minute, second = (
        int(part or 0) for part in (date["hour"], date["minute"] or date["minute2"], date["second"])
    )
    half = (date["half1"] or date["half2"] or "").lower()
    if half.startswith(("下午", "晚上", "午後", "오후", "p")) and hour <= _LAST_HOUR_BEFORE_NOON:
        hour += 12
    if date["y3"]:
        days = [(date["y3"], date["q3"], date["p3"]), (date["y3"], date["p3"], date["q3"])]
    elif date["y4"] or date["y5"]:
        month = _NUMBERS[(date["m4"] or date["m5"]).lower()]
        days = [(date["y4"] or date["y5"], str(month), date["d4"] or date["d5"])]
    else:
        days = [(date["y1"] or date["y2"], date["m1"] or date["m2"], date["d1"] or date["d2"])]
    for year, month_number, day in days:
        try:
            # Two days leave room for any time zone.
            yield datetime(int(year), int(month_number), int(day), hour, minute, second, tzinfo=UTC)
        except ValueError:  # such as 31/02, or the month and the day swapped
            continue
