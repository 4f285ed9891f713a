"""Revisions of entries, and the names of the feeds of sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the tables."""
    op.add_column("entries", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("ix_entries_revision", "entries", ["revision"])
    revisions = op.create_table("revisions", sa.Column("number", sa.BigInteger, nullable=False))
    op.bulk_insert(revisions, [{"number": 0}])
    op.create_table(
        "source_feeds",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
    )
