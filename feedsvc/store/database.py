"""The database below the store: how it is opened, brought up to date, read, looked after."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["MIGRATIONS", "Database", "cause_of"]

BUSY_SECONDS = 30  # how long a writer waits for another process' transaction
MIGRATIONS = files("feedsvc.store") / "migrations"


class Database:
    """The database at one address."""

    def __init__(self, url: str) -> None:
        """Open the store, make it where there is none, and bring an older one up to date.

        Args:
            url: An SQLAlchemy URL, such as `sqlite:////var/lib/feedsvc/feedsvc.db`.

        Raises:
            StoreError: It cannot be opened, is no store, or was written by a newer feedsvc.
        """
        self.url = url  # as messages say it
        self._observer: sa.Connection | None = None
        self._version: int | None = None
        try:
            address = sa.make_url(url)
            self.url = address.render_as_string(hide_password=True)
            if address.get_backend_name() == "sqlite" and address.database:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(address, connect_args=_connect_args(address))
            if address.get_backend_name() == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            self._migrate()
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise StoreError(f"{self.url}: the store cannot be opened: {cause_of(error)}") from error

    def _migrate(self) -> None:
        newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").iterdir())
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            if known and connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all() == [newest]:
                return
        # A quarter of a second to import, for what is to be done once a version.
        from feedsvc.store.migrate import migrate  # noqa: PLC0415

        migrate(self._engine, str(MIGRATIONS), self.url)

    def close(self) -> None:
        """Close all connections."""
        if self._observer is not None:
            self._observer.close()
        self._engine.dispose()

    @contextmanager
    def _reading(self, *, begin: str | None = "BEGIN") -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(begin=begin) as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self.url}: the store cannot be read: {cause_of(error)}") from error

    def changed_elsewhere(self) -> bool:
        """Whether anything was committed since the last call, by another process or another thread.

        Databases other than SQLite do not tell: then it is always so.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        try:
            if self._observer is None:
                self._observer = self._engine.connect().execution_options(begin="BEGIN")
            with self._observer.begin():  # it counts the commits of all other connections
                version = self._observer.exec_driver_sql("PRAGMA data_version").scalar_one()
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{self.url}: the store cannot be read: {cause_of(error)}") from error
        changed = bool(version != self._version)
        self._version = version
        return changed

    def verify(self) -> None:
        """Look for damage.

        Raises:
            StoreError: The store is damaged; the message says where.
        """
        if self._engine.dialect.name == "sqlite":
            with self._reading() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(3)").scalars().all()
            if found != ["ok"]:
                raise StoreError(f"{self.url}: the store is damaged: {'; '.join(found)}")

    def optimise(self) -> None:
        """Upkeep: let SQLite refresh its statistics and shorten its log."""
        if self._engine.dialect.name == "sqlite":
            with self._reading(begin=None) as connection:
                connection.exec_driver_sql("PRAGMA optimize")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # refused inside a transaction


def _connect_args(address: sa.URL) -> dict[str, object]:
    return {"timeout": BUSY_SECONDS} if address.get_backend_name() == "sqlite" else {}


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # the begin event below begins transactions
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock before it reads: what it decides on cannot change under it.
    statement = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
    if statement:
        connection.exec_driver_sql(statement)


def cause_of(error: Exception) -> object:
    """What the database itself said, without SQLAlchemy's frame around it."""
    return getattr(error, "orig", None) or error
