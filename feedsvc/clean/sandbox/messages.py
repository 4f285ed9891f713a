"""The messages between the daemon and a process that cleans: frames of pickled objects over a socket.

The process has seen hostile bytes, so its messages are read with a list of the classes that they are made of: nothing
else is called meanwhile.
"""

from __future__ import annotations

import io
import logging
import pickle
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.sandbox.work import Cleaned
from feedsvc.errors import BrokenDump, CleaningError, NotADump
from feedsvc.model import CleanEntry

if TYPE_CHECKING:
    import socket

    from feedsvc.clean import RuleSet
    from feedsvc.clean.learning.learned import LearnedBlock

RESERVED: Final = frozenset({*vars(logging.makeLogRecord({})), "asctime", "message"})
"""Names that a log record's extra fields cannot have."""

_LENGTH: Final = struct.Struct("!Q")
_PIECE: Final = 1 << 20
_ALLOWED: Final = {
    "datetime": {"datetime", "timedelta", "timezone"},
    "feedsvc.clean.sandbox.messages": {"ChildMessage", "LogLine"},
    "feedsvc.clean.sandbox.work": {"Cleaned"},
    "feedsvc.errors": {"BrokenDump", "CleaningError", "NotADump"},
    "feedsvc.model": {"Alternate", "CleanEntry", "Removal", "Sighting"},
}


@dataclass(frozen=True, slots=True)
class SetUp:
    """The first message to a process.

    Attributes:
        learns: It cleans by learned blocks, brought by `News`.
        seconds: Processor time that a job may take.
        memory: Bytes that it may take.
        growth: Bytes of resident memory; a process that has more ends after a job.
        level: The lowest that it logs.
    """

    rules: RuleSet
    learns: bool
    seconds: float
    memory: int
    growth: int
    level: int


@dataclass(frozen=True, slots=True)
class News:
    """The blocks learned since the last message: all of each source with a change, by their digests."""

    version: int
    sources: dict[str, dict[str, LearnedBlock]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log record: the logger's name, and with `more` its extra fields."""

    name: str
    level: int
    message: str
    more: dict[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class ChildMessage:
    """Sent when a process is ready, without `cleaned`, and after each job; it `ends` if it has grown too large."""

    cleaned: Cleaned | None = None
    logs: tuple[LogLine, ...] = ()
    ends: bool = False


def make_news(before: Learned, now: Learned) -> News:
    """Make the news for a process that knows `before`: a source at a time, for most of them stay as they are."""
    known = before.sources.keys() | now.sources.keys()
    changed = {source: dict(now.of(source)) for source in sorted(known) if before.of(source) != now.of(source)}
    return News(now.version, changed)


def apply_news(before: Learned, news: News) -> Learned:
    """Give all that is learned now."""
    sources = {**before.sources, **news.sources}
    return Learned({source: blocks for source, blocks in sources.items() if blocks}, news.version)


def send(connection: socket.socket, message: object) -> None:
    """Send a message.

    Raises:
        OSError: The other side has ended, or takes nothing for as long as the socket waits.
    """
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, most: int | None = None) -> bytes:
    """Give the bytes of the next message.

    Raises:
        EOFError: The other side has ended, or the message is larger than `most`.
        OSError: The other side sends nothing for as long as the socket waits.
    """
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    if most is not None and length > most:
        raise EOFError(f"a message of {length} bytes")
    return _read(connection, length)


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), _PIECE))
        if not piece:
            raise EOFError("the other side has ended")
        data += piece
    return bytes(data)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's signature
        """Give a class that messages are made of."""
        if name not in _ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")
        return super().find_class(module, name)


def load_message(data: bytes) -> ChildMessage:
    """Read a process' message.

    Raises:
        ValueError: It is none.
    """
    try:
        answer = _Reader(io.BytesIO(data)).load()
        whole = isinstance(answer, ChildMessage) and _is_whole(answer)
    except Exception as error:  # bytes may do anything to a reader of them
        raise ValueError(f"no answer: {error}") from error
    if not whole or not isinstance(answer, ChildMessage):
        raise ValueError(f"no answer: {type(answer).__name__}")
    return answer


def _is_whole(answer: Any) -> bool:  # noqa: ANN401 - that is the question
    """True if the parts of a message have their types; the types of their own parts are not looked at."""
    cleaned = answer.cleaned
    if not isinstance(answer.logs, tuple) or not all(isinstance(line, LogLine) for line in answer.logs):
        return False
    if cleaned is None:
        return True
    if type(cleaned) is not Cleaned or type(cleaned.fault) not in {NotADump, BrokenDump, CleaningError, type(None)}:
        return False
    return all([type(part) for part in pair] == [int, CleanEntry] for pair in cleaned.articles)
