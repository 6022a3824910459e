"""What Alembic runs around the steps: in the transaction the caller opened, so all of them count or none."""

from __future__ import annotations

from alembic import context

from lifecycle_ml.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
