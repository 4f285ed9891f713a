"""The daemon's own life: signals, reloads, systemd, log lines."""

from __future__ import annotations

import http.client
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from waiting import GENEROUS, wait_for

from e2e.harness import FEEDSVC, SEEDS, Client, environment, feedsvc, free_port, make_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

pytestmark = pytest.mark.alone  # coverage measures these daemons, which makes them slow

SECONDS = 6.0  # "within seconds"
ENDINGS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_ends_it_and_says_so(number: signal.Signals, daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.stop(number, within=SECONDS)
    assert f"signal={number.name}" in daemon.log
    with pytest.raises(ConnectionRefusedError):
        daemon.get("/feed.atom")


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", ENDINGS)
def test_what_is_in_flight_is_answered(number: signal.Signals, daemons: Daemons) -> None:
    daemon = daemons.prepare({"feed": {"entries": 1000}})
    for index in range(20):
        body = f"<p>{'a long paragraph of text ' * 20000}</p>"  # ten megabytes together: more than the sockets hold
        daemon.drop(f"{index}.txt", make_dump(f"article {index}", body=body))
    daemon.start()
    wait_for(lambda: daemon.get("/feed.atom").body.count(b"<entry>") == 20)
    size = len(daemon.get("/feed.atom").body)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", daemon.port))
        slow.sendall(b"GET /feed.atom HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = slow.recv(1024)
        daemon.process.send_signal(number)
        daemon.wait_for_log("stopping")
        wait_for(lambda: is_refused(daemon.port), within=SECONDS)
        assert daemon.process.poll() is None  # for this answer is not yet taken
        received = len(head)
        while data := slow.recv(1 << 16):
            received += len(data)
    assert daemon.process.wait(SECONDS) == 0
    assert received > size
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("number", ENDINGS)
def test_it_ends_in_the_middle_of_many_dumps(number: signal.Signals, daemons: Daemons) -> None:
    count = 400
    daemon = daemons.prepare()
    for index in range(count):
        daemon.drop(f"{index}.txt", make_dump(f"article {index}"))
    daemon.launch()
    daemon.wait_for_log("entry added")
    daemon.stop(number, within=SECONDS)
    assert 0 < len(daemon.titles_stored()) < count
    daemon.start()
    wait_for(lambda: len(daemon.titles_stored()) == count)
    assert daemon.log.count("entry added") == count


@pytest.fixture
def asking(daemons: Daemons) -> Iterator[Daemon]:
    """A daemon that is asked for its feed all the time, each time on a new connection; each must be answered."""
    daemon = daemons.prepare()
    shutil.copytree(SEEDS, daemon.folder, dirs_exist_ok=True)
    daemon.start()
    done = Event()
    failures: list[str] = []
    answered = []

    def ask() -> None:
        while not done.is_set():
            client = Client(daemon.port)
            try:
                answer = client.get("/feed.atom")
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            else:
                answered.append(answer.status)
            finally:
                client.close()

    thread = Thread(target=ask)
    thread.start()
    try:
        yield daemon
    finally:
        done.set()
        thread.join()
    assert failures == []
    assert set(answered) == {200}


def test_a_reload_takes_the_new_configuration_and_refuses_no_connection(asking: Daemon) -> None:
    before = asking.feed().ids
    for title in ("Another title", "A third one"):
        asking.configure({"feed": {"title": title}})
        asking.process.send_signal(signal.SIGHUP)
        wait_for(lambda title=title: f"<title>{title}</title>".encode() in asking.get("/feed.atom").body)  # type: ignore[misc]
    assert asking.feed().ids == before
    asking.serve("an article after the reload")
    assert asking.running


def test_a_wrong_configuration_is_refused_and_the_old_one_stays(asking: Daemon) -> None:
    good = asking.config.read_text("utf-8")
    asking.configure({"feed": {"titel": "Wrong"}})
    asking.process.send_signal(signal.SIGHUP)
    asking.wait_for_log("refused", "titel")
    asking.serve("an article in spite of it")
    # The command reads the file as well, and says what is wrong with it; the daemon says it where it can be read.
    done = feedsvc("status", "--config", asking.config, cwd=asking.home)
    assert done.returncode == 2
    assert "feed.titel: no such key; the nearest known one is title" in done.stderr
    asking.config.write_text(good, "utf-8")
    (problem,) = asking.status()["problems"]
    assert problem["about"] == "config"
    assert "titel" in problem["message"]
    asking.process.send_signal(signal.SIGHUP)
    wait_for(lambda: asking.status()["problems"] == [])


def test_a_wrong_rule_is_refused_and_status_says_so(asking: Daemon) -> None:
    rules = asking.home / "rules"
    rules.mkdir()
    asking.configure({"clean": {"rules": ["rules"]}, "feed": {"title": "New"}})
    (rules / "mine.toml").write_text('[[rule]]\nname = "mine"\nresaon = "typo"\n', "utf-8")
    asking.process.send_signal(signal.SIGHUP)
    asking.wait_for_log("refused", "mine.toml")
    status = asking.status()
    assert "mine.toml" in status["problems"][0]["message"]
    assert status["ready"] is True
    assert b"<title>feedsvc</title>" in asking.get("/feed.atom").body
    (rules / "mine.toml").unlink()
    asking.process.send_signal(signal.SIGHUP)
    wait_for(lambda: b"<title>New</title>" in asking.get("/feed.atom").body)
    assert asking.status()["problems"] == []


def test_rules_of_ones_own_clean_what_is_stored_again(daemons: Daemons) -> None:
    daemon = daemons.prepare({"clean": {"rules": ["rules"]}})
    (daemon.home / "rules").mkdir()
    daemon.drop("a.txt", make_dump("an article", body="<p>First what it says at some length.</p><p>Buy my book!</p>"))
    daemon.start()
    (before,) = daemon.feed().entries
    assert "Buy my book" in before.content[0].value
    rule = '[[rule]]\nname = "my-book"\nreason = "advertises a book"\ntext = ["Buy my book!"]\nwhere = "tail"\n'
    (daemon.home / "rules" / "mine.toml").write_text(rule, "utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "Buy my book" not in daemon.feed().entries[0].content[0].value)
    (after,) = daemon.feed().entries
    assert (after.id, after.updated) == (before.id, before.updated)


def test_a_reload_moves_to_another_address(daemons: Daemons) -> None:
    daemon = daemons.start()
    daemon.serve("an article")
    old = daemon.port
    daemon.port = free_port()
    daemon.configure({})
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: answers(daemon.port))
    wait_for(lambda: not answers(old))
    daemon.disconnect()
    assert daemon.get("/feed.atom").body.count(b"<entry>") == 1


def test_an_address_in_use_is_refused_and_the_old_one_stays(asking: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        asking.configure({"server": {"listen": taken}})
        asking.process.send_signal(signal.SIGHUP)
        asking.wait_for_log("refused", taken)
    asking.serve("an article in spite of it")


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_systemd_is_told_how_it_goes(daemons: Daemons, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(GENEROUS)
        systemd.bind(str(tmp_path / "notify"))

        def told() -> str:
            while True:
                said = systemd.recv(4096).decode().splitlines()
                if not said[0].startswith(("STATUS=", "EXTEND_TIMEOUT_USEC=")):
                    return said[0]

        daemon = daemons.prepare(NOTIFY_SOCKET=str(tmp_path / "notify"))
        daemon.launch()
        assert told() == "READY=1"
        assert daemon.get("/readyz").status == 200
        daemon.process.send_signal(signal.SIGHUP)
        assert [told(), told()] == ["RELOADING=1", "READY=1"]
        daemon.stop()
        assert told() == "STOPPING=1"


def test_a_dump_is_one_line_of_keys_and_values_in_a_file(daemons: Daemons) -> None:
    daemon = daemons.prepare()
    shutil.copy(next(SEEDS.iterdir()), daemon.folder / "a dump.txt")
    daemon.start()
    (line,) = (line for line in daemon.log.splitlines() if 'event="entry added"' in line)
    assert re.match(r"timestamp=\d{4}-\d\d-\d\dT[\d:.]+Z level=info event=", line)
    assert f'path="{daemon.folder}/a dump.txt"' in line
    assert f"entry={daemon.feed().ids[0]}" in line
    removed = re.search(r"removed=(\S+)", line)
    assert removed
    assert len(removed[1].split(",")) >= 3
    assert re.search(r"ms=\d+\.\d", line)
    assert all(line.startswith("timestamp=") for line in daemon.log.splitlines())


def test_a_dump_is_a_readable_line_on_a_terminal(daemons: Daemons) -> None:
    daemon = daemons.prepare()
    daemon.drop("a.txt", make_dump("an article"))
    ours, theirs = pty.openpty()
    command: list[str | Path] = [FEEDSVC, "run", "--config", daemon.config]
    process = subprocess.Popen(
        command, cwd=daemon.home, env=environment(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = ""
    try:
        deadline = time.monotonic() + 20
        while "serving" not in shown and time.monotonic() < deadline:
            shown += os.read(ours, 4096).decode()
        process.send_signal(signal.SIGTERM)
        with suppress(OSError):  # EIO: the other side is closed
            while data := os.read(ours, 4096):
                shown += data.decode()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    (line,) = (line for line in plain.splitlines() if "entry added" in line)
    assert "event=" not in line
    assert f"path={daemon.folder}/a.txt" in line
    assert "\x1b[" in shown
