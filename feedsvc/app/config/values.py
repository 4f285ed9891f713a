"""The types of values, with their messages."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from feedsvc.feeds.formats.addresses import EVERYTHING
from feedsvc.feeds.plan import fold_case
from feedsvc.http import parse_credentials
from feedsvc.links import tidy_link
from feedsvc.runtime.schedule import parse_trigger
from feedsvc.store.feed_names import FEED_NAME

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_CENTURY = timedelta(days=36525)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: object) -> timedelta:
    """Parse a number of seconds, or a text such as "500 ms", "5 m", "1.5 h", "90 d".

    Raises:
        ValueError: It is neither, negative, or longer than a century.
    """
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _CENTURY.total_seconds():
        raise ValueError("is longer than a century")
    if seconds >= 0:
        return timedelta(seconds=seconds)
    raise ValueError('give seconds as a number, or a text such as "500 ms", "30 s", "5 m", "1 h", "90 d"')


def _parse_when(value: object) -> timedelta | str:
    if isinstance(value, str) and len(value.split()) == 5:  # noqa: PLR2004 - the fields of a cron expression
        parse_trigger(value)
        return value
    when = parse_duration(value)
    parse_trigger(when)
    return when


def _parse_keep(value: object) -> timedelta | int | None:
    if value == "forever":
        return None
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*entries", value.strip())):
        return int(match[1])
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        return parse_duration(value)
    raise ValueError('give "forever", an age such as "90 d", or a number such as "10000 entries"')


def _check_base_url(value: str) -> str:
    address = tidy_link(value)
    if address is None or not value.startswith(("http://", "https://")) or "?" in value or "#" in value:
        raise ValueError("give an address such as https://feeds.example.org, without query or fragment")
    return address.rstrip("/")


def _check_hub(value: str) -> str:
    try:
        address = urlsplit(value)
        named = address.hostname and address.port != 0  # a malformed port raises when it is read
    except ValueError:
        named = False
    if not named or not re.fullmatch(r"https?://[\x21-\x7e]+", value) or "@" in address.netloc or address.fragment:
        raise ValueError("give the address of a WebSub hub such as https://hub.example.org/, without user or fragment")
    return value


def _check_network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f'give networks such as "127.0.0.1/32" or "fd00::/8": {error}') from error


def _check_auth(value: str) -> str:
    parse_credentials(value)
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_text(value: str) -> str:
    if not fold_case(value):
        raise ValueError("give at least one character that can be seen")
    return value


def _check_name(value: str) -> str:
    if not FEED_NAME.fullmatch(value):
        raise ValueError('a name is 1 to 64 letters (a to z), digits, "-" and "_", for it stands in addresses')
    if value.casefold() == EVERYTHING:
        raise ValueError("is the name of the feed of everything, which [feed] describes; give another one")
    return value


def _check_secret(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,}", value):
        raise ValueError('give at least 16 letters (a to z), digits, "-" and "_"; `openssl rand -hex 16` makes some')
    return value


def _check_age(value: object) -> timedelta:
    age = parse_duration(value)
    if not age:
        raise ValueError("is shorter than any entry's age")
    return age


When = Annotated[timedelta | str, BeforeValidator(_parse_when)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Keep = Annotated[timedelta | int | None, BeforeValidator(_parse_keep)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
HubUrl = Annotated[str, AfterValidator(_check_hub)]
Network = Annotated[str, AfterValidator(_check_network)]
Auth = Annotated[str, AfterValidator(_check_auth)]
Text = Annotated[str, AfterValidator(_check_text)]
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]
Secret = Annotated[str, AfterValidator(_check_secret)]
FeedName = Annotated[str, AfterValidator(_check_name)]
Age = Annotated[timedelta, BeforeValidator(_check_age)]
