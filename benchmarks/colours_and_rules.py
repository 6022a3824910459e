"""At equal numbers of accounts: who catches more churn, the colours or the best rule?

    python -m benchmarks.colours_and_rules --seeds 5 --out out/colours_and_rules.jsonl

Per company (2,000 accounts, three years) a challenger is trained on what was known on the first day of the
last year. From then on every week's readings are coloured by the health state machine in full: facts, limits,
reasons and the way back. On every fourth week the accounts that are red, and those that are red or yellow,
are compared with as many that the best rule of that training ranks highest on the same date, by who left
within 90 days. Accounts that had given notice already are left out on both sides. Where the gate refuses the
model, that is said, and the colours of the rule that serves instead are compared as well. Third-party
workspaces give what the gate saw: the colours of risk alone on out-of-time cut-offs.
"""

from __future__ import annotations

import argparse
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import STANDARD
from benchmarks.result_lines import add_line, read_lines

from lifecycle_ml.health.scored import accounts_of
from lifecycle_ml.health.state import HealthState, next_states
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.rules import RuleModel
from lifecycle_ml.nightly import HISTORY_WEEKS
from lifecycle_ml.outcomes.labels import known_through, label_column
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import label, population, snapshots
from lifecycle_ml.promotion.challenger import Challenger, build_challenger, try_challenger
from lifecycle_ml.promotion.colours import rule_flags
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.promotion.training import inputs_of, segments_of
from lifecycle_ml.readings import score_accounts
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.rulebook import CHURN, load_rules
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import Tables, tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

FIRST_SEED = 9601
JUDGED_WEEKS = 4
"""Weeks from one date that is judged to the next."""
WHICH = ("red", "flagged")


def run_company(seed: int, accounts: int, years: int, threads: int) -> dict[str, Any]:
    """Return one company's line: what the gate said, and per candidate one row for each date."""
    company = simulate_company(seed, accounts, days=364 * years, truth_step_weeks=52)
    last = company.first + timedelta(days=company.days)
    tables, trained_on = tables_from_frames(company.tables), last - timedelta(days=364)
    challenger = _trained(tables, trained_on, threads)
    line: dict[str, Any] = {
        "name": f"simulated {seed}",
        "seed": seed,
        "years": years,
        "trained_on": trained_on.isoformat(),
        "refused_by": sorted({refusal.rule for refusal in challenger.refusals}),
        "colour_bar": None,
        "candidates": {},
    }
    if challenger.shown is not None and challenger.shown.colours is not None:
        line["colour_bar"] = challenger.shown.colours.to_json()
    rule = challenger.rules.model
    assert isinstance(rule, RuleModel)
    line["rule"] = rule.name
    candidates = {"model": challenger.bundle, "rule": challenger.rules}
    for name, bundle in candidates.items():
        if bundle is not None:
            line["candidates"][name] = _judged(tables, bundle, rule, trained_on, last)
    return line


def _trained(tables: Tables, as_of: date, threads: int) -> Challenger:
    recipe = load_recipe(STANDARD, CHURN)
    labels = snapshots(tables, recipe, as_of)
    features = load_features(STANDARD).available(tables)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    return build_challenger(
        matrix,
        labels,
        inputs_of(features, recipe),
        recipe,
        as_of,
        segments=segments_of(tables),
        as_of_today=features.as_of_today,
        grounds=load_grounds(STANDARD, tables),
        num_threads=threads,
    )


def _judged(
    tables: Tables, bundle: Bundle, rule: RuleModel, trained_on: date, last: date
) -> list[dict[str, float]]:
    """Colour every week from twelve before the training on, and judge every fourth from it on."""
    rules = load_rules(STANDARD, tables, {CHURN: bundle})
    recipe = rules.recipe
    newest = (pd.Timestamp(last) - known_through(recipe.label, recipe.label.headline_days)).date()
    weeks = (newest - trained_on).days // 7
    days = [trained_on + timedelta(weeks=week) for week in range(-HISTORY_WEEKS, weeks + 1)]
    spine = population(tables, recipe, days)
    matrix = build_matrix(tables, rules.features, spine)
    labels = label(tables, spine, recipe, last)
    states: dict[str, HealthState] = {}
    found = []
    for number, day in enumerate(days, -HISTORY_WEEKS):
        today = matrix[matrix["as_of"] == pd.Timestamp(day)].reset_index(drop=True)
        accounts = accounts_of(tables, day).assign(provisional=False)
        segments = accounts.set_index("account_id")["segment"]
        explained = explain(bundle, today, rules.features, rules.taxonomy, segments)
        scored = score_accounts(rules, accounts, today, explained, day)
        now = next_states(
            states,
            scored,
            rules.health,
            day,
            rules.actions.playbooks.recovers_when,
            rules.actions.playbooks.choose,
            bundle.base_rates[bundle.headline],
        )
        states |= now
        if number >= 0 and number % JUDGED_WEEKS == 0:
            colour = np.array([now[account].color for account in today["account_id"]])
            told = today[["account_id", "as_of"]].merge(labels, how="left", on=["account_id", "as_of"])
            found.append(_row(day, colour, rule.rule.score(today), told, bundle.headline))
    return found


