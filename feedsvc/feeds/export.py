"""All feeds and pages as static files, for any web server.

However a build ends (kill -9, a full disk), every file is whole, and the next build mends the rest:

- A file is written beside the site and renamed into its place, never rewritten in it.
- A compressed twin (feed.atom.gz) is deleted before its file changes and made anew after: a twin that is there is
  always of the file that is there.
- The manifest names a file before it is made, so that nothing is left behind unknown; it holds the file's digest only
  once a whole build is done. A file that its digest does not vouch for is made again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc import __version__
from feedsvc.errors import FeedsvcError
from feedsvc.feeds.formats.addresses import EVERYTHING, archive_path, feed_path
from feedsvc.feeds.pages.assets import static_files
from feedsvc.feeds.pages.pages import render_entry
from feedsvc.feeds.represent import represent
from feedsvc.feeds.resources import make_resources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from feedsvc.feeds.archives import Archives
    from feedsvc.feeds.assemble import Assembler
    from feedsvc.feeds.guard import Guard
    from feedsvc.feeds.publisher import Resource
    from feedsvc.store import Store

MANIFEST = ".feedsvc-build"  # the files that builds wrote and may delete; as `b2sum --length 128 --check` reads it
TWINS = {"gzip": ".gz", "br": ".br", "zstd": ".zst"}  # content coding to suffix

_SCRAP = ".feedsvc-build.new"  # the one file that is not in its place yet
_END = f"# written by feedsvc {__version__}\n"  # after all digests
_PENDING = "-"  # in place of a digest: the file may be there
_LINE = re.compile(r"([0-9a-f]{32}|-)  ([\w-][\w.-]*(?:/[\w-][\w.-]*)*)\n", re.ASCII)  # leads to nothing outside
_ADVICE = {
    errno.ENOSPC: "; make room and build again",
    errno.EDQUOT: "; make room and build again",
    errno.EFBIG: "; raise the limit of file sizes (ulimit -f) and build again",
    errno.EACCES: "; let this user write there, or name another folder",
    errno.EPERM: "; let this user write there, or name another folder",
    errno.EROFS: "; name another folder",
    errno.EISDIR: ": a folder is where this file is to be; move it away",
    errno.ENOTDIR: ": a file is where a folder is to be; move it away",
    errno.EEXIST: ": a file is where a folder is to be; move it away",
    errno.EXDEV: ": it is on another file system than the folder; name that as the folder",
}


class BuildError(FeedsvcError):
    """The files cannot be written; the message names the file or folder."""


@dataclass(frozen=True, slots=True)
class SitePage:
    """The bytes that the daemon would serve at an address.

    Attributes:
        address: Its path below the base URL, such as "/feed.atom" or "/entries/KEY".
        body: The bytes as they are.
        last_modified: Aware, for the Last-Modified field; None for the time of writing.
        codings: The same bytes compressed, by content coding; None to compress them if they changed.
    """

    address: str
    body: bytes
    last_modified: datetime | None = None
    codings: Mapping[str, bytes] | None = None


def file_name(address: str) -> str:
    """Give the path of an address, relative to the site's folder.

    An address without an extension is a folder with an index: so any server finds it.

    Raises:
        BuildError: The address would lead out of the folder.
    """
    name = address.strip("/")
    if "." not in name.rpartition("/")[2]:
        name = f"{name}/index.html".lstrip("/")
    if not _LINE.fullmatch(f"{_PENDING}  {name}\n"):
        raise BuildError(f"address {address!r}: no file can be named by it; use letters, digits, '.', '-' and '_'")
    return name


def build_site(folder: Path, pages: Iterable[SitePage]) -> int:
    """Write pages and their compressed twins below a folder; answers how many files there are.

    Files that earlier builds wrote and that are no longer part of the site are deleted last, all others are left
    alone. A file is not touched if its bytes stay.

    Args:
        folder: Made if it is missing.
        pages: Each after the pages that it names: older pages stay until the last one is written.

    Raises:
        BuildError: Something cannot be written, or another build is at work there.
        FeedsvcError: From `pages`: the files written so far stay, and nothing is deleted.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            with closing(_Site(folder)) as site:
                for page in pages:
                    site.put(page)
                site.finish()
            return len(site.written)
    except OSError as error:
        place = error.filename2 or error.filename or folder
        advice = _ADVICE.get(error.errno or 0, "")
        raise BuildError(f"{place}: cannot be written: {error.strerror}{advice}") from error


