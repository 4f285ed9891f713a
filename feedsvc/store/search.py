"""Search over the titles and texts of live entries.

SQLite stores get an index: a file of its own beside the store. If it is deleted it is made anew. Triggers
note in the store the entries that changed, and `SearchIndex.catch_up` takes these into the index later:
an import is not slowed, and the index never holds the store's lock. Characters of scripts without spaces
are words of their own in it, so that a phrase of them is found anywhere, at any length.

Other databases, and an SQLite built without FTS5, are asked with a plain LIKE.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy as sa

from feedsvc.errors import StoreError
from feedsvc.store.database import LOGS, cause_of
from feedsvc.store.schema import LIVE, entries
from feedsvc.text import fold, fold_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

SEARCH_SUFFIX = ".search"  # of the index's file name, after the store's
_VERSION = 1  # of the index and of how text is folded into it; one of another version is made anew
_BUSY_SECONDS = 5.0
_BEGINS = 3  # letters at the end of a phrase that find longer words
_LOOK = 2000  # instructions of SQLite's machine between two looks at the clock
_SPARE = 1000  # outdated rows that the index may hold beyond one a live entry
_PAGES, _MERGES = 500, 400  # that one step of merging writes, and how many steps at most

_QUEUE = "CREATE TABLE IF NOT EXISTS search_queue (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL)"
_TRIGGERS = {
    "search_added": "AFTER INSERT ON entries",
    "search_changed": """AFTER UPDATE ON entries WHEN old.title IS NOT new.title OR old.text IS NOT new.text
        OR old.published IS NOT new.published OR old.state IS NOT new.state""",
}
_INDEX = """
CREATE TABLE docs (
    doc INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL UNIQUE, published INTEGER NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='unicode61 remove_diacritics 0');
