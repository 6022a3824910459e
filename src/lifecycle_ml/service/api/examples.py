"""Examples shown in the API's documentation; the tests hold them against the types."""

from __future__ import annotations

from typing import Any

ACCOUNT: dict[str, Any] = {
    "account_id": "A-1042",
    "as_of": "2026-06-30",
    "scored_at": "2026-06-30T02:00:00Z",
    "stage": "adoption",
    "churn": {
        "probability": 0.41,
        "horizon_days": 90,
        "by_horizon": [
            {"days": 30, "probability": 0.15},
            {"days": 90, "probability": 0.41},
            {"days": 180, "probability": 0.57},
        ],
        "lift": 4.6,
        "band": "high",
        "source": "model",
        "tier": "full",
        "provisional": False,
    },
    "expansion": {
        "probability": 0.21,
        "horizon_days": 180,
        "by_horizon": [{"days": 180, "probability": 0.21}],
        "lift": 1.7,
        "band": "medium",
        "source": "model",
        "tier": "full",
        "provisional": False,
    },
    "health": {
        "color": "red",
        "since": "2026-06-12",
        "previous": "yellow",
        "arr_at_risk": 49200.0,
        "inputs": [
            {"name": "usage_against_own_pattern", "state": "poor", "value": 0.29, "trend": "declining"},
            {"name": "stakeholder_engagement", "state": "watch", "value": 2, "trend": "steady"},
            {"name": "support_severity_and_volume", "state": "good", "value": 0, "trend": "improving"},
            {"name": "onboarding_milestones", "state": "good", "value": 0, "trend": "unknown"},
            {"name": "business_reviews", "state": "watch", "value": 120, "trend": "declining"},
            {"name": "renewal_proximity", "state": "watch", "value": 153, "trend": "unknown"},
            {"name": "payment_issues", "state": "good", "value": 0, "trend": "steady"},
            {"name": "contract_utilisation", "state": "unknown", "value": None, "trend": "unknown"},
            {"name": "expansion_potential", "state": "watch", "value": 0, "trend": "steady"},
            {"name": "executive_sponsor", "state": "good", "value": 1, "trend": "steady"},
        ],
        "recovers_when": [
            {
                "criterion": "active users in the last 28 days at least 22",
                "now": 9,
                "needed": 22,
                "met": False,
            },
            {"criterion": "no severe ticket open", "now": 0, "needed": 0, "met": True},
        ],
        "what_would_help": [
            {
                "change": "Bring back users: 22 active users in 28 days instead of 9",
                "probability": 0.19,
                "step": "Run an enablement session for each of the two teams on their own data",
            }
        ],
        "override": None,
        "sentiment": None,
    },
    "reasons": [
        {
            "category": "low_adoption_after_onboarding",
            "label": "Low adoption after onboarding",
            "share": 0.46,
            "stability": 0.93,
            "owner_role": "csm",
            "evidence": [
                {
                    "feature": "active_users_28d",
                    "value": 9,
                    "usual": 31,
                    "unit": "users",
                    "contribution": 0.83,
                    "says": "9 active users in the last 28 days; usually 31",
                }
            ],
        }
    ],
    "in_favour": [{"says": "An executive sponsor is in place"}],
    "triggers": [
        {
            "trigger": "new_department_invited",
            "says": "2 teams use the product that did not in the 84 days before",
            "owner_role": "csm",
        }
    ],
    "actions": [
        {
            "action_id": "act_5f0c2a9be1d34c77",
            "playbook": "red.low_adoption_after_onboarding",
            "title": "Call the champion and agree a usage plan",
            "owner_role": "csm",
            "owner": "Maya Lindqvist",
            "due_at": "2026-07-02T02:00:00Z",
            "why": "9 active users in the last 28 days; usually 31",
            "escalates_to": "cs_lead",
            "escalates_at": "2026-07-04T02:00:00Z",
            "status": "open",
        }
    ],
    "scorecard": {
        "account_segment": "mid_market",
        "contract_value": 120000.0,
        "renewal_date": "2026-11-30",
        "onboarding_status": "completed",
        "activation_status": "activated",
        "usage_trend": "falling",
        "stakeholder_engagement": "watch",
        "support_risk": "low",
        "renewal_risk": "high",
        "expansion_signal": "new_department_invited",
        "owner": "Maya Lindqvist",
        "next_action": "Call the champion and agree a usage plan",
        "escalation_status": "on_track",
    },
    "model": {
        "churn": {
            "name": "churn",
            "version": "7",
            "digest": "sha256:9b1f6a5c0e7d4b32a8c6d1e0f4a3b2c19b1f6a5c0e7d4b32a8c6d1e0f4a3b2c1",
        },
        "expansion": {
            "name": "expansion",
            "version": "3",
            "digest": "sha256:4d1c0b7a9e8f6352d1c0b7a9e8f63524d1c0b7a9e8f6352d1c0b7a9e8f63524d",
        },
    },
    "receipt": "sha256:0c4e8a2b6d1f3579bace0246813579bdf0c4e8a2b6d1f3579bace0246813579b",
}

