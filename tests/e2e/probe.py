"""Tries what a service has no business to do, where its daemon would be, and prints what came of each as JSON.

Run with the interpreter of an installation: it imports nothing of the tests.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import multiprocessing
import os
import platform
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC = ("192.0.2.1", 80)  # somebody listens there (RFC 5737)
LOCAL = ("127.0.0.1", 80)  # and there
CONNECT_SECONDS = 2.0  # what is filtered is lost without a word
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # unshare(2)
NO_RANDOM_ADDRESSES = 0x0040000  # personality(2)
BUFFER_SIZE = 10  # syslog(2)
INIT_MODULE = {"x86_64": 175, "aarch64": 105}
SET_CLOCK = {"x86_64": 227, "aarch64": 112}
OTHER_USER = 65534
NAMESPACES = ("user", "mnt", "ipc", "uts")
PARTS = "import lxml.etree, pydantic, uvloop, nh3; uvloop.new_event_loop().close()"
libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns -1 where it fails."""
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path: str) -> None:
    Path(path).write_text("x", "utf-8")


def see(path: str) -> None:
    """See something: a file, or a folder with something in it."""
    if Path(path).is_dir() and not os.listdir(path):  # noqa: PTH208 - a folder that is closed is an error
        raise FileNotFoundError(errno.ENOENT, "nothing is there")
    Path(path).stat()


def connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, CONNECT_SECONDS).close()


def execute_own(path: str) -> None:
    Path(path).write_text("#!/bin/sh\n", "utf-8")
    Path(path).chmod(0o700)
    subprocess.run([path], check=True)


def make_special(path: str) -> None:
    Path(path).touch()
    Path(path).chmod(0o4755)


def gain_root() -> None:
    """Run a program that belongs to root and has its set-user-ID bit set."""
    user = subprocess.run(["/usr/local/bin/id-as-root", "-u"], capture_output=True, text=True, check=True).stdout
    if user.strip() != "0":
        raise PermissionError(errno.EPERM, f"was run as user {user.strip()}")


def ask_kernel(number: dict[str, int], *arguments: object) -> None:
    """Make a system call with senseless arguments: nothing happens, and only who may not make it hears EPERM."""
    try:
        call("syscall", number.get(platform.machine(), -1), *arguments)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise


def map_executable() -> None:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def dump_core() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise PermissionError(errno.EPERM, "no core files")


def see_processes() -> None:
    if not any(path.name.isdigit() and path.stat().st_uid != os.getuid() for path in Path("/proc").iterdir()):
        raise FileNotFoundError(errno.ENOENT, "only its own processes are there")


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    subprocess.run([sys.executable, "-c", PARTS], check=True)


def start_workers() -> None:
    """Start a process that limits its memory and uses all that the daemon uses, as cleaning does."""
    worker = multiprocessing.get_context("spawn").Process(target=_limit)
    worker.start()
    worker.join()
    if worker.exitcode:
        raise OSError(errno.EPERM, f"exit code {worker.exitcode}")


PROBES: dict[str, Callable[[], None]] = {
    # What it must be able to do.
    "write its state": lambda: write("/var/lib/feedsvc/probe"),
    "write its temporary files": lambda: write("/tmp/probe"),  # noqa: S108 - its own /tmp
    "read dumps": lambda: see("/srv/feedsvc/drop"),
    "read its settings": lambda: Path("/etc/feedsvc/config.toml").open("rb").close(),
    "reach this machine": lambda: connect(LOCAL),
    "start workers": start_workers,
    "let others go first": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    # What it must not.
    "write settings": lambda: write("/etc/feedsvc/probe"),
    "write programs": lambda: write("/opt/feedsvc/probe"),
    "write dumps": lambda: write("/srv/feedsvc/drop/probe"),
    "write elsewhere": lambda: write("/var/lib/probe"),
    "write cgroups": lambda: Path("/sys/fs/cgroup/probe").mkdir(),
    "see /home": lambda: see("/home"),
    "see /root": lambda: see("/root"),
    "see others' temporary files": lambda: see("/tmp/secret"),  # noqa: S108 - a test made it
    "see devices": lambda: see("/dev/autofs"),
    "see other processes": see_processes,
    "see the machine in /proc": lambda: see("/proc/meminfo"),
    "see kernel modules": lambda: see("/usr/lib/modules/probe"),
    "reach a public address": lambda: connect(PUBLIC),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "gain root": gain_root,
    "become another user": lambda: os.setuid(OTHER_USER),
    "execute what it wrote": lambda: execute_own("/var/lib/feedsvc/program"),
    "execute temporary files": lambda: execute_own("/tmp/program"),  # noqa: S108 - its own /tmp
    "make a set-user-ID file": lambda: make_special("/var/lib/feedsvc/special"),
    "make memory executable": map_executable,
    "make a user namespace": lambda: call("unshare", CLONE_NEWUSER),
    "make a network namespace": lambda: call("unshare", CLONE_NEWNET),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "be scheduled in real time": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
    "change its personality": lambda: call("personality", NO_RANDOM_ADDRESSES),
    "trace processes": lambda: call("ptrace", 0, 0, None, None),
    "set the clock": lambda: ask_kernel(SET_CLOCK, 0, None),
    "set the host name": lambda: socket.sethostname("probe"),
    "read the kernel's log": lambda: call("klogctl", BUFFER_SIZE, None, 0),
    "load a kernel module": lambda: ask_kernel(INIT_MODULE, None, 0, None),
    "dump core": dump_core,
}


def attempt(probe: Callable[[], None]) -> str:
    """Say "done", or the name of the error. In a process of its own: some probes change who they are."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, describe(probe).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - of a file descriptor
        found = pipe.read().decode()
    os.wait()
    return found or "ended"


def describe(probe: Callable[[], None]) -> str:
    try:
        probe()
    except TimeoutError:
        return "ETIMEDOUT"
    except subprocess.CalledProcessError as error:
        return f"exit code {error.returncode}"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


if __name__ == "__main__":
    found = {name: attempt(probe) for name, probe in PROBES.items()}
    for kind in NAMESPACES:
        found[f"namespace {kind}"] = Path(f"/proc/self/ns/{kind}").readlink().name
    sys.stdout.write(json.dumps(found) + "\n")
