"""The canonical tables: what each column holds, and from when it could have been known.

Real systems overwrite rows in place, so knowing *when a row was known* is not enough: a ticket row known
since Monday carries a `closed_at` that was only known on Friday. Each column therefore has a clock:

- ``row``        known with the row (plans such as `ends_on` and `due_on` belong here)
- ``dated``      a date or instant of its own: reads as empty until it lies before as_of
- ``effective``  a date that takes effect at its own 00:00Z: reads as empty until as_of has reached it
- the name of a dated column: known when that column is (`csat` hangs on `closed_at`)
- ``today``      overwritten in place without a date: as of today, whatever as_of says
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """Types a canonical column is cast to; values are DuckDB's names."""

    TEXT = "VARCHAR"
    TEXTS = "VARCHAR[]"
    WHOLE = "BIGINT"
    NUMBER = "DECIMAL(18, 4)"
    YES_NO = "BOOLEAN"
    DATE = "DATE"
    INSTANT = "TIMESTAMP"


@dataclass(frozen=True)
class Column:
    """One canonical column: its type, whether a source must provide it, and its clock."""

    name: str
    type: Type
    required: bool = False
    clock: str = "row"
    values: tuple[str, ...] = ()
    """The closed list of values, where there is one."""
    default: str | None = None
    """What an empty value means, as an SQL literal; None: an empty value stays empty."""


@dataclass(frozen=True)
class TableSchema:
    """One canonical table.

    `key` names the row; several rows with one key and different known_at are versions of it; without a key
    every row stands for itself.
    `happened` is the column that says when the fact occurred: a row is seen from the first as_of after it.
    Plans have none (None): a contract is seen from when it was known, before it starts.
    `known` are the columns whose first non-null value says when the row was first known, unless the source
    provides `known_at`. A bare date is known at the next midnight, except those in `known_at_start`, known
    at their own 00:00Z. Milestones are known with their account unless the source says otherwise.
    """

    name: str
    says: str
    key: tuple[str, ...]
    happened: str | None
    known: tuple[str, ...]
    columns: tuple[Column, ...]
    known_at_start: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}


def _text(name: str, *, required: bool = False, clock: str = "row", values: tuple[str, ...] = ()) -> Column:
    return Column(name, Type.TEXT, required, clock, values)


def _date(name: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.DATE, required, clock)


def _instant(name: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.INSTANT, required, clock)


def _number(name: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.NUMBER, required, clock)


def _whole(name: str, *, clock: str = "row") -> Column:
    return Column(name, Type.WHOLE, clock=clock)


def _yes_no(name: str, *, default: str | None = None) -> Column:
    return Column(name, Type.YES_NO, default=default)


KNOWN_AT = _instant("known_at")
"""Every table may carry it; where a source does not, it is derived from the table's `known` columns."""

CATEGORIES = (
    "bad_fit_customer_sold",
    "failed_onboarding",
    "low_adoption_after_onboarding",
    "missing_product_capability",
    "poor_stakeholder_ownership",
    "champion_left",
    "budget_eliminated",
    "competitive_displacement",
    "service_support_failure",
    "value_not_demonstrated",
    "company_closed_or_merged",
)
"""The churn taxonomy (serving/taxonomy.toml says what each means and who owns the answer)."""

