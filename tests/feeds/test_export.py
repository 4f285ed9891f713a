"""The static site on disk: what is written, replaced, deleted, left alone, and what a build that was killed leaves."""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feedsvc.errors import RenderError
from feedsvc.feeds.export import MANIFEST, TWINS, BuildError, SitePage, build_site, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = b"<p>text</p>" * 100  # worth compressing
MODIFIED = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
PAGES = [
    SitePage("/icon.png", bytes(range(256))),  # not worth it
    SitePage("/entries/a1", LONG + b"a1"),
    SitePage("/entries/b2", LONG + b"b2"),
    SitePage("/feeds/x/archive/1.atom", LONG + b"archive"),
    SitePage("/feeds/x", LONG + b"page"),
    SitePage("/feeds/x.atom", LONG + b"x"),
    SitePage("/feed.atom", LONG + b"feed", MODIFIED),
    SitePage("/", LONG + b"front", MODIFIED),
]
NAMES = {
    "icon.png", "entries/a1/index.html", "entries/b2/index.html", "feeds/x/archive/1.atom", "feeds/x/index.html",
    "feeds/x.atom", "feed.atom", "index.html",
}  # fmt: skip
AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "public" / "news"


def content(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def changed(pages: list[SitePage], address: str, body: bytes) -> list[SitePage]:
    return [SitePage(page.address, body) if page.address == address else page for page in pages]


def without(address: str) -> list[SitePage]:
    return [page for page in PAGES if page.address != address]


def forget_times(site: Path) -> None:
    for path in site.rglob("*"):
        os.utime(path, (1, 1))


def touched(site: Path) -> set[str]:
    return {
        path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file() and path.stat().st_mtime > 1
    }


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/", "index.html"),
        ("/feed.atom", "feed.atom"),
        ("/feeds.opml", "feeds.opml"),
        ("/feeds/a-b_c", "feeds/a-b_c/index.html"),
        ("/feeds/a-b_c.rss", "feeds/a-b_c.rss"),
        ("/feeds/x/archive/12.atom", "feeds/x/archive/12.atom"),
        ("/entries/0a9", "entries/0a9/index.html"),
    ],
)
def test_name_of_an_address(address: str, name: str) -> None:
    assert file_name(address) == name


@pytest.mark.parametrize(
    "address", ["/../x.atom", "/feeds/../../x", "/.htaccess", "/a b", "/a\n", "/北约", "//x//y.atom", "/a\0"]
)
def test_address_that_names_no_file_is_refused(site: Path, address: str) -> None:
    with pytest.raises(BuildError, match=re.escape(repr(address))):
        build_site(site, [SitePage(address, b"")])


def test_everything_is_written_with_its_twins(site: Path) -> None:
    number = build_site(site, PAGES)
    files = content(site)
    assert {name for name in files if not name.endswith(tuple(TWINS.values()))} == {*NAMES, MANIFEST}
    assert {f"{name}.gz" for name in NAMES - {"icon.png"}} < files.keys()
    assert "icon.png.gz" not in files
    assert number == len(files) - 1
    assert files["feed.atom"] == LONG + b"feed"
    assert all(gzip.decompress(body) == files[name[:-3]] for name, body in files.items() if name.endswith(".gz"))
    assert {path.stat().st_mode & 0o777 for path in site.rglob("*") if path.is_file()} == {0o644}


def test_times_are_what_the_daemon_says(site: Path) -> None:
    build_site(site, PAGES)
    for name in ("feed.atom", "feed.atom.gz", "index.html"):
        assert (site / name).stat().st_mtime == MODIFIED.timestamp()
    assert (site / "entries/a1/index.html").stat().st_mtime > MODIFIED.timestamp()


def test_build_is_deterministic(site: Path, tmp_path: Path) -> None:
    build_site(site, PAGES)
    build_site(tmp_path / "other", reversed(PAGES))
    assert content(site) == content(tmp_path / "other")


