"""HTTP to the letter: one table of requests as bytes on a socket, and what only a whole daemon shows.

The table runs against the daemon; what nginx has to answer alike (`shared`) also against nginx, which serves what
`feedsvc build` made of the same store with the sample configuration in docs/.
"""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_for

from e2e.harness import FEEDSVC, PROJECT, SEEDS, Daemon, feedsvc, free_port, need, write_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from e2e.conftest import Daemons

pytestmark = pytest.mark.xdist_group("http")  # its fixtures take long, and are for all
CASES: list[dict[str, Any]] = [
    {"file": path.stem, **case}
    for path in sorted((PROJECT / "tests" / "data" / "http").glob("*.toml"))
    for case in tomllib.loads(path.read_text("utf-8"))["case"]
]
SHARED = [case for case in CASES if case.get("shared")]
NGINX = PROJECT / "docs" / "nginx.conf"
BASE = "http://feeds.example.org"

identified = partial(pytest.mark.parametrize, "case", ids=lambda case: f"{case['file']}: {case['name']}")


@dataclass(frozen=True)
class Answer:
    status: int
    fields: Mapping[str, str]
    body: bytes


def ask(port: int, request: bytes) -> Answer:
    """Send bytes, read one response; what it must always be is asserted here."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as stream:
        connection.sendall(request)
        version, status, *_ = stream.readline().decode("ascii").split(" ")
        lines = iter(lambda: stream.readline().decode("latin-1").rstrip("\r\n"), "")
        fields: dict[str, str] = {}
        for line in lines:
            name, value = line.split(":", 1)
            joined = [fields[name.lower()]] if name.lower() in fields else []
            fields[name.lower()] = ", ".join([*joined, value.strip()])
        bodiless = request.startswith(b"HEAD ") or status in {"204", "304"}
        body = b"" if bodiless else stream.read(int(fields["content-length"]))
        if fields.get("connection") == "close":
            assert stream.read() == b"", "more than one response"
    assert version == "HTTP/1.1"
    assert fields["date"].endswith(" GMT")
    if status == "304":
        assert not fields.keys() & {"content-type", "content-encoding", "content-length"}
    return Answer(int(status), fields, body)


class Server:
    """Something to ask, with the names that stand in the table."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        plain = self.get("/feed.atom")
        self.names = {"host": self.host, "key": key, "modified": plain.fields["last-modified"]}
        for name, coding in (("etag", "identity"), ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd")):
            answer = self.get("/feed.atom", f"Accept-Encoding: {coding}")
            assert answer.status == 200
            self.names[name] = answer.fields["etag"].strip('"')

    def get(self, target: str, *fields: str, method: str = "GET") -> Answer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}", *fields, "Connection: close", "", ""]
        return ask(self.port, "\r\n".join(lines).encode("latin-1"))

    def fill(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.names[match[1]], text)

    def run(self, case: Mapping[str, Any]) -> None:
        if "raw" in case:
            text = "\r\n".join(map(self.fill, case["raw"]))
            answer = ask(self.port, (text + ("" if "" in case["raw"] else "\r\n\r\n")).encode("latin-1"))
        else:
            fields = [self.fill(line) for line in case.get("fields", ())]
            target = self.fill(case.get("target", "/feed.atom"))
            answer = self.get(target, *fields, method=case.get("method", "GET"))
        assert re.fullmatch(str(case["status"]), str(answer.status)), answer
        for name, expected in case.get("expect", {}).items():
            found = answer.fields.get(name.lower(), "")
            wanted = self.fill(expected)
            if wanted.startswith("~"):
                assert re.fullmatch(wanted[1:], found), f"{name}: {found}"
            else:
                assert found == wanted, f"{name}: {found}"


def key_of(page: bytes) -> str:
    match = re.search(rb"/entries/([a-z0-9]+)", page)
    assert match
    return match[1].decode()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("http")
    made = Daemon(home, {"base_url": BASE})
    for seed in SEEDS.iterdir():
        made.drop(seed.name, seed.read_text("utf-8"))
    made.start()
    try:
        yield made
        made.stop()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def served(daemon: Daemon) -> Server:
    return Server(daemon.port, key_of(daemon.get("/").body))


