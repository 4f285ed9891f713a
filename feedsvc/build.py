"""All feeds and pages as static files, for any web server."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from feedsvc.errors import FeedsvcError
from feedsvc.http import static_files
from feedsvc.http.pages import render_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from feedsvc.model import Representation
    from feedsvc.store import Store

__all__ = ["BuildError", "build_site"]

logger = logging.getLogger(__name__)

MANIFEST = ".feedsvc-build.json"  # what an earlier build wrote, and this one may delete


class BuildError(FeedsvcError):
    """The files cannot be written; the message names the folder."""


def build_site(
    folder: Path,
    store: Store,
    title: str,
    site: Iterable[tuple[str, Representation]],
    base_url: str,
) -> int:
    """Write everything that the daemon would serve below `folder`; answers how many files there are.

    Args:
        folder: Where the files are to be.
        store: Where the entries are.
        title: Of the feed of everything.
        site: What is at each address, rendered as it is asked for.
        base_url: What subscribers see, without a slash at its end.

    Each file is replaced atomically, entries before the pages and feeds that name them. Files of an
    earlier build that are no longer part of it are deleted, others are left alone.

    Raises:
        BuildError: The folder cannot be written.
        FeedsvcError: Something cannot be read or rendered; nothing that names it was written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _load_manifest(folder)
        written = []
        for name, body in _files(store, title, site, base_url):
            _write(folder / name, body)
            written.append(name)
        # Last: until now, whatever was named is still there.
        for name in sorted(before - set(written), reverse=True):
            if not (folder / name).is_dir():
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # holds something else
                (folder / name).parent.rmdir()
        _write(folder / MANIFEST, json.dumps(sorted(written), indent=0).encode())
    except OSError as error:
        raise BuildError(f"{folder}: cannot be written: {error}") from error
    return len(written)


def _files(
    store: Store, title: str, site: Iterable[tuple[str, Representation]], base_url: str
) -> Iterator[tuple[str, bytes]]:
    for address, representation in static_files().items():
        yield address.lstrip("/"), representation.body
    for entry in store.live_entries():
        found = store.load_entry(entry.key)
        if found is not None:
            # A folder with an index answers at /entries/KEY on any server.
            yield f"entries/{entry.key}/index.html", render_entry(*found, base_url, title)
    for address, representation in site:
        is_page = representation.media_type.startswith("text/html")
        yield (f"{address}/index.html" if is_page else address).lstrip("/"), representation.body


def _write(path: Path, body: bytes) -> None:
    if path.is_file() and path.read_bytes() == body:
        return  # keeps its time, so that rsync and web servers see what changed
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _load_manifest(folder: Path) -> set[str]:
    try:
        names = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return set()
    except ValueError:
        logger.warning("manifest cannot be read, nothing old is deleted", extra={"path": str(folder / MANIFEST)})
        return set()
    return {name for name in names if _is_ours(name)} if isinstance(names, list) else set()


def _is_ours(name: object) -> bool:
    """Whether a build can have written a file of this name: a manifest must not lead out of the folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", name, re.ASCII) is not None
