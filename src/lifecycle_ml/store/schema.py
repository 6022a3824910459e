"""The tables of the store, in SQL every supported database understands.

publications  one row per nightly or replayed result; `published_at` stays empty until it is complete,
              `attempt` counts the runs that worked on it, `ledger_seen` is the last event known to the latest
pointer       one row: which publication readers see
readings      one row per (publication, account): the answer as immutable bytes, and the state it leaves
listings      one row per reading: what lists filter and sort by, apart from the bytes, so that a list that
              looks at every account reads little
unscored      accounts a publication knew of and left out, with the reason in words
onboarding_starts  one row per publication and account in hand-off or onboarding: what must be true before it
              starts, and whether it is
actions       one row per action, as it stands now
ledger        one row per thing that happened to an action; only ever added to
account_words one row per thing a person said about an account; only ever added to
verdicts      one row per as_of: what the monitor said, the latest word winning
assignments   one row per account, playbook or trigger, and episode: offered or held out, and by what chance;
              only ever added to
effects       one row per as_of: what playbooks changed, as last computed
statements    one row per as_of: the books of revenue, their forecast and the loops, as a run left them
scoreboards   one row per as_of: what followed when triggers fired, as last computed
deliveries    one row per address and ledger event that it is told: due, sent or dead (given up)
delivery_points  one row per address: the last ledger event taken over for it
idempotency   answers to writes, kept for a day under a hash of the caller's key
secrets       random values made once per store, so that every worker signs alike
api_keys      one row per key of the service, as a hash; only ever added to, and ended
forgotten     one row per publication and account, as a keyed hash, that its run may not write again
audit         one row per change through the service or to its keys: who, what, when, by which request
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

metadata = MetaData()


def naive_utc(moment: datetime) -> datetime:
    """Return the instant as naive UTC, the form instants have inside; naive ones are taken as UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


class Instant(TypeDecorator[datetime]):
    """An instant, stored as naive UTC whatever zone it came in."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else naive_utc(value)


publications = Table(
    "publications",
    metadata,
    Column("publication_id", Integer, primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("known_at", Instant, nullable=False),
    Column("now", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("digests", JSON, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("ledger_seen", Integer, nullable=False),
    Column("published_at", Instant),
    Column("accounts", Integer),
    Index("publications_by_as_of", "as_of", "publication_id"),
    # an id is never used twice, so a cursor or a log line never comes to mean another publication
    sqlite_autoincrement=True,
)

pointer = Table(
    "pointer",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("publication_id", ForeignKey("publications.publication_id"), nullable=False),
)

readings = Table(
    "readings",
    metadata,
    Column(
        "publication_id",
        ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("account_id", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("state", Text, nullable=False),
    Index("readings_by_account", "account_id", "publication_id"),
)

listings = Table(
    "listings",
    metadata,
    Column(
        "publication_id",
        ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("account_id", Text, primary_key=True),
    Column("name", Text),
    # name and id, case-folded: to search in and to sort by alike on every database
    Column("called", Text, nullable=False),
    Column("segment", Text),
    Column("owner", Text),
    Column("health", String(8), nullable=False),
    Column("band", String(8), nullable=False),
    Column("risk", Float),
    Column("arr", Float),
    Column("arr_at_risk", Float),
    Column("reason", Text),
    Column("stage", Text),
    Column("expansion_band", String(8)),
    Column("renewal_on", Date),
    Column("renewal", Text),
    Column("triggers", Text),
)

unscored = Table(
    "unscored",
    metadata,
    Column(
        "publication_id",
        ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("account_id", Text, primary_key=True),
    Column("why", Text, nullable=False),
)

onboarding_starts = Table(
    "onboarding_starts",
    metadata,
    Column(
        "publication_id",
        ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("account_id", Text, primary_key=True),
    Column("criteria", JSON, nullable=False),
)

actions = Table(
    "actions",
    metadata,
    Column("action_id", String(80), primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("playbook", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("owner_role", Text, nullable=False),
    Column("owner", Text),
    Column("opened_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("why", Text),
    Column("escalates_to", Text),
    Column("escalates_at", Instant),
    Column("status", String(16), nullable=False),
    Column("arr_kept_per_hour", Float),
    Column("snoozed_until", Instant),
    Column("kind", String(16), nullable=False),
    Column("hours", Float, nullable=False),
    Column("beyond_capacity", Boolean, nullable=False, server_default=false()),
    Column("escalated", Boolean, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Index("actions_by_account", "account_id", "status"),
    Index("actions_by_status", "status", "arr_kept_per_hour"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("publication_id", ForeignKey("publications.publication_id", ondelete="SET NULL")),
    Column("kind", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("action_id", String(80), nullable=False),
    Column("account_id", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("action", JSON, nullable=False),
    # a run repeated after a crash, or one beside another, tells the same events again: they are one
    Column("once", Text),
    UniqueConstraint("once", name="ledger_once"),
    Index("ledger_by_account", "account_id", "at"),
    Index("ledger_by_action", "action_id", "event_id"),
    sqlite_autoincrement=True,
)

account_words = Table(
    "account_words",
    metadata,
    Column("word_id", Integer, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Index("account_words_by_account", "account_id", "word_id"),
    sqlite_autoincrement=True,
)

assignments = Table(
    "assignments",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("playbook", Text, primary_key=True),
    Column("since", Date, primary_key=True),
    Column("publication_id", ForeignKey("publications.publication_id", ondelete="SET NULL")),
    Column("kind", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("arm", String(16), nullable=False),
    Column("share", Float, nullable=False),
    Column("spared", Text),
    Column("expected", Float),
    Column("arr", Float),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
)

statements = Table(
    "statements",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
)

scoreboards = Table(
    "scoreboards",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("endpoint", String(64), primary_key=True),
    Column("event_id", ForeignKey("ledger.event_id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("status", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("error", Text),
    Index("deliveries_by_status", "endpoint", "status", "account_id", "event_id"),
)

delivery_points = Table(
    "delivery_points",
    metadata,
    Column("endpoint", String(64), primary_key=True),
    Column("event_id", Integer, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("caller", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Index("idempotency_by_at", "at"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    # in the order in which they were made
    Column("number", Integer, primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("role", String(8), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("per_minute", Integer),
    Column("created_at", Instant, nullable=False),
    Column("last_used_on", Date),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    UniqueConstraint("key_id", name="api_keys_id"),
    Index("api_keys_by_name", "name"),
)

forgotten = Table(
    "forgotten",
    metadata,
    Column(
        "publication_id",
        ForeignKey("publications.publication_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("mark", String(64), primary_key=True),
)

audit = Table(
    "audit",
    metadata,
    Column("entry_id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("did", String(32), nullable=False),
    Column("target", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Index("audit_by_at", "at"),
    sqlite_autoincrement=True,
)
