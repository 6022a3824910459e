"""Do the intervals of the NRR and GRR forecast hold, and is it nearer than the same quarter of last year?

    python -m benchmarks.revenue_forecast --seeds 20 --out out/revenue_forecast.jsonl
    python -m benchmarks.revenue_forecast --cost

Per company (2,000 accounts, three years) every quarter of its past is forecast again from what was known
then, twice: from rates of the past alone, and with the account models, trained at rolling cut-offs on
snapshots at the first of each month and asked on the day of the forecast. One JSON line per seed is written
as it is done; a stopped run goes on where it ended. Intervals come from drawing companies.

`--cost` measures the reports in processor time against one DuckDB scan of the tables they read, on 20,000
accounts and five years: ten copies of a company of 2,000.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import STANDARD
from benchmarks.result_lines import companies_parser, run_companies

from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.tiers import sufficiency
from lifecycle_ml.outcomes.labels import label_rolling
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.promotion.backtest import MODEL, backtest
from lifecycle_ml.promotion.training import inputs_of
from lifecycle_ml.revenue.books import Books, read_books
from lifecycle_ml.revenue.churn_reasons import control_chart, recorded_counts
from lifecycle_ml.revenue.finance import notice_dates, payment_risk
from lifecycle_ml.revenue.forecast_backtest import Forecasts, forecast_with_past
from lifecycle_ml.revenue.known import known_tables
from lifecycle_ml.revenue.leakage import leakage
from lifecycle_ml.revenue.outlook import Outlook, outlook_of
from lifecycle_ml.simulate.company import Company, simulate_company
from lifecycle_ml.tables.source import Tables, tables_from_frames

FIRST_SEED = 11_001
"""Seeds from here on were used for nothing else."""
FIGURES = ("nrr", "grr")
COPIES, YEARS, ROUNDS = 10, 5, 3


def monthly_predictions(
    company: Company, tables: Tables, threads: int
) -> tuple[tuple[int, ...], pd.DataFrame]:
    """Return the horizons, and what models trained at rolling cut-offs said on the first of each month.

    Calibrated with earlier cut-offs only: account_id, as_of and a probability per horizon (p0, p1, ...).
    """
    recipe = load_recipe(STANDARD, "churn")
    through = company.first + timedelta(days=company.days)
    warm = company.first + timedelta(days=recipe.snapshots.warmup_days)
    dates = [day.date() for day in pd.date_range(warm, through, freq="MS")]
    spine = customers(tables, dates).sort_values(["account_id", "as_of"], ignore_index=True)
    labels = label_rolling(tables, spine, recipe, through)
    labels.insert(2, "known_at", spine["known_at"].to_numpy())
    labels = labels[(labels["arr"] > 0) & ~labels["too_late"]].reset_index(drop=True)
    features = load_features(STANDARD).available(tables)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    churned = labels.loc[labels["churned_on"].notna(), "account_id"].nunique()
    tried = backtest(
        matrix,
        labels,
        inputs_of(features, recipe),
        recipe,
        through,
        sufficiency(churned, company.days, recipe),
        seed=0,
        num_threads=threads,
        progress=lambda *_: None,
    )
    horizons = tuple(recipe.label.horizons_days)
    if tried is None or MODEL not in tried.probabilities:
        return horizons, pd.DataFrame(columns=["account_id", "as_of"])
    said = tried.rows[["account_id", "as_of"]].reset_index(drop=True)
    chances = tried.probabilities[MODEL]
    return horizons, said.assign(**{f"p{at}": chances[:, at] for at in range(len(horizons))})


def asked(horizons: tuple[int, ...], said: pd.DataFrame) -> Callable[[date, Books], Outlook | None]:
    """Return what answers for a day: the predictions of that day, None where there are none."""

    def ask(day: date, _books: Books) -> Outlook | None:
        rows = said[said["as_of"] == pd.Timestamp(day)]
        if rows.empty:
            return None
        chances = rows[[f"p{at}" for at in range(len(horizons))]].to_numpy(dtype=float)
        return outlook_of(f"account models of {day}", rows["account_id"].to_numpy(), horizons, chances)

    return ask


def run_company(seed: int, accounts: int, threads: int, *, modelled: bool) -> dict[str, Any]:
    """Return one company's line: every past forecast that came true, from rates alone and with models."""
    began = time.process_time()
    company = simulate_company(seed, accounts)
    tables = tables_from_frames(company.tables)
    through = company.first + timedelta(days=company.days)
    label = load_recipe(STANDARD, "churn").label
    arms: dict[str, Callable[[date, Books], Outlook | None] | None] = {"rates": None}
    made = time.process_time()
    if modelled:
        arms["models"] = asked(*monthly_predictions(company, tables, threads))
    taught = time.process_time()
    found = {
        name: pairs_of(forecast_with_past(tables, through, label.grace_days, label.arrival_lag_days, ask))
        for name, ask in arms.items()
    }
    return {
        "seed": seed,
        "accounts": accounts,
        **found,
        "processor_seconds": {
            "company": round(made - began, 1),
            "models": round(taught - made, 1),
            "forecasts": round(time.process_time() - taught, 1),
        },
    }


