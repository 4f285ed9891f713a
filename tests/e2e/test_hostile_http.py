"""Hostile HTTP, over sockets, to a real daemon: it answers, or ends the connection, and stays as it was."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.harness import Client, Daemon, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.alone

EVIL = "evil.example"
END = "\r\n\r\n"
GET = "GET /feed.atom HTTP/1.1\r\nHost: localhost\r\n"
LAST = f"{GET}Connection: close{END}"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOSTILE_TITLE = "Line\\r\\nSet-Cookie: a=b <script>alert(1)</script>"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Takes its base URL from each request."""
    made = Daemon(tmp_path_factory.mktemp("hostile"), {"feed": {"title": "A\r\nSet-Cookie: c=d"}})
    made.start()
    made.serve("an article")
    text = make_dump("x", link="https://news.example.org/x\r\nSet-Cookie:%20a=b").replace("[x]", f"[{HOSTILE_TITLE}]")
    made.drop("hostile.txt", text)
    wait_for(lambda: len(made.feed().titles) == 2)
    yield made
    try:
        made.stop()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def based(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Has a base URL, and a proxy on this machine whose word counts."""
    sections = {"base_url": "https://feeds.example.org", "server": {"trusted_proxies": ["10.0.0.0/8"]}}
    made = Daemon(tmp_path_factory.mktemp("based"), sections)
    made.start()
    made.serve("an article")
    yield made
    try:
        made.stop()
    finally:
        made.kill()


def exchange(daemon: Daemon, request: str | bytes) -> bytes:
    """Send all, and read until the daemon ends the connection."""
    data = request if isinstance(request, bytes) else request.encode("latin-1")
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=GENEROUS) as connection:
        try:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:  # it had enough
            return b""


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]*\r\n", answers)]


def head_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower()


@pytest.fixture(autouse=True)
def _stays_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each of these, others are answered, and nothing failed inside."""
    yield
    for name in {"daemon", "based"} & set(request.fixturenames):
        made: Daemon = request.getfixturevalue(name)
        made.disconnect()
        assert made.get("/feed.atom").status == 200
        assert "Traceback" not in made.log
        assert "request failed" not in made.log


# What one server could take for the end of a request, and another for its middle (RFC 9112, section 11.2)


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked", f"0{END}G"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 6", f"0{END}G"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", f"0{END}"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", f"0{END}"),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", f"0{END}"),
        ("Transfer-Encoding: xchunked", f"0{END}"),
        ("Transfer-Encoding: chunked, identity", f"0{END}"),
        ("Transfer-Encoding: identity, chunked", f"0{END}"),
        ("Transfer-Encoding:\x0bchunked", f"0{END}"),
        ("Transfer-Encoding : chunked", f"0{END}"),
        (" Transfer-Encoding: chunked", f"0{END}"),
        ("Transfer-Encoding:\r\n chunked", f"0{END}"),
        ("X: y\r\n\tTransfer-Encoding: chunked", f"0{END}"),
        ("X: y\rTransfer-Encoding: chunked", f"0{END}"),
        ("X: y\nTransfer-Encoding: chunked", f"0{END}"),
        ("Transfer-Encoding: chunked\x00", f"0{END}"),
        ("Content-Length: 0\r\nContent-Length: 36", ""),
        ("Content-Length: 0, 36", ""),
        ("Content-Length: +36", ""),
        ("Content-Length: 0x24", ""),
        ("Content-Length: 3 6", ""),
        ("Content-Length: 36\x0b", ""),
        ("Content-Length: -0", ""),
        ("Content-Length: 18446744073709551652", ""),
        ("Content-Length : 36", ""),
        ("Content-Length\x00: 36", ""),
        ("Content_Length: 36", ""),
        ("Transfer-Encoding: chunked", "1\nZ\n0\n\n"),
        ("Transfer-Encoding: chunked", "1 \r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x1\r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "1;a=b\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "1\r\nZZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", f"1;{'x' * 100_000}\r\nZ\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", f"0\r\n{'X: y' + chr(13) + chr(10)}Content-Length: 9{END}"),
        ("Expect: 100-continue\r\nContent-Length: 36", ""),
        ("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nContent-Length: 36", ""),
    ],
)
def test_nothing_is_smuggled(daemon: Daemon, fields: str, content: str) -> None:
    """What follows a request whose length can be doubted is never answered."""
    for method in ("POST", "GET"):
        request = f"{method} /feed.atom HTTP/1.1\r\nHost: localhost\r\n{fields}{END}{content}{SMUGGLED}"
        if fields == "Content_Length: 36":  # a field like any other: both are requests
            assert statuses(exchange(daemon, request.replace(SMUGGLED, LAST)))[-1] == 200
            continue
        found = statuses(exchange(daemon, request))
        assert len(found) <= 1, (method, found)
        assert not set(found) - {200, 400, 405, 431, 501}, (method, found)


