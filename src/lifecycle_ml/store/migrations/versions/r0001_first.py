"""The store as it was when revisions began.

A store made before then by `create_all` has these tables without a revision: this step adds those it lacks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

FIRST = sa.MetaData()
"""The tables of this revision; they stay as they are here, whatever becomes of the schema."""


def upgrade() -> None:
    """Make the tables that are missing."""
    FIRST.create_all(op.get_bind())


sa.Table(
    "publications",
    FIRST,
    sa.Column("publication_id", sa.Integer, primary_key=True),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("known_at", sa.DateTime, nullable=False),
    sa.Column("now", sa.DateTime, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("digests", sa.JSON, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("ledger_seen", sa.Integer, nullable=False),
    sa.Column("published_at", sa.DateTime),
    sa.Column("accounts", sa.Integer),
    sa.Index("publications_by_as_of", "as_of", "publication_id"),
    sqlite_autoincrement=True,
)

sa.Table(
    "pointer",
    FIRST,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("publication_id", sa.ForeignKey("publications.publication_id"), nullable=False),
)

sa.Table(
    "readings",
    FIRST,
    sa.Column(
        "publication_id",
        sa.ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("receipt", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("readings_by_account", "account_id", "publication_id"),
)

sa.Table(
    "listings",
    FIRST,
    sa.Column(
        "publication_id",
        sa.ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("called", sa.Text, nullable=False),
    sa.Column("segment", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("health", sa.String(8), nullable=False),
    sa.Column("band", sa.String(8), nullable=False),
    sa.Column("risk", sa.Float),
    sa.Column("arr", sa.Float),
    sa.Column("arr_at_risk", sa.Float),
    sa.Column("reason", sa.Text),
    sa.Column("stage", sa.Text),
    sa.Column("expansion_band", sa.String(8)),
    sa.Column("renewal_on", sa.Date),
    sa.Column("renewal", sa.Text),
    sa.Column("triggers", sa.Text),
)

sa.Table(
    "unscored",
    FIRST,
    sa.Column(
        "publication_id",
        sa.ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("why", sa.Text, nullable=False),
)

sa.Table(
    "actions",
    FIRST,
    sa.Column("action_id", sa.String(80), primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("owner_role", sa.Text, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("opened_at", sa.DateTime, nullable=False),
    sa.Column("due_at", sa.DateTime),
    sa.Column("why", sa.Text),
    sa.Column("escalates_to", sa.Text),
    sa.Column("escalates_at", sa.DateTime),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("arr_kept_per_hour", sa.Float),
    sa.Column("snoozed_until", sa.DateTime),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("hours", sa.Float, nullable=False),
    sa.Column("escalated", sa.Boolean, nullable=False),
    sa.Column("changed_at", sa.DateTime, nullable=False),
    sa.Index("actions_by_account", "account_id", "status"),
    sa.Index("actions_by_status", "status", "arr_kept_per_hour"),
)

sa.Table(
    "ledger",
    FIRST,
    sa.Column("event_id", sa.Integer, primary_key=True),
    sa.Column("publication_id", sa.ForeignKey("publications.publication_id", ondelete="SET NULL")),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("action_id", sa.String(80), nullable=False),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("action", sa.JSON, nullable=False),
    sa.Column("once", sa.Text),
    sa.UniqueConstraint("once", name="ledger_once"),
    sa.Index("ledger_by_account", "account_id", "at"),
    sa.Index("ledger_by_action", "action_id", "event_id"),
    sqlite_autoincrement=True,
)

sa.Table(
    "account_words",
    FIRST,
    sa.Column("word_id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Index("account_words_by_account", "account_id", "word_id"),
    sqlite_autoincrement=True,
)

sa.Table(
    "assignments",
    FIRST,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("playbook", sa.Text, primary_key=True),
    sa.Column("since", sa.Date, primary_key=True),
    sa.Column("publication_id", sa.ForeignKey("publications.publication_id", ondelete="SET NULL")),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("arm", sa.String(16), nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("spared", sa.Text),
    sa.Column("expected", sa.Float),
    sa.Column("arr", sa.Float),
)

sa.Table(
    "verdicts",
    FIRST,
    sa.Column("as_of", sa.Date, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

sa.Table(
    "effects",
    FIRST,
    sa.Column("as_of", sa.Date, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

sa.Table(
    "deliveries",
    FIRST,
    sa.Column("endpoint", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.ForeignKey("ledger.event_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.DateTime, nullable=False),
    sa.Column("changed_at", sa.DateTime, nullable=False),
    sa.Column("error", sa.Text),
    sa.Index("deliveries_by_status", "endpoint", "status", "account_id", "event_id"),
)

sa.Table(
    "delivery_points",
    FIRST,
    sa.Column("endpoint", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.Integer, nullable=False),
)

sa.Table(
    "idempotency",
    FIRST,
    sa.Column("key_hash", sa.String(64), primary_key=True),
    sa.Column("caller", sa.Text, primary_key=True),
    sa.Column("request_digest", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Index("idempotency_by_at", "at"),
)

sa.Table(
    "secrets",
    FIRST,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
