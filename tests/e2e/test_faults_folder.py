"""Faults of a watched folder: the last good feed is served, what is wrong is said, and it mends when the cause ends.

What is deleted and made again, moved away and back, and unmounted and mounted again is in test_watching.py.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from waiting import wait_for

from e2e.conftest import Daemons
from e2e.faults import bound_by_modes, make_socket, messages, mounted, once, settled, until_once, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.harness import Daemon


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
        try:
            yield away
        finally:
            folder.unlink()


@contextmanager
def replaced_by_a_link(folder: Path, target: str) -> Iterator[Path]:
    with moved(folder) as away:
        folder.symlink_to(target)
        try:
            yield away
        finally:
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
    with moved(folder) as away:
        make_socket(folder)
        try:
            yield away
        finally:
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


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """It watches a folder for each fault, in which lies an article, and one that is left alone."""
    home = tmp_path_factory.mktemp("folders")
    made = Daemons(home)
    names = ["sound", *(f"{fault.__name__}/dumps" for fault in FAULTS), "link", "partly"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("e2e.harness.FEEDSVC", bound_by_modes(home / "feedsvc"))
        watch = {"directories": names, "on_delete": "withdraw"}
        daemon = made.prepare({"watch": watch, "schedule": {"rescan": "1 s"}, "feed": {"entries": 1000}})
        for folder in daemon.folders:
            write(folder, f"the first of {folder.relative_to(daemon.home)}")
        try:
            daemon.start()
            yield daemon
            assert "Traceback" not in daemon.log
        finally:
            made.end()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_of_a_folder(fault: Callable[[Path], AbstractContextManager[Path]], daemon: Daemon) -> None:
    name = f"{fault.__name__}/dumps"
    folder, first, hidden = daemon.home / name, f"the first of {name}", f"meanwhile in {name}"
    until_once(daemon, first)
    before = daemon.get("/feed.atom").body
    with fault(folder) as where:
        daemon.wait_for_log("level=error", f"problem=watch:{folder} ", FAULTS[fault])
        assert daemon.get("/feed.atom").body == before
        if where != folder:
            write(where, hidden)
        write(daemon.folder, f"elsewhere than in {name}")
        until_once(daemon, first, f"elsewhere than in {name}")
        (message,) = messages(daemon)
        assert message.startswith(f"watch:{folder}: ")
        assert FAULTS[fault] in message
    if where == folder:
        write(folder, hidden)
    until_once(daemon, first, hidden)
    daemon.wait_for_log('event="problem ended"', f"problem=watch:{folder}")
    write(folder, f"later in {name}")
    until_once(daemon, first, hidden, f"elsewhere than in {name}", f"later in {name}")


def test_a_folder_that_becomes_a_link_is_read_where_it_leads(daemon: Daemon) -> None:
    folder, target, away = (daemon.home / name for name in ("link", "target", "away"))
    until_once(daemon, "the first of link")
    target.mkdir()
    write(target, "where the link leads")
    folder.rename(away)
    folder.symlink_to("target")
    wait_for(lambda: once(daemon, "where the link leads") and "the first of link" not in daemon.feed().titles)
    folder.unlink()
    away.rename(folder)
    wait_for(lambda: once(daemon, "the first of link") and "where the link leads" not in daemon.feed().titles)
    write(folder, "later in link")
    until_once(daemon, "the first of link", "later in link")


def test_a_folder_inside_that_cannot_be_read_is_named_until_it_can(daemon: Daemon) -> None:
    inside = daemon.home / "partly" / "inside\n\x1b[31m"
    inside.mkdir()
    write(inside, "an article inside")
    until_once(daemon, "an article inside")
    with unreadable(inside):
        daemon.wait_for_log("level=error", "has what cannot be read; its entries stay")
        write(inside.parent, "an article beside it")
        until_once(daemon, "the first of partly", "an article inside", "an article beside it")
        (message,) = messages(daemon)
        assert message.endswith("inside\\n\\x1b[31m")
    write(inside, "later inside")
    until_once(daemon, "an article inside", "an article beside it", "later inside")
    daemon.wait_for_log('event="problem ended"', f"problem=watch:{inside.parent}")


def test_when_all_faults_have_ended_nothing_is_missing_or_wrong(daemon: Daemon) -> None:
    settled(daemon, *(f"the first of {folder.relative_to(daemon.home)}" for folder in daemon.folders))