def test_manifest_is_one_that_b2sum_checks(site: Path) -> None:
    build_site(site, PAGES)
    done = subprocess.run(
        ["b2sum", "--length", "128", "--check", "--strict", MANIFEST], cwd=site, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_unchanged_files_are_not_touched(site: Path) -> None:
    build_site(site, PAGES)
    forget_times(site)
    build_site(site, PAGES)
    assert touched(site) == set()
    build_site(site, changed(PAGES, "/feeds/x.atom", LONG + b"new"))
    twins = {name for name in content(site) if name.startswith("feeds/x.atom.")}
    assert touched(site) == {MANIFEST, "feeds/x.atom", *twins}


def test_files_are_replaced_not_rewritten(site: Path) -> None:
    build_site(site, PAGES)
    with (site / "feed.atom").open("rb") as reading:
        build_site(site, changed(PAGES, "/feed.atom", LONG + b"new"))
        assert reading.read() == LONG + b"feed"
    assert (site / "feed.atom").read_bytes() == LONG + b"new"


def test_twins_follow_their_file(site: Path) -> None:
    build_site(site, PAGES)
    build_site(site, changed(PAGES, "/feed.atom", b"short"))
    assert not (site / "feed.atom.gz").exists()
    build_site(site, PAGES)
    assert gzip.decompress((site / "feed.atom.gz").read_bytes()) == LONG + b"feed"


def test_codings_that_are_given_are_taken(site: Path) -> None:
    build_site(site, [SitePage("/feed.atom", LONG, MODIFIED, {"br": b"as br", "zstd": b"as zstd"})])
    assert content(site).keys() == {"feed.atom", "feed.atom.br", "feed.atom.zst", MANIFEST}
    assert (site / "feed.atom.br").read_bytes() == b"as br"


@pytest.mark.parametrize("name", ["feed.atom", "feed.atom.gz", "entries/a1/index.html", MANIFEST])
@pytest.mark.parametrize("harm", ["gone", "empty", "torn", "changed"])
def test_what_was_harmed_is_mended(site: Path, name: str, harm: str) -> None:
    build_site(site, PAGES)
    before = content(site)
    if harm == "gone":
        (site / name).unlink()
    else:
        harmed = {"empty": b"", "torn": before[name][:-7], "changed": before[name][:-7] + b"another"}
        (site / name).write_bytes(harmed[harm])
    build_site(site, PAGES)
    assert content(site) == before


def test_site_of_another_version_gets_its_twins_anew(site: Path) -> None:
    build_site(site, PAGES)
    before = content(site)
    manifest = before[MANIFEST].decode().splitlines()
    older = [line for line in manifest[:-1] if "feed.atom.gz" not in line]
    (site / MANIFEST).write_text("\n".join([*older, "# written by feedsvc 0.0", ""]))
    (site / "feed.atom.gz").unlink()
    build_site(site, PAGES)
    assert content(site) == before


def test_stale_files_are_deleted_and_others_left_alone(site: Path) -> None:
    build_site(site, PAGES)
    for name in ("robots.txt", "entries/mine/index.html", "entries/b2/mine.txt", "feed.atom.sig"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("mine")
    build_site(site, [page for page in PAGES if page.address in {"/", "/feed.atom", "/icon.png"}])
    left = {name for name in content(site) if not name.endswith(tuple(TWINS.values()))}
    mine = {"robots.txt", "entries/mine/index.html", "entries/b2/mine.txt", "feed.atom.sig"}
    assert left == {"index.html", "feed.atom", "icon.png", MANIFEST} | mine
    assert not (site / "entries/a1").exists()
    assert not (site / "feeds").exists()


def test_stale_file_that_is_gone_already(site: Path) -> None:
    build_site(site, PAGES)
    (site / "entries/b2/index.html").unlink()
    build_site(site, without("/entries/b2"))
    assert "entries/b2" not in (site / MANIFEST).read_text()
    assert not (site / "entries/b2").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../victim", "../../victim", "entries/../../victim", "{victim}", ".", "..", "./feed.atom", "feed.atom/",
        "entries", "entries/", "a\0b", "", " ../victim", "../victim ", "北约", "\udcff",
    ],
)  # fmt: skip
@pytest.mark.parametrize("digest", ["-", "0" * 32, "x"])
def test_manifest_leads_to_nothing_else(site: Path, tmp_path: Path, name: str, digest: str) -> None:
    victims = [tmp_path / "victim", tmp_path / "public" / "victim", site / "entries" / "mine.html"]
    build_site(site, PAGES)
    for victim in victims:
        victim.write_text("mine")
    before = content(site)
    line = f"{digest}  {name.format(victim=victims[1])}\n"
    (site / MANIFEST).write_bytes(before[MANIFEST] + line.encode(errors="surrogateescape"))
    build_site(site, PAGES)
    assert content(site) == before
    assert [victim.read_text() for victim in victims] == ["mine"] * len(victims)