CALL: dict[str, Any] = {
    "request_id": "3f9c1e07a2b84d56",
    "budget": {"limit": 1_000, "remaining": 999, "resets_in": 60},
}
"""What an answer says of its call."""

ACCOUNT_ANSWER: dict[str, Any] = {
    **ACCOUNT,
    "stage": "onboarding",
    "onboarding_start": [
        {"criterion": "owner_assigned", "label": "Owner assigned", "met": True, "says": None},
        {
            "criterion": "kickoff_booked",
            "label": "Kickoff booked",
            "met": False,
            "says": "No kickoff has a date.",
        },
        {"criterion": "contract_signed", "label": "Signed contract known", "met": None, "says": None},
    ],
    **CALL,
}

SCORE_QUESTION: dict[str, Any] = {"account_ids": ["A-1042", "A-2077"], "as_of": "2026-06-30"}

WHAT_IF_QUESTION: dict[str, Any] = {
    "account_id": "A-1042",
    "changes": [{"feature": "active_users_28d", "value": 25, "unit": "users"}],
}

WHAT_IF: dict[str, Any] = {
    "account_id": "A-1042",
    "as_of": "2026-06-30",
    "scored_at": "2026-06-30T02:00:00Z",
    "publication_id": 41,
    "changes": [
        {
            "feature": "active_users_28d",
            "unit": "users",
            "before": 9,
            "after": 25,
            "common_from": 4,
            "common_to": 180,
        }
    ],
    "before": {
        "churn": ACCOUNT["churn"],
        "expansion": ACCOUNT["expansion"],
        "color": "red",
        "arr_at_risk": 49200.0,
        "reasons": ACCOUNT["reasons"],
        "in_favour": ACCOUNT["in_favour"],
    },
    "after": {
        "churn": {
            **ACCOUNT["churn"],
            "probability": 0.17,
            "by_horizon": [
                {"days": 30, "probability": 0.06},
                {"days": 90, "probability": 0.17},
                {"days": 180, "probability": 0.29},
            ],
            "lift": 1.9,
            "band": "medium",
        },
        "expansion": ACCOUNT["expansion"],
        "color": "yellow",
        "arr_at_risk": 20400.0,
        "reasons": [
            {
                "category": "unknown",
                "label": "No cause could be evidenced",
                "share": 0.38,
                "stability": 0.61,
                "owner_role": "csm",
                "evidence": [],
            }
        ],
        "in_favour": [
            {"says": "25 active users in the last 28 days"},
            {"says": "An executive sponsor is in place"},
        ],
    },
    "model": ACCOUNT["model"],
    "request_id": "3f9c1e07a2b84d56",
    "budget": {"limit": 1_000, "remaining": 999, "resets_in": 60},
}

CHANGED_ACTION: dict[str, Any] = {
    **ACCOUNT["actions"][0],
    "status": "done",
    "escalates_at": None,
    "account_id": "A-1042",
    "opened_at": "2026-06-30T02:00:00Z",
    "arr_kept_per_hour": 1250.0,
    **CALL,
}

KEPT_WORD: dict[str, Any] = {
    "account_id": "A-1042",
    "at": "2026-06-30T09:12:00Z",
    "kind": "override",
    "by": "Maya Lindqvist",
    "says": "set the account to yellow until 2026-08-15: The champion is on leave until August",
    "details": {
        "color": "yellow",
        "reason": "The champion is on leave until August",
        "until": "2026-08-15",
    },
    **CALL,
}

