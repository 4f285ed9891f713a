"""What the journal is sent: read back from a socket as the journal reads it."""

from __future__ import annotations

import array
import logging
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.runtime.journal import is_journal, pack, priority_of
from feedsvc.runtime.logs import QUIET, set_up_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

logger = logging.getLogger("feedsvc.test_journal")


def unpack(data: bytes) -> dict[str, bytes]:
    """Read fields as the journal's native protocol describes them."""
    fields: dict[str, bytes] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length :]
            assert rest.startswith(b"\n")
            rest = rest[1:]
        assert name.decode() not in fields
        fields[name.decode()] = value
        data = rest
    return fields


class Journal(NamedTuple):
    """A journal's socket, and the standard error that leads to it."""

    socket: socket.socket
    stream: TextIO

    def records(self) -> list[dict[str, bytes]]:
        found: list[dict[str, bytes]] = []
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(1 << 20, 1024, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            for _, _, given_fd in ancillary:
                (descriptor,) = array.array("i", given_fd)
                with os.fdopen(descriptor, "rb") as file:
                    data = os.pread(file.fileno(), 1 << 24, 0)
                    with pytest.raises(OSError, match="Operation not permitted"):
                        os.pwrite(file.fileno(), b"x", 0)  # the journal takes sealed files only
            found.append(unpack(data))

    def lines(self) -> list[str]:
        return Path(self.stream.name).read_text("utf-8").splitlines()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        (tmp_path / "err").open("w", encoding="utf-8") as stream,
    ):
        sock.bind(str(tmp_path / "socket"))
        status = os.fstat(stream.fileno())
        set_up_logs(
            stream,
            level=logging.DEBUG,
            journal_stream=f"{status.st_dev}:{status.st_ino}",
            journal=str(tmp_path / "socket"),
        )
        yield Journal(sock, stream)
        for handler in set(root.handlers) - set(handlers):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def test_record_has_fields(journal: Journal) -> None:
    logger.warning(
        "dump %s", "quarantined", extra={"path": "/dumps/北\udcff\n.txt", "reason": None, "line": 3, "feed-name": "a b"}
    )
    (record,) = journal.records()
    line = record.pop("CODE_LINE")
    assert int(line) > 0
    assert record == {
        "MESSAGE": 'dump quarantined path=/dumps/北\\udcff\\n.txt line=3 feed-name="a b"'.encode(),
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"feedsvc",
        "CODE_FILE": __file__.encode(),
        "CODE_FUNC": b"test_record_has_fields",
        "FEEDSVC_LOGGER": b"feedsvc.test_journal",
        "FEEDSVC_THREAD": b"MainThread",
        "FEEDSVC_PATH": "/dumps/北".encode() + b"\xff\n.txt",
        "FEEDSVC_LINE": b"3",
        "FEEDSVC_FEED_NAME": b"a b",
    }
    assert journal.lines() == []


@pytest.mark.parametrize(
    ("level", "priority"),
    [(10, 7), (5, 7), (20, 6), (25, 6), (30, 4), (40, 3), (50, 2), (60, 2)],
)
def test_priorities(level: int, priority: int) -> None:
    assert priority_of(level) == priority


def test_each_level_has_its_priority(journal: Journal) -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(level, "said")
    assert [record["PRIORITY"] for record in journal.records()] == [b"7", b"6", b"4", b"3", b"2"]


def fail() -> None:
    raise ValueError("first\nsecond")


def test_exception_is_named_in_the_message_and_told_in_a_field(journal: Journal) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("cleaning failed", extra={"path": "/a"})
    (record,) = journal.records()
    assert record["MESSAGE"] == b'cleaning failed path=/a exception="ValueError: first\\\\nsecond"'
    assert record["FEEDSVC_TRACEBACK"].startswith(b"Traceback (most recent call last):\n")
    assert b"\nValueError: first\nsecond" in record["FEEDSVC_TRACEBACK"]


def test_record_that_is_too_large_for_a_datagram(journal: Journal) -> None:
    logger.info("said", extra={"reason": "x" * 3_000_000})
    (record,) = journal.records()
    assert len(record["FEEDSVC_REASON"]) == 3_000_000


def test_without_a_journal_lines_have_a_priority(journal: Journal) -> None:
    Path(journal.socket.getsockname()).unlink()
    logger.error("job failed", extra={"job": "rescan\n<0>"})
    assert journal.lines() == ["<3>job failed job=rescan\\n<0>"]


@pytest.mark.slow
def test_journal_that_hangs_holds_nobody_up_for_long(journal: Journal) -> None:
    for _ in range(2000):  # more than a socket's queue holds
        logger.info("said")
        if journal.lines():
            break
    assert journal.lines() == ["<6>said"]


@pytest.mark.parametrize("given_stream", [None, "", "1:2", "nonsense"])
def test_other_streams_are_no_journal(tmp_path: Path, given_stream: str | None) -> None:
    with (tmp_path / "err").open("w") as stream:
        assert not is_journal(stream, given_stream)
    assert not is_journal(stream, given_stream)  # closed


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text(st.characters(codec=None))))
def test_any_fields_can_be_read_back(fields: dict[str, str]) -> None:
    found = unpack(pack(fields))
    assert found.keys() == fields.keys()
    for name, value in fields.items():
        if not any("\ud800" <= char <= "\udfff" for char in value):
            assert found[name].decode() == value
