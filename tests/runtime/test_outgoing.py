"""Requests that go out: where they may lead, and what bounds them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from sites import Site, running

from feedsvc import __version__
from feedsvc.errors import RequestError
from feedsvc.runtime.outgoing import Asker, HttpResponse, Outgoing, get_json, is_public_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from feedsvc.runtime.outgoing import Resolver

FORM = {"hub.mode": "publish", "hub.url": "https://feeds.example.org/feed.atom?a=b&c"}


@pytest.fixture
def site() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


def at(*addresses: str) -> Resolver:
    return lambda _host, _port: addresses


def post(
    url: str, *, seconds: float = 10.0, allow_private: bool = True, resolver: Resolver | None = None
) -> HttpResponse:
    async def ask() -> HttpResponse:
        more = {"resolver": resolver} if resolver else {}
        async with Outgoing(allow_private=allow_private, seconds=seconds, **more) as client:
            return await client.post(url, FORM)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2002:808:808::", "2606:4700::5efe:808:808", "168.63.129.17",
    ],
)  # fmt: skip
def test_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1",
        "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::1", "2002:a00:1::",
        "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "::127.0.0.1", "100::1",
        "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::808:808", "2002:a9fe:a9fe::", "::ffff:169.254.169.254",
        "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "fe80::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "192.88.99.1", "198.19.255.255", "0.1.2.3", "::ffff:0.0.0.0", "::2", "ff0e::1",
        "3fff::1", "5f00::1", "2001:20::1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public_address(address)


def test_post(site: Site) -> None:
    site.answer = 202, (("X-A", "b"), ("Set-Cookie", "a=b")), "一".encode() * 1000
    reply = post(f"http://127.0.0.1:{site.port}/hub?x=y")
    assert (reply.status, reply.fields["x-a"], reply.text) == (202, "b", "一" * 200)
    [(path, fields, body)] = site.asked
    assert path == "/hub?x=y"
    assert fields["host"] == f"127.0.0.1:{site.port}"
    assert fields["content-type"] == "application/x-www-form-urlencoded"
    assert fields["user-agent"] == f"feedsvc/{__version__}"
    assert body == b"hub.mode=publish&hub.url=https%3A%2F%2Ffeeds.example.org%2Ffeed.atom%3Fa%3Db%26c"


def test_connections_are_kept_and_cookies_are_not(site: Site) -> None:
    site.answer = 204, (("Set-Cookie", "a=b"),), b""

    async def ask_twice() -> None:
        async with Outgoing(allow_private=True, seconds=10) as client:
            for _ in range(2):
                await client.post(f"http://127.0.0.1:{site.port}/", FORM)

    asyncio.run(ask_twice())
    assert [fields.get("cookie") for _, fields, _ in site.asked] == [None, None]


def test_the_name_is_kept_where_the_address_is_asked(site: Site) -> None:
    post(f"http://hub.example.org:{site.port}/", resolver=at("127.0.0.1"))
    assert site.asked[0][1]["host"] == f"hub.example.org:{site.port}"


def test_an_address_that_does_not_answer_is_passed_over(site: Site) -> None:
    assert post(f"http://hub.example.org:{site.port}/", resolver=at("127.0.0.9", "127.0.0.1")).status == 204


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://0.0.0.0:{port}/",
        "http://[::]:{port}/",
        "http://[::1]:{port}/",
        "http://[64:ff9b::7f00:1]:{port}/",
        "http://[fe80::1%25lo]:{port}/",
        "http://localhost.:{port}/",
        "http://LOCALHOST:{port}/",
        "http://user:password@127.0.0.1:{port}/",
        "http://127.0.0.1\u3002:{port}/",
    ],
)
def test_private_addresses_are_not_contacted(site: Site, url: str) -> None:
    reasons = "which is no public address; it was not contacted|Invalid IPv4 address|cannot be resolved"
    with pytest.raises(RequestError, match=reasons):
        post(url.format(port=site.port), allow_private=False)
    assert site.asked == []


def test_one_private_address_among_public_ones_is_enough(site: Site) -> None:
    with pytest.raises(RequestError, match=r"hub.example.org is at 127.0.0.1, which is no public address"):
        post(f"http://hub.example.org:{site.port}/", allow_private=False, resolver=at("8.8.8.8", "127.0.0.1"))


def test_a_name_that_changes_its_address_meanwhile_gains_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is judged, private when it is connected to."""
    answers = iter([["127.0.0.9"], ["127.0.0.1"]])
    monkeypatch.setattr("feedsvc.runtime.outgoing.is_public_address", lambda address: address == "127.0.0.9")
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    # The system's own look-up, were there a second one, would lead to the site as well.
    with pytest.raises(RequestError):
        post(f"http://localhost:{site.port}/", allow_private=False, resolver=rebinding, seconds=0.5)
    assert asked == ["localhost"]
    assert site.asked == []


