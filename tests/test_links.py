from __future__ import annotations

import re
import tomllib
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import DATA

from feedsvc.links import TRACKING, TRACKING_PREFIXES, canonical_link, resolve, strip_tracking, tidy_link

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads((DATA / "links.toml").read_text("utf-8"))
# RFC 3986, appendix A, for http(s) with a host.
VALID = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?"
    r"(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
    r"(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
    r"(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)


def ident(row: dict[str, Any]) -> str:
    return str(row.get("why") or row.get("link") or row.get("address"))


@pytest.mark.parametrize("row", TABLE["spelling"], ids=ident)
def test_spelling(row: dict[str, Any]) -> None:
    link = row["link"]
    tidy = None if row.get("none") else row.get("tidy", link)
    assert tidy_link(link) == tidy
    assert canonical_link(link) == row.get("canonical", tidy)


def test_the_table_is_large_and_each_row_says_something() -> None:
    assert len(TABLE["spelling"]) >= 45
    links = [row["link"] for row in TABLE["spelling"]]
    assert len(links) == len(set(links))
    for row in TABLE["spelling"]:
        assert row.keys() <= {"why", "link", "tidy", "canonical", "none"}
        assert row.get("tidy") != row["link"]
        assert row.get("canonical") != row.get("tidy", row["link"])


@pytest.mark.parametrize("row", TABLE["same"])
def test_spellings_of_one_article(row: dict[str, Any]) -> None:
    assert len({canonical_link(link) for link in row["spellings"]}) == 1


@pytest.mark.parametrize("row", TABLE["different"])
def test_addresses_of_different_articles(row: dict[str, Any]) -> None:
    for one, other in combinations(row["spellings"], 2):
        assert canonical_link(one) != canonical_link(other)


@pytest.mark.parametrize("row", TABLE["resolve"], ids=ident)
def test_resolve(row: dict[str, Any]) -> None:
    assert resolve(row.get("base"), row["address"]) == row.get("expected")


@pytest.mark.parametrize("row", TABLE["strip"], ids=ident)
def test_strip_tracking(row: dict[str, Any]) -> None:
    assert strip_tracking(row["address"]) == row.get("expected", row["address"])


def test_an_address_without_query_and_fragment_is_not_copied() -> None:
    address = "https://news.example/" + "a" * 10
    assert strip_tracking(address) is address


@pytest.mark.parametrize("name", [*TRACKING, *(f"{prefix}x" for prefix in TRACKING_PREFIXES)])
def test_each_tracking_parameter_goes_in_any_case(name: str) -> None:
    assert strip_tracking(f"a?x=1&{name.upper()}=2") == "a?x=1"


def test_the_tracking_table_has_no_row_that_cannot_match() -> None:
    for name, reason in TRACKING.items():
        assert name == name.lower()
        assert not name.startswith(TRACKING_PREFIXES)
        assert reason
    assert not TRACKING.keys() & {"id", "ref", "source", "sid", "from", "p", "page", "q", "s", "t", "v", "aid", "cid"}


UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        *(
            "https://",
            "http://",
            "HTTP:",
            "//",
            "/",
            "\\",
            ":",
            "@",
            "[",
            "]",
            "::1",
            ":80",
            ":443",
            ":99999",
            "?",
            "#",
        ),
        *(
            "&",
            "=",
            "%",
            "%2e",
            "%7E",
            "%e6",
            "%41",
            "%5F",
            "utm_source=",
            "utm%5Fa",
            "fbclid",
            "amp;",
            "xtor=",
            "!",
            ".",
        ),
        *(
            "..",
            "/../",
            "/./",
            "news.example",
            "xn--",
            "bücher",
            "港口",
            "。",
            "💩",
            "ß",
            "\u200d",
            "\ud800",
            "\n",
            " ",
        ),
        *("mailto:", "javascript:", "a", "Z", "0", "\u3000", "\ufeff", "|", '"', "_", "-", "+"),
    ]
)
ADDRESSES = (
    st.lists(PIECES | st.text(max_size=3), max_size=15).map("".join)
    | st.lists(PIECES, max_size=12).map(lambda pieces: "https://news.example/" + "".join(pieces))
    | st.lists(PIECES, max_size=8).map(lambda pieces: "http://" + "".join(pieces))
)


@UNTIMED
@given(ADDRESSES)
def test_tidy_is_valid_and_idempotent_and_keeps_the_identity(link: str) -> None:
    tidy = tidy_link(link)
    canonical = canonical_link(link)
    assert (tidy is None) == (canonical is None)
    if tidy is not None and canonical is not None:
        assert VALID.fullmatch(tidy)
        assert tidy_link(tidy) == tidy
        assert canonical_link(tidy) == canonical
        assert VALID.fullmatch(canonical)
        assert canonical_link(canonical) == canonical
        assert tidy_link(canonical) == canonical


@UNTIMED
@given(ADDRESSES)
def test_strip_tracking_is_idempotent_and_only_takes_away(address: str) -> None:
    stripped = strip_tracking(address)
    assert strip_tracking(stripped) == stripped
    rest = iter(address)
    assert all(character in rest for character in stripped)


@UNTIMED
@given(st.none() | ADDRESSES, ADDRESSES)
def test_resolve_gives_valid_addresses_or_none(base: str | None, address: str) -> None:
    resolved = resolve(base, address)
    if resolved is not None:
        assert VALID.fullmatch(resolved) or resolved.startswith(("mailto:", "tel:"))
        assert resolve(None, resolved) == resolved
        assert resolved.isascii()


@pytest.mark.slow
@pytest.mark.parametrize(
    "repeated", ["/..", "//", "%", "&", "&amp;", "[", "@", ":", ".", "#", "ü", "港.", "\\", "?utm_a=&"]
)
@pytest.mark.parametrize("beginning", ["https://", "https://news.example/", "https://news.example/?", "//"])
def test_hostile_addresses_end(beginning: str, repeated: str) -> None:
    address = beginning + repeated * (50_000 // len(repeated))
    tidy_link(address)
    canonical_link(address)
    resolve("https://news.example/a", address)
    resolve(address, "b")
