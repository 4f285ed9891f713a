"""Other versions of an article."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give entries a list of pairs of address and language."""
    op.add_column("entries", sa.Column("alternates", sa.JSON, nullable=False, server_default="[]"))
