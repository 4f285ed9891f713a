"""The account of removals: what was restored, where rules stood back, how much each rule takes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables."""
    op.add_column("removals", sa.Column("restored", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("entries", sa.Column("stood_back", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("ix_entries_stood_back", "entries", ["stood_back"])
    op.create_table(
        "restored",
        sa.Column("entry", sa.Integer, sa.ForeignKey("entries.number"), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
    )
    op.create_table(
        "drift_sources",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("dumps", sa.Integer, nullable=False),
        sa.Column("cleaner", sa.String(64), nullable=False),
        sa.Column("since", sa.Integer, nullable=False),
    )
    op.create_table(
        "drift",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("since", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("matched", sa.Integer, nullable=False),
        sa.Column("match_fast", sa.Float, nullable=False),
        sa.Column("match_slow", sa.Float, nullable=False),
        sa.Column("share_fast", sa.Float, nullable=False),
        sa.Column("share_slow", sa.Float, nullable=False),
        sa.Column("alarm", sa.String(16)),
        sa.Column("message", sa.Text),
        sa.Column("began", sa.BigInteger),
    )
