"""A look into a store that is another's to make and change."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from feedsvc.clean.learning.learned import Learned
from feedsvc.errors import StoreError
from feedsvc.store.database import cause_of
from feedsvc.store.learned import LearnedReader
from feedsvc.store.schema import learned_blocks


def read_learned(url: str) -> Learned:
    """The learned blocks of the store at an SQLAlchemy URL; nothing is made or changed in it.

    None are learned if there is no store, or only one of a version that learned nothing.

    Raises:
        StoreError: There is a store, and it cannot be read.
    """
    try:
        address = sa.make_url(url)
        if address.get_backend_name() == "sqlite":
            if not address.database or not Path(address.database).exists():
                return Learned()
            address = sa.make_url(f"sqlite:///file:{quote(address.database)}?mode=ro&uri=true")
        engine = sa.create_engine(address)
        try:
            with engine.connect() as connection:
                known = sa.inspect(connection).has_table(learned_blocks.name)
                return LearnedReader(connection).load() if known else Learned()
        finally:
            engine.dispose()
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(f"{url}: the store cannot be read: {cause_of(error)}") from error