RENEWAL: dict[str, Any] = {
    "renewal_on": "2026-11-30",
    "notice_on": "2026-08-31",
    "auto_renew": True,
    "owner": "Ada Quist",
    "checkpoints": [
        {
            "checkpoint": 180,
            "falls_on": "2026-04-03",
            "state": "past",
            "done_on": "2026-04-14",
            "outcome": {"outcome": "renew", "by": "Ada Quist", "at": "2026-04-14T09:30:00Z"},
            "evidence": [
                {
                    "evidence": "stakeholder_map",
                    "label": "Stakeholder map confirmed",
                    "there": True,
                    "on": "2026-04-14",
                    "seen_in": "step",
                    "step": "confirm_stakeholders",
                }
            ],
        },
        {
            "checkpoint": 120,
            "falls_on": "2026-05-03",
            "state": "past",
            "done_on": None,
            "outcome": None,
            "evidence": [
                {
                    "evidence": "value_narrative",
                    "label": "Value narrative agreed with the champion",
                    "there": True,
                    "on": "2026-04-28",
                    "seen_in": "touchpoint",
                    "step": "value_narrative",
                }
            ],
        },
        {
            "checkpoint": 90,
            "falls_on": "2026-06-02",
            "state": "now",
            "done_on": None,
            "outcome": None,
            "evidence": [
                {
                    "evidence": "commercial_path",
                    "label": "Commercial path and its owner agreed",
                    "there": False,
                    "on": None,
                    "seen_in": None,
                    "step": "commercial_path",
                }
            ],
        },
        {
            "checkpoint": 60,
            "falls_on": "2026-07-02",
            "state": "ahead",
            "done_on": None,
            "outcome": None,
            "evidence": [
                {
                    "evidence": "plan",
                    "label": "Mitigation or expansion plan",
                    "there": None,
                    "on": None,
                    "seen_in": None,
                    "step": "decide_plan",
                }
            ],
        },
        {
            "checkpoint": 30,
            "falls_on": "2026-08-01",
            "state": "ahead",
            "done_on": None,
            "outcome": None,
            "evidence": [
                {
                    "evidence": "paperwork",
                    "label": "Paperwork with their legal and purchasing people",
                    "there": False,
                    "on": None,
                    "seen_in": None,
                    "step": "paperwork",
                }
            ],
        },
    ],
}

CHANGES: dict[str, Any] = {
    "account_id": "A-1042",
    "from": {
        "as_of": "2026-05-13",
        "scored_at": "2026-05-13T02:00:00Z",
        "publication_id": 34,
        "color": "yellow",
        "band": "medium",
        "probability": 0.19,
        "source": "model",
        "model": ACCOUNT["model"]["churn"],
        "reproduced": True,
        "receipt": "sha256:5b1f3579bace0246813579bdf0c4e8a20c4e8a2b6d1f3579bace0246813579b0",
    },
    "to": {
        "as_of": "2026-06-30",
        "scored_at": "2026-06-30T02:00:00Z",
        "publication_id": 41,
        "color": "red",
        "band": "high",
        "probability": 0.41,
        "source": "model",
        "model": ACCOUNT["model"]["churn"],
        "reproduced": True,
        "receipt": ACCOUNT["receipt"],
    },
    "horizon_days": 90,
    "says": [
        (
            "The risk rose from 19% to 41% since 13 May: 9 active users in the last 28 days, down from 22; "
            "1 severe ticket is open, up from none."
        )
    ],
    "margin_change": 1.086044798,
    "parts": {
        "late_data": {
            "margin": 0.04,
            "contributions": [
                {
                    "feature": "active_users_28d",
                    "category": "low_adoption_after_onboarding",
                    "unit": "users",
                    "before": 23,
                    "after": 22,
                    "margin": 0.04,
                    "says": "22 active users in the last 28 days, down from 23",
                }
            ],
        },
        "features": {
            "margin": 1.046044798,
            "by_category": [
                {
                    "category": "low_adoption_after_onboarding",
                    "label": "Low adoption after onboarding",
                    "margin": 0.72,
                },
                {
                    "category": "service_support_failure",
                    "label": "Service or support failed them",
                    "margin": 0.326044798,
                },
            ],
            "contributions": [
                {
                    "feature": "active_users_28d",
                    "category": "low_adoption_after_onboarding",
                    "unit": "users",
                    "before": 22,
                    "after": 9,
                    "margin": 0.72,
                    "says": "9 active users in the last 28 days, down from 22",
                },
                {
                    "feature": "open_severe_tickets",
                    "category": "service_support_failure",
                    "unit": "tickets",
                    "before": 0,
                    "after": 1,
                    "margin": 0.326044798,
                    "says": "1 severe ticket is open, up from none",
                },
            ],
        },
        "model": {"margin": 0.0},
        "calibration": {"margin": 0.0},
        "rewritten": {"margin": 0.0},
    },
    "why_no_parts": None,
    **CALL,
}

PROBLEM: dict[str, Any] = {
    "type": "/problems/invalid-request",
    "title": "The request is not valid",
    "status": 422,
    "detail": "1 thing is wrong with the request.",
    **CALL,
    "errors": [{"detail": "Input should be a valid string", "pointer": "/account_ids/3"}],
}