@pytest.mark.parametrize(
    "start",
    [
        "GET\t/feed.atom HTTP/1.1", "GET /feed.atom\tHTTP/1.1", "GET /feed.atom HTTP/1.1 x",
        "GET /feed.atom HTTP/1.1\x00", "GET /feed.atom", "GET /feed.atom HTTP/0.9", "GET /feed.atom HTTP/2.0",
        "GET /feed.atom HTTP/11.1", "GET /feed.atom http/1.1", "GET /feed.atom HTTP/1.1\rX: y",
        "get /feed.atom HTTP/1.1",
        "G\x00T /feed.atom HTTP/1.1", "PRI * HTTP/2.0", " GET /feed.atom HTTP/1.1", "CONNECT evil.example:80 HTTP/1.1",
        "GET evil.example HTTP/1.1", "GET http:// HTTP/1.1", "GET http://a@localhost/ HTTP/1.1", "GET \\feed HTTP/1.1",
        "GET http://[::1/ HTTP/1.1", "GET javascript:alert(1) HTTP/1.1", "GET /a\x80 HTTP/1.1", "GET /\x7f HTTP/1.1",
    ],
)  # fmt: skip
def test_start_lines_that_are_none(daemon: Daemon, start: str) -> None:
    found = statuses(exchange(daemon, f"{start}\r\nHost: localhost\r\nConnection: close{END}{SMUGGLED}"))
    assert found in ([], [400], [404], [405], [505]), found


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "TRACK", "PROPFIND", "SEARCH", "LOCK"])
def test_methods(daemon: Daemon, method: str) -> None:
    for path in ("/feed.atom", "/", "/entries/x", "/search?q=a", "/healthz", "/readyz", "/nothing"):
        answer = exchange(
            daemon, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Secret: 7f3\r\nConnection: close{END}"
        )
        assert statuses(answer) in ([400], [404], [405]), path
        assert b"7f3" not in answer  # no TRACE


# Where files are


