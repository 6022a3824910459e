"""The command that shows the books: revenue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

_FLOW = ("opening", "new", "reactivation", "expansion", "price", "contraction", "churn", "closing")
_AGES = (3, 6, 12, 24, 36)


def revenue(
    workspace: Workspace, settings: Settings, as_of: date, gross_margin: float, *, as_json: bool
) -> None:
    """Show ARR waterfall, NRR, GRR and logo churn of the last twelve whole months before `as_of`.

    `gross_margin` is the share of revenue that payback and LTV count.
    Raises: TableError where there are no contracts; ConfigError for a margin that is no share.
    """
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.revenue import acquisition, retention, waterfall
    from lifecycle_ml.revenue.books import NOT_RECORDED, read_books
    from lifecycle_ml.revenue.report import revenue_report
    from lifecycle_ml.tables.source import read_tables

    if not 0 < gross_margin <= 1:
        raise ConfigError(f"--gross-margin {gross_margin} is no share; write 0.8 for 80 of 100.")
    label = load_recipe(workspace, "churn").label
    tables = read_tables(workspace, settings)
    books = read_books(tables, as_of, label.grace_days, label.arrival_lag_days)
    reports = [revenue_report(tables, book, gross_margin) for book in books]
    formulas = {**waterfall.FORMULAS, **retention.FORMULAS, **acquisition.FORMULAS}
    if as_json:
        say_json(
            {
                "as_of": as_of.isoformat(),
                "grace_days": label.grace_days,
                "arrival_lag_days": label.arrival_lag_days,
                "gross_margin": gross_margin,
                "formulas": formulas,
                "assumptions": acquisition.ASSUMPTIONS,
                "books": reports,
            }
        )
        return
    for report in reports:
        _show(report, waterfall.FORMULAS, retention.FORMULAS, label.grace_days)
        told = [row for name in ("by_channel", "by_campaign") for row in report[name]]
        if any(row["cac"] is not None or row["group"] != NOT_RECORDED for row in told):
            _show_acquisition("channel", report["by_channel"])
            _show_acquisition("campaign", report["by_campaign"])
            for name, formula in acquisition.FORMULAS.items():
                say(f"  {name} = {formula}")
            say(f"  Gross margin: {gross_margin:.0%} (--gross-margin). {acquisition.ASSUMPTIONS}")


def _show(report: dict[str, Any], flow: dict[str, str], kept: dict[str, str], grace_days: int) -> None:
    if report["advice"]:
        say(report["advice"])
        say("")
    money = "" if report["currency"] is None else f", in {report['currency']}"
    if not report["waterfall"]:
        say(f"No contract had recurring revenue at the end of a month before {report['known_on']}{money}.")
        return
    show_table(
        f"ARR waterfall{money}, as known on {report['known_on']}",
        ["month", *("of it price" if name == "price" else name for name in _FLOW), "accounts"],
        [
            [row["month"], *(_money(row[name]) for name in _FLOW), f"{row['accounts_closing']:,}"]
            for row in report["waterfall"]
        ],
        right=["of it price", "accounts", *_FLOW],
        whole=["month"],
    )
    for name, formula in flow.items():
        say(f"  {name} = {formula}")
    _say_awaiting(report, grace_days)
    say("")
    _show_segments(report["waterfall_by_segment"])
    if not report["retention"]:
        say("NRR, GRR and logo churn compare with the books of 12 months before; they are not that old yet.")
        return
    _show_retention("Of the ARR of 12 months before", "month", report["retention"])
    _say_formulas(report["retention"][-1], kept)
    if len(report["retention_by_segment"]) > 1:
        month = report["retention_by_segment"][0]["month"]
        _show_retention(f"By segment, {month}", "group", report["retention_by_segment"])
    _show_cohorts(report["cohorts"])


def _show_segments(rows: list[dict[str, Any]]) -> None:
    """Sum up each segment over the months shown; nothing where there is only one."""
    months = sorted({row["month"] for row in rows})
    groups = sorted({row["group"] for row in rows})
    if len(groups) < 2:
        return
    summed = []
    for group in groups:
        of = [row for row in rows if row["group"] == group]
        # sums of whole cents as floats: rounded back, nothing is lost
        moved = {name: round(sum(row[name] for row in of), 2) for name in _FLOW}
        moved |= {"opening": of[0]["opening"], "closing": of[-1]["closing"]}
        summed.append([group, *(_money(moved[name]) for name in _FLOW), f"{of[-1]['accounts_closing']:,}"])
    show_table(
        f"By segment, {months[0]} to {months[-1]}",
        ["segment", *("of it price" if name == "price" else name for name in _FLOW), "accounts"],
        summed,
        right=["of it price", "accounts", *_FLOW],
    )


def _say_awaiting(report: dict[str, Any], grace_days: int) -> None:
    waiting = report["awaiting"]
    if waiting["accounts"]:
        who = "1 account has" if waiting["accounts"] == 1 else f"{waiting['accounts']:,} accounts have"
        say(
            f"{who} no contract at the end of {report['waterfall'][-1]['month']} but may still renew within "
            f"{grace_days} days: {_money(waiting['arr'])} of the closing ARR. If they do not, that is churn."
        )


def _show_retention(title: str, first: str, rows: list[dict[str, Any]]) -> None:
    figures = ["ARR then", "ARR now", "NRR", "GRR", "logo churn"]
    show_table(
        title,
        ["segment" if first == "group" else first, "accounts", *figures],
        [
            [
                row[first],
                f"{row['accounts']:,}",
                _money(row["arr_then"]),
                _money(row["arr_now"]),
                *(_share(row, name) for name in ("nrr", "grr", "logo_churn")),
            ]
            for row in rows
        ],
        right=["accounts", *figures],
        whole=["month"],
    )


def _say_formulas(row: dict[str, Any], formulas: dict[str, str]) -> None:
    """Write each formula with the numbers of the last month."""
    parts = {
        "NRR": (row["nrr"], _money(row["arr_now"]), _money(row["arr_then"])),
        "GRR": (row["grr"], _money(row["arr_kept"]), _money(row["arr_then"])),
        "logo churn": (row["logo_churn"], f"{row['lost']:,}", f"{row['accounts']:,}"),
    }
    for name, formula in formulas.items():
        value, above, below = parts[name]
        say(f"  {name} = {formula}; {row['month']}: {above} / {below} = {value:.1%}")
    for name in ("nrr", "grr"):
        if row[f"{name}_no_interval"]:
            say(f"  No interval of {name.upper()}, {row['month']}: {row[f'{name}_no_interval']}.")
    say("  In brackets: 95% intervals.")
    say("")


def _show_cohorts(rows: list[dict[str, Any]]) -> None:
    cells = {(row["group"], row["age"]): row for row in rows}
    ages = [age for age in _AGES if any(row["age"] == age for row in rows)]
    headed = [f"after {age} months" for age in ages]
    show_table(
        "NRR by quarter of signing: ARR so many months after an account's first month / ARR of that month",
        ["signed", "accounts", "ARR at signing", *headed],
        [
            [
                row["group"],
                f"{row['accounts']:,}",
                _money(row["arr_then"]),
                *(
                    _share(cells[row["group"], age], "nrr") if (row["group"], age) in cells else ""
                    for age in ages
                ),
            ]
            for row in rows
            if row["age"] == 0
        ],
        right=["accounts", "ARR at signing", *headed],
        whole=["signed"],
    )


def _show_acquisition(what: str, rows: list[dict[str, Any]]) -> None:
    figures = ["won", "with a cost", "CAC", "payback in months", "now", "losses a year", "LTV", "LTV / CAC"]
    show_table(
        f"By acquisition {what}",
        [what, *figures],
        [
            [
                row["group"],
                f"{row['accounts']:,}",
                f"{row['costed']:,}",
                _known(row["cac"], ",.0f"),
                _known(row["payback_months"], ".1f"),
                f"{row['accounts_now']:,}",
                _known(row["loss_rate"], ".1%") + f" ({row['losses']:,} lost)",
                _worth(row),
                _known(row["ltv_to_cac"], ".1f"),
            ]
            for row in rows
        ],
        right=figures,
    )


def _worth(row: dict[str, Any]) -> str:
    if row["ltv"] is None:
        return "too few losses" if row["accounts_now"] else "no account left"
    return f"{row['ltv']:,.0f} ({_known(row['ltv_low'], ',.0f')} to {_known(row['ltv_high'], ',.0f')})"


def _known(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _share(row: dict[str, Any], name: str) -> str:
    """Write a share with its interval, where it has one."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    ends = "" if low is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{row[name]:.1%}{ends}"
