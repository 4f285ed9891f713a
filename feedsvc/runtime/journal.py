"""Sends log records to the journal with their fields, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # sd-daemon(3)
_DEBUG = 7
_SECONDS = 1.0  # for a journal that hangs to hold up a thread that logs
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}  # uvicorn adds the last
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def is_journal(stream: TextIO, journal_stream: str | None) -> bool:
    """Return True if a stream leads to the journal.

    `journal_stream` is the value of JOURNAL_STREAM: device and inode, such as "8:1234" (systemd.exec(5)).
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file, or a closed one
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def priority_of(level: int) -> int:
    """Return the priority of syslog(3) for a level of `logging`."""
    return next((priority for least, priority in PRIORITIES if level >= least), _DEBUG)


def pack(fields: Mapping[str, str]) -> bytes:
    """Write fields as the journal reads them; a path keeps its bytes.

    Names are those of the journal: capitals, digits and "_", no "_" at the start.
    """
    lines = []
    for name, value in fields.items():
        data = _bytes(value)
        if b"\n" in data:
            lines.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            lines.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(lines)


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return value.encode("utf-8", "backslashreplace")


def _fields_of(record: logging.LogRecord, message: str) -> dict[str, str]:
    """Return the fields of a record that the journal keeps (systemd.journal-fields(7))."""
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(priority_of(record.levelno)),
        "SYSLOG_IDENTIFIER": "feedsvc",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "FEEDSVC_LOGGER": record.name,
        "FEEDSVC_THREAD": record.threadName or "",
    }
    for name, value in vars(record).items():
        if name not in _USUAL and value is not None and value != "":
            fields[f"FEEDSVC_{re.sub('[^A-Z0-9_]', '_', name.upper())}"] = str(value)
    if record.exc_info:
        fields["FEEDSVC_TRACEBACK"] = logging.Formatter().formatException(record.exc_info)
    return fields


class JournalHandler(logging.Handler):
    """Sends each record as one datagram; if no journal takes it, as a line on standard error."""

    def __init__(self, stream: TextIO, address: str = SOCKET) -> None:
        """Send to the socket at `address`; `stream` takes lines ("<4>...", by priority) if the socket does not."""
        super().__init__()
        self._stream = stream
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            message = self.format(record)
            try:
                self._send(pack(_fields_of(record, message)))
            except OSError:
                # The journal is away, or hangs; the lines of standard error wait for it.
                print(f"<{priority_of(record.levelno)}>{message}", file=self._stream, flush=True)
        except Exception:  # noqa: BLE001 - as every handler of `logging`: a record must not end the work that it tells of
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            _send_file(self._socket, data, self._address)


def _send_file(sock: socket.socket, data: bytes, address: str) -> None:
    """Hand over a record too large for a datagram as a sealed file in memory."""
    file = os.memfd_create("feedsvc-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(file, "wb", closefd=False) as writer:
            writer.write(data)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        sock.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file))], 0, address)
    finally:
        os.close(file)