def pairs_of(forecasts: Forecasts) -> list[dict[str, Any]]:
    """Return each past forecast as plain values: what was said, and what came of it."""
    kept = [
        f"{name}{end}" for name in FIGURES
        for end in ("", "_low", "_high", "_realised", "_last_year", "_chance", "_model", "_level")
    ]  # fmt: skip
    rows = []
    for row in forecasts.past.to_dict("records"):
        numbers = {name: None if pd.isna(row[name]) else round(float(row[name]), 6) for name in kept}
        by = "rates" if str(row["by"]).startswith("rates") else "models"
        rows.append(
            {"known_on": str(row["known_on"]), "month": row["month"], "quarter": row["quarter"], "by": by}
            | numbers
        )
    return rows


def summarise(lines: list[dict[str, Any]], draws: int = 2000) -> dict[str, Any]:
    """Return coverage and mean absolute errors by arm and figure, intervals from drawing companies.

    `models` counts only past forecasts for which models spoke, and `rates_there` the same forecasts made from
    rates alone. Nearer: among forecasts that have a last year to compare with.
    """
    rows = [
        {"seed": line["seed"], "arm": arm} | row
        for line in lines
        for arm in ("rates", "models")
        for row in line.get(arm, [])
    ]
    frame = pd.DataFrame(rows)
    keys = ["seed", "known_on", "month"]
    told = frame[(frame["arm"] == "models") & (frame["by"] == "models")]
    rates = frame[frame["arm"] == "rates"]
    arms = {"rates": rates}
    if len(told):
        arms |= {"models": told, "rates_there": rates.merge(told[keys], on=keys)}
    return {
        "companies": len(lines),
        **{arm: {name: _figures_of(part, name, draws) for name in FIGURES} for arm, part in arms.items()},
    }


def _figures_of(part: pd.DataFrame, name: str, draws: int) -> dict[str, Any]:
    told = part[part[f"{name}_low"].notna()]
    real = told[f"{name}_realised"]
    told = told.assign(
        inside=real.between(told[f"{name}_low"], told[f"{name}_high"]),
        width=told[f"{name}_high"] - told[f"{name}_low"],
        off=(told[name] - real).abs(),
        bias=told[name] - real,
    )
    beside = told[told[f"{name}_last_year"].notna()]
    beside = beside.assign(last_year=(beside[f"{name}_last_year"] - beside[f"{name}_realised"]).abs())
    beside = beside.assign(gain=beside["last_year"] - beside["off"])
    return {
        "forecasts": len(told),
        "inside": _drawn(told, "inside", draws),
        "inside_by_quarter": {
            int(q): round(float(x["inside"].mean()), 3) for q, x in told.groupby("quarter")
        },
        "width": _drawn(told, "width", draws),
        "absolute_error": _drawn(told, "off", draws),
        "bias": _drawn(told, "bias", draws),
        "beside_last_year": {
            "forecasts": len(beside),
            "absolute_error": _drawn(beside, "off", draws),
            "last_year": _drawn(beside, "last_year", draws),
            "gain": _drawn(beside, "gain", draws),
            "by_quarter": {
                int(q): [round(float(x["off"].mean()), 4), round(float(x["last_year"].mean()), 4)]
                for q, x in beside.groupby("quarter")
            },
        },
    }


