"""docs/reference/scorecard.md, written from the fields a scored account has.

`python -m lifecycle_ml.store.reference > docs/reference/scorecard.md`
"""

from __future__ import annotations

from typing import Final

_STATES: Final = "`good`, `watch`, `poor`, `unknown`"
_BANDS: Final = "`low`, `medium`, `high`"

SCORECARD: Final[dict[str, tuple[str, str, str]]] = {
    "account_segment": ("text", "The account's segment, as of today.", "`accounts.segment`"),
    "contract_value": ("number", "ARR in force, in the book's currency.", "the feature `arr`"),
    "renewal_date": ("date", "End of the term in force; null for evergreen contracts.", "`days_to_renewal`"),
    "onboarding_status": (_STATES, "Whether onboarding milestones are overdue.", "`onboarding_milestones`"),
    "activation_status": ("`activated`, `not activated`", "Whether activation was achieved.", "`activated`"),
    "usage_trend": (
        "`improving`, `steady`, `declining`, `unknown`",
        "Where use against the account's own pattern is going.",
        "`usage_against_own_pattern`",
    ),
    "stakeholder_engagement": (_STATES, "How long ago somebody met us.", "`stakeholder_engagement`"),
    "support_risk": (_STATES, "Tickets for each seat.", "`support_severity_and_volume`"),
    "renewal_risk": (_BANDS, "The band of churn, where a renewal lies ahead; else null.", "`churn.band`"),
    "expansion_signal": (_BANDS, "The band of expansion; null where nothing answers.", "`expansion.band`"),
    "owner": ("text", "Who looks after the account.", "`accounts.csm_owner`"),
    "next_action": ("text", "Title of the unfinished action due first, as of now.", "the ledger"),
    "escalation_status": (
        "`none`, `on_track`, `overdue`, `escalated`",
        "The worst standing of the unfinished actions, as of now.",
        "the ledger",
    ),
}
"""Each field of the scorecard: its values, what it says, and what it comes from."""

_HEAD: Final = """# Scorecard

`scorecard` of a scored account: flat fields that a CRM can map one by one. Each is always present, and null
where it is not known. Inputs are those of [health inputs](health-inputs.md); the routes in [the API](api.md).
This page is written from the code (`python -m lifecycle_ml.store.reference > docs/reference/scorecard.md`).
"""


def describe_scorecard() -> str:
    """Return docs/reference/scorecard.md."""
    lines = [_HEAD, "| Field | Values | Says | From |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {values} | {says} | {source} |" for name, (values, says, source) in SCORECARD.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_scorecard())
