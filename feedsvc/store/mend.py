"""Looks at an SQLite store before it is opened; one that is damaged is set aside, and made anew of what can be read.

    feedsvc.db -> feedsvc.db.corrupt-20240501T120000Z (and its log), feedsvc.db.new -> feedsvc.db

Nobody may have the store open meanwhile: SQLite removes a store's log by its name.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from feedsvc.errors import StoreDamaged, StoreError
from feedsvc.store.database import LOGS, cause_of, file_of, has_log, put_in_place, sqlite_address, sync

if TYPE_CHECKING:
    from feedsvc.store.salvage import Salvage

logger = logging.getLogger(__name__)

_BUSY_SECONDS: Final = 5.0


def mend(url: str, now: datetime, *, damage: str | None = None, thorough: bool = False) -> Path | None:
    """Set a damaged store aside and make it anew; look for damage if the store was not closed properly.

    Args:
        url: An SQLAlchemy URL; nothing is done for databases other than SQLite.
        now: Aware, in UTC.
        damage: SQLite's message when it met damage; None if no damage is known.
        thorough: Look for damage in any case.

    Returns:
        The path of the damaged store now; None if the store is sound, absent, or cannot be read.

    Raises:
        StoreError: It is damaged, and cannot be made anew.
    """
    path = file_of(url)
    if path is None:
        return None
    fresh = Path(f"{path}.new")
    if not path.exists():
        if fresh.exists() and _find_damage(fresh, thorough=True) is None:  # ended between the last two steps
            put_in_place(fresh, path)
        return None
    if path.stat().st_size == 0:
        logger.warning("store is an empty file, it is begun anew", extra={"path": str(path)})
        return None
    if sqlite_address(path)[1]:
        return None
    damage = damage or _find_damage(path, thorough=thorough or has_log(path))
    if damage is None:
        return None
    aside = Path(f"{path}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    logger.error("store is damaged", extra={"path": str(path), "reason": damage})
    try:
        found = _salvage(path, fresh)
        # The store first: if this ends in between, there is none, and the new one takes its place.
        path.rename(aside)
        for suffix in LOGS:
            log = Path(f"{path}{suffix}")
            if log.exists():
                log.rename(f"{aside}{suffix}")
        put_in_place(fresh, path)
    except (sqlite3.Error, sa.exc.SQLAlchemyError, OSError) as error:
        advice = "free some space on its disk, and start feedsvc again"
        raise StoreDamaged(
            f"{path}: the store is damaged ({damage}) and cannot be made anew: {cause_of(error)}; {advice}"
        ) from error
    extra = {"path": str(path), "aside": str(aside), "entries": found.entries, "torn": ",".join(found.torn)}
    logger.warning("store made anew of what can be read", extra=extra)
    return aside


def describe_set_aside(url: str) -> str | None:
    """A message that names damaged stores that were set aside and are still there, or None."""
    path = file_of(url)
    if path is None or not path.parent.is_dir():
        return None
    found = sorted(str(each) for each in path.parent.glob(f"{path.name}.corrupt-*Z"))
    if not found:
        return None
    return (
        f"the store was damaged, and was made anew of what could be read and of the dumps that are there; the damaged "
        f"one is kept as {', '.join(found)}: delete it when nothing is missed"
    )


def last_written(url: str) -> datetime | None:
    """The time of the last write, by the clock of that time; None if unknown."""
    path = file_of(url)
    if path is None or not path.exists() or path.stat().st_size == 0:
        return None
    times = [each.stat().st_mtime for each in (path, Path(f"{path}-wal")) if each.exists()]
    return datetime.fromtimestamp(max(times), UTC)


def _find_damage(path: Path, *, thorough: bool) -> str | None:
    """The damage that SQLite reports; None if there is none, or if it cannot be read."""
    address, _ = sqlite_address(path)
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as store:
            store.execute("SELECT count(*) FROM sqlite_master").fetchone()
            found = store.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return str(error)
        return None  # locked, say; the code that opens it says so
    return None if found == "ok" else str(found)


def _salvage(path: Path, fresh: Path) -> Salvage:
    # With the migrations a fifth of a start's imports, for a rare step.
    from feedsvc.store.salvage import Salvage, salvage  # noqa: PLC0415

    for suffix in ("", "-journal", *LOGS):
        Path(f"{fresh}{suffix}").unlink(missing_ok=True)
    try:
        found = salvage(path, fresh)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_NOTADB:
            raise
        fresh.unlink(missing_ok=True)
        fresh.touch()  # nothing of it can be read
        found = Salvage(0, ("all",))
    except StoreError:  # of a newer version
        fresh.unlink(missing_ok=True)
        raise
    sync(fresh)
    return found