@pytest.mark.parametrize("manifest", [b"", b"no manifest", b"{}", b"\xff\xfe", b"-  feeds/y.at", b"\0" * 5000])
def test_manifest_that_is_spoilt_deletes_nothing(site: Path, manifest: bytes) -> None:
    build_site(site, PAGES)
    (site / "feeds/y.atom").write_text("from elsewhere")
    before = content(site)
    (site / MANIFEST).write_bytes(manifest)
    build_site(site, PAGES)
    assert content(site) == before


def test_failed_render_deletes_nothing(site: Path) -> None:
    build_site(site, PAGES)
    before = content(site)

    def failing() -> Iterator[SitePage]:
        yield SitePage("/entries/c3", b"new")
        raise RenderError("feed x: cannot be rendered")

    with pytest.raises(RenderError):
        build_site(site, failing())
    after = content(site)
    assert after.pop("entries/c3/index.html") == b"new"
    assert {**after, MANIFEST: b""} == {**before, MANIFEST: b""}
    build_site(site, PAGES)
    assert content(site) == before


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"/file: cannot be written: .*a file is where a folder is to be"):
        build_site(tmp_path / "file", PAGES)
    with pytest.raises(BuildError, match=r"/file/below: cannot be written: .*a file is where a folder is to be"):
        build_site(tmp_path / "file" / "below", PAGES)
    with pytest.raises(BuildError, match=r"/proc/nowhere: cannot be written"):
        build_site(Path("/proc/nowhere"), PAGES)


@AS_ROOT
def test_folder_without_the_right_to_write(site: Path) -> None:
    site.mkdir(parents=True)
    site.chmod(0o555)
    with pytest.raises(BuildError, match="cannot be written: Permission denied; let this user write there"):
        build_site(site, PAGES)
    site.chmod(0o755)


@pytest.mark.parametrize("inside", [True, False])
def test_folder_in_place_of_a_file(site: Path, inside: bool) -> None:
    build_site(site, PAGES)
    (site / "feed.atom").unlink()
    (site / "feed.atom").mkdir()
    if inside:
        (site / "feed.atom" / "mine").write_text("mine")
    with pytest.raises(BuildError, match=r"/feed\.atom: cannot be written: .*a folder is where this file is to be"):
        build_site(site, PAGES)
    assert (site / "feed.atom").is_dir()
    assert not [path for path in site.rglob(".*") if path.name != MANIFEST]


def test_file_in_place_of_a_folder(site: Path) -> None:
    site.mkdir(parents=True)
    (site / "entries").write_text("mine")
    with pytest.raises(BuildError, match=r"/entries.*: cannot be written: .*a file is where a folder is to be"):
        build_site(site, PAGES)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a disk that is full after so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_disk_that_is_full(site: Path) -> None:
    build_site(site, PAGES)
    before = content(site)
    larger = changed(PAGES, "/feed.atom", LONG * 100)
    with (
        largest_file(20_000),
        pytest.raises(BuildError, match=r"/feed\.atom: cannot be written: File too large; raise the limit"),
    ):
        build_site(site, larger)
    after = content(site)
    assert after["feed.atom"] == before["feed.atom"]
    assert not [path for path in site.rglob(".*") if path.name != MANIFEST]
    build_site(site, larger)
    assert (site / "feed.atom").read_bytes() == LONG * 100


def test_reader_of_the_site_never_misses_a_file(site: Path) -> None:
    """While a file is replaced, it or the one before is there; its twins may not be for a moment."""
    build_site(site, PAGES)

    def looking() -> Iterator[SitePage]:
        for page in PAGES:
            yield SitePage(page.address, page.body + b"changed")
            assert (site / file_name(page.address)).read_bytes() == page.body + b"changed"
            assert content(site).keys() >= NAMES

    build_site(site, looking())


def test_two_builds_at_once_are_refused(site: Path) -> None:
    build_site(site, PAGES)
    descriptor = os.open(site, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(BuildError, match="another build is writing there"):
            build_site(site, PAGES)
    finally:
        os.close(descriptor)
    build_site(site, PAGES)


@pytest.mark.slow
def test_killed_at_any_step(tmp_path: Path) -> None:
    """At every call that touches the file system; see killed_builds.py for what must hold."""
    script = Path(__file__).with_name("killed_builds.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60
