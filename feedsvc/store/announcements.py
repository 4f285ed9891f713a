"""What WebSub hubs have accepted, so that what waits outlives the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from feedsvc.store.schema import announced

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["load_announced", "save_announced"]


def load_announced(connection: Connection, hub: str) -> dict[str, str]:
    """Topic to the version that a hub knows of."""
    rows = connection.execute(sa.select(announced.c.topic, announced.c.version).where(announced.c.hub == hub))
    return {row.topic: row.version for row in rows}


def save_announced(connection: Connection, hub: str, topic: str, version: str) -> None:
    """A hub knows of this version of a topic, and of no earlier one."""
    which = (announced.c.hub == hub) & (announced.c.topic == topic)
    if not connection.execute(announced.update().where(which).values(version=version)).rowcount:
        connection.execute(announced.insert().values(hub=hub, topic=topic, version=version))
