"""feedsvc as a service in a box: installed from a clean copy of the tree, by the script that users run."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waiting import GENEROUS, wait_for

from e2e.harness import PROJECT, Client, lack, make_dump
from e2e.load import Load

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.box import Box
    from e2e.harness import Response

PORT = 8080  # of feedsvc.socket
SERVICE = "feedsvc.service"
SOCKET = "feedsvc.socket"
RELEASES = "/opt/feedsvc/releases"
PROGRAM = "/opt/feedsvc/bin/feedsvc"
CONFIG = "/etc/feedsvc/config.toml"
DROP = "/srv/feedsvc/drop"
PYTHON = "/usr/bin/python3"  # the box has no other for sure
MEMBER, STRANGER = "ann", "bob"  # users; the first is in feedsvc-drop
INSTALL_SECONDS = 10 * GENEROUS


def copy_checkout(to: Path) -> Path:
    """Copy what a clean checkout of the working tree would have."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        lack(f"what is part of the checkout cannot be told: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, to / name)
    return to


def download_packages(checkout: Path, to: Path) -> Path:
    """Get all that pip is going to ask for: the box has no network."""
    environment = to / "venv"
    made = subprocess.run([PYTHON, "-m", "venv", environment], capture_output=True, text=True, check=False)
    if made.returncode:
        lack(f"{PYTHON} cannot make virtual environments; on Debian: apt install python3-venv")
    options: list[str | Path] = ["--disable-pip-version-check", "--quiet", "--dest", to / "packages"]
    pip = [environment / "bin" / "pip", "download", *options]
    subprocess.run([*pip, "--require-hashes", "--requirement", checkout / "locks" / "run.txt"], check=True)
    subprocess.run([*pip, "setuptools", "wheel"], check=True)  # they build what is no wheel
    return to / "packages"


@dataclass
class Installation:
    """The service in its box, on which tests work one after the other.

    Attributes:
        box: The machine.
        checkout: What install.sh is run from; a test may change it.
        packages: What pip finds instead of the package index.
        said: What install.sh said first.
    """

    box: Box
    checkout: Path
    packages: Path
    said: str = ""
    client: Client = field(default_factory=lambda: Client(PORT))

    def install(self, *, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run install.sh."""
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.box.shown(self.packages)), "PYTHON": PYTHON}
        script = self.box.shown(self.checkout / "systemd" / "install.sh")
        return self.box.run(script, check=check, within=INSTALL_SECONDS, **(offline | more))

    def systemctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.box.run("systemctl", *arguments, check=check)

    def get(self, path: str) -> Response:
        return self.box.inside(self.client.get, path, {"Connection": "close"})

    def drop(self, name: str, text: str, *, user: str = MEMBER, umask: str = "077") -> None:
        """Put a dump into the folder as a user does."""
        self.box.run("sh", "-c", f'umask {umask}; printf %s "$1" > "$2"', "sh", text, f"{DROP}/{name}", user=user)

    def serve(self, title: str) -> None:
        """Drop a dump and wait until it is in the feed."""
        self.drop(f"{title.replace(' ', '-')}.txt", make_dump(title))
        wait_for(lambda: title in self.get("/feed.atom").titles)

    def load(self) -> Load:
        return Load(PORT, self.box.enter_network)

    def configure(self, text: str) -> None:
        """Replace the settings, and leave owner and mode as they are."""
        self.box.path(CONFIG).write_text(text, "utf-8")

    @property
    def config(self) -> str:
        return self.box.path(CONFIG).read_text("utf-8")

    @property
    def release(self) -> str:
        """The folder of the programs in use, as inside."""
        return str(self.box.path(PROGRAM).readlink().parents[1])

    @property
    def releases(self) -> list[str]:
        """All of them."""
        return [str(path).removeprefix(str(self.box.path(""))) for path in self.box.path(RELEASES).iterdir()]

    @property
    def pid(self) -> int:
        """Of the daemon, in the box; 0 while there is none."""
        return int(self.box.show(SERVICE, "MainPID"))

    @property
    def running(self) -> bool:
        return self.box.show(SERVICE, "ActiveState") == "active"
