"""How log lines look: for people on a terminal, key=value otherwise."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["set_up_logs"]

# Controls, what else ends a line or turns the writing's direction, and lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Their chatter at INFO is about themselves.
QUIET = ("alembic", "apscheduler", "httpx", "httpcore", "uvicorn", "watchdog")


def set_up_logs(stream: TextIO, *, level: int = logging.INFO) -> None:
    """Send all log records to `stream`, one line each, with their extra fields.

    Raises:
        ValueError: The stream is closed.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=not stream.isatty()),
    ]
    last: list[structlog.typing.Processor]
    if stream.isatty():
        last = [_printable, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [
            structlog.processors.format_exc_info,
            _printable,
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], drop_missing=True, bool_as_flag=False
            ),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _printable(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A path may hold line ends, codes that steer a terminal, and bytes that are no UTF-8; a line is one line."""
    for key, value in list(event.items()):
        if value is None or value == "":
            del event[key]
        elif key != "exc_info" and not isinstance(value, bool | int | float):
            event[key] = UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], str(value))
    return event
