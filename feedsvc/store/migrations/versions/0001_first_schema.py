"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables as they were in version 0.1."""
    op.create_table(
        "dumps",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False, index=True),
        sa.Column("reason", sa.Text),
        sa.Column("line", sa.Integer),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("gone", sa.BigInteger),
    )
    op.create_table(
        "entries",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("key", sa.String(32), nullable=False, unique=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("link", sa.Text),
        sa.Column("published", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text),
        sa.Column("source", sa.Text),
        sa.Column("categories", sa.JSON, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("rights", sa.Text),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("cleaner", sa.String(64), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("dump", sa.Integer, sa.ForeignKey("dumps.id")),
        sa.Column("position", sa.Integer),
    )
    op.create_index("entries_by_published", "entries", ["state", "published"])
    op.create_table(
        "articles",
        sa.Column("dump", sa.Integer, sa.ForeignKey("dumps.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("entry", sa.Integer, sa.ForeignKey("entries.number"), nullable=False, index=True),
        sa.Column("published", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "aliases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("entry", sa.Integer, sa.ForeignKey("entries.number"), nullable=False, index=True),
    )
    op.create_table(
        "removals",
        sa.Column("entry", sa.Integer, sa.ForeignKey("entries.number"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("rule", sa.Text, nullable=False, index=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("html", sa.Text, nullable=False),
    )
    op.create_table(
        "feeds",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("born", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("last_modified", sa.BigInteger),
    )
    op.create_table(
        "problems",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
