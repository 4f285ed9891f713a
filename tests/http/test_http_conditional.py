"""One table of conditional and negotiated requests, driven as pure functions and over a socket."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from feedsvc.feeds.represent import represent
from feedsvc.http import Server, bind
from feedsvc.http.conditional import entity_tag, evaluate, parse_http_date
from feedsvc.http.negotiate import choose_coding
from feedsvc.http.respond import respond

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from feedsvc.http.answer import Answer

MODIFIED = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)  # the date of RFC 9110's examples
FEED = represent(b"<feed>text</feed>" * 50, "application/atom+xml", last_modified=MODIFIED, max_age=60)
H = FEED.etag
LM, EARLIER, LATER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in ("37", "36", "38"))


@dataclass(frozen=True)
class Case:
    name: str
    fields: tuple[tuple[str, str], ...]
    status: int = 200
    coding: str = "identity"
    tag: str = ""  # of the answer, where it is not the coding's own

    @property
    def joined(self) -> dict[str, str]:
        joined: dict[str, list[str]] = {}
        for name, value in self.fields:
            joined.setdefault(name, []).append(value)
        return {name: ", ".join(values) for name, values in joined.items()}


def inm(name: str, *values: str, status: int = 304, also: dict[str, str] | None = None, **more: str) -> Case:
    fields = tuple(("if-none-match", value) for value in values) + tuple((also or {}).items())
    return Case(f"if-none-match {name}", fields, status, **more)


def one(field: str, value: str, status: int = 200, coding: str = "identity", **also: str) -> Case:
    fields = ((field, value), *((name.replace("_", "-"), other) for name, other in also.items()))
    return Case(" ".join(f"{name}: {text}" for name, text in fields).replace(H, "H"), fields, status, coding)


def coded(value: str, coding: str = "identity") -> Case:
    return one("accept-encoding", value, coding=coding)


CASES = [
    Case("no fields", ()),
    # Content coding, section 12.5.3
    coded("gzip", "gzip"),
    coded("GZip", "gzip"),
    coded("x-gzip", "gzip"),
    coded("gzip;q=0"),
    coded("gzip;q=0.000"),
    coded("gzip;q=0.001", "gzip"),
    coded("gzip ; Q=0.5", "gzip"),
    coded("gzip, deflate, br, zstd", "br"),
    coded("gzip, deflate, br;q=0.9, zstd", "zstd"),
    coded("br;q=0.5, gzip;q=0.5, zstd;q=0.6", "zstd"),
    coded("br, deflate", "br"),
    coded("zstd", "zstd"),
    coded("dcb, dcz"),
    coded("deflate"),
    coded("*", "br"),
    coded("*;q=0"),
    coded("gzip;q=0, *", "br"),
    coded("gzip;q=0, br;q=0, zstd;q=0, *"),
    coded("*;q=0, gzip", "gzip"),
    coded("identity"),
    coded("identity;q=0"),
    coded("identity;q=0, gzip", "gzip"),
    coded("identity;q=0, *;q=0.5", "br"),
    coded("identity, gzip;q=0.5"),
    coded("identity;q=0.5, gzip;q=0.5", "gzip"),
    coded("identity;q=0.5, gzip", "gzip"),
    coded(""),
    coded(" , ,gzip , ", "gzip"),
    coded("gzip;q=2"),
    coded("gzip;q=-1"),
    coded("gzip;q=1.0000"),
    coded("gzip;q=abc"),
    coded("gzip;level=9"),
    coded("gzip deflate"),
    coded("identity;q=x, gzip", "gzip"),
    Case("accept-encoding in two lines", (("accept-encoding", "br"), ("accept-encoding", "gzip")), coding="br"),
    # If-None-Match, section 13.1.2
    inm("same", f'"{H}"'),
    inm("other", '"other"', status=200),
    inm("any", "*"),
    inm("any with space", " * "),
    inm("weak", f'W/"{H}"'),
    inm("lower-case weak mark", f'w/"{H}"', status=200),
    inm("last of a list", f'"a", W/"b" ,"{H}"'),
    inm("list without space", f'"a","{H}","b"'),
    inm("list with empty members", f', ,"{H}",'),
    inm("a tag with a comma before it", f'"a,b", "{H}"'),
    inm("the tag inside another", f'"x{H}"', status=200),
    inm("unquoted", H, status=200),
    inm("unterminated", f'"{H}', status=200),
    inm("after something malformed", f'junk, "{H}"', status=200),
    inm("two tags without a comma", f'"{H}" "a"', status=200),
    inm("empty", "", status=200),
    inm("empty tag", '""', status=200),
    inm("bytes beyond ASCII", f'"\xe9\xff", "{H}"'),
    inm("two lines", '"a"', f'"{H}"'),
    # Codings have tags of their own, and proxies make more
    inm("gzip's tag", f'"{H}-gzip"', also={"accept-encoding": "gzip"}, coding="gzip"),
    inm("gzip's tag, without preference", f'"{H}-gzip"', tag="-gzip"),
    inm("gzip's tag from one who takes no gzip", f'"{H}-gzip"', also={"accept-encoding": "identity"}, status=200),
    inm(
        "both tags from one who takes no gzip",
        f'"{H}-gzip", "{H}"',
        also={"accept-encoding": "br"},
        coding="br",
        tag="id",
    ),
    inm("identity's tag from one who takes gzip", f'"{H}"', also={"accept-encoding": "gzip"}, coding="gzip", tag="id"),
    inm("both tags from one who takes gzip", f'"{H}", "{H}-gzip"', also={"accept-encoding": "gzip"}, coding="gzip"),
    inm("weak gzip", f'W/"{H}-gzip"', also={"accept-encoding": "gzip"}, coding="gzip"),
    inm("Jetty", f'"{H}--gzip"', also={"accept-encoding": "gzip"}, coding="gzip"),
    inm("semicolon", f'W/"{H};gzip"', also={"accept-encoding": "gzip"}, coding="gzip"),
    inm("Jetty, brotli", f'"{H}--br"', also={"accept-encoding": "br"}, coding="br"),
    inm(
        "brotli's tag from one who takes zstd only",
        f'"{H}-br"',
        also={"accept-encoding": "zstd"},
        status=200,
        coding="zstd",
    ),
    inm("brotli's tag from one who takes all", f'"{H}-br"', also={"accept-encoding": "gzip, br, zstd"}, coding="br"),
    inm("gzip's tag from one who takes all", f'W/"{H}-gzip"', also={"accept-encoding": "gzip, br"}, coding="br"),
    inm("zstd's tag", f'"{H}-zstd"', also={"accept-encoding": "zstd"}, coding="zstd"),
    inm("another suffix", f'"{H}-zip"', also={"accept-encoding": "gzip"}, status=200, coding="gzip"),
    # If-Modified-Since, section 13.1.3
    one("if-modified-since", LM, 304),
    one("if-modified-since", LATER, 304),
    one("if-modified-since", EARLIER),
    one("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
    one("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", 304),
    one("if-modified-since", "Sunday, 06-Nov-94 08:49:36 GMT"),
    one("if-modified-since", "Sun Nov  6 08:49:37 1994", 304),
    one("if-modified-since", "Sun Nov  6 08:49:36 1994"),
    one("if-modified-since", "Sun, 06 Nov 1994 08:49:60 GMT", 304),
    one("if-modified-since", "Sun, 31 Feb 2100 08:49:37 GMT"),
    one("if-modified-since", "Sun, 06 Nov 2100 25:00:00 GMT"),
    one("if-modified-since", "Sun, 6 Nov 2100 08:49:37 GMT"),
    one("if-modified-since", "Sun, 06 Nov 2100 08:49:37 UTC"),
    one("if-modified-since", "sun, 06 nov 2100 08:49:37 gmt"),
    one("if-modified-since", "2100-11-06T08:49:37Z"),
    one("if-modified-since", "0"),
    one("if-modified-since", ""),
    Case("if-modified-since in two lines", (("if-modified-since", LATER), ("if-modified-since", LATER))),
    # If-Unmodified-Since, section 13.1.4
    one("if-unmodified-since", LM),
    one("if-unmodified-since", LATER),
    one("if-unmodified-since", EARLIER, 412),
    one("if-unmodified-since", "yesterday"),
    # If-Match, section 13.1.1
    one("if-match", f'"{H}"'),
    one("if-match", f'"a", "{H}"'),
    one("if-match", "*"),
    one("if-match", f'W/"{H}"', 412),
    one("if-match", '"other"', 412),
    one("if-match", "", 412),
    one("if-match", f'"{H}-gzip"', 200, "gzip", accept_encoding="gzip"),
    # Precedence, section 13.2.2
    one("if-none-match", '"other"', 200, if_modified_since=LATER),
    one("if-none-match", f'"{H}"', 304, if_modified_since=EARLIER),
    one("if-none-match", "", 200, if_modified_since=LATER),
    one("if-match", f'"{H}"', 200, if_unmodified_since=EARLIER),
    one("if-match", '"other"', 412, if_unmodified_since=LATER),
    one("if-match", '"other"', 412, if_none_match=f'"{H}"'),
    one("if-match", f'"{H}"', 304, if_none_match=f'"{H}"'),
    one("if-unmodified-since", EARLIER, 412, if_none_match=f'"{H}"'),
    one("if-unmodified-since", LATER, 304, if_modified_since=LATER),
    # A range is not served: the whole is (section 14.2)
    one("range", "bytes=0-1", 200, if_range=f'"{H}"'),
]

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@by_name
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pure(case: Case, method: str) -> None:
    assert evaluate(method, FEED, case.joined) == case.status
    assert choose_coding(case.joined.get("accept-encoding"), tuple(FEED.codings)) == case.coding


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    async def feed(request: Request) -> Answer:
        return respond(request, FEED)

    sock = bind("127.0.0.1:0")
    number: int = sock.getsockname()[1]
    server = Server(sock)
    server.start(Starlette(routes=[Route("/feed.atom", feed)]))
    yield number
    server.stop(5)


@by_name
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_over_a_socket(case: Case, method: str, port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, "/feed.atom", skip_accept_encoding=True)
    for name, value in case.fields:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == case.status
    if case.status == 412:
        return
    suffix = {"id": "", "": "" if case.coding == "identity" else f"-{case.coding}"}.get(case.tag, case.tag)
    assert response.headers["ETag"] == f'"{H}{suffix}"'
    assert response.headers["Last-Modified"] == LM
    assert response.headers["Cache-Control"] == "public, max-age=60, stale-while-revalidate=600"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Date"]
    if case.status == 304:
        assert body == b""
        assert not {"content-length", "content-type", "content-encoding"} & {name.lower() for name in response.headers}
        return
    expected = FEED.body if case.coding == "identity" else FEED.codings[case.coding]
    assert response.headers["Content-Type"] == FEED.media_type
    assert response.headers["Content-Length"] == str(len(expected))
    assert response.headers.get("Content-Encoding", "identity") == case.coding
    assert body == (expected if method == "GET" else b"")
    if body and case.coding == "gzip":
        assert gzip.decompress(body) == FEED.body


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"if-none-match": f'"{H}"'}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": LATER}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
    ],
)
def test_methods_that_change_something(fields: dict[str, str], expected: int) -> None:
    assert evaluate("PUT", FEED, fields) == expected


@pytest.mark.parametrize("field", ["if-modified-since", "if-unmodified-since"])
def test_dates_say_nothing_where_no_modification_date_is_known(field: str) -> None:
    undated = represent(FEED.body, FEED.media_type, last_modified=None, max_age=60)
    assert evaluate("GET", undated, {field: EARLIER}) == evaluate("GET", undated, {field: LATER}) == 200


def test_entity_tags_differ_by_coding() -> None:
    assert entity_tag(FEED, "identity") == f'"{H}"'
    assert entity_tag(FEED, "gzip") == f'"{H}-gzip"'


@pytest.mark.parametrize(
    ("accept_encoding", "offered", "expected"),
    [
        (None, ("gzip",), "identity"),
        ("gzip", (), "identity"),
        ("gzip, br", ("br", "gzip"), "br"),
        ("gzip, br;q=0.9", ("br", "gzip"), "gzip"),
        ("*, br;q=0", ("br", "gzip"), "gzip"),
    ],
)
def test_choose_coding_of_what_is_offered(accept_encoding: str | None, offered: tuple[str, ...], expected: str) -> None:
    assert choose_coding(accept_encoding, offered) == expected


@pytest.mark.parametrize(
    ("value", "near", "year"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", 2024, 1994),
        ("Sunday, 06-Nov-24 08:49:37 GMT", 2024, 2024),
        ("Sunday, 06-Nov-74 08:49:37 GMT", 2024, 2074),
        ("Sunday, 06-Nov-75 08:49:37 GMT", 2024, 1975),
        ("Sunday, 06-Nov-01 08:49:37 GMT", 1999, 2001),
        ("Sunday, 06-Nov-99 08:49:37 GMT", 2051, 2099),
        ("Sunday, 06-Nov-01 08:49:37 GMT", 2099, 2101),
    ],
)
def test_two_digit_years(value: str, near: int, year: int) -> None:
    date = parse_http_date(value, datetime(near, 6, 1, tzinfo=UTC))
    assert date
    assert date.year == year


DATES = st.datetimes(datetime(1976, 1, 1), datetime(2073, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds


@given(DATES)
def test_dates_survive_each_form(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    near = datetime(2024, 1, 1, tzinfo=UTC)
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    fixdate = format_datetime(moment, usegmt=True)
    _, day, month, year, time, _ = fixdate.split()
    asctime = f"{fixdate[:3]} {month} {int(day):2} {time} {year}"
    rfc850 = f"{days[moment.weekday()]}, {day}-{month}-{year[2:]} {time} GMT"
    assert [parse_http_date(form, near) for form in (fixdate, rfc850, asctime)] == [moment] * 3


@pytest.mark.slow
@given(st.text(max_size=60), st.text(max_size=60))
def test_hostile_fields_change_nothing(one: str, two: str) -> None:
    names = ("if-none-match", "if-modified-since", "accept-encoding")
    for fields in (dict.fromkeys(names, one), dict.fromkeys(names, one + two)):
        assert evaluate("GET", FEED, fields) == (304 if fields["if-none-match"].strip(" \t") == "*" else 200)
    assert choose_coding(one, ("gzip",)) in ("gzip", "identity")