class _Site:
    """A folder while it is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = _load_manifest(folder / MANIFEST)
        self._journal = os.open(folder / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.written: dict[str, str] = {}

    def close(self) -> None:
        os.close(self._journal)
        with suppress(OSError):
            (self._folder / _SCRAP).unlink(missing_ok=True)

    def put(self, page: SitePage) -> None:
        """Have a page and its twins in their places."""
        name = file_name(page.address)
        digest = _digest(page.body)
        kept = {known: self._before[known] for known in _with_twins(name) if known in self._before}
        if kept.get(name) == digest and all(self._holds(known, has) for known, has in kept.items()):
            self.written |= kept
            return
        made = page.codings
        if made is None:
            made = represent(page.body, "", last_modified=None, max_age=0).codings
        wanted = {name: page.body} | {name + TWINS[coding]: body for coding, body in made.items()}
        if not self._holds(name, digest):
            for twin in _with_twins(name)[1:]:
                if twin in wanted or twin in self._before:
                    (self._folder / twin).unlink(missing_ok=True)
        for known, body in wanted.items():
            self._write(known, body, page.last_modified)

    def finish(self) -> None:
        """Delete files that are no longer part of the site, then vouch for the others."""
        for name in sorted(self._before.keys() - self.written, reverse=True):  # twins before their files
            path = self._folder / name
            if not path.is_dir():
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
            for parent in list(path.relative_to(self._folder).parents)[:-1]:
                with suppress(OSError):  # holds something else
                    (self._folder / parent).rmdir()
        lines = [f"{digest}  {name}\n" for name, digest in sorted(self.written.items())]
        manifest = "".join([*lines, _END]).encode()
        if not self._holds(MANIFEST, _digest(manifest)):
            self._replace(MANIFEST, manifest)

    def _write(self, name: str, body: bytes, last_modified: datetime | None) -> None:
        digest = self.written[name] = _digest(body)
        if name not in self._before:
            # The first line break ends a line that was torn.
            _write_all(self._journal, f"\n{_PENDING}  {name}\n".encode())
        if not self._holds(name, digest):
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._replace(name, body, last_modified)

    def _replace(self, name: str, body: bytes, last_modified: datetime | None = None) -> None:
        scrap = self._folder / _SCRAP
        descriptor = os.open(scrap, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            _write_all(descriptor, body)
            os.fchmod(descriptor, 0o644)
            if last_modified:
                os.utime(descriptor, (last_modified.timestamp(), last_modified.timestamp()))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder / name)) from error
        finally:
            os.close(descriptor)
        scrap.replace(self._folder / name)

    def _holds(self, name: str, digest: str) -> bool:
        """Return whether the file has these bytes."""
        try:
            return digest == _digest((self._folder / name).read_bytes())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(f"{folder}: another build is writing there; wait for it to end") from error
        yield
    finally:
        os.close(descriptor)


def _load_manifest(path: Path) -> dict[str, str]:
    """Digest by name; other lines (torn ones, ones by somebody else) are ignored."""
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return {}
    trusted = _END in text  # else it is torn, or of another version: that may make other twins of the same file
    matches = filter(None, map(_LINE.fullmatch, text.splitlines(keepends=True)))
    return {match[2]: match[1] if trusted else _PENDING for match in matches}


def _with_twins(name: str) -> list[str]:
    return [name, *(name + suffix for suffix in TWINS.values())]


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _write_all(descriptor: int, body: bytes) -> None:
    """Write again the bytes that os.write did not take (2 GiB, a full disk): then it fails aloud."""
    view = memoryview(body)
    while view:
        view = view[os.write(descriptor, view) :]


def site_pages(
    store: Store,
    assembler: Assembler,
    base_url: str,
    now: datetime,
    *,
    archives: Archives | None = None,
    guard: Guard | None = None,
    private: Collection[str] = (),
) -> Iterator[SitePage]:
    """Give all pages, each after those that it names; read and rendered as they are asked for.

    Static files and entries come first, then each feed: its archive, its formats and its page. The pages that show all
    feeds come last.

    Raises:
        FeedsvcError: Something cannot be read or rendered.
    """
    title = assembler.documents[EVERYTHING].title
    for address, static in static_files().items():
        yield SitePage(address, static.body, static.last_modified, static.codings)
    for entry, removals in store.live_ledgers():
        yield SitePage(f"/entries/{entry.key}", render_entry(entry, removals, base_url, title, searchable=False))
    documents = {name: document for name, document in assembler.documents.items() if name not in private}
    formats = {name: extensions for name, extensions in assembler.formats.items() if name not in private}
    showing: dict[str | None, list[tuple[str, Resource]]] = {}
    resources = make_resources(formats, title=title, searchable=False, guard=guard)
    for address, resource in resources.items():
        showing.setdefault(resource.feed, []).append((address, resource))
    for feed in sorted(showing, key=lambda feed: feed is None):
        if archives and feed is not None and feed_path(feed, "atom") in resources:
            for number, page in archives.pages(documents[feed], base_url):
                yield SitePage(archive_path(feed, number), page.body, page.modified)
        document, last_modified = (documents, None) if feed is None else assembler.load(feed, now)
        for address, resource in showing[feed]:
            made = represent(
                resource.render(document, base_url), resource.media_type, last_modified=last_modified, max_age=0
            )
            yield SitePage(address, made.body, made.last_modified, made.codings)
