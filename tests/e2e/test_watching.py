"""Whatever happens in the watched folders reaches the served feed, exactly once, and soon."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import GENEROUS, wait_for

from e2e.conftest import Daemons, Promptly
from e2e.harness import Daemon, environment, make_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.harness import Response

pytestmark = pytest.mark.alone

TITLE = "the new article"
TEXT = make_dump(TITLE)
SETTLE = 0.5  # the default of [watch] settle
PARAGRAPHS = "".join(f"<p>Paragraph {number} of a long article that takes its time.</p>\n" for number in range(400))
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - another file system, not a place for secrets
MAX_QUEUED_EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")


@dataclass(frozen=True)
class Place:
    """A folder inside the watched one, and an article, that belong to one test; the daemon goes on to the next."""

    daemon: Daemon
    folder: Path
    outside: Path
    title: str

    @property
    def text(self) -> str:
        return make_dump(self.title)

    @property
    def entry(self) -> Any:  # noqa: ANN401 - feedparser ships no types
        (entry,) = (entry for entry in self.daemon.feed().entries if entry.title == self.title)
        return entry

    def once(self, feed: Response) -> bool:
        return once(feed, self.title)

    def write(self, text: str | None = None) -> Path:
        path = self.folder / "a.txt"
        path.write_text(text or self.text, "utf-8")
        return path

    def serve(self) -> Path:
        path = self.write()
        wait_for(lambda: self.once(self.daemon.feed()))
        return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Iterator[Path]]]:
    """A daemon, and folders that it watches already."""
    made = Daemons(tmp_path_factory.mktemp("watching"))
    daemon = made.prepare({"feed": {"entries": 1000}})
    folders = [daemon.folder / f"folder {number}" for number in range(40)]
    for folder in folders:
        folder.mkdir()
    try:
        daemon.start()
        yield daemon, iter(folders)
    finally:
        made.end()


@pytest.fixture
def place(running: tuple[Daemon, Iterator[Path]], tmp_path: Path) -> Place:
    daemon, folders = running
    folder = next(folders)
    return Place(daemon, folder, tmp_path, f"article for {folder.name}")


def once(feed: Response, title: str = TITLE) -> bool:
    return feed.titles.count(title) == 1 and len(set(feed.ids)) == len(feed.ids)


# Each ends with the file operation from which the second is counted, and answers when that was.


def created(place: Place) -> float:
    place.write()
    return time.monotonic()


def created_empty_then_filled(place: Place) -> float:
    (place.folder / "a.txt").touch()
    time.sleep(SETTLE * 1.5)
    return created(place)


def written_slowly(place: Place, pause: float = SETTLE / 3) -> float:
    text = make_dump(place.title, body=PARAGRAPHS)
    size = len(text) // 6 + 1
    with (place.folder / "a.txt").open("w", encoding="utf-8") as file:
        for start in range(0, len(text), size):
            file.write(text[start : start + size])
            file.flush()
            time.sleep(pause)
    return time.monotonic()


def written_with_long_pauses(place: Place) -> float:
    return written_slowly(place, SETTLE * 1.5)


def renamed_from_hidden(place: Place) -> float:
    temporary = place.folder / ".a.txt.Xk2"
    temporary.write_text(place.text, "utf-8")
    temporary.rename(place.folder / "a.txt")
    return time.monotonic()


def renamed_from_partial(place: Place) -> float:
    temporary = place.folder / "a.txt.part"
    temporary.write_text(place.text, "utf-8")
    temporary.rename(place.folder / "a.txt")
    return time.monotonic()


def moved_in(place: Place) -> float:
    (place.outside / "a.txt").write_text(place.text, "utf-8")
    (place.outside / "a.txt").rename(place.folder / "a.txt")
    return time.monotonic()


def moved_in_from_another_file_system(place: Place) -> float:
    if not SHARED_MEMORY.is_dir() or SHARED_MEMORY.stat().st_dev == place.folder.stat().st_dev:
        pytest.skip("there is no other file system at /dev/shm")
    there = SHARED_MEMORY / f"feedsvc-{os.getpid()}.txt"
    there.write_text(place.text, "utf-8")
    shutil.move(there, place.folder / "a.txt")
    return time.monotonic()


def linked_in(place: Place) -> float:
    (place.outside / "a.txt").write_text(place.text, "utf-8")
    (place.folder / "a.txt").hardlink_to(place.outside / "a.txt")
    return time.monotonic()


def folder_moved_in(place: Place) -> float:
    (place.outside / "news" / "april").mkdir(parents=True)
    (place.outside / "news" / "april" / "a.txt").write_text(place.text, "utf-8")
    (place.outside / "news").rename(place.folder / "news")
    return time.monotonic()


def tree_copied_in(place: Place) -> float:
    for number in range(8):
        deep = place.outside / "tree" / str(number) / "deep"
        deep.mkdir(parents=True)
        (deep / "b.txt").write_text(make_dump(f"{place.title}, another {number}"), "utf-8")
    (place.outside / "tree" / "7" / "deep" / "a.txt").write_text(place.text, "utf-8")
    shutil.copytree(place.outside / "tree", place.folder / "tree")
    return time.monotonic()


def written_into_a_new_folder(place: Place) -> float:
    path = place.folder / "news" / "april" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text(place.text, "utf-8")
    return time.monotonic()


ARRIVALS: tuple[Callable[[Place], float], ...] = (
    created,
    created_empty_then_filled,
    written_slowly,
    written_with_long_pauses,
    renamed_from_hidden,
    renamed_from_partial,
    moved_in,
    moved_in_from_another_file_system,
    linked_in,
    folder_moved_in,
    tree_copied_in,
    written_into_a_new_folder,
)


@pytest.mark.parametrize("arrive", ARRIVALS, ids=lambda arrive: arrive.__name__)
def test_what_arrives_is_served(arrive: Callable[[Place], float], place: Place, promptly: Promptly) -> None:
    def whole(feed: Response) -> bool:
        if not place.once(feed):
            return False
        text: str = place.entry.content[0].value
        return "Paragraph" not in text or "Paragraph 399 of" in text

    last = arrive(place)
    promptly(place.daemon, whole, since=last)
    first = place.entry
    place.daemon.serve(f"{place.title}, later")
    assert place.once(place.daemon.feed())
    assert (place.entry.id, place.entry.updated) == (first.id, first.updated)


def test_what_is_held_open_is_served_once_it_has_settled(place: Place, promptly: Promptly) -> None:
    with (place.folder / "a.txt").open("w", encoding="utf-8") as file:
        file.write(place.text)
        file.flush()
        promptly(place.daemon, place.once)


@pytest.mark.parametrize("replace", [Path.replace, shutil.copyfile], ids=["renamed over", "overwritten"])
def test_what_replaces_a_dump_is_served_under_its_id(
    replace: Callable[[Path, Path], object], place: Place, promptly: Promptly
) -> None:
    path = place.serve()
    before = place.entry
    new = place.outside / "new.txt"
    new.write_text(make_dump(place.title, body="<p>This sentence was corrected by its author afterwards.</p>"), "utf-8")
    replace(new, path)
    last = time.monotonic()
    promptly(place.daemon, lambda _: "corrected" in place.entry.content[0].value, since=last)
    assert (place.entry.id, place.entry.published) == (before.id, before.published)
    assert place.entry.updated > before.updated


def test_what_is_touched_changes_nothing(place: Place) -> None:
    path = place.serve()
    before = place.daemon.feed()
    path.touch()
    # Neither is closed after writing, so both wait for the same time, and the first is through when the second is.
    (place.folder / "readme.md").hardlink_to(place.daemon.config)
    place.daemon.wait_for_log("dump ignored", f"{place.folder}/readme.md")
    after = place.daemon.get("/feed.atom")
    assert after.body == before.body
    assert after.fields["etag"] == before.fields["etag"]
    assert after.fields["last-modified"] == before.fields["last-modified"]


def test_a_deleted_dump_keeps_its_entry(place: Place) -> None:
    path = place.serve()
    before = place.daemon.feed()
    path.unlink()
    place.daemon.wait_for_log("dump deleted", str(path))
    assert place.daemon.get("/feed.atom").body == before.body


def test_a_dump_that_grows_keeps_its_entry(place: Place, promptly: Promptly) -> None:
    path = place.serve()
    before = place.entry
    second = f"{place.title}, second"
    with path.open("a", encoding="utf-8") as file:
        file.write(make_dump(second, seconds=1712190000))
    promptly(place.daemon, lambda feed: once(feed, second))
    assert (place.entry.id, place.entry.updated) == (before.id, before.updated)


def test_a_burst_is_served_whole(place: Place, promptly: Promptly) -> None:
    titles = {f"{place.title}, {number}" for number in range(50)}
    for title in titles:
        (place.folder / f"{title}.txt").write_text(make_dump(title), "utf-8")
    last = time.monotonic()
    promptly(place.daemon, lambda feed: titles <= set(feed.titles), since=last)
    assert all(once(place.daemon.feed(), title) for title in titles)


def test_symbolic_links_that_lead_out_are_not_followed(place: Place) -> None:
    (place.outside / "a.txt").write_text(place.text, "utf-8")
    (place.folder / "link.txt").symlink_to(place.outside / "a.txt")
    (place.folder / "link").symlink_to(place.outside)
    (place.outside / "b.txt").write_text(place.text, "utf-8")
    place.daemon.serve(f"{place.title}, later")
    assert place.title not in place.daemon.feed().titles


IGNORED = (".hidden.txt", "a.txt.part", "a.txt~", "#a.txt#", ".a.txt.swp", "README.md", "picture.jpg", "dumps.tar.gz")


def test_files_that_are_no_dumps_are_ignored_and_listed(place: Place) -> None:
    for name in IGNORED:
        (place.folder / name).write_text(place.text, "utf-8")
    (place.folder / "notes.txt").write_text("To do: call the dentist.\n", "utf-8")
    place.daemon.serve(f"{place.title}, later")
    assert place.title not in place.daemon.feed().titles
    status = place.daemon.status()
    listed = [item for item in status["ignored"] if item["about"].startswith(f"{place.folder}/")]
    assert {Path(item["about"]).name for item in listed} == {*IGNORED, "notes.txt"}
    assert all(item["message"] for item in listed)
    assert status["dumps"]["ignored"] >= len(listed)
    assert status["problems"] == []


def test_a_broken_dump_is_listed_with_its_line_and_served_once_it_is_mended(place: Place, promptly: Promptly) -> None:
    path = place.write("\n\n" + place.text.replace(f"[{place.title}]", ""))
    place.daemon.wait_for_log("dump quarantined", str(path))
    status = place.daemon.status()
    (problem,) = status["problems"]
    assert problem["about"] == str(path)
    assert problem["line"] in {3, 4}
    assert problem["message"]
    assert status["dumps"]["quarantined"] == 1
    assert status["ready"] is True
    assert place.title not in place.daemon.feed().titles
    place.write()
    promptly(place.daemon, place.once)
    status = place.daemon.status()
    assert status["problems"] == []
    assert status["dumps"]["quarantined"] == 0


def test_what_is_there_at_the_start_is_in_the_first_feed(daemons: Daemons) -> None:
    daemon = daemons.prepare()
    daemon.drop("a.txt", TEXT)
    (daemon.folder / "inside").mkdir()
    daemon.drop("inside/a.txt", TEXT)
    (daemon.home / "outside.txt").write_text(make_dump("led out"), "utf-8")
    (daemon.folder / "link.txt").symlink_to(daemon.home / "outside.txt")
    (daemon.folder / "link").symlink_to(daemon.home)
    daemon.start()
    assert daemon.feed().titles == [TITLE]  # twice there, once in the feed


def test_a_deleted_dump_withdraws_its_entry_where_that_is_configured(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.prepare({"watch": {"on_delete": "withdraw"}})
    path = daemon.drop("a.txt", TEXT)
    daemon.drop("b.txt", make_dump("another article"))
    daemon.start()
    (before,) = (entry for entry in daemon.feed().entries if entry.title == TITLE)
    path.unlink()
    promptly(daemon, lambda feed: feed.titles == ["another article"])
    daemon.drop("a.txt", TEXT)
    promptly(daemon, once)
    (after,) = (entry for entry in daemon.feed().entries if entry.title == TITLE)
    assert (after.id, after.updated) == (before.id, before.updated)


def test_a_dump_moved_between_watched_folders_is_never_missing(daemons: Daemons) -> None:
    daemon = daemons.prepare({"watch": {"directories": ["dumps", "archive"], "on_delete": "withdraw"}})
    path = daemon.drop("a.txt", TEXT)
    daemon.start()
    (before,) = daemon.feed().entries
    path.rename(daemon.folders[1] / "a.txt")

    def both_told() -> bool:
        assert once(daemon.feed())
        return "dump deleted" in daemon.log and str(daemon.folders[1] / "a.txt") in daemon.log

    wait_for(both_told)
    daemon.serve("a later article")
    (after,) = (entry for entry in daemon.feed().entries if entry.title == TITLE)
    assert (after.id, after.updated) == (before.id, before.updated)


def test_all_folders_are_watched(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.start({"watch": {"directories": ["dumps", "archive", "more dumps"]}})
    for number, folder in enumerate(daemon.folders):
        (folder / "a.txt").write_text(make_dump(f"article {number}"), "utf-8")
    promptly(daemon, lambda feed: sorted(feed.titles) == ["article 0", "article 1", "article 2"])


def test_folders_inside_are_left_alone_where_that_is_configured(daemons: Daemons) -> None:
    daemon = daemons.prepare({"watch": {"recursive": False}})
    (daemon.folder / "inside").mkdir()
    (daemon.folder / "inside" / "there.txt").write_text(make_dump("there before"), "utf-8")
    daemon.start()
    (daemon.folder / "inside" / "a.txt").write_text(TEXT, "utf-8")
    daemon.serve("a later article")
    assert daemon.feed().titles == ["a later article"]


@pytest.mark.parametrize("noticed", [False, True], ids=["at once", "after it was missed"])
def test_a_folder_that_is_deleted_and_made_again_is_watched_again(
    noticed: bool,
    daemons: Daemons,
    promptly: Promptly,
) -> None:
    daemon = daemons.prepare()
    daemon.drop("old.txt", make_dump("the old article"))
    daemon.start()
    shutil.rmtree(daemon.folder)
    if noticed:
        daemon.wait_for_log("is not there", str(daemon.folder))
        assert str(daemon.folder) in str(daemon.status()["problems"])
    daemon.folder.mkdir()
    daemon.drop("a.txt", TEXT)
    promptly(daemon, once)
    assert sorted(daemon.feed().titles) == [TITLE, "the old article"]
    assert daemon.status()["problems"] == []
    (daemon.folder / "inside").mkdir()
    (daemon.folder / "inside" / "b.txt").write_text(make_dump("another one"), "utf-8")
    promptly(daemon, lambda feed: once(feed, "another one"))


def test_a_folder_that_is_renamed_away_and_back_loses_nothing(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.prepare({"watch": {"on_delete": "withdraw"}})
    daemon.drop("old.txt", make_dump("the old article"))
    daemon.start()
    before = daemon.feed()
    away = daemon.home / "away"
    daemon.folder.rename(away)
    daemon.wait_for_log("is not there", str(daemon.folder))
    (away / "a.txt").write_text(TEXT, "utf-8")
    assert daemon.get("/feed.atom").body == before.body
    away.rename(daemon.folder)
    promptly(daemon, once)
    assert sorted(daemon.feed().titles) == [TITLE, "the old article"]
    daemon.drop("b.txt", make_dump("another one"))
    promptly(daemon, lambda feed: once(feed, "another one"))


def test_an_inner_folder_that_is_moved_out_takes_its_dumps_with_it(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.prepare({"watch": {"on_delete": "withdraw"}})
    inside = daemon.folder / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text(TEXT, "utf-8")
    daemon.drop("old.txt", make_dump("the old article"))
    daemon.start()
    inside.rename(daemon.home / "outside")
    promptly(daemon, lambda feed: feed.titles == ["the old article"])
    (daemon.home / "outside").rename(inside)
    promptly(daemon, once)


@pytest.fixture
def mounts() -> Iterator[Callable[..., None]]:
    """Mounts until the test ends; skips where that is not permitted."""
    with ExitStack() as undo:

        def mount(*arguments: str | Path) -> None:
            done = subprocess.run(["mount", *arguments], env=environment(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
            undo.callback(subprocess.run, ["umount", "--lazy", arguments[-1]], stderr=subprocess.DEVNULL, check=False)

        yield mount


def test_a_folder_whose_file_system_comes_and_goes_loses_nothing(
    daemons: Daemons, mounts: Callable[..., None], tmp_path: Path, promptly: Promptly
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts("-t", "tmpfs", "tmpfs", disk)
    daemon = daemons.prepare({"watch": {"on_delete": "withdraw"}})
    mounts("--bind", disk, daemon.folder)
    daemon.drop("old.txt", make_dump("the old article"))
    daemon.start()
    before = daemon.feed()
    subprocess.run(["umount", daemon.folder], check=True)
    daemon.wait_for_log("unmounted?", str(daemon.folder))
    (disk / "a.txt").write_text(TEXT, "utf-8")
    assert daemon.get("/feed.atom").body == before.body
    mounts("--bind", disk, daemon.folder)
    promptly(daemon, once)
    assert sorted(daemon.feed().titles) == [TITLE, "the old article"]
    daemon.drop("b.txt", make_dump("another one"))
    promptly(daemon, lambda feed: once(feed, "another one"))


def test_a_mount_over_an_empty_folder_is_seen(
    daemons: Daemons, mounts: Callable[..., None], tmp_path: Path, promptly: Promptly
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts("-t", "tmpfs", "tmpfs", disk)
    (disk / "a.txt").write_text(TEXT, "utf-8")
    daemon = daemons.start()
    mounts("--bind", disk, daemon.folder)
    promptly(daemon, once)


@pytest.fixture
def short_event_queue() -> Iterator[None]:
    """Queues of inotify instances made in this test hold few events."""
    before = MAX_QUEUED_EVENTS.read_text() if MAX_QUEUED_EVENTS.exists() else ""
    try:
        MAX_QUEUED_EVENTS.write_text("16")
    except OSError as error:
        pytest.skip(f"the length of inotify's queue cannot be set here: {error.strerror}")
    yield
    MAX_QUEUED_EVENTS.write_text(before)


@pytest.mark.usefixtures("short_event_queue")
def test_an_overflow_of_the_event_queue_loses_nothing(daemons: Daemons, tmp_path: Path) -> None:
    count = 600
    daemon = daemons.start()
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(count):
        (outside / f"{number}.txt").write_text(make_dump(f"article {number}", seconds=1712180702 + number), "utf-8")
    for path in outside.iterdir():
        path.rename(daemon.folder / path.name)
    newest = [f"article {number}" for number in reversed(range(count - 100, count))]
    wait_for(lambda: daemon.feed().titles == newest and len(daemon.titles_stored()) == count, within=3 * GENEROUS)
    assert "events were lost" in daemon.log
    assert len(set(daemon.titles_stored())) == count


def test_polling_sees_what_happens_as_well(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.start({"watch": {"polling": True, "on_delete": "withdraw"}})
    path = daemon.drop("a.txt", TEXT)
    # A second between two looks, the same once more for a look that takes its time, and the time to settle.
    promptly(daemon, once, extra=2.0 + SETTLE)
    (daemon.folder / "inside").mkdir()
    daemon.drop("inside/a.txt", TEXT)
    path.unlink()
    daemon.wait_for_log("dump deleted", str(path))
    daemon.serve("a later article")
    assert once(daemon.feed())


def test_the_rescan_finds_what_no_event_told(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.prepare({"schedule": {"rescan": "1 s"}})
    path = daemon.drop("a.txt", make_dump("the old article"))
    daemon.start()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        before = path.stat().st_mtime_ns
        # What is written through a mapping is told of when the mapping ends, not before.
        memory[:] = memory[:].replace(b"the old article", b"the NEW article")
        memory.flush()
        last = time.monotonic()
        if path.stat().st_mtime_ns == before:
            pytest.skip("this file system does not note the time of writes through a mapping")
        # The file may be too fresh at the first rescan, then it is waited for.
        promptly(daemon, lambda feed: once(feed, "the NEW article"), since=last, extra=1.0 + SETTLE)


def test_a_watched_folder_may_itself_be_a_symbolic_link(daemons: Daemons, promptly: Promptly) -> None:
    daemon = daemons.prepare({"watch": {"directories": ["link"]}})
    (daemon.home / "link").rename(daemon.home / "target")
    (daemon.home / "link").symlink_to("target")
    daemon.start()
    daemon.drop("a.txt", TEXT)
    promptly(daemon, once)
