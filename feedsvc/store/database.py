"""The database below the store: opened, migrated, read, checked."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import sqlalchemy as sa

from feedsvc.errors import StoreDamaged, StoreError, StoreLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

_BUSY_SECONDS = 30.0  # how long a writer waits for another process' transaction
MIGRATIONS = files("feedsvc.store") / "migrations"
LOGS = ("-wal", "-shm")  # ends of the names of the files beside a store
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space on its disk; feedsvc goes on by itself then",
    sqlite3.SQLITE_READONLY: "let feedsvc's user write to the file and its folder; is the disk mounted read-only?",
    sqlite3.SQLITE_IOERR: "the disk does not read or write as it should: look at the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "let feedsvc's user search its folder and write to it; is a disk not mounted?",
    sqlite3.SQLITE_BUSY: "another process is writing: let it finish, or end it",
    sqlite3.SQLITE_LOCKED: "another process is writing: let it finish, or end it",
    sqlite3.SQLITE_CORRUPT: "`feedsvc run` sets it aside when it starts, and makes it anew",
    sqlite3.SQLITE_NOTADB: "`feedsvc run` sets it aside when it starts, and makes it anew",
}


class Database:
    """The database at one address."""

    def __init__(
        self, url: str, *, busy_seconds: float = _BUSY_SECONDS, damaged: Callable[[str], None] = lambda _reason: None
    ) -> None:
        """Open the store; make it if there is none, and migrate an older one.

        Args:
            url: An SQLAlchemy URL, such as `sqlite:////var/lib/feedsvc/feedsvc.db`.
            busy_seconds: Wait this long for another process that is writing.
            damaged: Called with SQLite's message if it meets damage; by any thread, perhaps more than once.

        Raises:
            StoreLocked: Another process kept it locked for longer than `busy_seconds`.
            StoreDamaged: It is damaged, or no store.
            StoreError: It cannot be opened, or was written by a newer feedsvc.
        """
        self.url = url  # as messages say it
        self.path = file_of(url)
        self._damaged = damaged
        self.closed = False  # for good
        self._frozen = False  # opened for reading alone
        self._identity: tuple[int, int] | None = None
        self._log_identity: tuple[int, int] | None = None  # of the log that the observer reads
        self._observer: sa.Connection | None = None
        self._observing_frozen = False
        self._version: int | None = None
        try:
            address = sa.make_url(url)
            self.url = address.render_as_string(hide_password=True)
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if not self.path.exists():  # the one time that it is made: one that is deleted is not made anew unseen
                    self.path.touch()
            is_sqlite = address.get_backend_name() == "sqlite"
            self._engine = sa.create_engine(address, connect_args={"timeout": busy_seconds} if is_sqlite else {})
            if self.path is not None:
                sa.event.listen(self._engine, "do_connect", self._connect)
            if is_sqlite:
                sa.event.listen(self._engine, "connect", self._prepare_sqlite)
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            self._migrate()
            self._identity = _identity_of(self.path)
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise self.explain("opened", error) from error

    def _connect(self, _dialect: object, _record: object, _args: object, options: dict[str, Any]) -> DBAPIConnection:
        assert self.path is not None  # noqa: S101 - or this would not be listening
        if self.closed:
            raise sqlite3.OperationalError("it is closed")
        opened, self._frozen = _open_sqlite(self.path, options)
        return cast("DBAPIConnection", opened)

    def _prepare_sqlite(self, connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the begin event below begins transactions
        cursor = connection.cursor()
        if not self._frozen:
            if self.path is None:
                cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA temp_store = MEMORY")  # a full /tmp would undo the transaction that has a savepoint
        cursor.close()

    def _migrate(self) -> None:
        newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").iterdir())
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            if known and connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all() == [newest]:
                return
        # A quarter of a second to import, for a step done once a version.
        from feedsvc.store.migrate import migrate  # noqa: PLC0415

        migrate(self._engine, str(MIGRATIONS), self.url)

    def close(self) -> None:
        """Close all connections for good; later calls raise StoreError."""
        self.closed = True
        self.disconnect()

    def disconnect(self) -> None:
        """Close all connections; later calls open new ones."""
        if self._observer is not None:
            self._observer.close()
            self._observer = None
        self._engine.dispose()

    @contextmanager
    def _reading(self, *, begin: str | None = "BEGIN") -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(begin=begin) as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self.explain("read", error) from error

    def explain(self, done: str, error: Exception) -> StoreError:
        """The error for an action ("read", "written") that failed, with cause and advice; reports damage."""
        cause = cause_of(error)
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the rest tells its kind
        advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
        message = f"{self.url}: the store cannot be {done}: {cause}{advice}"
        if code in _DAMAGED:
            self._damaged(str(cause))
            return StoreDamaged(message)
        return StoreLocked(message) if code in _LOCKED else StoreError(message)

    def changed_elsewhere(self) -> bool:
        """True if another connection has committed since the last call; always for databases other than SQLite."""
        if self._engine.dialect.name != "sqlite":
            return True
        try:
            if self._observer is not None and self._observing_frozen != self._frozen:
                self._observer.close()
                self._observer = None
            opened = self._observer is None
            if self._observer is None:
                self._observer = self._engine.connect().execution_options(begin="BEGIN")
                self._observing_frozen = self._frozen
            with self._observer.begin():  # it counts the commits of all other connections
                version = self._observer.exec_driver_sql("PRAGMA data_version").scalar_one()
            if opened:
                self._log_identity = _identity_of(self._log)
        except sa.exc.SQLAlchemyError as error:
            raise self.explain("read", error) from error
        changed = bool(version != self._version)
        self._version = version
        return changed

    def is_in_place(self) -> bool:
        """True if the open files are those that have the store's names.

        Of its log that is known from the first call of `changed_elsewhere` on. A log that was deleted may be there
        again: SQLite makes another one for the next connection, and those who have the old one open write to that.
        """
        if self.path is None or self._frozen:
            return True
        if _identity_of(self.path) != self._identity:
            return False
        return self._observer is None or _identity_of(self._log) == self._log_identity

    @property
    def _log(self) -> Path | None:
        return Path(f"{self.path}-wal") if self.path else None

    def rescue(self) -> bool:
        """Write the store that is still open to its path again, if its file is gone.

        True if the store has its files again; close it then, and open it anew.
        """
        if self.path is None or self._observer is None:
            return False
        source = self._observer.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # noqa: S101 - there is a path
        try:
            if _identity_of(self.path) == self._identity:  # only the log is gone: nothing may stay in it
                source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            elif not self.path.exists():
                fresh = Path(f"{self.path}.rescued")
                fresh.parent.mkdir(parents=True, exist_ok=True)
                fresh.unlink(missing_ok=True)
                with closing(sqlite3.connect(fresh)) as target:
                    source.backup(target)
                    target.execute("PRAGMA journal_mode = DELETE")
                sync(fresh)
                put_in_place(fresh, self.path)
        except (sqlite3.Error, OSError) as error:
            raise self.explain("written", error) from error
        return True

    def verify(self) -> None:
        """Look for damage.

        Raises:
            StoreDamaged: The store is damaged; the message says where.
        """
        if self._engine.dialect.name == "sqlite":
            with self._reading() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
            if found != ["ok"]:
                self._damaged("; ".join(found))
                advice = _ADVICE[sqlite3.SQLITE_CORRUPT]
                raise StoreDamaged(f"{self.url}: the store is damaged: {'; '.join(found)}; {advice}")

    def optimise(self) -> None:
        """Upkeep: look for damage as `verify` does, let SQLite refresh its statistics and shorten its log."""
        self.verify()
        if self._engine.dialect.name == "sqlite":
            with self._reading(begin=None) as connection:
                connection.exec_driver_sql("PRAGMA optimize")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # refused inside a transaction


def file_of(url: str) -> Path | None:
    """The file of an SQLite store; None for one in memory, or in another database."""
    with suppress(sa.exc.ArgumentError):
        address = sa.make_url(url)
        database = address.database
        if address.get_backend_name() == "sqlite" and database and database != ":memory:" and not address.query:
            return Path(database)
    return None


def has_log(path: Path) -> bool:
    """True if changes are in the log of an SQLite file: the last process that closes a file deletes its log."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def sqlite_address(path: Path) -> tuple[str, bool]:
    """The URI that opens an SQLite file, and True if it can only be read.

    SQLite needs files beside it. If its folder cannot be written, these must be there already, or hold nothing.
    """
    address = f"file:{quote(str(path.absolute()))}"
    if not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return f"{address}?mode=rw", False
    return f"{address}?mode=ro" if has_log(path) else f"{address}?mode=ro&immutable=1", True


def _open_sqlite(path: Path, options: dict[str, Any]) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it can only read: because of permissions, or for want of room on the disk."""
    address, frozen = sqlite_address(path)
    opened = sqlite3.connect(address, **options | {"uri": True})
    if frozen:
        return opened, True
    try:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("SELECT count(*) FROM sqlite_master")  # now SQLite needs its files beside the store
    except sqlite3.OperationalError as error:
        opened.close()
        if error.sqlite_errorcode & 0xFF not in _NO_ROOM or has_log(path):
            raise
        address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        return sqlite3.connect(address, **options | {"uri": True}), True
    except sqlite3.Error:
        opened.close()
        raise
    return opened, False


def cause_of(error: Exception) -> object:
    """The database's own error, without SQLAlchemy's around it."""
    return getattr(error, "orig", None) or error


def _identity_of(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def put_in_place(fresh: Path, path: Path) -> None:
    """Give a new SQLite file the path of one that is gone, without the log of that one."""
    for suffix in LOGS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    fresh.rename(path)
    sync(path.parent)


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock before it reads: the rows it decides on cannot change under it.
    statement = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if statement == 'BEGIN' else 'OFF'}")
    if statement:
        connection.exec_driver_sql(statement)
