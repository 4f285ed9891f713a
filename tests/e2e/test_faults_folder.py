"""Faults of a watched folder: the last good feed is served, what is wrong is said, and it mends when the cause ends.

What is deleted and made again, moved away and back, and unmounted and mounted again is in test_watching.py.
"""

from __future__ import annotations

import shutil
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from e2e.faults import FIRST, bound_by_modes, messages, mounted, once, settled, until_once, write
from e2e.harness import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.conftest import Daemons
    from e2e.harness import Daemon

HIDDEN = "the article that came meanwhile"


@contextmanager
def unreadable(folder: Path) -> Iterator[Path]:
    folder.chmod(0)
    try:
        yield folder
    finally:
        folder.chmod(0o755)


@contextmanager
def below_what_cannot_be_entered(folder: Path) -> Iterator[Path]:
    folder.parent.chmod(0)
    try:
        yield folder
    finally:
        folder.parent.chmod(0o755)


@contextmanager
def moved(folder: Path) -> Iterator[Path]:
    away = folder.with_name("away")
    folder.rename(away)
    try:
        yield away
    finally:
        away.rename(folder)


@contextmanager
def replaced_by_a_file(folder: Path) -> Iterator[Path]:
    with moved(folder) as away:
        folder.write_text("no folder", "utf-8")
        yield away
        folder.unlink()


@contextmanager
def replaced_by_a_link(folder: Path, target: str) -> Iterator[Path]:
    with moved(folder) as away:
        folder.symlink_to(target)
        yield away
        folder.unlink()


@contextmanager
def replaced_by_a_dangling_link(folder: Path) -> Iterator[Path]:
    with replaced_by_a_link(folder, "nowhere") as away:
        yield away


@contextmanager
def replaced_by_a_link_to_itself(folder: Path) -> Iterator[Path]:
    with replaced_by_a_link(folder, folder.name) as away:
        yield away


@contextmanager
def replaced_by_a_socket(folder: Path) -> Iterator[Path]:
    with moved(folder) as away, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder))
        yield away
        folder.unlink()


@contextmanager
def under_an_empty_file_system(folder: Path) -> Iterator[Path]:
    with mounted(folder):
        yield folder


@contextmanager
def deleted_with_what_it_lies_in(folder: Path) -> Iterator[Path]:
    kept = folder.parent.with_name("kept")
    shutil.copytree(folder, kept)
    shutil.rmtree(folder.parent)
    yield kept
    shutil.copytree(kept, folder)


FAULTS: dict[Callable[[Path], AbstractContextManager[Path]], str] = {
    unreadable: "cannot be read: Permission denied",
    below_what_cannot_be_entered: "cannot be looked at (Permission denied)",
    moved: "is not there",
    replaced_by_a_file: "is no folder",
    replaced_by_a_socket: "is no folder",
    replaced_by_a_dangling_link: "is not there",
    replaced_by_a_link_to_itself: "cannot be looked at (Too many levels of symbolic links)",
    under_an_empty_file_system: "is empty since its file system was changed (unmounted?)",
    deleted_with_what_it_lies_in: "is not there",
}


@pytest.fixture
def daemon(daemons: Daemons, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """It watches two folders; in the first, which may meet a fault, lies an article."""
    monkeypatch.setattr("e2e.harness.FEEDSVC", bound_by_modes(tmp_path / "feedsvc"))
    watch = {"directories": ["disk/dumps", "archive"], "on_delete": "withdraw"}
    daemon = daemons.prepare({"watch": watch, "schedule": {"rescan": "1 s"}})
    write(daemon.folder, FIRST)
    daemon.start()
    until_once(daemon, FIRST)
    return daemon


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_a_folder(fault: Callable[[Path], AbstractContextManager[Path]], daemon: Daemon) -> None:
    before = daemon.get("/feed.atom").body
    with fault(daemon.folder) as where:
        said = daemon.wait_for_log("level=error", "problem", str(daemon.folder))
        assert FAULTS[fault] in said
        assert daemon.get("/feed.atom").body == before
        if where != daemon.folder:
            write(where, HIDDEN)
        write(daemon.folders[1], "an article elsewhere")
        until_once(daemon, FIRST, "an article elsewhere")
        (message,) = messages(daemon)
        assert FAULTS[fault] in message
    if where == daemon.folder:
        write(daemon.folder, HIDDEN)
    settled(daemon, FIRST, HIDDEN, "an article elsewhere")
    assert "problem ended" in daemon.log
    write(daemon.folder, "a later article")
    until_once(daemon, FIRST, HIDDEN, "a later article")
    assert "Traceback" not in daemon.log


def test_a_folder_that_becomes_a_link_is_read_where_it_leads(daemon: Daemon) -> None:
    target = daemon.folder.with_name("target")
    target.mkdir()
    write(target, HIDDEN)
    first = daemon.get("/feed.atom").body
    assert FIRST.encode() in first
    away = daemon.folder.with_name("away")
    daemon.folder.rename(away)
    daemon.folder.symlink_to("target")
    wait_for(lambda: once(daemon, HIDDEN) and FIRST not in daemon.feed().titles)  # on_delete = "withdraw"
    daemon.folder.unlink()
    away.rename(daemon.folder)
    wait_for(lambda: once(daemon, FIRST) and HIDDEN not in daemon.feed().titles)
    write(daemon.folder, "a later article")
    settled(daemon, FIRST, "a later article")


def test_a_folder_inside_that_cannot_be_read_is_named_until_it_can(daemon: Daemon) -> None:
    inside = daemon.folder / "inside\n\x1b[31m"
    inside.mkdir()
    write(inside, "an article inside")
    until_once(daemon, FIRST, "an article inside")
    with unreadable(inside):
        said = daemon.wait_for_log("level=error", "has what cannot be read; its entries stay")
        assert "inside" in said
        write(daemon.folder, "an article beside it")
        until_once(daemon, FIRST, "an article inside", "an article beside it")
        (message,) = messages(daemon)
        assert message.endswith("inside\\n\\x1b[31m")
    write(inside, HIDDEN)
    settled(daemon, FIRST, "an article inside", "an article beside it", HIDDEN)