_TABLES = (
    TableSchema(
        "accounts",
        "One row per account: the level that holds the contract.",
        key=("account_id",),
        happened="created_at",
        known=("created_at",),
        columns=(
            _text("account_id", required=True),
            _text("name"),
            _text("segment", clock="today"),
            _text("industry"),
            _text("region"),
            _whole("employees", clock="today"),
            _text("parent_account_id"),
            _instant("created_at", required=True),
            _text("csm_owner", clock="today"),
            _text("sales_owner", clock="today"),
            _text("acquisition_channel"),
            _text("acquisition_campaign"),
            _number("acquisition_cost"),
            _number("icp_fit", clock="today"),
            Column("handoff_missing", Type.TEXTS),
            _whole("review_cadence_days"),
        ),
    ),
    TableSchema(
        "contracts",
        "One row per contract term or amendment; recurring ARR is the sum over active rows.",
        key=("contract_id",),
        happened=None,
        known=("signed_at", "starts_on"),
        known_at_start=("starts_on",),
        columns=(
            _text("contract_id", required=True),
            _text("account_id", required=True),
            _text("product"),
            _text("renews_contract_id"),
            _instant("signed_at"),
            _date("starts_on", required=True),
            _date("ends_on"),
            _number("arr", required=True),
            _text("currency"),
            _yes_no("is_recurring", default="TRUE"),
            _whole("seats"),
            _number("usage_limit"),
            _yes_no("auto_renew"),
            _whole("notice_days"),
            _date("notice_given_on", clock="dated"),
            _whole("payment_terms_days"),
            _text("plan"),
            _number("discount"),
            _date("cancelled_on", clock="effective"),
            _text("renewal_owner", clock="today"),
        ),
    ),
    TableSchema(
        "usage_events",
        "What people did in the product: one row per event or per ready-made sum of events.",
        key=("event_id",),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("event_id"),
            _text("account_id", required=True),
            _instant("happened_at", required=True),
            _text("user_id"),
            _text("team"),
            _text("feature"),
            Column(
                "kind",
                Type.TEXT,
                values=("use", "key", "admin", "integration", "workflow", "invite", "export"),
                default="'use'",
            ),
            Column("quantity", Type.NUMBER, default="1"),
            _whole("users"),
        ),
    ),
    TableSchema(
        "contacts",
        "People at the customer and the part they play.",
        key=("contact_id",),
        happened="joined_on",
        known=("joined_on",),
        columns=(
            _text("contact_id", required=True),
            _text("account_id", required=True),
            _text("role", values=("champion", "executive_sponsor", "admin", "user", "billing")),
            _date("joined_on", required=True),
            _date("left_on", clock="dated"),
        ),
    ),
    TableSchema(
        "touchpoints",
        "Meetings, mails, trainings and survey answers.",
        key=(),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("account_id", required=True),
            _instant("happened_at", required=True),
            _text("contact_id"),
            _text(
                "kind",
                required=True,
                values=(
                    "meeting",
                    "executive_meeting",
                    "business_review",
                    "renewal_meeting",
                    "email_in",
                    "email_out",
                    "no_show",
                    "training",
                    "nps",
                    "csat",
                ),
            ),
            _number("value"),
            _text("topic"),
        ),
    ),
    TableSchema(
        "tickets",
        "Support tickets; severity 1 is the worst.",
        key=("ticket_id",),
        happened="opened_at",
        known=("opened_at",),
        columns=(
            _text("ticket_id", required=True),
            _text("account_id", required=True),
            _instant("opened_at", required=True),
            _instant("closed_at", clock="dated"),
            _whole("severity"),
            _text("kind", values=("bug", "question", "feature_gap", "premium_capability", "outage")),
            _instant("first_response_at", clock="dated"),
            _instant("reopened_at", clock="dated"),
            _number("csat", clock="closed_at"),
            _instant("escalated_at", clock="dated"),
        ),
    ),
    TableSchema(
        "milestones",
        "Onboarding milestones; the plan (due_on) is known with the row.",
        key=("account_id", "milestone"),
        happened=None,
        known=("known_at",),
        columns=(
            _text("account_id", required=True),
            _text("milestone", required=True),
            _date("due_on"),
            _date("completed_on", clock="dated"),
            _yes_no("is_activation"),
        ),
    ),
    TableSchema(
        "invoices",
        "What was billed and when it was paid.",
        key=("invoice_id",),
        happened="issued_on",
        known=("issued_on",),
        columns=(
            _text("invoice_id", required=True),
            _text("account_id", required=True),
            _date("issued_on", required=True),
            _date("due_on"),
            _date("paid_on", clock="dated"),
            _number("amount"),
            _text("currency"),
        ),
    ),
    TableSchema(
        "signals",
        "What happened at the customer: hiring, cuts, mergers, competitors.",
        key=(),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("account_id", required=True),
            _instant("happened_at", required=True),
            _text(
                "kind",
                required=True,
                values=(
                    "hiring_related",
                    "new_department",
                    "new_initiative",
                    "broader_need",
                    "competitor_mention",
                    "budget_cut",
                    "layoffs",
                    "merger",
                    "closure",
                ),
            ),
            _number("value"),
            _text("note"),
        ),
    ),
    TableSchema(
        "outcomes",
        "What became of an account, as recorded by people; read by outcomes and reports, never by features.",
        key=(),
        happened="happened_on",
        known=("happened_on",),
        columns=(
            _text("account_id", required=True),
            _date("happened_on", required=True),
            _text("outcome", required=True, values=("churned", "contracted", "flat", "expanded")),
            _text("reason", values=(*CATEGORIES, "non_payment", "unknown")),
            _text("note"),
        ),
    ),
    TableSchema(
        "fx_rates",
        "Value of one unit of a currency in the reporting currency, by month.",
        key=("currency", "month"),
        happened=None,
        known=("month",),
        known_at_start=("month",),
        columns=(
            _text("currency", required=True),
            _date("month", required=True),
            _number("rate", required=True),
        ),
    ),
)

SCHEMAS: dict[str, TableSchema] = {table.name: table for table in _TABLES}
"""Every canonical table by name, in the order of the data contract."""
