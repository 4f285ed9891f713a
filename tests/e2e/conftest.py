"""Fixtures of the end-to-end tests. Whatever a test starts is ended, also when it fails."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e import harness
from e2e.box import Box, need_systemd
from e2e.harness import PROMISED, Daemon, stolen_seconds
from e2e.installation import MEMBER, STRANGER, Installation, copy_checkout, download_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.harness import Response, Sections


# The tests of these modules show most of what a command runs; coverage of the others would add little.
MEASURED = {"test_daemon", "test_feed"}


@pytest.fixture(scope="module", autouse=True)
def _measured(request: pytest.FixtureRequest) -> None:
    harness.measured = request.path.stem in MEASURED


class Daemons:
    """Makes daemons below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Daemon] = []

    def prepare(self, sections: Sections | None = None, **environment: str) -> Daemon:
        """A daemon that does not run yet; `sections` is its configuration."""
        home = self._folder / f"daemon{len(self._made)}"
        home.mkdir()
        daemon = Daemon(home, sections or {}, **environment)
        self._made.append(daemon)
        return daemon

    def start(self, sections: Sections | None = None, **environment: str) -> Daemon:
        daemon = self.prepare(sections, **environment)
        daemon.start()
        return daemon

    def end(self) -> None:
        running = [daemon for daemon in self._made if daemon.running]
        try:
            for daemon in running:
                daemon.stop()
        finally:
            for daemon in running:
                daemon.kill()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path)
    yield made
    made.end()


class Promptly:
    """Waits until something is served, and asserts that it took no longer than was promised, by the clock on the wall.

    A machine whose processors are taken away by its hypervisor meanwhile can prove nothing: where that may explain
    the excess, the time is unproven, which is neither a pass nor a failure. Nothing is subtracted.
    """

    def __init__(self) -> None:
        self.unproven: list[str] = []

    def __call__(
        self, daemon: Daemon, condition: Callable[[Response], object], *, since: float | None = None, extra: float = 0.0
    ) -> None:
        """Wait for the condition; `extra` seconds are allowed beyond what is promised."""
        stolen = stolen_seconds()
        since = time.monotonic() if since is None else since
        wait_for(lambda: condition(daemon.feed()))
        seconds, stolen = time.monotonic() - since, stolen_seconds() - stolen
        excess = seconds - PROMISED - extra
        if excess > 0:
            assert stolen >= excess, f"took {seconds:.3f} s"
            self.unproven.append(f"{seconds:.3f} s while {stolen:.2f} s of processor time were stolen")


@pytest.fixture
def promptly() -> Iterator[Promptly]:
    watch = Promptly()
    yield watch
    if watch.unproven:
        pytest.skip(f"served, but in how much time is unproven: {'; '.join(watch.unproven)}")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says a figure where whoever runs the tests sees it."""

    def speak(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return speak


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The service, installed by systemd/install.sh where systemd runs."""
    need_systemd()
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    packages = download_packages(checkout, tmp_path_factory.mktemp("pip"))
    with Box(show=[checkout, packages]) as box:
        made = Installation(box, checkout, packages)
        made.said = made.install().stdout
        for user in (MEMBER, STRANGER):
            box.run("useradd", "--create-home", user)
        box.run("usermod", "--append", "--groups", "feedsvc-drop", MEMBER)
        yield made
