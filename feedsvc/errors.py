"""The one exception tree. Each error names its subject, and gives advice if the remedy is not plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedsvc.model import Dump


class FeedsvcError(Exception):
    """Root of all errors that feedsvc raises on purpose."""


class DumpError(FeedsvcError):
    """Something about one dump file.

    Attributes:
        path: The file, as it was given.
        reason: One sentence for people, without the path.
        line: The line the trouble starts at, from 1; None if no line applies.
    """

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        """Keep the parts, and make the message of them."""
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        """Let it be pickled with all its parts."""
        return type(self), (self.path, self.reason, self.line)


class NotADump(DumpError):  # noqa: N818 - it is an outcome ("ignored"), not a fault
    """The file is no dump at all (a README, an image, an archive): it is ignored, and listed as such."""


class BrokenDump(DumpError):  # noqa: N818 - names the file's state
    """The file starts as a dump but cannot be read to its end: it is quarantined.

    Attributes:
        dumps: The parts of the file that could be read all the same.
    """

    def __init__(self, path: str, reason: str, line: int, dumps: tuple[Dump, ...] = ()) -> None:
        """Keep the parts that could be read."""
        super().__init__(path, reason, line)
        self.dumps = dumps

    def __reduce__(self) -> tuple[object, ...]:
        """The same, with `dumps`."""
        return type(self), (self.path, self.reason, self.line, self.dumps)


class CleaningError(DumpError):
    """A dump was read but could not be cleaned."""


class ProcessError(FeedsvcError):
    """No process that cleans can be started; the message says why."""


class RuleError(FeedsvcError):
    """A cleaning rule or a pack of rules is wrong; the message names the file and the rule."""


class ConfigError(FeedsvcError):
    """The configuration is wrong; the message names the file, the key, and a right value."""


class UnknownName(FeedsvcError):  # noqa: N818 - names the cause
    """A call names an unknown entry, rule or the like; the message lists the known ones."""


class StoreError(FeedsvcError):
    """The store cannot be opened, read or written; the message names its address."""


class StoreDamaged(StoreError):  # noqa: N818 - reads as the state it reports
    """The store is damaged, or the file is no store."""


class StoreLocked(StoreError):  # noqa: N818 - reads as the state it reports
    """Another process keeps the store locked; it may be tried again."""


class WatchError(FeedsvcError):
    """A folder cannot be watched; the message names it."""


class ShortageError(FeedsvcError):
    """The system has no open files or memory to give at present; no dump or request is at fault."""


class RenderError(FeedsvcError):
    """A feed could not be rendered; the message names the feed and, if known, the entry at fault."""


class ServerError(FeedsvcError):
    """The server cannot listen; the message names the address."""


class RequestError(FeedsvcError):
    """A request to another server had no answer; the message says why."""


class DaemonUnreachable(FeedsvcError):  # noqa: N818 - reads as the state it reports
    """No daemon answers at the address named in the message."""


class PartEnded(FeedsvcError):  # noqa: N818 - names the event
    """A part of the daemon ended by itself, so that the daemon is of no use; the message names it."""