def test_redirects_are_not_followed(site: Site) -> None:
    with running(Site(status=307, fields=(("Location", f"http://127.0.0.1:{site.port}/"),))) as first:
        reply = post(f"http://127.0.0.1:{first.port}/")
    assert reply.status == HTTPStatus.TEMPORARY_REDIRECT
    assert site.asked == []


def test_proxies_are_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert post(f"http://127.0.0.1:{site.port}/").status == 204


class Dripping(socketserver.BaseRequestHandler):
    """One byte after another, each well within any timeout of its own."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            while True:
                self.request.sendall(b"a")
                time.sleep(0.02)


def read(request: socket.socket) -> None:
    """All of the post: what is left unread would reset the connection."""
    got = b""
    while b"%26c" not in got:
        got += request.recv(65536)


class Silent(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        read(self.request)
        self.request.settimeout(5)
        with contextlib.suppress(OSError):
            self.request.recv(1)  # until the client gives up


class Gibberish(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        read(self.request)
        self.request.sendall(b"220 mail.example.org ESMTP\r\n\r\n")


class Hanging(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        read(self.request)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (Dripping, "no answer within 0.3 s"),
        (Silent, "no answer within 0.3 s"),
        (Gibberish, "illegal status line|ESMTP"),
        (Hanging, "disconnected"),
    ],
)
def test_servers_that_do_not_answer(handler: type[socketserver.BaseRequestHandler], reason: str) -> None:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(RequestError, match=reason):
                post(f"http://127.0.0.1:{server.server_address[1]}/", seconds=0.3)
        finally:
            server.shutdown()
            thread.join()


def fail(error: Exception) -> Resolver:
    def resolver(_host: str, _port: int) -> list[str]:
        raise error

    return resolver


@pytest.mark.parametrize(
    ("resolver", "reason"),
    [
        (at(), "hub.example.org has no address"),
        (fail(socket.gaierror(-2, "Name not known")), "hub.example.org cannot be resolved: Name not known"),
        (fail(UnicodeError("label too long")), "hub.example.org cannot be resolved: no host has such a name"),
        (at("127.0.0.9"), "connection attempts failed|refused"),
    ],
)
def test_hosts_that_cannot_be_found(resolver: Resolver, reason: str) -> None:
    with socket.socket() as held:  # nobody listens on its port
        held.bind(("127.0.0.1", 0))
        with pytest.raises(RequestError, match=reason):
            post(f"http://hub.example.org:{held.getsockname()[1]}/", resolver=resolver)


@pytest.mark.slow
def test_a_name_server_that_does_not_answer_holds_nothing_up() -> None:
    answering = threading.Event()

    def waiting(_host: str, _port: int) -> list[str]:
        answering.wait(30)
        return []

    with pytest.raises(RequestError, match=r"no answer within 0.2 s"):
        post("http://hub.example.org/", resolver=waiting, seconds=0.2)
    assert not answering.is_set()
    answering.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of hub.example.org, signed by itself; with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    file = tmp_path_factory.mktemp("tls") / "hub.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=hub.example.org", "-addext", "subjectAltName=DNS:hub.example.org"]
    subprocess.run([*command, *names, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + file.with_name("hub.pem.crt").read_text())
    return file


@pytest.mark.parametrize(
    ("host", "known", "reason"),
    [
        ("hub.example.org", True, None),
        ("hub.example.org", False, "self-signed certificate"),
        ("other.example.org", True, "other.example.org"),
        ("127.0.0.1", True, "127.0.0.1"),
    ],
)
def test_certificates_are_checked_by_name(
    certificate: Path, host: str, known: bool, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with running(Site(), context) as site:
        ask: Callable[[], HttpResponse] = lambda: post(f"https://{host}:{site.port}/", resolver=at("127.0.0.1"))  # noqa: E731
        if reason is None:
            assert ask().status == 204
        else:
            with pytest.raises(RequestError, match=reason):
                ask()
        assert bool(site.asked) == (reason is None)
    assert names == [None if host == "127.0.0.1" else host]


def test_asker_takes_any_answer_and_connects_each_time(site: Site) -> None:
    asker = Asker(f"http://127.0.0.1:{site.port}/healthz", seconds=5)
    for status in (200, 503):
        site.answer = status, (), b"{}"
        assert asker.ask() == status
    assert [fields["connection"] for _, fields, _ in site.asked] == ["close", "close"]
    asker.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # what is bound is taken from the backlog by nobody
        asker = Asker("http://{}:{}/healthz".format(*silent.getsockname()), seconds=0.05)
        with pytest.raises(RequestError):
            asker.ask()
    with pytest.raises(RequestError):  # nobody listens
        asker.ask()
    asker.close()


def test_get_json(site: Site) -> None:
    site.answer = 200, (), b'{"ready": true}'
    assert get_json(f"http://127.0.0.1:{site.port}/readyz", seconds=5) == {"ready": True}
    site.answer = 200, (), b"<html>"
    with pytest.raises(RequestError):
        get_json(f"http://127.0.0.1:{site.port}/readyz", seconds=5)
