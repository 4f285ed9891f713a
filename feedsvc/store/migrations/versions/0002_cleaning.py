"""Live rules, other versions of an article, the account of removals, learned blocks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and tables."""
    op.create_table(
        "rulesets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("live", sa.BigInteger, nullable=False),
    )
    op.add_column("entries", sa.Column("alternates", sa.JSON, nullable=False, server_default="[]"))
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