@pytest.mark.parametrize(
    "path",
    [
        "/../config.toml", "/%2e%2e/config.toml", "/..%2fconfig.toml", "/%2e%2e%2fconfig.toml", "/..\\config.toml",
        "/%5c..%5cconfig.toml", "/..%5c..%5cetc/passwd", "/%252e%252e/config.toml", "/%25252e%25252e%25252fconfig.toml",
        "/%c0%ae%c0%ae/config.toml", "/%c0%ae%c0%ae%c0%afconfig.toml", "/%e0%80%ae%e0%80%ae/config.toml",
        "/%uff0e%uff0e/config.toml", "/%ef%bc%8e%ef%bc%8e/config.toml", "/....//config.toml", "/..;/config.toml",
        "/style.css/../../config.toml", "/style.css%00.atom", "/feed.atom%00", "/feed.atom%0a",
        "/feed.atom%0d%0aX:%20y",
        "//etc/passwd", "///etc/passwd", "/./feed.atom", "/feeds/../feed.atom", "/feeds/%2e%2e/feed.atom",
        "/entries/..%2f..%2fvar%2ffeedsvc.db", "/entries/%00", "/entries/" + "a" * 5000, "/feeds/feed/archive/-1.atom",
        "/feeds/feed/archive/" + "9" * 4000 + ".atom", "/feeds/feed/archive/%D9%A1.atom",
        "/feeds/feed/archive/1e3.atom",
        "/file:///etc/passwd", "/static/style.css", "/templates/front.html", "/.git/config", "/var/feedsvc.db", "/%",
        "/%zz",
        "/feed.atom/", "/FEED.ATOM", "/feed.atom;a=b",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(daemon: Daemon, path: str) -> None:
    answer = exchange(daemon, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close{END}")
    assert statuses(answer) in ([404], [400]), path
    assert b"root:" not in answer
    assert b"directories" not in answer
    assert "location:" not in head_of(answer)
    assert "x: y" not in head_of(answer)


# What a cache must not be made to keep

POISON = {
    "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "evil", "X-Forwarded-Prefix": "/evil.example",
    "X-Forwarded-For": EVIL,
    "X-Forwarded-Port": "666", "X-Forwarded-Scheme": "evil", "X-Forwarded-Server": EVIL, "X-Host": EVIL,
    "X-Original-URL": "/evil.example", "X-Rewrite-URL": "/evil.example", "X-HTTP-Method-Override": "DELETE",
    "Forwarded": f"for=1.2.3.4;host={EVIL};proto=https", "X-Real-IP": "1.2.3.4", "Referer": f"https://{EVIL}/",
    "Origin": f"https://{EVIL}", "Cookie": f"a={EVIL}", "User-Agent": EVIL, "Accept-Language": EVIL,
    "True-Client-IP": EVIL,
    "X-Wap-Profile": f"http://{EVIL}/", "Via": f"1.1 {EVIL}", "Surrogate-Capability": EVIL, "Range": f"{EVIL}=0-1",
}  # fmt: skip
PATHS = ("/feed.atom", "/feed.rss", "/feed.json", "/", "/feeds.opml", "/search?q=article", "/nothing", "/readyz")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["with a base URL", "without"])
def test_nothing_of_a_request_is_in_the_answer(daemon: Daemon, based: Daemon, path: str, kind: str) -> None:
    made = based if kind == "with a base URL" else daemon
    client = Client(made.port)
    plain = client.get(path, {"Host": "localhost"})
    for name, value in POISON.items():
        answer = client.get(path, {"Host": "localhost", name: value})
        assert (answer.status, answer.body) == (plain.status, plain.body), name
        assert EVIL not in str(answer.fields), name
    noise = client.get(f"{path}{'&' if '?' in path else '?'}utm_source={EVIL}&cb=1", {"Host": "localhost"})
    assert (noise.status, noise.body) == (plain.status, plain.body)
    client.close()


@pytest.mark.parametrize("path", PATHS[:-1])
def test_with_a_base_url_the_host_says_nothing(based: Daemon, path: str) -> None:
    client = Client(based.port)
    plain = client.get(path, {"Host": "localhost"})
    for host in (EVIL, f"{EVIL}:666", "feeds.example.org", "[::1]", "x.feeds.example.org"):
        answer = client.get(path, {"Host": host})
        assert (answer.status, answer.body) == (plain.status, plain.body), host
        assert EVIL not in str(answer.fields)
    client.close()
    absolute = exchange(based, f"GET http://{EVIL}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close{END}")
    assert EVIL.encode() not in absolute


HOSTS = ["a b", "a\tb", "a/b", "a?b", "a#b", "a@b", "a,b", "a:b", "a:80:90", "a:99999",
         "<script>", '"', "'", "a%00b",
         "a\\b", "[::1", "::1", "[v1.x]", "", "a" * 256, "\xe4.example", "..", "-a", "a;b", "a&b", "a=b", "{a}",
         "a\x0bb"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_without_a_base_url_only_a_host_counts(daemon: Daemon, host: str) -> None:
    for path in ("/feed.atom", "/", "/search?q=article", "/feeds.opml"):
        answer = exchange(daemon, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close{END}")
        assert statuses(answer) in ([400], [404]), (path, answer[:200])
        assert "no-store" in head_of(answer) or not answer


def test_without_a_base_url_a_cache_asks_by_host(daemon: Daemon) -> None:
    """The host is a part of what a cache looks answers up by (RFC 9111, section 2); nothing else of a request is."""
    for host in ("localhost", EVIL):
        answer = exchange(daemon, f"GET /feed.atom HTTP/1.1\r\nHost: {host}\r\nConnection: close{END}")
        assert f"http://{host}/feed.atom".encode() in answer
        other = EVIL if host == "localhost" else "localhost"
        assert other.encode() not in answer
    # The target overrules the field for whoever forwards it as well (RFC 9112, section 3.2.2).
    answer = exchange(daemon, f"GET http://localhost/feed.atom HTTP/1.1\r\nHost: {EVIL}\r\nConnection: close{END}")
    assert EVIL.encode() not in answer


# Fields


def test_nothing_splits_an_answer(daemon: Daemon) -> None:
    client = Client(daemon.port)
    splits = ("a%0d%0aSet-Cookie:%20a=b", "a%0aSet-Cookie:%20a=b", "%e5%98%8a%e5%98%8dSet-Cookie:%20a=b", "%00%ff%fe")
    paths = [
        f"{start}{split}" for split in splits for start in ("/search?q=", "/search?page=", "/entries/", "/feeds/", "/?")
    ]
    keys = re.findall(r"/entries/[0-9a-z]+", client.get("/").body.decode())
    for path in [*paths, *keys, "/", "/feed.atom", "/feed.rss", "/feed.json", "/feeds.opml"]:
        answer = client.get(path)
        assert answer.status in {200, 404}, path
        assert "set-cookie" not in answer.fields, path
        assert "x" not in answer.fields
        assert b"<script>alert" not in answer.body or path == "/feed.json", path  # there it is plain text
    client.close()
    json.loads(daemon.get("/feed.json").body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Range", "bytes=" + ",".join(f"{number}-{number}" for number in range(1000))),
        ("Range", "bytes=0-"),
        ("Range", "bytes=-18446744073709551616"),
        ("If-None-Match", ",".join(f'"{number}"' for number in range(10_000))[:15_000]),
        ("If-None-Match", '"' * 15_000),
        ("If-None-Match", "W/" * 7000),
        ("If-None-Match", " \t," * 5000 + "x"),
        ("If-None-Match", '"' + "\xff" * 15_000),
        ("If-Match", ",".join(['W/""'] * 3000)),
        ("If-Modified-Since", "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"),
        ("If-Modified-Since", "0" * 15_000),
        ("Accept-Encoding", ",".join(["gzip;q=0.001"] * 1100)),
        ("Accept-Encoding", "gzip" + " " * 15_000 + ";q=1"),
        ("Accept-Encoding", "gzip;" * 3000),
        ("Accept-Encoding", "a" * 15_000 + "\x80"),
        ("Accept", "text/html" + ";a=b" * 3500 + "!"),
        ("Accept", "text/html" + "; " * 7000 + "q=1"),
        ("Accept", "a/" * 7000),
        ("A-IM", "feed;q=" + "1" * 15_000),
        ("A-IM", "feed, " * 2500),
        ("Authorization", "Basic " + "A" * 15_000),
        ("Authorization", "Basic " + "=" * 15_000),
        ("Cookie", "; ".join(f"a{number}=b" for number in range(1500))),
        ("Forwarded", "for=" + '"\\' * 7000),
        ("Forwarded", "for=a," * 2500),
        ("X-Forwarded-For", "1.1.1.1," * 1800),
        ("Content-Type", "multipart/form-data; boundary=" + "a" * 15_000),
        ("Connection", ",".join(["keep-alive", "close"] * 700)),
    ],
)  # fmt: skip
def test_fields_are_read_in_no_time(daemon: Daemon, based: Daemon, name: str, value: str) -> None:
    """No expression takes more than linear time: one request of 16 KB never stalls the rest."""
    for made in (daemon, based):
        began = time.process_time(), cpu_of(made)
        answer = exchange(made, f"{GET}{name}: {value}\r\nConnection: close{END}")
        spent = cpu_of(made) - began[1]
        assert statuses(answer) in ([200], [303], [304], [412], [226], [400]), answer[:200]
        assert b"multipart/byteranges" not in answer
        assert spent < 1, f"{spent} s of processor time"


def cpu_of(daemon: Daemon) -> float:
    """Seconds of processor time that the daemon has taken (proc(5))."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - not a file of its own
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00" * 100_000, b"\r\n" * 50_000 + b"x", b"A" * 1_000_000, b"GET /" + b"%41" * 100_000, b"\xff" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 1000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 100,
        b"GET / HTTP/1.1\r\n" + b"a:" * 100_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n" + b"a" * 3_000_000,
        b'{"jsonrpc": 2}\r\n\r\n', b"\x80\x2e\x01\x03\x01", b"220 mail ESMTP\r\n", b"",
    ],
    ids=lambda data: f"{data[:12]!r} {len(data)}",
)  # fmt: skip
def test_what_is_no_request_ends(daemon: Daemon, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=GENEROUS) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return
        except OSError as error:  # to shut down what was reset
            if error.errno != errno.ENOTCONN:
                raise
            return
    assert statuses(answer) in ([], [400], [404], [405], [408], [431])


def test_a_flood_of_pipelined_requests_keeps_nobody_waiting(daemon: Daemon) -> None:
    """Whoever asks without reading is not answered for ever, and costs little memory."""
    before = memory_of(daemon)
    flood = f"{GET}{END[2:]}".encode() * 5000
    held = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", daemon.port), timeout=GENEROUS)
        sock.settimeout(0)
        held.append(sock)
    try:
        for _ in range(5):
            for sock in held:
                try:
                    sock.send(flood)
                except (BlockingIOError, ConnectionError):
                    continue
            assert daemon.get("/feed.atom").status == 200
        assert memory_of(daemon) - before < 200_000
    finally:
        for sock in held:
            sock.close()


def memory_of(daemon: Daemon) -> int:
    """KiB that are in memory."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as status:  # noqa: PTH123
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS:")))
