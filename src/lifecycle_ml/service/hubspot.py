"""The definition of a HubSpot workflow action that asks this service about a company.

HubSpot sends a payload of its own and cannot be told to send a header, but it runs two small functions around
the call: the first makes of it POST /v1/score with the key, the second takes from the answer what a workflow
can use. The definition goes to HubSpot's API for workflow actions as it is.
"""

from __future__ import annotations

from typing import Any, Final

KEY_GOES_HERE: Final = "THE-READ-KEY-GOES-HERE"
OUTPUTS: Final = {
    "lifecycle_status": ("Status", "string"),
    "lifecycle_as_of": ("As of", "string"),
    "lifecycle_health": ("Health", "string"),
    "lifecycle_reason": ("Reason", "string"),
    "lifecycle_evidence": ("Evidence", "string"),
    "lifecycle_arr_at_risk": ("ARR at risk", "number"),
    "lifecycle_next_action": ("Next action", "string"),
    "lifecycle_escalation": ("Escalation", "string"),
}
"""What a workflow gets: label and type by name."""

_ASK = """exports.main = (event, callback) => {
  callback({
    webhookUrl: "%s/v1/score",
    httpMethod: "POST",
    httpHeaders: { "X-API-Key": "%s" },
    contentType: "application/json",
    accept: "application/json",
    body: JSON.stringify({ account_ids: [event.inputFields.account_id] })
  });
};
"""
_TAKE = """exports.main = (event, callback) => {
  const result = JSON.parse(event.responseBody).results[0];
  const account = result.account;
  const reason = account && account.reasons[0];
  const evidence = reason && reason.evidence[0];
  callback({
    outputFields: {
      lifecycle_status: result.status,
      lifecycle_as_of: account ? account.as_of : "",
      lifecycle_health: account ? account.health.color : "",
      lifecycle_reason: reason ? reason.label : "",
      lifecycle_evidence: evidence ? evidence.says : "",
      lifecycle_arr_at_risk: account ? account.health.arr_at_risk : null,
      lifecycle_next_action: (account && account.scorecard.next_action) || "",
      lifecycle_escalation: account ? account.scorecard.escalation_status : ""
    }
  });
};
"""


def hubspot_action(server: str) -> dict[str, Any]:
    """Return the definition, for the service at `server`; the key is filled in by who sends it."""
    return {
        "actionUrl": f"{server}/v1/score",
        "objectTypes": ["COMPANY"],
        "published": False,
        "inputFields": [
            {
                "typeDefinition": {"name": "account_id", "type": "string", "fieldType": "text"},
                "supportedValueTypes": ["OBJECT_PROPERTY", "STATIC_VALUE"],
                "isRequired": True,
            }
        ],
        "outputFields": [
            {
                "typeDefinition": {
                    "name": name,
                    "type": kind,
                    "fieldType": "number" if kind == "number" else "text",
                }
            }
            for name, (_, kind) in OUTPUTS.items()
        ],
        "labels": {
            "en": {
                "actionName": "Ask for the account's health",
                "actionDescription": "Health, why, and what to do next about a company, as of last night.",
                "appDisplayName": "Lifecycle",
                "actionCardContent": "Ask for the health of {{account_id}}",
                "inputFieldLabels": {"account_id": "Account id"},
                "inputFieldDescriptions": {"account_id": "The id the lifecycle sources have for it."},
                "outputFieldLabels": {name: label for name, (label, _) in OUTPUTS.items()},
            }
        },
        "functions": [
            {"functionType": "PRE_ACTION_EXECUTION", "functionSource": _ASK % (server, KEY_GOES_HERE)},
            {"functionType": "POST_ACTION_EXECUTION", "functionSource": _TAKE},
        ],
    }
