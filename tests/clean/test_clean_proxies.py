"""Image proxies: what is unwrapped, what is not, and that unwrapping ends."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean.proxies import is_public, unwrap
from feedsvc.clean.repair import Addresses

PICTURE = "https://img.example/a/b.jpg"


@pytest.mark.parametrize(
    ("address", "picture"),
    [
        ("https://images.weserv.nl?url=img.example/a/b.jpg", PICTURE),
        ("https://images.weserv.nl/?url=img.example/a/b.jpg&w=300&h=200", PICTURE),
        ("http://images.weserv.nl/?w=300&url=ssl:img.example/a/b.jpg", PICTURE),
        ("https://wsrv.nl/?url=//img.example/a/b.jpg", PICTURE),
        ("https://wsrv.nl/?url=http://img.example/a/b.jpg", "http://img.example/a/b.jpg"),
        ("https://wsrv.nl/?url=https%3A%2F%2Fimg.example%2Fa%2Fb.jpg%3Fx%3D1%26y%3D2&q=80", f"{PICTURE}?x=1&y=2"),
        ("https://wsrv.nl/?url=img.example/%E5%9B%BE.jpg", "https://img.example/%E5%9B%BE.jpg"),
        ("https://wsrv.nl/?url=img.example:8080/b.jpg", "https://img.example:8080/b.jpg"),
        ("https://i0.wp.com/img.example/a/b.jpg?resize=300%2C200&ssl=1", PICTURE),
        ("https://i3.wp.com/img.example/a/b.jpg?w=300", "http://img.example/a/b.jpg"),
        ("https://i1.wp.com/img.example/a%20b.jpg?ssl=1", "https://img.example/a%20b.jpg"),
        ("https://external-content.duckduckgo.com/iu/?u=https%3A%2F%2Fimg.example%2Fa%2Fb.jpg&f=1&nofb=1", PICTURE),
        ("https://proxy.duckduckgo.com/iu/?f=1&u=https%3A%2F%2Fimg.example%2Fa%2Fb.jpg", PICTURE),
        ("https://h.example/_next/image?url=https%3A%2F%2Fimg.example%2Fa%2Fb.jpg&w=1080&q=75", PICTURE),
        ("https://h.example/x/imageproxy.php?url=https://img.example/a/b.jpg", PICTURE),
        ("https://h.example/image-proxy?src=https://img.example/a/b.jpg", PICTURE),
        ("https://h.example/thumbs/timthumb.php?src=https://img.example/a/b.jpg&w=1", PICTURE),
        ("https://h.example/imgproxy/300x200/https://img.example/a/b.jpg", PICTURE),
        ("https://h.example/cdn-cgi/image/width=300,quality=75/https://img.example/a/b.jpg?c=1", f"{PICTURE}?c=1"),
        ("https://cdn.example/image/fetch/$s_!x!,w_1456,q_auto:good/https%3A%2F%2Fimg.example%2Fa%2Fb.jpg", PICTURE),
        ("https://images1.googleusercontent.com/gadgets/proxy?container=x&url=https://img.example/a/b.jpg", PICTURE),
        # A proxy in a proxy.
        ("https://wsrv.nl/?url=images.weserv.nl/%3Furl%3Dimg.example%2Fa%2Fb.jpg", PICTURE),
        ("https://i0.wp.com/i1.wp.com/img.example/a/b.jpg?ssl=1", "http://img.example/a/b.jpg"),
        ("https://wsrv.nl/?url=https%3A%2F%2Fi0.wp.com%2Fimg.example%2Fa%2Fb.jpg%3Fssl%3D1", PICTURE),
        ("https://wsrv.nl/?url=https://8.8.8.8/b.jpg", "https://8.8.8.8/b.jpg"),
    ],
)
def test_unwrapped(address: str, picture: str) -> None:
    assert unwrap(address) == picture
    assert Addresses("https://h.example/").absolute(address) == picture


@pytest.mark.parametrize(
    "address",
    [
        PICTURE,
        "https://wsrv.nl/",
        "https://wsrv.nl/?w=300",
        "https://wsrv.nl/?url=",
        "https://wsrv.nl/?url=img.example",  # no picture, a host
        "https://wsrv.nl/?url=img.example/",
        "https://i0.wp.com/wsrv.nl/?url=img.example/a.jpg",
        "https://wsrv.nl/?url=img.example/%FF.jpg",
        "https://wsrv.nl/?url=/a.jpg",
        "https://wsrv.nl/?url=javascript:alert(1)",
        "https://wsrv.nl/?url=data:image/png;base64,AA",
        "https://wsrv.nl/?url=ftp://img.example/a.jpg",
        "https://wsrv.nl/?url=http://localhost/a.jpg",
        "https://wsrv.nl/?url=http://127.0.0.1/a.jpg",
        "https://wsrv.nl/?url=http://192.168.1.1/a.jpg",
        "https://wsrv.nl/?url=http://[::1]/a.jpg",
        "https://wsrv.nl/?url=http://printer.local/a.jpg",
        "https://wsrv.nl/?url=http://intranet/a.jpg",
        "https://h.example/_next/image?url=%2Fa.jpg&w=1080",
        "https://h.example/article?url=https://img.example/a.jpg",  # any page may have such a parameter
        "https://h.example/proxy?url=https://img.example/a.jpg",
        "https://h.example/wsrv.nl/?url=https://img.example/a.jpg",
        "https://notwsrv.nl/?url=https://img.example/a.jpg",
        "https://i0.wp.com/",
        "https://s0.wp.com/img.example/a.jpg",
        "https://h.example/why-image-proxy/how-https-works",
        f"https://wsrv.nl/?url=img.example/{'a' * 9_000}.jpg",
    ],
)
def test_left_alone(address: str) -> None:
    assert unwrap(address) is address


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://img.example/a", True),
        ("https://img.example./a", True),
        ("https://img.example:81/a", True),
        ("https://example/a", False),
        ("https://a.localhost/a", False),
        ("https://10.0.0.1/a", False),
        ("https://1.2/a", False),
        ("https://[2606:4700::1111]/a", True),
        ("https://[fe80::1]/a", False),
        ("https:///a", False),
    ],
)
def test_public(address: str, public: bool) -> None:
    assert is_public(address) is public


WRAPPINGS = (
    lambda address: f"https://wsrv.nl/?w=1&url={quote(address, safe='')}",
    lambda address: f"https://proxy.duckduckgo.com/iu/?u={quote(address, safe='')}&f=1",
    lambda address: f"https://c.example/image/fetch/w_1/{quote(address, safe='')}",
    lambda address: f"https://c.example/_next/image?url={quote(address, safe='')}&q=1",
)


@given(
    st.text("abc-._~!$'()*+,;=:@/", max_size=12),
    st.text("abc=&%2F/?", max_size=8),
    st.lists(st.sampled_from(WRAPPINGS)),
)
def test_any_nesting_is_unwrapped_to_what_was_wrapped(path: str, query: str, wrappings: list[object]) -> None:
    picture = Addresses(None).absolute(f"https://img.example/a{path}.jpg?{query}")
    assert picture is not None
    address = picture
    for wrap in wrappings[:4]:
        address = wrap(address)  # type: ignore[operator]
    assert unwrap(address) == picture


@given(
    st.lists(
        st.sampled_from(
            [
                "https://wsrv.nl/?url=",
                "wsrv.nl/%3Furl%3D",
                "i0.wp.com/",
                "h.example/a",
                "?u=",
                "%",
                "%25",
                "&url=",
                "https%3A%2F%2F",
                "/image/fetch/",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_unwrapping_again_changes_nothing(tail: str) -> None:
    address = Addresses(None).absolute(f"https://wsrv.nl/?url={tail}")
    assert address is not None
    assert unwrap(address) == address
    assert Addresses(None).absolute(address) == address
