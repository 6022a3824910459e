"""What followed when triggers fired."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the scoreboards."""
    op.create_table(
        "scoreboards",
        sa.Column("as_of", sa.Date, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
    )
