"""The one exception tree. Each error carries what it is about, and says what to do where that is not plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedsvc.model import Dump

__all__ = [
    "BrokenDump",
    "CleaningError",
    "ConfigError",
    "DaemonUnreachable",
    "DumpError",
    "FeedsvcError",
    "NotADump",
    "PartEnded",
    "ProcessError",
    "RenderError",
    "RequestError",
    "RuleError",
    "ServerError",
    "ShortageError",
    "StoreDamaged",
    "StoreError",
    "StoreLocked",
    "UnknownName",
    "WatchError",
]


class FeedsvcError(Exception):
    """Root of all errors that feedsvc raises on purpose."""


class DumpError(FeedsvcError):
    """Something about one dump file.

    Attributes:
        path: The file, as it was given.
        reason: One sentence for people, without the path.
        line: The line the trouble starts at, from 1; None where no line applies.
    """

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        """Keep the parts, and make the message of them."""
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        """Let it be handed from one process to another as what it is."""
        return type(self), (self.path, self.reason, self.line)


class NotADump(DumpError):  # noqa: N818 - it is an outcome ("ignored"), not a fault
    """The file is no dump at all (a README, an image, an archive): it is ignored, and listed as such."""


class BrokenDump(DumpError):  # noqa: N818 - reads as what the file is
    """The file starts as a dump but cannot be read to its end: it is quarantined.

    Attributes:
        dumps: The parts of the file that could be read all the same.
    """

    def __init__(self, path: str, reason: str, line: int, dumps: tuple[Dump, ...] = ()) -> None:
        """Keep the parts that could be read."""
        super().__init__(path, reason, line)
        self.dumps = dumps

    def __reduce__(self) -> tuple[object, ...]:
        """As all of them, with its own part."""
        return type(self), (self.path, self.reason, self.line, self.dumps)


class CleaningError(DumpError):
    """A dump was read but could not be cleaned."""


class ProcessError(FeedsvcError):
    """No process that cleans can be started; the message says why."""


class RuleError(FeedsvcError):
    """A cleaning rule or a pack of rules is wrong; the message names the file and the rule."""


class ConfigError(FeedsvcError):
    """The configuration is wrong; the message names the file, the key, and what would be right."""


class UnknownName(FeedsvcError):  # noqa: N818 - reads as what it is
    """A call names an entry, a rule or the like that is not known; the message says what is."""


class StoreError(FeedsvcError):
    """The store cannot be opened, read or written; the message names its address."""


class StoreDamaged(StoreError):  # noqa: N818 - reads as the state it reports
    """What is in the store is damaged, or is no store at all."""


class StoreLocked(StoreError):  # noqa: N818 - reads as the state it reports
    """Another process keeps the store locked; it may be tried again."""


class WatchError(FeedsvcError):
    """A folder cannot be watched; the message names it."""


class ShortageError(FeedsvcError):
    """The system has no more open files or memory to give at present; it lies at nothing in hand."""


class RenderError(FeedsvcError):
    """A feed could not be rendered; the message names the feed and, where known, the entry at fault."""


class ServerError(FeedsvcError):
    """The server cannot listen; the message names the address."""


class RequestError(FeedsvcError):
    """A request to another server had no answer; the message says why."""


class DaemonUnreachable(FeedsvcError):  # noqa: N818 - reads as the state it reports
    """No daemon answers at the address named in the message."""


class PartEnded(FeedsvcError):  # noqa: N818 - reads as what happened
    """A part of the daemon ended by itself, so that the daemon is of no use; the message names it."""
