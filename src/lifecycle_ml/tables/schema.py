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
    says: str = ""
    """What it holds, for people."""


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


def _text(
    name: str, says: str, *, required: bool = False, clock: str = "row", values: tuple[str, ...] = ()
) -> Column:
    return Column(name, Type.TEXT, required, clock, values, says=says)


def _date(name: str, says: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.DATE, required, clock, says=says)


def _instant(name: str, says: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.INSTANT, required, clock, says=says)


def _number(name: str, says: str, *, required: bool = False, clock: str = "row") -> Column:
    return Column(name, Type.NUMBER, required, clock, says=says)


def _whole(name: str, says: str, *, clock: str = "row") -> Column:
    return Column(name, Type.WHOLE, clock=clock, says=says)


def _yes_no(name: str, says: str, *, default: str | None = None) -> Column:
    return Column(name, Type.YES_NO, default=default, says=says)


KNOWN_AT = _instant("known_at", "when this version of the row could first have been known")
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
            _text("account_id", "the account's id in every table", required=True),
            _text("name", "what people call it"),
            _text("segment", "size or market segment, e.g. smb, enterprise", clock="today"),
            _text("industry", "branch"),
            _text("region", "country, state or sales region"),
            _whole("employees", "people working there", clock="today"),
            _text("parent_account_id", "the account above, whose contract covers this one"),
            _instant("created_at", "when it became an account", required=True),
            _text("csm_owner", "who looks after it", clock="today"),
            _text("sales_owner", "who sells to it", clock="today"),
            _text("acquisition_channel", "how it came: web, partner, outbound, …"),
            _text("acquisition_campaign", "the campaign it came by"),
            _number("acquisition_cost", "what winning it cost, in the reporting currency"),
            _number("icp_fit", "fit to the ideal customer profile, 0 to 1", clock="today"),
            Column("handoff_missing", Type.TEXTS, says="required fields sales left empty at hand-off"),
            _whole("review_cadence_days", "days between agreed business reviews"),
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
            _text("contract_id", "one term or amendment", required=True),
            _text("account_id", "who signed it", required=True),
            _text("product", "what was bought; overlapping rows of one product add up"),
            _text("renews_contract_id", "the contract this one continues"),
            _instant("signed_at", "when it was signed; known from then"),
            _date("starts_on", "first day in force", required=True),
            _date("ends_on", "first day no longer in force; empty: evergreen or monthly"),
            _number("arr", "annual recurring revenue, 0 or more", required=True),
            _text("currency", "ISO code; several need fx_rates"),
            _yes_no("is_recurring", "no for one-off services, pilots and trials", default="TRUE"),
            _whole("seats", "seats paid for"),
            _number("usage_limit", "contracted quantity of use per 28 days"),
            _yes_no("auto_renew", "renews unless notice is given"),
            _whole("notice_days", "days of notice before ends_on"),
            _date("notice_given_on", "when notice was given", clock="dated"),
            _whole("payment_terms_days", "days to pay an invoice"),
            _text("plan", "plan or tier"),
            _number("discount", "discount off list price, 0 to 1"),
            _date("cancelled_on", "first day without it, where it ended early", clock="effective"),
            _text("renewal_owner", "who is to renew it", clock="today"),
        ),
    ),
    TableSchema(
        "usage_events",
        "What people did in the product: one row per event or per ready-made sum of events.",
        key=("event_id",),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("event_id", "lets repeated deliveries be left out"),
            _text("account_id", "whose use it is", required=True),
            _instant("happened_at", "when, or the day of a sum", required=True),
            _text("user_id", "who; pseudonyms will do"),
            _text("team", "department or workspace of the user"),
            _text("feature", "part of the product"),
            Column(
                "kind",
                Type.TEXT,
                says="admin and export do not count as meaningful use",
                values=("use", "key", "admin", "integration", "workflow", "invite", "export"),
                default="'use'",
            ),
            Column("quantity", Type.NUMBER, says="events in this row; empty: 1", default="1"),
            _whole("users", "people behind a row that is already a sum"),
        ),
    ),
    TableSchema(
        "contacts",
        "People at the customer and the part they play.",
        key=("contact_id",),
        happened="joined_on",
        known=("joined_on",),
        columns=(
            _text("contact_id", "the person", required=True),
            _text("account_id", "where they work", required=True),
            _text(
                "role",
                "the part they play",
                values=("champion", "executive_sponsor", "admin", "user", "billing"),
            ),
            _date("joined_on", "since when", required=True),
            _date("left_on", "when they left the account or the role", clock="dated"),
        ),
    ),
    TableSchema(
        "touchpoints",
        "Meetings, mails, trainings and survey answers.",
        key=(),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("account_id", "with whom", required=True),
            _instant("happened_at", "when", required=True),
            _text("contact_id", "with which person"),
            _text(
                "kind",
                "what it was",
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
            _number("value", "answer of a survey: nps 0 to 10, csat 1 to 5"),
            _text("topic", "what it was about"),
        ),
    ),
    TableSchema(
        "tickets",
        "Support tickets; severity 1 is the worst.",
        key=("ticket_id",),
        happened="opened_at",
        known=("opened_at",),
        columns=(
            _text("ticket_id", "the ticket", required=True),
            _text("account_id", "who opened it", required=True),
            _instant("opened_at", "when it was opened", required=True),
            _instant("closed_at", "when it was closed", clock="dated"),
            _whole("severity", "1 (worst) to 4"),
            _text(
                "kind",
                "what it was about",
                values=("bug", "question", "feature_gap", "premium_capability", "outage"),
            ),
            _instant("first_response_at", "when somebody first answered", clock="dated"),
            _instant("reopened_at", "when it was last opened again", clock="dated"),
            _number("csat", "satisfaction with the answer, 1 to 5; known once closed", clock="closed_at"),
            _instant("escalated_at", "when it was escalated", clock="dated"),
        ),
    ),
    TableSchema(
        "milestones",
        "Onboarding milestones; the plan (due_on) is known with the row.",
        key=("account_id", "milestone"),
        happened=None,
        known=("known_at",),
        columns=(
            _text("account_id", "whose onboarding", required=True),
            _text("milestone", "its name, once per account", required=True),
            _date("due_on", "planned day"),
            _date("completed_on", "day it was reached", clock="dated"),
            _yes_no("is_activation", "whether reaching it counts as activation"),
        ),
    ),
    TableSchema(
        "invoices",
        "What was billed and when it was paid.",
        key=("invoice_id",),
        happened="issued_on",
        known=("issued_on",),
        columns=(
            _text("invoice_id", "the invoice", required=True),
            _text("account_id", "who is billed", required=True),
            _date("issued_on", "day of issue", required=True),
            _date("due_on", "day payment is due"),
            _date("paid_on", "day it was paid in full", clock="dated"),
            _number("amount", "amount billed"),
            _text("currency", "ISO code"),
        ),
    ),
    TableSchema(
        "signals",
        "What happened at the customer: hiring, cuts, mergers, competitors.",
        key=(),
        happened="happened_at",
        known=("happened_at",),
        columns=(
            _text("account_id", "about whom", required=True),
            _instant("happened_at", "when it happened or was noticed", required=True),
            _text(
                "kind",
                "what happened",
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
            _number("value", "a number that goes with it"),
            _text("note", "source or wording"),
        ),
    ),
    TableSchema(
        "outcomes",
        "What became of an account, as recorded by people; read by outcomes and reports, never by features.",
        key=(),
        happened="happened_on",
        known=("happened_on",),
        columns=(
            _text("account_id", "whose outcome", required=True),
            _date("happened_on", "day of the outcome", required=True),
            _text(
                "outcome",
                "what became of the account",
                required=True,
                values=("churned", "contracted", "flat", "expanded"),
            ),
            _text(
                "reason",
                "a category of the taxonomy, non_payment or unknown",
                values=(*CATEGORIES, "non_payment", "unknown"),
            ),
            _text("note", "what was said"),
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
            _text("currency", "ISO code", required=True),
            _date("month", "first day of the month", required=True),
            _number("rate", "value of one unit in the reporting currency", required=True),
        ),
    ),
)

SCHEMAS: dict[str, TableSchema] = {table.name: table for table in _TABLES}
"""Every canonical table by name, in the order of the data contract."""