"""
_MATCHING = "FROM words JOIN docs ON docs.doc = words.rowid WHERE words MATCH ?"


@dataclass(frozen=True, slots=True)
class Hits:
    """The result of a search.

    Attributes:
        numbers: The store's numbers of the entries on this page, newest first.
        total: The number of entries that match.
        waiting: The number of entries that are not in the index yet.
    """

    numbers: tuple[int, ...]
    total: int
    waiting: int = 0


class SearchIndex:
    """Finds entries of one store. Threads may search while one catches up."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        """Open the index of a store, or make it if none can be used; messages call the store `name`.

        If it can be neither opened nor made now, `catch_up` makes it later.
        """
        self._engine = engine
        self._name = name
        self._path: Path | None = None
        self._prepared = False
        if engine.dialect.name == "sqlite" and engine.url.database and _has_fts5():
            self._path = Path(f"{engine.url.database}{SEARCH_SUFFIX}")
            try:
                self._prepare(self._path)
            except (sqlite3.Error, OSError, sa.exc.SQLAlchemyError) as error:
                more = {"path": str(self._path), "reason": str(cause_of(error))}
                logger.warning("search index cannot be opened yet", extra=more)

    # Reading

    def find(self, phrases: Sequence[str], *, skip: int, limit: int, seconds: float) -> Hits:
        """Find the live entries that hold all of the phrases in title or text.

        Case, width and accents make no difference. A word of an alphabet is found by its beginning.

        Args:
            phrases: Each with a letter or a digit in it at least; nothing in them is syntax.
            skip: Leave out this many of the newest.
            limit: Return at most this many.
            seconds: Give up after these.

        Raises:
            StoreError: It took too long, or the index cannot be read.
        """
        if self._path is None:
            return self._find_plainly(phrases, skip, limit)
        asked = " ".join(match_phrase(phrase) for phrase in phrases)
        until = time.monotonic() + seconds
        try:
            with _open(self._path) as index:
                index.set_progress_handler(lambda: time.monotonic() > until, _LOOK)
                (total,) = index.execute(f"SELECT count(*) {_MATCHING}", (asked,)).fetchone()
                page = index.execute(
                    f"SELECT docs.entry {_MATCHING} ORDER BY docs.published DESC, docs.entry LIMIT ? OFFSET ?",
                    (asked, limit, skip),
                )
                numbers = tuple(number for (number,) in page)
            return Hits(numbers, total, self._count_waiting())
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as error:
            reason = f"took longer than {seconds:g} s" if time.monotonic() > until else f"failed: {error}"
            raise StoreError(f"{self._path}: a search {reason}") from error

    def _find_plainly(self, phrases: Sequence[str], skip: int, limit: int) -> Hits:
        held = [
            sa.or_(
                entries.c.title.icontains(phrase, autoescape=True), entries.c.text.icontains(phrase, autoescape=True)
            )
            for phrase in phrases
        ]
        which = sa.and_(entries.c.state == LIVE, *held)
        newest = sa.select(entries.c.number).where(which).order_by(entries.c.published.desc(), entries.c.number)
        try:
            with self._engine.connect().execution_options(begin="BEGIN") as connection:
                total = connection.scalar(sa.select(sa.func.count()).select_from(entries).where(which)) or 0
                return Hits(tuple(connection.scalars(newest.offset(skip).limit(limit))), total)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self._name}: a search failed: {error}") from error

    def _count_waiting(self) -> int:
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            return int(connection.exec_driver_sql("SELECT count(DISTINCT entry) FROM search_queue").scalar_one())

    # Writing

    def catch_up(self, limit: int = 100) -> int:
        """Take up to `limit` entries that changed into the index; returns their number."""
        if self._path is None:
            return 0
        try:
            if not self._prepared:
                self._prepare(self._path)
            elif not self._path.exists():
                self._begin_anew(self._path)
            waiting = self._load_waiting(limit)
            if waiting:
                with _open(self._path) as index:
                    for row in waiting:
                        _take_in(index, row)
                    index.commit()
                # Last: to take one in twice does no harm. An entry that changed meanwhile waits under another id.
                with self._engine.begin() as connection:
                    done = [(row.id,) for row in waiting]
                    connection.exec_driver_sql("DELETE FROM search_queue WHERE id = ?", done)
        except sqlite3.DatabaseError as error:
            self._mend(self._path, error)
        except (OSError, sa.exc.SQLAlchemyError) as error:
            raise StoreError(f"{self._name}: the search index cannot follow the store: {error}") from error
        else:
            return len(waiting)
        return limit

    def _load_waiting(self, limit: int) -> Sequence[sa.Row[tuple[int, int, str, int, str, str]]]:
        query = sa.text(
            """SELECT search_queue.id, search_queue.entry, state, published, title, text
            FROM search_queue LEFT JOIN entries ON number = entry ORDER BY search_queue.id LIMIT :limit"""
        )
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            return connection.execute(query, {"limit": limit}).all()

    def _prepare(self, path: Path) -> None:
        listed = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            there = set(connection.exec_driver_sql(listed).scalars())
        if _TRIGGERS.keys() <= there and _is_usable(path):
            self._prepared = True  # without writing anything
            return
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_QUEUE)
            there = set(connection.exec_driver_sql(listed).scalars())
            for name, when in _TRIGGERS.items():
                note = "INSERT INTO search_queue (entry) VALUES (new.number)"
                connection.exec_driver_sql(f"CREATE TRIGGER IF NOT EXISTS {name} {when} BEGIN {note}; END")
        # Without them changes went by unseen.
        if not (_TRIGGERS.keys() <= there and _is_usable(path)):
            self._begin_anew(path)
        self._prepared = True

    def _begin_anew(self, path: Path) -> None:
        for suffix in ("", *LOGS):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        with self._engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM search_queue")
            newest = sa.select(entries.c.number).where(entries.c.state == LIVE).order_by(entries.c.published.desc())
            connection.execute(sa.insert(_queue).from_select(["entry"], newest))
        with _open(path, "rwc") as index:
            index.executescript(f"{_INDEX} PRAGMA user_version = {_VERSION};")

    def _mend(self, path: Path, error: sqlite3.DatabaseError) -> None:
        if isinstance(error, sqlite3.OperationalError):  # busy, or the disk is full
            raise StoreError(f"{path}: the search index cannot be written: {error}") from error
        logger.warning("search index is made anew", extra={"path": str(path), "reason": str(error)})
        try:
            self._begin_anew(path)
        except (sqlite3.Error, OSError, sa.exc.SQLAlchemyError) as failure:
            raise StoreError(f"{path}: the search index cannot be made: {failure}") from failure

    def tidy(self) -> None:
        """Merge the parts of the index bit by bit; begin anew if most of its rows are outdated."""
        if self._path is None:
            return
        try:
            with _open(self._path) as index:
                (live, made) = index.execute("SELECT count(*), coalesce(max(doc), 0) FROM docs").fetchone()
                for step in range(_MERGES):
                    before = index.total_changes
                    pages = -_PAGES if step == 0 else _PAGES  # the first one decides to merge all
                    index.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))
                    index.commit()  # others may write in between
                    if index.total_changes - before < 2:  # noqa: PLR2004 - FTS5's own sign that there is no more to do
                        break
            if made > 2 * live + _SPARE:
                self._begin_anew(self._path)
        except (sqlite3.Error, OSError, sa.exc.SQLAlchemyError) as error:
            raise StoreError(f"{self._path}: the search index cannot be tidied: {error}") from error


_queue = sa.table("search_queue", sa.column("id", sa.Integer), sa.column("entry", sa.Integer))


def match_phrase(phrase: str) -> str:
    """A phrase in the syntax of FTS5: quoted, so that only the quote itself is syntax."""
    words = fold_words(phrase).replace('"', " ").replace("\0", " ").strip()
    end = words[-_BEGINS:]
    begins = len(end) == _BEGINS and end.isalnum() and fold(phrase).endswith(end)
    return f'"{words}"*' if begins else f'"{words}"'


def _take_in(index: sqlite3.Connection, row: sa.Row[tuple[int, int, str, int, str, str]]) -> None:
    index.execute("DELETE FROM docs WHERE entry = ?", (row.entry,))
    if row.state == LIVE:
        # The words of the row before stay behind, without a row in docs: a number is never used again.
        text = fold_words(f"{row.title}\n{row.text}")
        values = (row.entry, row.published)
        doc = index.execute("INSERT INTO docs (entry, published) VALUES (?, ?)", values).lastrowid
        index.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (doc, text))


@contextmanager
def _open(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as index:
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA synchronous = NORMAL")
        yield index


def _is_usable(path: Path) -> bool:
    if not path.exists():
        return False
    with suppress(sqlite3.Error), _open(path) as index:
        return bool(index.execute("PRAGMA user_version").fetchone() == (_VERSION,))
    return False


def _has_fts5() -> bool:
    with closing(sqlite3.connect(":memory:")) as probe:
        try:
            probe.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
        except sqlite3.OperationalError:
            return False
    return True