def _drawn(rows: pd.DataFrame, column: str, draws: int) -> dict[str, float]:
    """Return a mean over forecasts with a 95% interval from drawing companies."""
    groups = rows.groupby("seed")[column].agg(["sum", "size"]).to_numpy(dtype=float)
    random = np.random.default_rng(0)
    drawn = groups[random.integers(0, len(groups), (draws, len(groups)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return {
        "value": round(float(rows[column].mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def cost(seed: int, accounts: int) -> dict[str, Any]:
    """Return processor seconds of each report and of one scan of the tables it reads, medians of ROUNDS."""
    company = simulate_company(seed, accounts, days=YEARS * 365 + 1)
    through = company.first + timedelta(days=company.days)
    tables = tables_from_frames(company.tables)
    for name in tables.names:
        multiply(tables.backend.con, name)
    label = load_recipe(STANDARD, "churn").label
    settle = (label.grace_days, label.arrival_lag_days)
    known = known_tables(tables, through)
    reports: dict[str, tuple[tuple[str, ...], Callable[[], object]]] = {
        "books": (("contracts", "accounts"), lambda: read_books(tables, through, *settle)),
        "forecast": (
            ("contracts", "accounts"),
            lambda: forecast_with_past(tables, through, *settle, origins=0),
        ),
        "forecast with its past": (
            ("contracts", "accounts"),
            lambda: forecast_with_past(tables, through, *settle),
        ),
        "leakage": (("contracts", "invoices", "usage_events"), lambda: leakage(known)),
        "notice and payment": (
            ("contracts", "invoices"),
            lambda: (notice_dates(known), payment_risk(known)),
        ),
        "recorded reasons": (("outcomes",), lambda: control_chart(recorded_counts(known)[0])),
    }
    con = tables.backend.con
    rows = {
        name: con.execute(f'SELECT count(*) FROM main."{name}"').fetchall()[0][0] for name in tables.names
    }
    found = {}
    for name, (read, report) in reports.items():
        spent = [(_spent(report), sum(_spent(_scan_of(con, one)) for one in read)) for _ in range(ROUNDS)]
        mine, scan = (float(np.median(column)) for column in zip(*spent, strict=True))
        found[name] = {"seconds": round(mine, 3), "scan": round(scan, 3), "times": round(mine / scan, 1)}
    return {"rows": rows, "reports": found}


def multiply(con: Any, name: str) -> None:
    """Let a table hold COPIES companies side by side, ids apart."""
    columns = [row[0] for row in con.execute(f'DESCRIBE main."{name}"').fetchall()]
    apart = {"account_id", "contract_id", "renews_contract_id", "invoice_id", "ticket_id", "contact_id"}
    shown = ", ".join(f"{each} || '-' || k AS {each}" if each in apart else each for each in columns)
    con.execute(f'CREATE TABLE main.copied AS SELECT {shown} FROM main."{name}", range({COPIES}) t(k)')
    con.execute(f'DROP TABLE main."{name}"')
    con.execute(f'ALTER TABLE main.copied RENAME TO "{name}"')


def _scan_of(con: Any, name: str) -> Callable[[], object]:
    """Return what reads every column of a table once, by account: the floor."""
    columns = [row[0] for row in con.execute(f'DESCRIBE main."{name}"').fetchall()]
    counts = ", ".join(f"count({each}), max({each})" for each in columns if each != "account_id")
    question = f'SELECT account_id, {counts} FROM main."{name}" GROUP BY account_id'
    return lambda: con.execute(question).fetchall()


def _spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Run the seeds that are missing in the file, then print the summary."""
    parser = companies_parser(__doc__, FIRST_SEED, Path("out/revenue_forecast.jsonl"))
    parser.add_argument("--rates-only", action="store_true", help="train no models")
    parser.add_argument("--cost", action="store_true", help="measure the reports instead")
    chosen = parser.parse_args()
    if chosen.cost:
        print(json.dumps(cost(chosen.first_seed, chosen.accounts), indent=1))
        return

    def run(seed: int) -> dict[str, Any]:
        return run_company(seed, chosen.accounts, chosen.threads, modelled=not chosen.rates_only)

    lines = run_companies(chosen, run, lambda line: str(line["processor_seconds"]))
    print(json.dumps(summarise(lines), indent=1))


if __name__ == "__main__":
    main()
