"""Faults of files in a watched folder: each is ignored or quarantined with its reason, and holds up no other."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e.conftest import Daemons
from e2e.faults import bound_by_modes, clean, entry, make_socket, messages, mounted, once, shown_status, until_once
from e2e.harness import lack, make_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.harness import Daemon

MAX_BYTES = 200_000
PARAGRAPHS = "".join(f"<p>Paragraph {number} of an article that is not short.</p>\n" for number in range(400))
NUMBERS = count(1)


@dataclass(frozen=True)
class Place:
    """A folder of one test in that of a daemon that goes on to the next, and the title of its article."""

    daemon: Daemon
    folder: Path
    title: str

    def write(self, name: str = "a.txt", body: str | None = None) -> Path:
        path = self.folder / name
        path.write_text(make_dump(self.title, body=body), "utf-8")
        return path

    def others_are_served(self) -> None:
        title = f"{self.title}, another {next(NUMBERS)}"
        (self.folder / f"other-{next(NUMBERS)}.txt").write_text(make_dump(title), "utf-8")
        until_once(self.daemon, title)

    def told_of(self, path: Path) -> list[str]:
        return [line for line in self.daemon.log.splitlines() if f"{path}" in line]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("files")
    made = Daemons(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("e2e.harness.FEEDSVC", bound_by_modes(home / "feedsvc"))
        daemon = made.prepare(
            {"watch": {"max_bytes": MAX_BYTES, "settle": "250 ms"}, "feed": {"entries": 1000}}, COLUMNS="1000"
        )
        try:
            daemon.start()
            yield daemon
            assert "Traceback" not in daemon.log
            assert clean(daemon.log)
        finally:
            made.end()


@pytest.fixture
def place(daemon: Daemon) -> Place:
    number = next(NUMBERS)
    folder = daemon.folder / str(number)
    folder.mkdir()
    return Place(daemon, folder, f"article {number}")


def test_a_file_that_cannot_be_read_is_read_when_it_can(place: Place) -> None:
    (place.folder / "hidden").mkdir(0)
    path = place.write("hidden/../.a.part")
    path.chmod(0)
    path = path.rename(place.folder / "a.txt")
    said = place.daemon.wait_for_log("dump quarantined", str(path))
    assert "cannot be read: Permission denied" in said
    place.others_are_served()
    assert any(str(path) in message and "Permission denied" in message for message in messages(place.daemon))
    path.chmod(0o644)
    until_once(place.daemon, place.title)
    assert not any(str(path) in message for message in messages(place.daemon))


def zero(place: Place) -> None:
    os.mknod(place.folder / "a.txt", 0o20666, os.makedev(1, 5))


def block_device(place: Place) -> None:
    os.mknod(place.folder / "a.txt", 0o60666, os.makedev(7, 250))


def fifo(place: Place) -> None:
    os.mkfifo(place.folder / "a.txt")


def unix_socket(place: Place) -> None:
    make_socket(place.folder / "a.txt")


def link_to_itself(place: Place) -> None:
    (place.folder / "a.txt").symlink_to("a.txt")


def loop_of_links(place: Place) -> None:
    (place.folder / "a").symlink_to(place.folder)
    (place.folder / "b").symlink_to(place.folder / "a" / "b")


def dangling_link(place: Place) -> None:
    (place.folder / "a.txt").symlink_to("nowhere")


def link_to_zero(place: Place) -> None:
    (place.folder / "a.txt").symlink_to("/dev/zero")


def link_outside(place: Place) -> None:
    outside = place.daemon.home / f"{place.folder.name}.txt"
    outside.write_text(make_dump(place.title), "utf-8")
    (place.folder / "a.txt").symlink_to(outside)


def folder_called_like_a_dump(place: Place) -> None:
    (place.folder / "a.txt").mkdir()


NO_FILES = (
    zero,
    block_device,
    fifo,
    unix_socket,
    link_to_itself,
    loop_of_links,
    dangling_link,
    link_to_zero,
    link_outside,
    folder_called_like_a_dump,
)


def test_what_is_no_file_is_never_opened_and_holds_up_nobody(place: Place) -> None:
    for number, make in enumerate(NO_FILES):
        inside = place.folder / str(number)
        inside.mkdir()
        try:
            make(Place(place.daemon, inside, place.title))
        except PermissionError as error:
            lack(f"{make.__name__} needs root: {error}")
    place.others_are_served()
    for number, make in enumerate(NO_FILES):
        assert place.told_of(place.folder / str(number)) == [], make.__name__
    assert place.title not in place.daemon.feed().titles
    # Whatever it was, a file in its place is read.
    (place.folder / "2" / "a.txt").unlink()
    (place.folder / "2" / "a.txt").write_text(make_dump(place.title), "utf-8")
    until_once(place.daemon, place.title)


NAMES: dict[str, bytes] = {
    "not UTF-8": b"\xff\xfe\x80.txt",
    "line ends": b"a\nlevel=error event=forged\r\n.txt",
    "codes for a terminal": b"\x1b]0;title\x07\x1b[2J\x1b[31m\xc2\x9b.txt",
    "255 bytes": b"n" * 251 + b".txt",
    "markup": b"[red]<script>alert(1)<\\script>&amp;.txt",
    "another writing direction": "\u202etxt.moc\u2028\u2066.txt".encode(),
    "deep": b"/".join([b"d" * 25] * 120 + [b"a.txt"]),
}


def test_whatever_name_a_file_has_it_is_served_or_named_on_one_line(place: Place) -> None:
    paths = []
    for number, name in enumerate(NAMES.values()):
        path = os.fsencode(place.folder) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - no Path has these bytes
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(make_dump(f"{place.title}, {number}"))
        paths.append(path)
    titles = [f"{place.title}, {number}" for number in range(len(NAMES))]
    until_once(place.daemon, *titles)
    for path in paths:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("<!--1712180702000-->\nnot a title\n")
    wait_for(lambda: place.daemon.log.count("dump quarantined") >= len(NAMES))
    assert clean(place.daemon.log)
    listed = place.daemon.status()["problems"]
    assert len([item for item in listed if str(place.folder) in item["about"]]) == len(NAMES)
    assert clean(shown_status(place.daemon))
    until_once(place.daemon, *titles)  # what a broken dump no longer shows stays
    for path in paths:
        os.unlink(path)  # noqa: PTH108
    wait_for(lambda: place.daemon.log.count("dump deleted") >= len(NAMES))


def test_an_empty_file_and_a_huge_one_are_refused_at_once(place: Place) -> None:
    (place.folder / "empty.txt").touch()
    (place.folder / "huge.txt").touch()
    os.truncate(place.folder / "huge.txt", 8 * 2**30)
    path = place.write(".a.part", PARAGRAPHS)
    os.truncate(path, 8 * 2**30)
    path = path.rename(place.folder / "a.txt")
    said = place.daemon.wait_for_log("dump quarantined", str(path))
    assert f"larger than {MAX_BYTES} bytes" in said
    place.daemon.wait_for_log("dump ignored", "huge.txt")
    place.daemon.wait_for_log("dump ignored", "empty.txt")
    place.others_are_served()
    for name in ("empty.txt", "huge.txt"):
        (place.folder / name).unlink()
    place.write(body=PARAGRAPHS)
    until_once(place.daemon, place.title)


@contextmanager
def appending(path: Path, text: str, *, closing: bool) -> Iterator[None]:
    """Another program that writes without end: every 50 ms, closing the file each time or never."""
    done = threading.Event()

    def write() -> None:
        with path.open("a", encoding="utf-8") as kept:
            while not done.wait(0.05):
                if closing:
                    with path.open("a", encoding="utf-8") as file:
                        file.write(text)
                else:
                    kept.write(text)
                    kept.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("closing", [False, True], ids=["held open", "closed each time"])
def test_a_file_that_grows_without_a_pause_is_read_seldom_and_whole_when_it_rests(
    place: Place, *, closing: bool
) -> None:
    path = place.write("a.txt")
    with appending(path, "<p>more</p>\n", closing=closing):
        until = time.monotonic() + 5.0
        while time.monotonic() < until:
            place.others_are_served()
        assert path.stat().st_size > 100
    whole = path.read_text("utf-8").count("more")
    wait_for(lambda: once(place.daemon, place.title) and entry_text(place).count("more") == whole)
    # Some times in a row at first, then ever more seldom; not at each of the hundred times that it was written.
    assert whole > 50
    assert len(place.told_of(path)) < whole / 2
    identity = entry(place.daemon, place.title).id
    place.others_are_served()
    assert entry(place.daemon, place.title).id == identity


def entry_text(place: Place) -> str:
    text: str = entry(place.daemon, place.title).content[0].value
    return text


def test_a_file_that_grows_for_ever_is_named_while_it_does(place: Place) -> None:
    path = place.write("a.txt")
    until_once(place.daemon, place.title)
    with appending(path, "x" * 2000, closing=False):
        said = place.daemon.wait_for_log("written to without a pause")  # after 60 times the settle time
        assert str(path) in said
        assert any("written to without a pause" in message for message in messages(place.daemon))
        until_once(place.daemon, place.title)
    place.daemon.wait_for_log("problem ended", f"watch:{place.daemon.folder}")
    place.daemon.wait_for_log("dump quarantined", str(path))
    for _ in range(3):
        with path.open("a", encoding="utf-8") as file:
            file.write("still more")
        place.others_are_served()
    assert len([line for line in place.told_of(path) if "quarantined" in line]) == 1
    until_once(place.daemon, place.title)
    place.write("a.txt", "<p>It was written anew.</p>")
    wait_for(lambda: "written anew" in entry_text(place))
    until_once(place.daemon, place.title)


def truncated(path: Path, text: str) -> None:
    with path.open("r+", encoding="utf-8") as file:
        file.truncate(len(text) // 2)
        file.seek(0)
        file.write(text)
        file.truncate()


def replaced(path: Path, text: str) -> None:
    new = path.with_name(".new.part")
    new.write_text(text, "utf-8")
    new.replace(path)


def overwritten(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("change", [truncated, replaced, overwritten])
def test_a_file_that_changes_while_it_is_read_is_served_as_it_is_in_the_end(
    change: Callable[[Path, str], None], place: Place
) -> None:
    path = place.write("a.txt", PARAGRAPHS)
    until_once(place.daemon, place.title)
    identity = entry(place.daemon, place.title).id
    for number in range(60):
        change(path, make_dump(place.title, body=PARAGRAPHS + f"<p>This is version {number} of it.</p>"))
        time.sleep(number % 7 / 500)  # so that the reader is met at any point; nothing is timed
    wait_for(lambda: "version 59 of it" in entry_text(place))
    place.others_are_served()
    assert once(place.daemon, place.title)
    assert entry(place.daemon, place.title).id == identity
    assert "Paragraph 399 of" in entry_text(place)


def fill(disk: Path, *, but: int) -> Path:
    """Fill a disk up, but for so many bytes."""
    ballast = disk / "ballast.bin"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    os.truncate(ballast, ballast.stat().st_size - but)
    return ballast


@pytest.mark.parametrize("room", [0, 4096], ids=["nothing", "a part"])
def test_what_a_full_disk_left_of_a_file_is_mended_when_it_is_written_anew(place: Place, room: int) -> None:
    disk = place.folder / "disk"
    disk.mkdir()
    with mounted(disk, "-o", "size=64k"):
        place.daemon.reload()  # the kernel tells nobody of a mount
        ballast = fill(disk, but=room)
        with pytest.raises(OSError, match="No space left"):
            (disk / "a.txt").write_text(make_dump(place.title, body=PARAGRAPHS), "utf-8")
        assert (disk / "a.txt").stat().st_size == room
        place.daemon.wait_for_log(f"path={disk}/a.txt")
        place.others_are_served()
        ballast.unlink()
        (disk / "a.txt").write_text(make_dump(place.title, body=PARAGRAPHS), "utf-8")
        wait_for(lambda: once(place.daemon, place.title) and "Paragraph 399 of" in entry_text(place))
        assert not any(f"{disk}/a.txt" in message for message in messages(place.daemon))
    until_once(place.daemon, place.title)
