"""feedsvc as a service, where a real systemd runs: installed, used, killed, hung, reloaded, upgraded, removed.

The tests go on from one another, in the order in which they stand.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e.harness import make_dump
from e2e.installation import CONFIG, DROP, MEMBER, PROGRAM, SERVICE, SOCKET, STRANGER
from e2e.load import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.installation import Installation
    from e2e.load import Load

    Say = Callable[[str], None]

pytestmark = [pytest.mark.in_order, pytest.mark.alone]  # they share one installation

KILLS = 3
EXPOSURE = 1.0  # at most, by systemd-analyze
SHORT_WATCHDOG = "[Service]\nWatchdogSec=4\nRestartSec=100ms\n"
DROP_IN = f"/etc/systemd/system/{SERVICE}.d/test.conf"

# Says that it lives below /root, which is all that it is asked.
PYTHON_OF_ROOT = "#!/bin/sh\ncase $2 in *realpath*) echo /root/python ;; esac\n"
# A mount that hangs when somebody looks into it, as that of a file server that is away.
HANGING = {
    "srv-feedsvc-drop.automount": f"[Automount]\nWhere={DROP}\n",
    "srv-feedsvc-drop.mount": (
        f"[Unit]\nRequires=away.service\nAfter=away.service\n[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere={DROP}\n"
    ),
    "away.service": "[Service]\nType=oneshot\nExecStart=sleep infinity\nTimeoutStartSec=infinity\n",
}


def went_on(installed: Installation, load: Load) -> None:
    """Wait until the load is answered by a daemon that systemd takes for running."""
    wait_for(lambda: installed.running)
    wait_for(load.answered_since())


def test_it_is_installed_and_runs(installed: Installation) -> None:
    assert "is installed" in installed.said
    assert installed.systemctl("is-enabled", SERVICE, SOCKET).stdout.split() == ["enabled", "enabled"]
    assert installed.get("/readyz").status == 200
    assert installed.box.show(SERVICE, "NRestarts") == "0"
    assert installed.box.run(PROGRAM, "check", "--config", CONFIG, user="feedsvc").returncode == 0


def test_the_units_are_in_order(installed: Installation, say: Say) -> None:
    assert installed.box.run("systemd-analyze", "verify", SERVICE, SOCKET).stdout == ""
    unit = f"/etc/systemd/system/{SERVICE}"
    found = installed.box.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
    figure = re.search(r"Overall exposure level for .*: (\d+\.\d)", found)
    assert figure, found
    say(f"exposure by systemd-analyze security: {figure[1]}, allowed: {EXPOSURE}")
    assert float(figure[1]) <= EXPOSURE


def test_the_sample_differs_from_config_toml_in_its_places_alone(installed: Installation) -> None:
    original = (installed.checkout / "config.toml").read_text("utf-8").splitlines()
    added = [line for line in installed.config.splitlines() if line not in original]
    assert [line for line in added if not line.startswith("#")] == [
        f'directories = ["{DROP}"]',
        'url = "sqlite:////var/lib/feedsvc/feedsvc.db"',
    ]
    assert installed.box.path(f"{CONFIG}.sample").read_text("utf-8") == installed.config


@pytest.mark.parametrize("umask", ["022", "077"])
def test_a_member_of_the_group_drops_a_dump_and_finds_it_in_the_feed(installed: Installation, umask: str) -> None:
    title = f"dropped with umask {umask}"
    installed.drop(f"{umask}.txt", make_dump(title), umask=umask)
    wait_for(lambda: title in installed.get("/feed.atom").titles)


def test_what_a_member_drops_into_a_folder_of_their_own_arrives_as_well(installed: Installation) -> None:
    installed.box.run("sh", "-c", f"umask 077; mkdir {DROP}/mine", user=MEMBER)
    installed.serve("dropped into the folder")
    installed.drop("mine/deeper.txt", make_dump("dropped deeper"))
    wait_for(lambda: "dropped deeper" in installed.get("/feed.atom").titles)


@pytest.mark.parametrize("command", [f"ls {DROP}", f"touch {DROP}/x", "ls /var/lib/feedsvc", f"cat {CONFIG}"])
def test_others_neither_read_nor_write(installed: Installation, command: str) -> None:
    denied = installed.box.run("sh", "-c", command, user=STRANGER, check=False)
    assert "Permission denied" in denied.stdout
    assert installed.box.run("sh", "-c", command).returncode == 0  # as root


def test_a_kill_refuses_nobody(installed: Installation, say: Say) -> None:
    with installed.load() as load:
        for _ in range(KILLS):
            wait_for(load.answered_since())
            killed = installed.pid
            installed.systemctl("kill", "--signal=KILL", SERVICE)
            wait_for(lambda: installed.pid not in {0, killed})  # noqa: B023 - called at once
            went_on(installed, load)
    say(f"kill -9, {KILLS} times: {load}")
    assert load.fates[Fate.REFUSED] == 0
    assert "dropped with umask 077" in installed.get("/feed.atom").titles


@pytest.fixture
def impatient(installed: Installation) -> Iterator[Installation]:
    """The service with a watchdog that waits for seconds instead of half a minute."""
    installed.box.write(DROP_IN, SHORT_WATCHDOG)
    installed.systemctl("daemon-reload")
    installed.systemctl("restart", SERVICE)
    yield installed
    installed.box.run("rm", DROP_IN)
    installed.systemctl("daemon-reload")


def test_a_daemon_that_hangs_is_replaced(impatient: Installation, say: Say) -> None:
    installed, hung = impatient, impatient.pid
    with installed.load() as load:
        wait_for(load.answered_since())
        installed.box.run("kill", "-STOP", str(hung))
        wait_for(lambda: installed.pid not in {0, hung})
        went_on(installed, load)
    say(f"process hung, ended by the watchdog: {load}")
    assert load.fates[Fate.REFUSED] == 0
    assert "Watchdog timeout" in installed.box.log(SERVICE)


@pytest.mark.skipif(
    "autofs" not in Path("/proc/filesystems").read_text("utf-8"),  # nothing can be installed to mend that
    reason="the kernel has no autofs, by which a folder hangs",
)
def test_a_watcher_that_hangs_is_replaced_and_says_where_it_hung(impatient: Installation) -> None:
    installed = impatient
    for unit, text in HANGING.items():
        installed.box.write(f"/etc/systemd/system/{unit}", text)
    installed.systemctl("daemon-reload")
    hung = installed.pid
    before = installed.box.log(SERVICE).count("Watchdog timeout")
    installed.systemctl("start", "srv-feedsvc-drop.automount")
    wait_for(lambda: installed.box.log(SERVICE).count("Watchdog timeout") > before)
    wait_for(lambda: installed.pid not in {0, hung})
    installed.systemctl("kill", "--signal=KILL", "away.service")  # the mount fails, and is given up
    installed.systemctl("stop", "srv-feedsvc-drop.automount")
    wait_for(lambda: installed.running)
    installed.serve("after the mount was mended")
    assert "Fatal Python error: Aborted" in installed.box.log(SERVICE)
    for unit in HANGING:
        installed.box.run("rm", f"/etc/systemd/system/{unit}")
    installed.systemctl("daemon-reload")


def test_a_reload_returns_when_the_new_configuration_is_live(installed: Installation) -> None:
    installed.configure(installed.config.replace('title = "feedsvc"', 'title = "A title of my own"', 1))
    with installed.load() as load:
        installed.systemctl("reload", SERVICE)
        assert b"A title of my own" in installed.get("/feed.atom").body
    assert load.fates.keys() == {Fate.ANSWERED}


def test_a_reload_that_is_refused_says_why_and_changes_nothing(installed: Installation) -> None:
    good, daemon = installed.config, installed.pid
    installed.configure(good.replace("entries = 100", 'entries = "many"', 1).replace("A title of my own", "Never"))
    done = installed.systemctl("reload", SERVICE, check=False)
    assert done.returncode != 0
    assert "feed.entries" in installed.box.log(SERVICE)
    assert (installed.pid, installed.running) == (daemon, True)
    assert b"A title of my own" in installed.get("/feed.atom").body
    installed.configure(good)
    installed.systemctl("reload", SERVICE)


def test_a_stop_breaks_no_answer(installed: Installation, say: Say) -> None:
    with installed.load() as load:
        wait_for(load.answered_since())
        installed.systemctl("stop", SOCKET, SERVICE)
        wait_for(lambda: load.fates[Fate.REFUSED])
    say(f"stopped: {load}")
    assert load.fates[Fate.BROKEN] == 0
    assert installed.box.show(SERVICE, "Result") == "success"


def test_whoever_asks_starts_it(installed: Installation) -> None:
    installed.systemctl("start", SOCKET)
    assert not installed.running
    assert "dropped with umask 077" in installed.get("/feed.atom").titles
    wait_for(lambda: installed.running)  # it serves before it says so


def test_an_upgrade_refuses_and_breaks_nothing(installed: Installation, say: Say) -> None:
    version = installed.checkout / "feedsvc" / "__init__.py"
    version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0"', version.read_text("utf-8")), "utf-8")
    config, ids, daemon = installed.config, installed.get("/feed.atom").ids, installed.pid
    with installed.load() as load:
        said = installed.install().stdout
        went_on(installed, load)
    say(f"upgraded: {load}")
    assert load.fates.keys() == {Fate.ANSWERED}
    assert "feedsvc 99.0 is installed" in said
    assert installed.box.run(PROGRAM, "--version").stdout.split() == ["feedsvc", "99.0"]
    assert installed.pid not in {0, daemon}
    assert installed.releases == [installed.release]
    assert (installed.config, installed.get("/feed.atom").ids) == (config, ids)


@pytest.mark.skipif("FEEDSVC_ROLLBACK" not in os.environ, reason="takes a third installation: FEEDSVC_ROLLBACK=1")
def test_an_upgrade_that_does_not_start_is_taken_back(installed: Installation) -> None:
    broken = installed.checkout / "feedsvc" / "app" / "daemon.py"
    good = broken.read_text("utf-8")
    broken.write_text(good + '\n\ndef run_daemon(*_: object, **__: object) -> None:\n    raise SystemExit("broken")\n')
    with installed.load() as load:
        done = installed.install(check=False)
        went_on(installed, load)
    broken.write_text(good)
    assert (done.returncode, "the old one is back" in done.stdout) == (1, True)
    assert load.fates[Fate.REFUSED] == 0
    assert installed.releases == [installed.release]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PYTHON": "/nowhere/python3"}, "no usable Python at /nowhere/python3"),
        ({"PYTHON": "/root/python3"}, "/root/python3 is in /root/python, which the service cannot see"),
        ({"PYTHON": "/usr/bin/false"}, "/usr/bin/false does not run"),
        ({"PIP_FIND_LINKS": "/nowhere"}, "pip could not install feedsvc, see above"),
    ],
)
def test_an_installation_that_cannot_be_made_says_so_and_changes_nothing(
    installed: Installation, environment: dict[str, str], message: str
) -> None:
    installed.box.write("/root/python3", PYTHON_OF_ROOT, mode=0o755)
    daemon = installed.pid
    done = installed.install(check=False, **environment)
    assert (done.returncode, message in done.stdout) == (1, True), done.stdout
    assert installed.pid == daemon
    assert installed.releases == [installed.release]


def test_only_root_installs_and_anybody_gets_help(installed: Installation) -> None:
    script = installed.checkout / "systemd" / "install.sh"
    # Not from the checkout: the folders of tests are closed to others.
    installed.box.write("/usr/local/bin/install-feedsvc", script.read_text("utf-8"), mode=0o755)
    assert "usage:" in installed.box.run("install-feedsvc", "--help", user=STRANGER).stdout
    assert installed.box.run("install-feedsvc", "--purge", user=STRANGER, check=False).returncode == 2
    assert "must run as root" in installed.box.run("install-feedsvc", user=STRANGER, check=False).stdout


def test_what_is_uninstalled_leaves_data_and_settings(installed: Installation) -> None:
    said = installed.box.run("/opt/feedsvc/uninstall.sh").stdout
    for left in ("/var/lib/feedsvc", "/srv/feedsvc", "/etc/feedsvc"):
        assert left in said
    for path in ("/var/lib/feedsvc/feedsvc.db", f"{DROP}/077.txt", CONFIG):
        assert installed.box.path(path).exists()
    for gone in ("/opt/feedsvc", f"/etc/systemd/system/{SERVICE}", f"/etc/systemd/system/{SOCKET}"):
        assert not installed.box.path(gone).exists()
    assert installed.systemctl("list-units", "--all", "--no-legend", "feedsvc.*").stdout == ""
    assert installed.box.run("pgrep", "-u", "feedsvc", check=False).stdout == ""
    installed.install()  # for tests that come later
