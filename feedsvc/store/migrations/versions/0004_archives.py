"""Archived feeds, what was published last, and entries that are left out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables, and up to which revision archives have followed."""
    op.add_column("revisions", sa.Column("archived", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "archives",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("feed", sa.String(64), nullable=False, unique=True),
        sa.Column("membership", sa.String(64), nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("closed", sa.Integer, nullable=False),
    )
    op.create_table(
        "archive_pages",
        sa.Column("archive", sa.Integer, sa.ForeignKey("archives.number"), primary_key=True),
        sa.Column("page", sa.Integer, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "archive_entries",
        sa.Column("entry", sa.Integer, sa.ForeignKey("entries.number"), primary_key=True),
        sa.Column("archive", sa.Integer, sa.ForeignKey("archives.number"), primary_key=True),
        sa.Column("page", sa.Integer, primary_key=True),
        sa.Column("updated", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("archive_entries_by_page", "archive_entries", ["archive", "page"])
    op.create_index("entries_by_number", "entries", ["state", "number", "updated"])
    op.create_table(
        "published",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(64)),
    )
    op.create_table(
        "left_out",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
    )
