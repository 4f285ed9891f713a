"""The rules that are live, for `feedsvc rules diff`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table; it is filled at the next start."""
    op.create_table(
        "rulesets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("live", sa.BigInteger, nullable=False),
    )
