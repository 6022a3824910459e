"""What accounts wait for before their onboarding starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the criteria."""
    op.create_table(
        "onboarding_starts",
        sa.Column(
            "publication_id",
            sa.Integer,
            sa.ForeignKey("publications.publication_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("criteria", sa.JSON, nullable=False),
    )
