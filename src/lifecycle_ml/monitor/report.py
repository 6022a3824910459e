"""The report a person looks at: our verdict in words, and Evidently's pictures of what is behind it."""

from __future__ import annotations

import json
import os
import warnings
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lifecycle_ml.monitor.drift import FeatureDrift, Snapshots, age_weights
from lifecycle_ml.monitor.observe import RISK, Observation
from lifecycle_ml.monitor.sentences import money, percent
from lifecycle_ml.monitor.verdict import Verdict

MOST_FEATURES = 30
"""Features drawn, those leaned on most; each costs a tenth of a second and some 15 kB."""
MOST_ROWS = 5_000
"""Rows drawn from either side; more do not change a histogram."""
METHOD = "PSI against chance at this size and what dates differ by"


def render(verdict: Verdict, seen: Observation, folder: Path) -> tuple[Path, Path]:
    """Write `drift.html` and `drift.json` into `folder` and return their paths.

    The page needs no network. Evidently draws the features the model leans on most and the risk; whether one
    has drifted is our own test's word, shown in its place. Where nothing can be compared (no reference, or
    a feed is gone) the page is the verdict alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [item.feature for item in seen.drifts[:MOST_FEATURES]]
    drawn: dict[str, Any] | None = None
    head = "<!DOCTYPE html>\n<html lang='en'><head><meta charset='UTF-8'></head>"
    page = f"{head}<body>{_words(verdict)}</body></html>"
    if names and len(seen.reference) and len(seen.current):
        frame, drawn = _draw(seen, names)
        page = frame.replace("<body>", f"<body>{_words(verdict)}", 1)
    page = page.replace("</head>", f"<title>Monitoring as of {verdict.as_of}</title>{_STYLE}</head>", 1)
    document = verdict.to_json() | {"evidently": drawn}
    written = json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"
    return _write(folder / "drift.html", page), _write(folder / "drift.json", written)


def _draw(seen: Observation, names: list[str]) -> tuple[str, dict[str, Any]]:
    """Return Evidently's page and its document of the named features and the risk."""
    # Asked by what Evidently reports its use with; our product phones nobody.
    os.environ.setdefault("ITERATIVE_DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        # Its own deprecated calls are no news to whoever reads a drift report.
        warnings.simplefilter("ignore")
        return _drawn(seen, names)


def _drawn(seen: Observation, names: list[str]) -> tuple[str, dict[str, Any]]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.legacy.calculations.stattests import register_stattest
    from evidently.legacy.calculations.stattests.registry import StatTest
    from evidently.legacy.core import ColumnType
    from evidently.metrics import ValueDrift

    bundle = seen.bundle
    current = seen.current.matrix[names].assign(**{RISK: seen.scored[RISK].to_numpy()}).head(MOST_ROWS)
    weighted = _weighted(seen.reference, seen.current)
    reference = weighted[names].assign(**{RISK: bundle.score(weighted)[RISK].to_numpy()})
    shown = [name for name in (RISK, *names) if reference[name].notna().any() and current[name].notna().any()]
    told: dict[str, FeatureDrift] = {item.feature: item for item in seen.drifts}
    if seen.score_drift is not None:
        told[RISK] = seen.score_drift

    def ours(then: pd.Series, now: pd.Series, _kind: Any, _threshold: float) -> tuple[float, bool]:
        del then
        item = told[str(now.name)]
        return item.psi, item.drifted

    test = StatTest(
        name="size_aware_psi",
        display_name=METHOD,
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
    )
    register_stattest(test, ours)
    numbers = [name for name in shown if pd.api.types.is_numeric_dtype(reference[name].dtype)]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in shown if name not in numbers]
    )
    report = Report([ValueDrift(column=name, method="size_aware_psi") for name in shown])
    snapshot = report.run(
        Dataset.from_pandas(current[shown], data_definition=definition),
        Dataset.from_pandas(reference[shown], data_definition=definition),
    )
    for result in snapshot.metric_results.values():
        for widget in result.get_widgets():
            # Its first picture draws values in the order of the accounts' names, which says nothing.
            widget.tabs = [tab for tab in widget.tabs if tab.title != "DATA DRIFT"]
            for tab in widget.tabs:
                _show_percent(tab.widget.params)
    return snapshot.get_html_str(as_iframe=False), json.loads(snapshot.json())


def _show_percent(figure: dict[str, Any]) -> None:
    """Open a histogram on its percentages: there are many more snapshots than accounts today."""
    menus = figure.get("layout", {}).get("updatemenus", [])
    choice = next((button for menu in menus for button in menu["buttons"] if button["label"] == "perc"), None)
    if choice is None:
        return
    changes = choice["args"][0]
    for bars, visible in zip(figure["data"], changes["visible"], strict=True):
        bars["visible"] = visible
    figure["layout"]["yaxis"] = {**figure["layout"].get("yaxis", {}), "title": {"text": "Percent"}}
    menus[0]["active"] = menus[0]["buttons"].index(choice)


