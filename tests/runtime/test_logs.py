"""Log lines: one a record, whatever is in it, for programs and for people."""

from __future__ import annotations

import logging
import os
import pty
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedsvc.runtime.logs import QUIET, set_up_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("feedsvc.test_logs")

PAIR = re.compile(r'([^ ="]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')


def parse_logfmt(line: str) -> dict[str, str]:
    """Read a line back, as programs do."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        match = PAIR.match(line, position)
        assert match, line[position:]
        value = match[2]
        found[match[1]] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        position = match.end()
    return found


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        set_up_logs(stream)
        yield stream


def lines(log: TextIO) -> list[str]:
    log.flush()
    return Path(log.name).read_bytes().decode("utf-8").split("\n")[:-1]


def test_line_for_programs(log: TextIO) -> None:
    before = datetime.now(UTC)
    logger.info("entry %s", "added", extra={"path": "/dumps/北 约.txt", "ms": 1.5, "entry": "tag:a,2024:b", "n": 0})
    (line,) = lines(log)
    fields = parse_logfmt(line)
    assert list(fields)[:3] == ["timestamp", "level", "event"]
    assert before <= datetime.fromisoformat(fields.pop("timestamp")) <= datetime.now(UTC)
    assert fields == {
        "level": "info",
        "event": "entry added",
        "path": "/dumps/北 约.txt",
        "ms": "1.5",
        "entry": "tag:a,2024:b",
        "n": "0",
    }


def test_fields_that_say_nothing_are_left_out(log: TextIO) -> None:
    logger.warning("dump quarantined", extra={"path": "/a", "reason": None, "removed": "", "line": 0, "ready": False})
    fields = parse_logfmt(lines(log)[0])
    assert "reason" not in fields
    assert "removed" not in fields
    assert (fields["level"], fields["line"], fields["ready"]) == ("warning", "0", "false")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x85\u2028\u2029\x0b\x0c\x1c", "\\x85\\u2028\\u2029\\x0b\\x0c\\x1c"),
        ("/dumps/\udcff\udcfe.txt", "/dumps/\\udcff\\udcfe.txt"),
        ('say "x" = \\y', 'say "x" = \\y'),
        ("level=error", "level=error"),
        ("北约 \U0001f600", "北约 \U0001f600"),
        (Path("/dumps/\n\udcff"), "/dumps/\\n\\udcff"),
        (("a", "b\n"), "('a', 'b\\n')"),
    ],
)
def test_values_that_would_break_a_line(log: TextIO, value: object, shown: str) -> None:
    logger.info("dump read", extra={"path": value})
    logger.info("%s", value)
    first, second = lines(log)
    assert parse_logfmt(first)["path"] == shown
    assert parse_logfmt(second)["event"] == shown


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(), value=st.text(st.characters(codec=None)))
def test_any_record_is_one_line_that_can_be_read_back(log: TextIO, message: str, value: str) -> None:
    before = len(lines(log))
    logger.info("%s", message, extra={"path": f"/{value}"})
    (line,) = lines(log)[before:]
    assert line.splitlines() == [line]
    fields = parse_logfmt(line)
    assert set(fields) - {"event"} == {"timestamp", "level", "path"}
    assert fields["path"].startswith("/")
    if value.isprintable():
        assert fields["path"] == f"/{value}"


def fail() -> None:
    raise ValueError("first line\nsecond \udcff line")


def test_exception_is_in_the_same_line(log: TextIO) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("cleaning failed", extra={"path": "/a"})
    (line,) = lines(log)
    fields = parse_logfmt(line)
    assert (fields["event"], fields["path"], fields["level"]) == ("cleaning failed", "/a", "error")
    assert fields["exception"].startswith("Traceback (most recent call last):\\n")
    assert "ValueError: first line\\nsecond \\udcff line" in fields["exception"]


def test_other_loggers_speak_from_warning_on(log: TextIO) -> None:
    for name in QUIET:
        logging.getLogger(f"{name}.part").info("chatter")
        logging.getLogger(f"{name}.part").warning("trouble")
    logging.getLogger("other").info("said")
    logger.debug("whispered")
    assert [parse_logfmt(line)["event"] for line in lines(log)] == ["trouble"] * len(QUIET) + ["said"]


def test_level(log: TextIO) -> None:
    set_up_logs(log, level=logging.WARNING)
    logger.info("entry added")
    logger.warning("dump quarantined")
    assert [parse_logfmt(line)["event"] for line in lines(log)] == ["dump quarantined"]


def test_set_up_twice_writes_once(log: TextIO) -> None:
    set_up_logs(log)
    logger.info("once")
    assert len(lines(log)) == 1


def read_all(terminal: int) -> str:
    parts = []
    with suppress(OSError):  # EIO: the other side is closed, and all was read
        while part := os.read(terminal, 10_000):
            parts.append(part)
    return b"".join(parts).decode()


def test_lines_for_people() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8", errors="backslashreplace") as terminal:
        set_up_logs(terminal)
        logger.info("entry added", extra={"path": "/dumps/a\n\x1b[31m\udcff.txt", "reason": None})
        try:
            fail()
        except ValueError:
            logger.exception("cleaning failed", extra={"path": "/b"})
    shown = read_all(ours)
    os.close(ours)
    plain = re.sub(r"\x1b\[\d*(;\d+)*m", "", shown).splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT", plain[0])
    assert "entry added" in plain[0]
    assert "/dumps/a\\n\\x1b[31m\\udcff.txt" in plain[0].replace("\\\\", "\\")
    assert "reason" not in plain[0]
    assert "cleaning failed" in plain[1]
    assert plain[2].startswith("Traceback")
    assert not shown.startswith("timestamp=")


def test_closed_stream(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    stream.close()
    with pytest.raises(ValueError, match="closed file"):
        set_up_logs(stream)
