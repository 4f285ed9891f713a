"""Logs: lines for people on a terminal, key=value otherwise; the journal gets fields besides."""

from __future__ import annotations

import logging
import re
import traceback
from typing import TYPE_CHECKING

import structlog

from feedsvc.runtime.journal import SOCKET, JournalHandler, is_journal

if TYPE_CHECKING:
    from typing import TextIO

# Controls, characters that end a line or turn the writing's direction, and lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Their chatter at INFO is about themselves.
QUIET = ("alembic", "apscheduler", "httpx", "httpcore", "uvicorn", "watchdog")


def set_up_logs(
    stream: TextIO, *, level: int = logging.INFO, journal_stream: str | None = None, journal: str = SOCKET
) -> None:
    """Send all log records from `level` on to standard error, one line each, with their extra fields.

    If JOURNAL_STREAM (`journal_stream`) names it, they go to the journal's socket, with priorities and with fields.

    Raises:
        ValueError: The stream is closed.
    """
    journaled = is_journal(stream, journal_stream)
    shared: list[structlog.typing.Processor] = [structlog.stdlib.ExtraAdder()]
    if not journaled:  # the journal has its own
        shared.append(structlog.stdlib.add_log_level)
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=not stream.isatty()))
    last: list[structlog.typing.Processor]
    if stream.isatty():
        last = [_printable, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [
            _brief if journaled else structlog.processors.format_exc_info,
            _printable,
            _say if journaled else _logfmt(["timestamp", "level", "event"]),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = JournalHandler(stream, journal) if journaled else logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _logfmt(order: list[str]) -> structlog.processors.LogfmtRenderer:
    return structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True, bool_as_flag=False)


def _brief(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave the traceback out, for it is a field of its own."""
    info = event.pop("exc_info", None)
    if info:
        event["exception"] = "".join(traceback.format_exception_only(info[1])).strip()
    return event


def _say(logger: structlog.typing.WrappedLogger, method: str, event: structlog.typing.EventDict) -> str:
    """Return the message as people read it in the journal: the event, then the fields."""
    said = str(event.pop("event", ""))
    return f"{said} {_logfmt([])(logger, method, event)}".rstrip()


def _printable(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape line ends, codes that steer a terminal, and bytes that are no UTF-8, as paths may hold them."""
    for key, value in list(event.items()):
        if value is None or value == "":
            del event[key]
        elif key != "exc_info" and not isinstance(value, bool | int | float):
            event[key] = UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], str(value))
    return event
