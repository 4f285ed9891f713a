"""A real systemd, booted as PID 1 of namespaces that end with the test: nothing that it does stays on this machine."""

from __future__ import annotations

import ctypes
import itertools
import os
import pty
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from waiting import GENEROUS, wait_for

from e2e.harness import lack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")
T = TypeVar("T")

OLDEST = 252  # of systemd, which the units are made for
BOOT = Path(__file__).with_name("boot_box.sh")
PROGRAMS = (
    "systemctl",
    "systemd-analyze",
    "dbus-daemon",
    "ip",
    "nsenter",
    "pgrep",
    "runuser",
    "setpriv",
    "unshare",
    "useradd",
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLONE_NEWNET = 0x40000000  # setns(2)
MASKED = """
    dev-hugepages.mount proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount
    sys-kernel-debug.mount sys-kernel-tracing.mount systemd-journald-audit.socket systemd-modules-load.service
    systemd-remount-fs.service systemd-tmpfiles-clean.timer systemd-udev-trigger.service
"""
_serial = itertools.count()


def need_systemd() -> None:
    """Skip the test, or fail where TESTS_REQUIRE is set, where no box can be booted."""
    if os.geteuid():
        lack("a real systemd needs root to be booted")
    for program in PROGRAMS:
        if shutil.which(program, path=PATH) is None:
            lack(f"{program} is not installed, which a real systemd is booted or used with")
    said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"systemd (\d+)", said)
    if version is None or int(version[1]) < OLDEST:
        lack(f"systemd {OLDEST} or newer is needed, and this is {said.splitlines()[0]}")
    if _find_cgroup2() is None:
        lack("no cgroup2 file system is mounted, which systemd cannot do without")


class Box:
    """A machine of its own as far as a service can tell: files, processes, users, network (loopback only), cgroups.

    It is made and ended in one thread: when that thread ends, so does the box.
    """

    def __init__(self, show: Sequence[Path] = ()) -> None:
        """Prepare a box that shows some folders of this machine, read-only and below /mnt, beside its system."""
        parent = _find_cgroup2()
        assert parent is not None
        name = f"feedsvc-box-{os.getpid()}-{next(_serial)}"
        self._show = show
        self._cgroup = parent / name
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self._console: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0  # of its PID 1, out here
        self._network: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Boot."""
        try:
            self._cgroup.mkdir()
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_raised: object) -> None:
        """End all processes of the box: its mounts, network and files go with them."""
        if self._network is not None:
            self._network.shutdown()
        if self._process is not None:
            self._process.kill()  # unshare; --kill-child and the PID namespace do the rest
            self._process.wait()
        if self._cgroup.exists():
            for folder, _, _ in os.walk(self._cgroup, topdown=False):
                wait_for(partial(_removed, Path(folder)))
        wait_for(partial(_removed, self._folder))

    def run(
        self, *command: str | Path, user: str = "root", check: bool = True, within: float = 2 * GENEROUS, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, outside of all units; standard error is part of the output."""
        argv = [*self._enter, *(["runuser", "-u", user, "--"] if user != "root" else []), *command]
        done = subprocess.run(
            argv,
            env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "SYSTEMD_PAGER": "", **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=within,
        )
        assert not check or done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}"
        return done

    def path(self, inside: str) -> Path:
        """Where one of its files is for processes of this machine. Absolute links in it are not followed as inside."""
        return Path(f"/proc/{self._pid}/root{inside}")

    def shown(self, outside: Path) -> Path:
        """The place inside of a file in a folder that the box shows."""
        return Path("/mnt", outside.relative_to("/"))

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(mode)

    def inside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread whose new sockets are in the network of the box."""
        if self._network is None:
            self._network = ThreadPoolExecutor(1, initializer=self.enter_network)
        return self._network.submit(function, *args, **kwargs).result()

    def enter_network(self) -> None:
        """Move the calling thread into the network of the box, for good: what sockets it makes are there (setns(2))."""
        with Path(f"/proc/{self._pid}/ns/net").open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as `systemctl show` says it."""
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).stdout.strip()

    def log(self, unit: str) -> str:
        """What a unit has logged, and systemd about it."""
        return self.run("journalctl", "--output=cat", "--no-pager", f"--unit={unit}").stdout

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._pid}", "-m", "-p", "-u", "-i", "-n", "-C", "--"]

    def _boot(self) -> None:
        master, slave = pty.openpty()
        Thread(target=self._drain, args=[master], daemon=True).start()
        told = {
            "BOX": str(self._folder),
            "BOX_CGROUP": str(self._cgroup),
            "BOX_CONSOLE": os.ttyname(slave),
            "BOX_BIND": " ".join(map(str, self._show)),
            "BOX_MASK": " ".join(MASKED.split()),
        }
        unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--propagation=private"]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *unshare, "--kill-child=SIGKILL", "--", BOOT],
            env=os.environ | told,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        wait_for(self._is_up)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "systemd has ended; its console:\n" + "".join(self._console)
        process = self._process.pid
        with suppress(OSError, ValueError):  # it has no child yet, or the child has ended
            self._pid = int(Path(f"/proc/{process}/task/{process}/children").read_text("utf-8"))
            if Path(f"/proc/{self._pid}/exe").readlink().name == "systemd":
                return self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}
        return False

    def _drain(self, console: int) -> None:
        with suppress(OSError):  # EIO: all of its ends inside are closed
            while data := os.read(console, 65536):
                self._console.append(data.decode(errors="replace"))
        os.close(console)


def _find_cgroup2() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    return None


def _removed(folder: Path) -> bool:
    with suppress(OSError):  # EBUSY: its last process is still on its way out
        folder.rmdir()
    return not folder.exists()
