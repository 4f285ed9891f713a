"""What recurs in the dumps of a source, and what was learned from that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables of learning, and find the entries of a source."""
    op.create_index("entries_by_source", "entries", ["source"])
    op.create_table(
        "learned_sources",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("dumps", sa.Integer, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
    )
    op.create_table(
        "sighted_blocks",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("block", sa.String(16), primary_key=True),
        sa.Column("shape", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("edge", sa.Integer, nullable=False),
        sa.Column("closes", sa.Integer, nullable=False),
        sa.Column("leads", sa.Integer, nullable=False),
        sa.Column("links", sa.String(16), nullable=False),
        sa.Column("same", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sighted_shapes",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("shape", sa.Text, primary_key=True),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("fresh", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "learned_blocks",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("block", sa.String(16), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sign", sa.String(16), nullable=False),
        sa.Column("links", sa.String(16)),
        sa.Column("text", sa.Text, nullable=False),
    )
