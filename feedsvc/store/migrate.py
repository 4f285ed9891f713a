"""Brings the tables of an older store up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import alembic.command
from alembic.config import Config
from alembic.util import CommandError

from feedsvc.errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy as sa


def migrate(engine: sa.Engine, folder: str, name: str, *, version: str = "head") -> None:
    """Make the tables, or change them into those of `version`, in one transaction, by the migrations in `folder`.

    Messages call the store `name`.

    Raises:
        StoreError: A newer version wrote it.
    """
    config = Config()
    config.set_main_option("script_location", folder.replace("%", "%%"))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # A table that a migration rebuilds is dropped on the way, while others point to it.
            connection.detach()
            connection.execution_options(begin=None).exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.commit()
        with connection.execution_options(begin="BEGIN IMMEDIATE").begin():
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, version)
            except CommandError as error:
                advice = "was it written by a newer feedsvc? Install that version, or name another store"
                raise StoreError(f"{name}: {error}; {advice}") from error