def _weighted(reference: Snapshots, current: Snapshots) -> pd.DataFrame:
    """Draw reference rows with the ages of today's book, so that the picture shows what was tested."""
    weights = age_weights(reference.age_days, current.age_days)
    rows = np.random.default_rng(0).choice(
        len(reference), min(len(reference), MOST_ROWS), p=weights / weights.sum()
    )
    return reference.matrix.iloc[np.sort(rows)].reset_index(drop=True)


def _words(verdict: Verdict) -> str:
    """Return the verdict as HTML: what, how many, whose, by when, what next; then what it rests on."""
    facts = [
        ("As of", f"{verdict.as_of}"),
        ("Truth known for snapshots through", f"{verdict.truth_known_through}"),
    ]
    if verdict.owner_role is not None:
        facts += [("Owner", verdict.owner_role.replace("_", " ")), ("Due", f"{verdict.due_on}")]
        facts.append(("Accounts concerned", f"{verdict.accounts:,}"))
        if verdict.arr is not None:
            facts.append(("ARR concerned", money(verdict.arr)))
        if verdict.account_ids:
            facts.append(("The largest", ", ".join(verdict.account_ids)))
    model = verdict.details["model"]
    served = f"{model['name']} {model['version'] or ''} ({model['tier']}), trained on data through "
    facts.append(("What serves", f"{served}{model['trained_through']}"))
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    weighing = [item for item in verdict.evidence if item.weighs]
    other = [item for item in verdict.evidence if not item.weighs]
    return (
        f"<main class='verdict'><h1>Verdict: {escape(verdict.word)}</h1>"
        f"<p class='says'>{escape(verdict.says)}</p>"
        f"<p><b>What to do next.</b> {escape(verdict.do)}</p><dl>{told}</dl>"
        f"{_listed('What it rests on', weighing)}{_listed('What else was seen', other)}"
        f"{_table(verdict)}</main>"
    )


def _listed(title: str, items: list[Any]) -> str:
    if not items:
        return ""
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(item.says)}</li>' for item in items)}</ul>"


def _table(verdict: Verdict) -> str:
    """Return the features as a table; the pictures below are in the same order."""
    rows = verdict.details["features"][:MOST_FEATURES]
    if not rows:
        return ""
    body = "".join(
        f"<tr{' class=moved' if row['drifted'] else ''}><td>{escape(row['feature'])}</td>"
        f"<td>{percent(row['lean'])}</td><td>{row['psi']:.3f}</td><td>{_number(row['chance'])}</td>"
        f"<td>{_number(row['usual'])}</td><td>{_drifted(row)}</td></tr>"
        for row in rows
    )
    heads = (
        ("Feature", ""),
        ("Lean", "its part of what the model leans on"),
        ("PSI", "difference between today's accounts and the training snapshots of the same age"),
        ("By chance", "what PSI stays below by chance at these sizes"),
        ("Between dates", "what a single reference date differs from the others: season"),
        ("Drifted", ""),
    )
    head = "".join(f'<th title="{escape(tip)}">{name}</th>' for name, tip in heads)
    return (
        "<h2>Features the model leans on, and how they moved</h2><table><thead><tr>"
        f"{head}</tr></thead><tbody>{body}</tbody></table>"
        "<p>Below: the risk, then each feature; reference rows are drawn with the ages of today's accounts. "
        "&ldquo;Drift score&rdquo; is the PSI of this table, and whether it counts as drift is this table's "
        "word.</p>"
    )


def _drifted(row: dict[str, Any]) -> str:
    return "yes" if row["drifted"] else "no" if row["tested"] else "not tested: hardly leaned on"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _write(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path


_STYLE = """<style>
.verdict { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 1.5rem auto; padding: 0 1rem; }
.verdict { color: #1a1a1a; background: #fff; }
.verdict h1 { font-size: 1.6rem; margin: 0; } .verdict h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; }
.verdict .says { font-size: 1.1rem; }
.verdict dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
.verdict dt { color: #555; } .verdict dd { margin: 0; }
.verdict table { border-collapse: collapse; font-size: .9rem; }
.verdict th, .verdict td { text-align: right; padding: .15rem .8rem; }
.verdict th:first-child, .verdict td:first-child { text-align: left; }
.verdict tbody tr { border-top: 1px solid #ddd; }
.verdict .moved { background: #fff3cd; }
</style>"""