@contextmanager
def running_nginx(home: Path, site: Path) -> Iterator[int]:
    """nginx as docs/nginx.conf has it, on a free port, all its files below `home`."""
    program = need("nginx")
    if not NGINX.exists():
        pytest.skip("docs/nginx.conf is not there")
    port = free_port()
    sample = NGINX.read_text("utf-8")
    server = sample.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/srv/feeds", str(site))
    assert server.count(str(site)) >= 1
    assert f"listen 127.0.0.1:{port};" in server
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if Path("/proc/self").owner() == "root" else ""  # else its workers cannot read the folder
    (home / "nginx.conf").write_text(
        f"{user}daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1; events {{}}\n"
        f"http {{ access_log off;\n{temporary}{server}\n}}\n",
        "utf-8",
    )
    with subprocess.Popen([program, "-e", home / "error.log", "-c", home / "nginx.conf"]) as process:
        try:
            wait_for(lambda: process.poll() is not None or connects(port))
            assert process.poll() is None, (home / "error.log").read_text("utf-8")
            yield port
        finally:
            process.terminate()


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture(scope="module")
def static(daemon: Daemon, served: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("nginx")
    site = home / "site"
    built = feedsvc("build", site, "--config", daemon.config, cwd=daemon.home)
    assert built.returncode == 0, built.stderr
    with running_nginx(home, site) as port:
        yield Server(port, served.names["key"])


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len({(case["file"], case["name"]) for case in CASES}) == len(CASES) >= 80
    assert len(SHARED) >= 40
    known = {"file", "name", "method", "target", "fields", "raw", "status", "expect", "shared"}
    assert not [case for case in CASES if not case.keys() <= known]


@identified(CASES)
def test_daemon(case: dict[str, Any], served: Server) -> None:
    served.run(case)


@identified(SHARED)
def test_nginx(case: dict[str, Any], static: Server) -> None:
    static.run(case)


def test_a_delta_holds_just_the_new_entries(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.serve("first")
    old = daemon.get("/feed.atom", {"Accept-Encoding": "gzip"})
    for title in ("second", "third"):
        daemon.serve(title)
    answer = daemon.get("/feed.atom", {"A-IM": "feed", "If-None-Match": old.fields["etag"]})
    assert (answer.status, answer.fields["im"], answer.fields["delta-base"]) == (226, "feed", old.fields["etag"])
    assert sorted(answer.titles) == ["second", "third"]
    assert answer.fields["etag"] == daemon.get("/feed.atom").fields["etag"]
    assert daemon.get("/feed.atom", {"A-IM": "feed", "If-None-Match": answer.fields["etag"]}).status == 304


def test_a_password_is_asked_for_after_a_reload(daemons: Daemons) -> None:
    daemon = daemons.start()
    assert daemon.get("/feed.atom").status == 200
    made = subprocess.run(
        [FEEDSVC, "password", "reader"], input="secret\n", capture_output=True, text=True, check=True
    ).stdout.strip()
    assert "secret" not in made
    daemon.configure({"server": {"auth": made}})
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.get("/feed.atom").status == 401)
    right = base64.b64encode(b"reader:secret").decode()
    answer = daemon.get("/feed.atom", {"Authorization": f"Basic {right}"})
    assert (answer.status, answer.fields["cache-control"].split(",")[0]) == (200, "private")
    assert daemon.status()["ready"]


def test_behind_a_proxy(daemons: Daemons) -> None:
    daemon = daemons.start({"server": {"trusted_proxies": ["127.0.0.1/32"], "rate": 3}})
    fields = {"Forwarded": 'for=192.0.2.7;proto=https;host="feeds.example"'}
    assert b'href="https://feeds.example/feed.atom"' in daemon.get("/feed.atom", fields).body
    refused = daemon.get("/feed.atom", fields)
    assert refused.status == 429
    assert int(refused.fields["retry-after"]) <= 20
    assert daemon.get("/feed.atom").status == 200


@pytest.mark.parametrize(
    ("key", "value"), [("trusted_proxies", ["proxy.example"]), ("rate", -1), ("auth", "reader:secret")]
)
def test_wrong_keys_are_named(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "config.toml").write_text(write_toml({"server": {key: value}}), "utf-8")
    done = feedsvc("check", cwd=tmp_path)
    assert done.returncode == 2
    assert f"config.toml: server.{key}" in done.stderr
