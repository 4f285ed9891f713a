from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.http.addresses import base_of


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.org", "http://example.org"),
        ("EXAMPLE.org", "http://example.org"),
        ("example.org.", "http://example.org."),
        ("example.org:80", "http://example.org"),
        ("example.org:443", "http://example.org:443"),
        ("localhost:8080", "http://localhost:8080"),
        ("localhost:08080", "http://localhost:8080"),
        ("feeds_1", "http://feeds_1"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]", "http://[::1]"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("xn--fiqs8s.example", "http://xn--fiqs8s.example"),
        ("a" * 255, "http://" + "a" * 255),
        (None, None),
        ("", None),
        ("a" * 256, None),
        ("example.org:", None),
        ("example.org:0", None),
        ("example.org:65536", None),
        ("example.org:http", None),
        ("example.org:١", None),
        ("example.org:80:80", None),
        ("-example.org", None),
        (".example.org", None),
        ("example.org/path", None),
        ("example.org?x", None),
        ("example.org#x", None),
        ("user@example.org", None),
        ("example.org\n", None),
        ("exa mple.org", None),
        ("a, b", None),
        ('"><script>', None),
        ("例子.example", None),
        ("[::1", None),
        ("::1", None),
        ("[1:2]", None),
        ("[fe80::1%25eth0]", None),
        ("[:::::]", None),
    ],
)
def test_base_of(host: str | None, expected: str | None) -> None:
    assert base_of("http", host) == expected


def test_default_port_is_the_schemes() -> None:
    assert base_of("https", "example.org:443") == "https://example.org"
    assert base_of("https", "example.org:80") == "https://example.org:80"


@given(st.text(max_size=30))
def test_what_comes_out_can_stand_in_a_feed(host: str) -> None:
    base = base_of("http", host)
    assert base is None or (base.isascii() and not set(base) & set(" \"'<>&/?#@\\\r\n") - set("/"))
