"""The bytes of a dump file -> cleaned articles, in any process."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from feedsvc.dumps import parse_dump
from feedsvc.errors import BrokenDump, CleaningError, NotADump

if TYPE_CHECKING:
    from feedsvc.clean import Cleaner
    from feedsvc.model import CleanEntry, Dump

logger = logging.getLogger(__name__)

NO_MEMORY: Final = "needs more memory to clean than there is"


@dataclass(frozen=True, slots=True)
class Job:
    """The bytes of a dump file to be cleaned.

    Attributes:
        mtime_ns: The file's time in ns since 1970: an article without a time of its own gets it.
        position: Of the only article that is asked for; None for all.
        restored: The digests of the removals that were restored.
    """

    path: str
    data: bytes
    mtime_ns: int
    position: int | None = None
    restored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A dump file parsed and cleaned.

    Attributes:
        articles: The position in the file and the article, of all that could be read and cleaned.
        fault: Why the file is ignored or quarantined, or None.
    """

    articles: tuple[tuple[int, CleanEntry], ...]
    fault: NotADump | BrokenDump | CleaningError | None = None


def clean_job(job: Job, cleaner: Cleaner) -> Cleaned:
    """Parse a dump file, and clean the articles that are asked for.

    Any error becomes the `fault` of the result, a lack of memory too: its reason is `NO_MEMORY`.
    """
    try:
        return _clean_job(job, cleaner)
    except MemoryError:
        return Cleaned((), CleaningError(job.path, NO_MEMORY))


def _clean_job(job: Job, cleaner: Cleaner) -> Cleaned:
    found, fault = parse_safely(job.data, job.path)
    articles = []
    broken: CleaningError | None = None
    for dump in found:
        if job.position is None or job.position == dump.position:
            try:
                articles.append((dump.position, _clean(dump, job, cleaner)))
            except CleaningError as error:
                broken = broken or error
    return Cleaned(tuple(articles), fault or broken)


def parse_safely(data: bytes, path: str) -> tuple[tuple[Dump, ...], NotADump | BrokenDump | None]:
    """Give the articles that can be read, and why not all can."""
    try:
        return tuple(parse_dump(data, path)), None
    except NotADump as error:
        return (), error
    except BrokenDump as error:
        dumps, error.dumps = error.dumps, ()
        return dumps, error
    except MemoryError:
        raise
    except Exception as error:  # one dump must not stop the rest
        logger.exception("parsing failed", extra={"path": path})
        return (), BrokenDump(path, f"parsing failed: {type(error).__name__}: {error}", 1)


def _clean(dump: Dump, job: Job, cleaner: Cleaner) -> CleanEntry:
    published = dump.published or datetime.fromtimestamp(job.mtime_ns // 10**9, UTC)
    try:
        return cleaner.clean(dump, published, job.restored)
    except (CleaningError, MemoryError):
        raise
    except Exception as error:  # as above
        logger.exception("cleaning failed", extra={"path": dump.path})
        raise CleaningError(dump.path, f"cleaning failed: {type(error).__name__}: {error}", dump.line) from error
