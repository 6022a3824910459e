"""Work beyond capacity goes on being that while it sleeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the mark; what is over capacity now has it, of what sleeps nobody knows any more."""
    marked = sa.Column("beyond_capacity", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("actions", marked)
    actions = sa.table("actions", sa.column("status"), sa.column("beyond_capacity", sa.Boolean))
    op.execute(actions.update().where(actions.c.status == "over_capacity").values(beyond_capacity=True))
