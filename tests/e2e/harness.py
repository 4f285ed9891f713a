"""A daemon as a subprocess, dumps to drop into its folders, and waiting for what comes of them."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import feedparser
import pytest
from places import ROOT
from waiting import GENEROUS, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    # A configuration: plain keys and sections of them.
    Sections = Mapping[str, object]

PROJECT = ROOT
SEEDS = PROJECT / "seeds"
FEEDSVC = Path(sys.executable).with_name("feedsvc")
# Seconds in which a daemon ends. Under coverage all of its processes write down what they did, at the very end.
STOPPED = 60.0 if "COVERAGE_PROCESS_CONFIG" in os.environ else 10.0
PROMISED = 1.0  # seconds from the last file operation to the served feed

_reservations: list[socket.socket] = []  # of ports, by processes that run tests
_NOT_FOR_CHILDREN = ("FEEDSVC_", "NOTIFY_SOCKET", "XDG_", "COLUMNS")  # pytest-xdist sets the last


# Whether coverage measures what the tests start. It takes several times as long to start then.
measured = True


def environment(**more: str) -> dict[str, str]:
    """The environment for a subprocess: no proxies, and nothing that configures feedsvc but `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_FOR_CHILDREN if measured else (*_NOT_FOR_CHILDREN, "COVERAGE_"))
        and not name.lower().endswith("_proxy")
    }
    return kept | {"NO_PROXY": "*", "LC_ALL": "C.UTF-8"} | more


def feedsvc(
    *arguments: str | Path, cwd: Path, stdin: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [FEEDSVC, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), input=stdin, capture_output=True, text=True, check=False, timeout=120
    )


def stolen_seconds() -> float:
    """For how long the processors of this machine had to wait for the hypervisor since it was started (proc(5))."""
    fields = Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, and that no other call on this machine returns while this process lives.

    It is below the ports that the kernel gives to outgoing connections (ip(7), ip_local_port_range): between this call
    and the start of the daemon that listens on it, no connection of another process can take it.
    """
    highest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    while True:
        port = random.randrange(10_000, highest)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            reservation = socket.socket(socket.AF_UNIX)
            _reservations.append(reservation)
            reservation.bind(f"\0feedsvc-test-port-{port}")
            return port


def need(program: str) -> str:
    """The path of a program; the test is skipped where it is missing, or fails where TESTS_REQUIRE is set."""
    path = shutil.which(program)
    if path is None:
        lack(f"{program} is not installed")
    return path


def lack(reason: str) -> NoReturn:
    """Something that a test needs is missing: it is skipped, or fails where TESTS_REQUIRE is set."""
    if os.environ.get("TESTS_REQUIRE"):
        pytest.fail(reason)
    pytest.skip(reason)


def make_dump(title: str, *, body: str | None = None, seconds: int = 1712180702, link: str | None = None) -> str:
    """The text of a dump; a title stands for an article, so the link follows from it."""
    address = link or f"https://news.example.org/{title.replace(' ', '-')}"
    text = body if body is not None else f"<p>This is what the article called {title} has to say, in a sentence.</p>"
    return f"<!--{seconds}000-->\n[{title}]({address})\n------\n\n{text}\n"


def write_toml(sections: Sections) -> str:
    """As TOML: plain keys, then tables of plain keys. JSON's strings, numbers and lists are TOML's too."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in sections.items() if not isinstance(value, dict)]
    for name, section in sections.items():
        if isinstance(section, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Response:
    """A response; parsed as a feed when it is asked for."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @cached_property
    def entries(self) -> list[Any]:
        feed = feedparser.parse(self.body)
        assert not feed.bozo, feed.get("bozo_exception")
        return list(feed.entries)

    @cached_property
    def titles(self) -> list[str]:
        return [entry.title for entry in self.entries]

    @property
    def ids(self) -> list[str]:
        return [entry.id for entry in self.entries]


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=GENEROUS)

    def get(self, path: str, fields: Mapping[str, str] | None = None, method: str = "GET") -> Response:
        kept = self._connection.sock is not None
        try:
            answer = self._ask(method, path, fields or {})
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not kept:
                raise
            self._connection.close()  # the server had ended it while it was idle (RFC 9112, section 9.3.1)
            answer = self._ask(method, path, fields or {})
        read: dict[str, str] = {}
        for name, value in answer.getheaders():
            read[name.lower()] = f"{read[name.lower()]}, {value}" if name.lower() in read else value
        return Response(answer.status, read, answer.read())

    def _ask(self, method: str, path: str, fields: Mapping[str, str]) -> http.client.HTTPResponse:
        self._connection.request(method, path, headers=dict(fields))
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()


class Daemon:
    """`feedsvc run` with a folder of its own, which holds its configuration, store, dumps and log."""

    def __init__(self, home: Path, sections: Sections, **more: str) -> None:
        self.home = home
        self.port = free_port()
        self.config = home / "config.toml"
        self.store = home / "var" / "feedsvc.db"
        self.log_file = home / "log"
        self.folders: list[Path] = [home / name for name in _section(sections, "watch").get("directories", ["dumps"])]
        self._environment = more
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self._last: Response | None = None
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
        self.configure(sections)

    @property
    def folder(self) -> Path:
        return self.folders[0]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""

    def configure(self, sections: Sections) -> None:
        watch = {"directories": ["dumps"], **_section(sections, "watch")}
        server = {"listen": f"127.0.0.1:{self.port}", **_section(sections, "server")}
        self.config.write_text(write_toml({**sections, "watch": watch, "server": server}), "utf-8")

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [FEEDSVC, "run", "--config", self.config],
                cwd=self.home,
                env=environment(**self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        self.launch()
        try:
            wait_for(self._is_ready)
        except BaseException:
            self.kill()
            raise

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = STOPPED) -> None:
        """End it as systemd would; it must end well."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(within)
        finally:
            self.kill()
        assert code == 0, self.log
        assert "Traceback" not in self.log

    def kill(self) -> None:
        """End it without a chance to do anything about it. Does nothing where it does not run."""
        self.disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def get(self, path: str, fields: Mapping[str, str] | None = None) -> Response:
        if self._client is None:
            self._client = Client(self.port)
        try:
            return self._client.get(path, fields)
        except (http.client.HTTPException, OSError):
            self.disconnect()  # the next call connects again
            raise

    def reload(self) -> None:
        """Have the configuration loaded again; returns when it is live."""
        done = feedsvc("reload", "--config", self.config, cwd=self.home)
        assert done.returncode == 0, done.stderr
        self.disconnect()

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def feed(self) -> Response:
        """The feed as it is served now; parsed again only where it changed."""
        known = {"If-None-Match": self._last.fields["etag"]} if self._last else {}
        answer = self.get("/feed.atom", known)
        if answer.status != http.client.NOT_MODIFIED or self._last is None:
            assert answer.status == http.client.OK
            self._last = answer
        return self._last

    def drop(self, name: str, text: str) -> Path:
        """Put a dump into the folder, as a program that writes it in one go."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def serve(self, title: str) -> None:
        """Drop a dump and wait until it is served: whatever settled before it is served then as well."""
        self.drop(f"{title.replace(' ', '-')}.txt", make_dump(title))
        wait_for(lambda: title in self.feed().titles)

    def wait_for_log(self, *parts: str) -> str:
        """The first line of the log that holds all parts."""
        return wait_for(
            lambda: next((line for line in self.log.splitlines() if all(part in line for part in parts)), "")
        )

    def titles_stored(self) -> list[str]:
        """The titles of all entries in the store, seen from outside; none while there is no store."""
        try:
            with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as store:
                return [title for (title,) in store.execute("SELECT title FROM entries")]
        except sqlite3.OperationalError:
            return []  # not there, or without its tables yet

    def status(self) -> dict[str, Any]:
        done = feedsvc("status", "--json", "--config", self.config, cwd=self.home)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return self.get("/readyz").status == http.client.OK
        except (http.client.HTTPException, OSError):
            return False


def _section(sections: Sections, name: str) -> dict[str, Any]:
    section = sections.get(name, {})
    assert isinstance(section, dict)
    return section
