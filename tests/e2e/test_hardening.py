"""What the unit keeps the service from: tried in its place, and again without the unit's protection.

What is refused with the unit and done without it is refused by the unit, and by nothing else.
"""

from __future__ import annotations

import json
import re
import socket
import textwrap
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from waiting import wait_for

from e2e import probe
from e2e.harness import PROJECT, Client, make_dump
from e2e.installation import CONFIG, DROP, MEMBER, SERVICE, SOCKET, STRANGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.installation import Installation

pytestmark = pytest.mark.alone  # they share one installation

Found: TypeAlias = dict[str, str]

PROBE = "/usr/local/lib/feedsvc-probe.py"
UNIT = (PROJECT / "systemd" / SERVICE).read_text("utf-8")
OPENED = (PROJECT / "systemd" / "websub.conf").read_text("utf-8")
NAMES = list(probe.PROBES)
FIRST_FORBIDDEN = NAMES.index("write settings")
NEEDED, FORBIDDEN = NAMES[:FIRST_FORBIDDEN], NAMES[FIRST_FORBIDDEN:]
# The same user, with all the powers of root.
UNPROTECTED = "[Service]\nUser=feedsvc\nAmbientCapabilities=~\nStateDirectory=feedsvc\n"


def make_unit(text: str, release: str) -> str:
    """A unit with the probe in place of the daemon, and without what belongs to the daemon's life."""
    gone = r"^(Type|Requires|After|Exec\w+|Restart\w*|WatchdogSec|WantedBy|Also|\[Install\]).*\n"
    kept = re.sub(gone, "", text, flags=re.MULTILINE)
    return f"{kept}\n[Service]\nType=oneshot\nExecStart={release}/bin/python {PROBE}\n"


def run_probe(installed: Installation, text: str) -> Found:
    installed.box.write("/etc/systemd/system/probe.service", make_unit(text, installed.release))
    installed.systemctl("daemon-reload")
    done = installed.systemctl("start", "probe.service", check=False)
    printed = installed.box.log("probe.service")
    assert done.returncode == 0, printed
    found: Found = json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
    written = ["/etc/feedsvc/probe", "/opt/feedsvc/probe", f"{DROP}/probe", "/var/lib/probe"]
    installed.box.run("rm", "--force", *written)
    if found["write cgroups"] == "done":
        installed.box.run("rmdir", "/sys/fs/cgroup/probe")
    return found


@pytest.fixture(scope="module")
def machine(installed: Installation) -> Iterator[Installation]:
    """The installation, with what the probe looks for around it."""
    box = installed.box
    installed.drop("of-a-member.txt", make_dump("of a member"))
    box.write(PROBE, Path(probe.__file__).read_text("utf-8"))
    box.write("/tmp/secret", "others' file")  # noqa: S108 - in the box
    box.write("/usr/lib/modules/probe", "a module")
    box.run("install", "-m", "4755", "/usr/bin/id", "/usr/local/bin/id-as-root")
    box.run("ip", "address", "add", f"{probe.PUBLIC[0]}/32", "dev", "lo")
    with ExitStack() as stack:
        for address in (probe.PUBLIC, probe.LOCAL):
            stack.enter_context(box.inside(socket.create_server, address))
        yield installed


@pytest.fixture(scope="module")
def protected(machine: Installation) -> Found:
    return run_probe(machine, UNIT)


@pytest.fixture(scope="module")
def unprotected(machine: Installation) -> Found:
    return run_probe(machine, UNPROTECTED)


@pytest.mark.parametrize("what", NEEDED)
def test_the_service_can_do_what_it_needs(what: str, protected: Found) -> None:
    assert protected[what] == "done"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_unit_forbids_the_rest(what: str, protected: Found, unprotected: Found) -> None:
    assert (protected[what] != "done", unprotected[what]) == (True, "done"), protected[what]


@pytest.mark.parametrize("kind", probe.NAMESPACES)
def test_the_service_has_namespaces_of_its_own(kind: str, protected: Found, unprotected: Found) -> None:
    assert protected[f"namespace {kind}"] != unprotected[f"namespace {kind}"]


def test_websub_conf_opens_public_addresses_and_nothing_else(machine: Installation, protected: Found) -> None:
    opened = run_probe(machine, UNIT + OPENED)
    assert {what for what in NAMES if opened[what] != protected[what]} == {"reach a public address"}
    assert opened["reach a public address"] == "done"


def test_the_running_daemon_is_as_the_unit_says(machine: Installation) -> None:
    wait_for(lambda: machine.running)
    pid = machine.pid
    status = dict(
        line.split(":\t", 1) for line in machine.box.path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    )
    assert int(status["Uid"].split()[0]) != 0
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    def inside(command: str) -> str:  # as root, and yet where the daemon is
        return machine.box.run("nsenter", f"--target={pid}", "--mount", "sh", "-c", command, check=False).stdout

    for path in ("/etc/x", "/usr/x", "/opt/feedsvc/x", f"{DROP}/x", "/var/x"):
        assert "Read-only file system" in inside(f"touch {path}")
    assert inside("touch /var/lib/feedsvc/x && rm /var/lib/feedsvc/x") == ""
    assert inside("ls /home") == ""
    assert machine.box.run("ls", "/home").stdout != ""
    assert "secret" not in inside("ls /tmp")


@pytest.mark.parametrize(
    ("user", "path", "readable"),
    [("feedsvc", CONFIG, True), (STRANGER, CONFIG, False), (STRANGER, "/var/lib/feedsvc/feedsvc.db", False)],
)
def test_settings_and_state_are_for_the_service_alone(
    machine: Installation, user: str, path: str, *, readable: bool
) -> None:
    assert (machine.box.run("test", "-r", path, user=user, check=False).returncode == 0) is readable


def examples() -> dict[str, str]:
    """What docs/service.md has users write with `systemctl edit`: unit to drop-in."""
    text = (PROJECT / "docs" / "service.md").read_text("utf-8")
    found = re.findall(r"^    systemctl edit (\S+)\n((?: {6}.*\n)+)", text, re.MULTILINE)
    return {unit: textwrap.dedent(lines) for unit, lines in found}


def test_the_examples_of_the_documentation_do_what_it_says(machine: Installation) -> None:
    """Other addresses are served though the unit forbids to reach them, and a folder in a home is read."""
    settings = machine.config
    home = f"/home/{MEMBER}/dumps"
    machine.box.run("sh", "-c", f"mkdir -p {home}; chmod 755 {home}; echo '{make_dump('at home')}' > {home}/a.txt")
    machine.configure(settings.replace(f'"{DROP}"', f'"{DROP}", "{home}"'))
    drop_ins = {f"/etc/systemd/system/{unit}.d/test.conf": text for unit, text in examples().items()}
    assert len(drop_ins) == 2
    for path, text in drop_ins.items():
        machine.box.write(path, text.replace("NAME", MEMBER))
    machine.systemctl("daemon-reload")
    machine.systemctl("stop", SOCKET, SERVICE)
    machine.systemctl("start", SOCKET, SERVICE)

    def ask() -> bytes:
        client = Client(8080, host=probe.PUBLIC[0])
        return client.get("/feed.atom", {"Connection": "close"}).body

    wait_for(lambda: b"at home" in machine.box.inside(ask))
    machine.configure(settings)
    machine.box.run("rm", *drop_ins)
    machine.systemctl("daemon-reload")
    machine.systemctl("stop", SOCKET, SERVICE)
    machine.systemctl("start", SOCKET, SERVICE)