def _row(
    day: date, colour: np.ndarray, score: np.ndarray, told: pd.DataFrame, horizon: int
) -> dict[str, Any]:
    """Count what the colours of one date caught, and what as many accounts named by the rule did."""
    left = told[label_column(horizon)].to_numpy(dtype=float)
    kept = ~np.isnan(left) & ~told["too_late"].to_numpy(dtype=bool)
    left, colour, score = left[kept], colour[kept], score[kept]
    lost = left * told["arr"].fillna(0.0).to_numpy(dtype=float)[kept]
    row: dict[str, Any] = {
        "as_of": day.isoformat(),
        "accounts": len(left),
        "left": float(left.sum()),
        "lost": float(lost.sum()),
    }
    for which, flagged in zip(WHICH, (colour == "red", colour != "green"), strict=True):
        named = rule_flags(score, np.zeros(len(score), dtype=np.intp), flagged)
        row[which] = {
            "accounts": int(flagged.sum()),
            "left": float(left @ flagged),
            "left_by_rule": float(left @ named),
            "lost": float(lost @ flagged),
            "lost_by_rule": float(lost @ named),
        }
    return row


def run_third_party(name: str, data: Path, threads: int) -> dict[str, Any]:
    """Return what the gate saw of the colours of a third-party workspace."""
    from benchmarks.third_party.companies import on_own_dates

    company = on_own_dates(name, data)
    trial = try_challenger(
        company.matrix,
        company.labels,
        company.inputs,
        company.recipe,
        company.data_through,
        segments=segments_of(company.tables),
        grounds=load_grounds(load_workspace(standard_root() / "examples" / name), company.tables),
        num_threads=threads,
    )
    return {
        "name": name,
        "tier": trial.tier.name,
        "refused_by": sorted({refusal.rule for refusal in trial.refusals}),
        "colour_bar": None if trial.shown.colours is None else trial.shown.colours.to_json(),
        "candidates": {},
    }


def summarise(lines: list[dict[str, Any]], draws: int = 4000) -> dict[str, Any]:
    """Return, per candidate, churn and ARR caught and the difference, per company and over all.

    Dates are drawn with replacement within each company, and for the figure over all companies too.
    """
    found: dict[str, Any] = {}
    for name in ("model", "rule", "served"):
        cells = {}
        for line in lines:
            serves = name if name != "served" else "rule" if line["refused_by"] else "model"
            if rows := line["candidates"].get(serves):
                cells[line["name"]] = rows
        if cells:
            found[name] = {company: _compared({company: rows}, draws) for company, rows in cells.items()} | {
                "all": _compared(cells, draws)
            }
    return found


def _compared(cells: dict[str, list[dict[str, Any]]], draws: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    companies = list(cells)
    weights = {name: np.zeros((draws, len(rows))) for name, rows in cells.items()}
    for draw in range(draws):
        for name in random.choice(companies, len(companies)):
            count = len(cells[name])
            weights[name][draw] += np.bincount(random.integers(0, count, count), minlength=count)

    def summed(which: str | None, key: str) -> tuple[float, np.ndarray]:
        values = {
            name: np.array([row[key] if which is None else row[which][key] for row in rows], dtype=float)
            for name, rows in cells.items()
        }
        drawn = sum(weights[name] @ values[name] for name in companies)
        return float(sum(each.sum() for each in values.values())), np.asarray(drawn)

    found: dict[str, Any] = {"dates": sum(map(len, cells.values())), "left": summed(None, "left")[0]}
    readings = summed(None, "accounts")[0]
    for which in WHICH:
        part: dict[str, Any] = {"share": summed(which, "accounts")[0] / readings}
        for key in ("left", "lost"):
            every, every_drawn = summed(None, key)
            ours, ours_drawn = summed(which, key)
            theirs, theirs_drawn = summed(which, f"{key}_by_rule")
            low, high = np.quantile((ours_drawn - theirs_drawn) / every_drawn, [0.025, 0.975])
            part[key] = {
                "colours": ours / every,
                "rule": theirs / every,
                "difference": (ours - theirs) / every,
                "low": float(low),
                "high": float(high),
            }
        found[which] = part
    return found


def main() -> None:
    """Run what is missing in the file, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--years", type=int, default=3, help="of data; the last of them is judged")
    parser.add_argument("--third-party", nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/colours_and_rules.jsonl"))
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["name"], line.get("years")) for line in read_lines(chosen.out)}
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        if (f"simulated {seed}", chosen.years) not in done:
            _write(chosen.out, run_company(seed, chosen.accounts, chosen.years, chosen.threads))
    for name in chosen.third_party:
        if (name, None) not in done:
            _write(chosen.out, run_third_party(name, chosen.data, chosen.threads))
    lines = [line for line in read_lines(chosen.out) if line.get("years") in (None, chosen.years)]
    print(json.dumps(summarise(lines), indent=1))


def _write(path: Path, line: dict[str, Any]) -> None:
    add_line(path, line)
    print(f"{line['name']}: refused by {line['refused_by']}", flush=True)


if __name__ == "__main__":
    main()
