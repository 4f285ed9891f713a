"""A daemon that meets faults: what it says of them, and what it serves meanwhile."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from waiting import wait_for

from e2e.harness import FEEDSVC, Daemon, environment, feedsvc, lack, make_dump, need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def wrap(script: Path, *command: str | Path) -> Path:
    """A program that runs feedsvc by way of another, which ends in exec."""
    line = " ".join(shlex.quote(os.fspath(word)) for word in command)
    script.write_text(f'#!/bin/sh\nexec {line} {shlex.quote(str(FEEDSVC))} "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


def bound_by_modes(script: Path) -> Path:
    """feedsvc, bound by the modes of files and folders also where root runs it (capabilities(7))."""
    if os.geteuid() != 0:
        return FEEDSVC
    return wrap(script, need("setpriv"), "--bounding-set=-dac_override,-dac_read_search")


def messages(daemon: Daemon) -> list[str]:
    """What is wrong, as `feedsvc status` has it."""
    return [f"{problem['about']}: {problem['message']}" for problem in daemon.status()["problems"]]


def once(daemon: Daemon, *titles: str) -> bool:
    """Whether all these are served, each once."""
    served = daemon.feed().titles
    return all(served.count(title) == 1 for title in titles)


def until_once(daemon: Daemon, *titles: str) -> None:
    wait_for(lambda: once(daemon, *titles))


def settled(daemon: Daemon, *titles: str) -> None:
    """All these are served and stored once each, and nothing is wrong."""
    until_once(daemon, *titles)
    stored = daemon.titles_stored()
    assert len(stored) == len(set(stored)), stored
    wait_for(lambda: messages(daemon) == [])
    assert daemon.status()["ready"] is True


def entry(daemon: Daemon, title: str) -> Any:  # noqa: ANN401 - feedparser ships no types
    (found,) = (entry for entry in daemon.feed().entries if entry.title == title)
    return found


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A tmpfs at a folder; what is there is out of sight meanwhile."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "feedsvc-test", folder],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lack(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def make_socket(path: Path) -> None:
    """A socket where nobody listens; its name may be longer than an address may be."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def clean(text: str) -> bool:
    """Whether all of it can be shown on a terminal, line by line."""
    return all(line.isprintable() for line in text.splitlines())


def shown_status(daemon: Daemon) -> str:
    """`feedsvc status` for people."""
    done = feedsvc("status", "--config", daemon.config, cwd=daemon.home)
    return done.stdout + done.stderr


def write(folder: Path, title: str) -> Path:
    """A dump of this title."""
    path = folder / f"{title.replace(' ', '-').replace('/', '-')}.txt"
    path.write_text(make_dump(title), "utf-8")
    return path
