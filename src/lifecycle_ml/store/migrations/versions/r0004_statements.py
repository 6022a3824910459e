"""What runs keep of revenue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the statements."""
    op.create_table(
        "statements",
        sa.Column("as_of", sa.Date, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
    )
