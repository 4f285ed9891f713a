from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from feedsvc.errors import BrokenDump, NotADump, ShortageError
from feedsvc.intake.read import _PEEK_BYTES, read_dump


def test_its_bytes_and_its_status(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 100)
    data, status = read_dump(str(path), 100)
    assert (data, status.st_size, status.st_mtime_ns) == (b"x" * 100, 100, path.stat().st_mtime_ns)


def test_what_is_no_file_is_neither_read_nor_left_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")  # nobody writes to it
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (*(tmp_path / name for name in ("folder", "fifo", "link")), "/dev/zero"):
        with pytest.raises(NotADump, match="not a regular file"):
            read_dump(str(path), 100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_want_of_open_files_is_not_the_fault_of_a_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, *_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ShortageError, match="Too many open files; raise the limit of open files"):
        read_dump(str(tmp_path / "a.txt"), 100)


def test_of_a_file_that_is_too_large_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"<!--1712180702000-->\n[a](https://example.org/a)\n------\n\n{'x' * _PEEK_BYTES}\n", "utf-8")
    os.truncate(path, 2**40)  # no memory has so much
    with pytest.raises(BrokenDump, match="larger than 100 bytes"):
        read_dump(str(path), 100)
