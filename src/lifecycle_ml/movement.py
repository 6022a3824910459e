"""Why an account's risk moved between two readings, worked out from the source when somebody asks.

A reading keeps its answer and not its row of the matrix. The row is built again, as known when the reading
was published (two clocks make that exact), and the published score proves whether it is the same row.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pandas as pd

from lifecycle_ml.errors import BundleError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import CONTEXT
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.promotion.training import folder_of
from lifecycle_ml.reasons.changes import Move, day_month, say_color, say_move, split_move, why_no_parts
from lifecycle_ml.reasons.taxonomy import DATA_GAP, load_taxonomy
from lifecycle_ml.tables.source import Tables, read_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.matrix.feature import FeatureSet
    from lifecycle_ml.reasons.changes import FeatureMove
    from lifecycle_ml.reasons.taxonomy import Taxonomy
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.between import Pair
    from lifecycle_ml.store.rows import Past
    from lifecycle_ml.workspace import Workspace

DIGITS = 9
"""Decimals of log-odds in the document: sums of hundreds of features stay far within 2e-5."""
LABELS = {CONTEXT: "Calendar, contract and what else is nobody's cause", DATA_GAP: "Gaps in the data"}
SILENT = 1e-9
"""Log-odds under which a feature is left out of the lists."""


class _NoPartsError(Exception):
    """Why a move cannot be split, in words for people."""


def explain_move(workspace: Workspace, settings: Settings, pair: Pair) -> dict[str, Any]:
    """Return why the risk moved between two readings: `says` for people, and parts that add up.

    The document has `account_id`, `from`, `to` (readings in short, with `reproduced`), `horizon_days`,
    `says`, `margin_change`, `parts` and `why_no_parts`. Where the move cannot be split (rules served, a
    bundle or a definition is gone) `parts` and `margin_change` are null and `why_no_parts` says why.
    Reads the source; writes nothing. Raises: UserError where source or workspace have a fault.
    """
    document = pair.to_json()
    before, after = (json.loads(each.body) for each in (pair.before, pair.after))
    move, why, taxonomy = None, None, None
    versions = tuple((each["model"]["churn"] or {}).get("version") for each in (before, after))
    try:
        bundles = [_bundle(settings, each) for each in (before, after)]
        move, taxonomy = _split(workspace, settings, pair, *bundles)
    except _NoPartsError as error:
        why = str(error)
    churn = (before["churn"], after["churn"])
    probabilities = (churn[0]["probability"], churn[1]["probability"])
    turned = say_color((before["health"]["color"], after["health"]["color"]), probabilities)
    said = say_move(
        move,
        probabilities,
        (churn[0]["band"], churn[1]["band"]),
        pair.before.publication.as_of,
        pair.after.publication.as_of,
        (versions[0], versions[1]),
    )
    document |= {
        "horizon_days": churn[1]["horizon_days"],
        "says": said if turned is None else [*said, turned],
        "margin_change": None,
        "parts": None,
        "why_no_parts": why,
    }
    if move is not None and taxonomy is not None:
        document["from"]["reproduced"], document["to"]["reproduced"] = move.reproduced
        document["margin_change"] = round(move.change, DIGITS)
        document["parts"] = _parts(move, taxonomy)
    return document


def _bundle(settings: Settings, reading: Mapping[str, Any]) -> Bundle:
    day, model = day_month(_day(reading["as_of"])), reading["model"]["churn"]
    if reading["churn"]["source"] == "rules":
        raise _NoPartsError(f"Rules served the reading of {day}: it has a band and no probability to split.")
    if model is None or model["digest"] is None:
        raise _NoPartsError(f"The reading of {day} does not say which model gave it.")
    digest = model["digest"]
    if not folder_of(settings, digest).is_dir():
        raise _NoPartsError(
            f"The model that gave the reading of {day} ({digest[:19]}) is no longer in the bundles folder, "
            "so its score cannot be taken apart."
        )
    try:
        return replace(Bundle.load(folder_of(settings, digest), digest), version=model["version"] or "")
    except (BundleError, OSError) as error:
        raise _NoPartsError(
            f"The model that gave the reading of {day} can no longer be read, so its score cannot be taken "
            f"apart: {error}"
        ) from error


def _split(
    workspace: Workspace, settings: Settings, pair: Pair, earlier: Bundle, later: Bundle
) -> tuple[Move, Taxonomy]:
    if (objection := why_no_parts(earlier, later)) is not None:
        raise _NoPartsError(objection)
    tables = read_tables(workspace, settings)
    every = load_features(workspace)
    there = every.available(tables)
    needed = dict.fromkeys((*earlier.features, *later.features))
    gone = [name for name in needed if name not in there]
    if gone:
        shown = ", ".join(gone[:5]) + (", …" if len(gone) > 5 else "")
        raise _NoPartsError(
            f"{len(gone)} of {len(needed)} features of the models are no longer defined, or their tables are "
            f"gone: {shown}. Bring them back to see why the risk moved."
        )
    chosen = there.select(needed)
    horizon = later.headline
    published = (_margin_of(pair.before, horizon), _margin_of(pair.after, horizon))
    rows = rows_of(tables, chosen, pair)
    move = split_move(earlier, later, rows, chosen, pair.before.publication.as_of, published)
    return move, load_taxonomy(workspace, every.names)


def rows_of(tables: Tables, features: FeatureSet, pair: Pair) -> pd.DataFrame:
    """Build the three rows a move is measured on.

    Grain: the earlier reading as known when it was published; the same date as known when the later one was;
    the later reading. What was only planned since (a contract signed, a milestone set) is no late row: it is
    left out of the second one, and so a change of the account.
    """
    first, last = pair.before.publication, pair.after.publication
    spine = pd.DataFrame(
        {
            "account_id": pair.account_id,
            "as_of": pd.to_datetime([first.as_of, last.as_of]),
            "known_at": pd.to_datetime([first.known_at, last.known_at]),
        }
    )
    read = build_matrix(tables, features, spine)
    known = max(first.known_at, last.known_at)
    again = spine.iloc[[0]].assign(known_at=pd.Timestamp(known))
    midnight = datetime.combine(first.as_of, time())
    rebuilt = build_matrix(_without_plans_since(tables, midnight, first.known_at), features, again)
    return pd.concat([read.iloc[[0]], rebuilt, read.iloc[[1]]], ignore_index=True)


def _without_plans_since(tables: Tables, as_of: datetime, known_at: datetime) -> Tables:
    """Leave out plans that were made from `as_of` on and became known after `known_at`.

    A plan is seen from when it is known, before it begins. Known later, it would be seen on an earlier date
    on which nobody had made it: a contract signed since, a milestone set since.
    """
    connection, kept = tables.backend.con, {name: tables[name] for name in tables.names}
    for name, key, made in _PLANS:
        if name not in tables:
            continue
        # the version before one that is left out is the latest again
        connection.execute(
            f"CREATE OR REPLACE TABLE plans_{name} AS SELECT * REPLACE (CASE WHEN superseded_at IS NOT NULL "
            f"THEN lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at) END AS superseded_at) "
            f"FROM main.{name} WHERE NOT (known_at > ? AND {made} >= ?)",
            [known_at, as_of],
        )
        kept[name] = tables.backend.table(f"plans_{name}")
    return Tables.of(
        tables.backend,
        provided={name: tables.provided(name) for name in tables.names},
        versioned=frozenset(name for name in tables.names if tables.versioned(name)),
        findings=tables.findings,
        tables=kept,
    )


_PLANS = (
    ("contracts", "contract_id", "coalesce(signed_at, CAST(starts_on AS TIMESTAMP))"),
    ("milestones", "account_id, milestone", "known_at"),
)
"""Tables of plans: the key of a row, and when the plan was made."""


def _margin_of(past: Past, horizon: int) -> float:
    by_horizon = {each["days"]: each["probability"] for each in json.loads(past.body)["churn"]["by_horizon"]}
    if by_horizon.get(horizon) is None:
        day = day_month(past.publication.as_of)
        raise _NoPartsError(f"The reading of {day} has no probability for {horizon} days.")
    probability = by_horizon[horizon]
    return math.log(probability) - math.log1p(-probability)


def _parts(move: Move, taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "late_data": {"margin": round(move.late_data, DIGITS), "contributions": _listed(move.late)},
        "features": {
            "margin": round(move.features_margin, DIGITS),
            "by_category": [
                {
                    "category": name,
                    "label": LABELS.get(name) or taxonomy.label(name),
                    "margin": round(margin, DIGITS),
                }
                for name, margin in move.by_category.items()
            ],
            "contributions": _listed(move.features),
        },
        "model": {"margin": round(move.model, DIGITS)},
        "calibration": {"margin": round(move.calibration, DIGITS)},
        "rewritten": {"margin": round(move.rewritten, DIGITS)},
    }


def _listed(moves: tuple[FeatureMove, ...]) -> list[dict[str, Any]]:
    return [
        asdict(each) | {"margin": round(each.margin, DIGITS)} for each in moves if abs(each.margin) > SILENT
    ]


def _day(text: str) -> date:
    return date.fromisoformat(text)
