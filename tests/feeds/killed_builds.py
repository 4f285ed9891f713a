"""Kills a build at each of its calls that touch the file system, in turn, and looks at what it leaves.

Run as a program of one thread, so that it can fork. Prints how many kills there were.

    python killed_builds.py FOLDER
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sys
from pathlib import Path

from feedsvc.feeds.export import SitePage, build_site

LONG = b"<p>text</p>" * 100
OLD = [
    SitePage("/entries/a", LONG + b"a"),
    SitePage("/entries/gone", LONG + b"gone"),
    SitePage("/small.atom", b"small"),
    SitePage("/feed.atom", LONG + b"old"),
]
NEW = [
    SitePage("/entries/a", LONG + b"a"),
    SitePage("/entries/b", LONG + b"b"),
    SitePage("/small.atom", LONG + b"has grown"),
    SitePage("/feed.atom", LONG + b"new"),
]
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod")
MINE = {"mine.txt": b"mine", "entries/gone/mine.txt": b"mine"}


def main(folder: Path) -> None:
    """Kill at the first call, the second, ... until a build comes to its end."""
    old, new = made(folder / "old", OLD), made(folder / "new", NEW)
    build_site(folder / "new", OLD)
    build_site(folder / "new", NEW)
    assert content(folder / "new") == new, "the way to it does not matter"
    shutil.rmtree(folder / "new")
    kills = 0
    for start in (OLD, None):
        at = 1
        while killed(folder, start, at):
            site = folder / "site"
            look(content(site), old, new, start, at)
            # What comes next may be the same build again, the one before, or both.
            other = shutil.copytree(site, folder / "other")
            build_site(site, NEW)
            assert content(site) == new, f"kill {at}: not mended"
            build_site(other, OLD)
            assert content(other) == old, f"kill {at}: not undone"
            shutil.rmtree(other)
            at += 1
        kills += at - 1
    sys.stdout.write(str(kills))


def made(site: Path, pages: list[SitePage]) -> dict[str, bytes]:
    """What a whole build of these pages holds, beside files of others."""
    for name, body in MINE.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(body)
    build_site(site, pages)
    return content(site)


def killed(folder: Path, start: list[SitePage] | None, at: int) -> bool:
    """Whether the build of NEW was killed at a call; where it had fewer, it came to its end."""
    site = folder / "site"
    shutil.rmtree(site, ignore_errors=True)
    made(site, start or [])
    child = os.fork()
    if child == 0:
        die_at(at)
        build_site(site, NEW)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def die_at(at: int) -> None:
    """Kill this process at a call, or in the middle of one that writes."""
    left, write = at, os.write

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def write_halves(descriptor: int, body: memoryview) -> int:
        half = len(body) // 2
        write(descriptor, body[:half])
        step()
        write(descriptor, body[half:])
        return len(body)

    def count(event: str, _arguments: tuple[object, ...]) -> None:
        if event in EVENTS:
            step()

    os.write = write_halves  # type: ignore[assignment]
    sys.addaudithook(count)


def look(
    found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes], start: list[SitePage] | None, at: int
) -> None:
    """Every file is whole, and every twin is of the file that is there."""
    for name, body in found.items():
        if name.startswith(".feedsvc-build"):
            continue
        assert body in {old.get(name), new.get(name)}, f"kill {at}: {name} is neither the old nor the new one"
        if name.endswith(".gz"):
            assert gzip.decompress(body) == found[name.removesuffix(".gz")], f"kill {at}: {name} is of another file"
    if start:
        lost = old.keys() & new.keys() - found.keys()
        assert all(name.endswith((".gz", ".br", ".zst")) for name in lost), f"kill {at}: {lost} are not there"


def content(site: Path) -> dict[str, bytes]:
    """Name to bytes."""
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
