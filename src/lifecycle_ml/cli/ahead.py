"""Parts of the command revenue: the forecast, leakage, what finance plans with, and why accounts leave."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import say, say_json, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.forecast_backtest import Forecasts
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.source import Tables
    from lifecycle_ml.workspace import Workspace

_SHOWN = 15


def forecast(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show the forecast of NRR and GRR for four quarters, and how past forecasts did.

    Raises: TableError where there are no contracts.
    """
    from lifecycle_ml.revenue.forecast_report import FORMULAS, forecast_report
    from lifecycle_ml.tables.source import read_tables

    tables = read_tables(workspace, settings)
    reports = [
        forecast_report(books, made, why)
        for books, made, why in _forecasts(workspace, settings, tables, as_of)
    ]
    if as_json:
        say_json({"as_of": as_of.isoformat(), "formulas": FORMULAS, "books": reports})
        return
    for report in reports:
        _show_forecast(report, FORMULAS)


def leakage(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show use above the limit not billed, invoices past due, and discounts that outlived their reason."""
    from lifecycle_ml.revenue.known import known_tables
    from lifecycle_ml.revenue.leakage import leakage as find
    from lifecycle_ml.tables.source import read_tables

    leaks = find(known_tables(read_tables(workspace, settings), as_of))
    if as_json:
        say_json({"as_of": as_of.isoformat(), "leaks": [leak.to_json() for leak in leaks]})
        return
    for leak in leaks:
        document = leak.to_json(_SHOWN)
        title = leak.name.capitalize()
        if document["missing"]:
            say(f"{title}: {document['missing']}")
            say("")
            continue
        if not document["count"]:
            say(f"{title}: none.")
        else:
            show_table(
                f"{title}, as known on {as_of}",
                ["account", "amount", "currency", "since", "how it was told"],
                [
                    [
                        row["account_id"],
                        _money(row["amount"]),
                        row["currency"],
                        row["since"],
                        row["how"],
                    ]
                    for row in document["rows"]
                ],
                right=["amount"],
                whole=["since"],
            )
            more = document["count"] - len(document["rows"])
            if more > 0:
                say(f"  and {more:,} more (--json has all of them)")
            for total in document["totals"]:
                accounts = "1 account" if total["accounts"] == 1 else f"{total['accounts']:,} accounts"
                say(f"  in all, in {total['currency']}: {_money(total['amount'])} of {accounts}")
        for item in document["untold"]:
            say(f"  {item['count']:,} not told: {item['why']}.")
        say(f"  {document['told_by']}")
        say("")


def finance(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show ARR at risk by quarter, days of notice by month, and who does not pay."""
    from lifecycle_ml.revenue.finance import at_risk, notice_dates, payment_risk
    from lifecycle_ml.revenue.known import known_tables
    from lifecycle_ml.tables.source import read_tables

    tables = read_tables(workspace, settings)
    known = known_tables(tables, as_of)
    quarters = [
        {
            "currency": books.currency,
            "says": made.says,
            "at_risk": [] if made.made is None else at_risk(made.made.flows),
        }
        for books, made, _ in _forecasts(workspace, settings, tables, as_of)
    ]
    notice, payment = notice_dates(known), payment_risk(known)
    if as_json:
        say_json({"as_of": as_of.isoformat(), "books": quarters, "notice": notice, "payment": payment})
        return
    for book in quarters:
        _show_at_risk(book)
    _show_notice(notice)
    _show_payment(payment)


def reasons(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show recorded and predicted reasons for leaving by month with control limits, and who decides what."""
    from lifecycle_ml.reasons.taxonomy import load_entries
    from lifecycle_ml.revenue import churn_reasons
    from lifecycle_ml.revenue.known import known_tables
    from lifecycle_ml.store.engine import open_engine
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import read_tables

    review, entries = churn_reasons.load_review(workspace), load_entries(workspace)
    known = known_tables(read_tables(workspace, settings), as_of)
    charts, notes = {}, []
    if missing := known.lacks("outcomes"):
        notes.append(f"Recorded reasons {missing}")
    else:
        counts, without = churn_reasons.recorded_counts(known)
        charts["recorded"] = churn_reasons.control_chart(counts)
        if without:
            notes.append(
                f"{without:,} of {without + int(counts.to_numpy().sum()):,} recorded losses name no category "
                "(unknown, non-payment or nothing); they are not in the chart."
            )
    with closing(Store.open(settings.store_url)) as store:
        publications = store.publications()
    engine = open_engine(settings.store_url)
    counts = churn_reasons.predicted_counts(engine, publications, as_of)
    engine.dispose()
    charts["predicted"] = churn_reasons.control_chart(counts)
    if counts.empty:
        notes.append(
            "Predicted reasons need publications of two months: an account counts in the month in which it "
            "turns yellow or red. Run `lifecycle run` every night."
        )
    labels = {name: entry.label for name, entry in entries.categories.items()}
    report = churn_reasons.reasons_report(charts, review, labels)
    if as_json:
        say_json({"as_of": as_of.isoformat(), "notes": notes, **report})
        return
    for name, rows in report["charts"].items():
        _show_chart(name, rows, labels)
    for note in notes:
        say(f"  {note}")
    say(f"  {report['told_by']}")
    say("")
    show_table(
        "If it rose",
        ["reason", "what we would do differently", "who decides", "outside its limits"],
        [
            [
                row["label"],
                row["if_it_rose"],
                row["decides"],
                "; ".join(f"{each['chart']} {each['month']} {each['signal']}" for each in row["signals"]),
            ]
            for row in report["categories"]
        ],
    )


def _forecasts(
    workspace: Workspace, settings: Settings, tables: Tables, as_of: date
) -> list[tuple[Books, Forecasts, str | None]]:
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.revenue.statement import forecasts_of
    from lifecycle_ml.store.store import Store

    label = load_recipe(workspace, "churn").label
    with closing(Store.open(settings.store_url)) as store:
        return forecasts_of(tables, as_of, label.grace_days, label.arrival_lag_days, store)


def _show_forecast(report: Mapping[str, Any], formulas: Mapping[str, str]) -> None:
    money = "" if report["currency"] is None else f", in {report['currency']}"
    if not report["quarters"]:
        say(report["says"][:1].upper() + report["says"][1:])
        return
    show_table(
        f"NRR and GRR of the next four quarters{money}, as known on {report['known_on']}",
        ["quarter ending", "accounts", "ARR then", "NRR", "GRR"],
        [
            [
                row["month"],
                f"{row['accounts']:,}",
                _money(row["arr_then"]),
                _share(row, "nrr"),
                _share(row, "grr"),
            ]
            for row in report["quarters"]
        ],
        right=["accounts", "ARR then", "NRR", "GRR"],
        whole=["quarter ending"],
    )
    for name, formula in formulas.items():
        say(f"  {name} = {formula}")
    for reason in dict.fromkeys(row["no_interval"] for row in report["quarters"] if row["no_interval"]):
        say(f"  No interval: {reason}.")
    if report["no_models"]:
        say(
            f"  Account models do not speak here: {report['no_models']}. Losses are rates of the past, by "
            "what the contract calendar says of each account."
        )
    else:
        say(
            f"  Losses of the first two quarters: {report['says']}. Beyond 180 days no model was asked: "
            "rates of the past, by what the contract calendar says of each account."
        )
    say("")
    _show_past(report)
    _show_at_risk(report)


def _show_past(report: Mapping[str, Any]) -> None:
    rows = report["past"]
    if not rows:
        say("No past forecast has come true yet; the interval rests on an assumed error of the level (15%).")
        say("")
        return
    show_table(
        "Past forecasts and what came of them",
        ["made on", "quarter ending", "NRR said", "NRR was", "last year", "GRR said", "GRR was", "from"],
        [
            [
                row["known_on"],
                row["month"],
                _share(row, "nrr"),
                _was(row, "nrr"),
                "" if row["nrr_last_year"] is None else f"{row['nrr_last_year']:.1%}",
                _share(row, "grr"),
                _was(row, "grr"),
                row["by"],
            ]
            for row in rows[-_SHOWN:]
        ],
        right=["NRR said", "NRR was", "last year", "GRR said", "GRR was"],
        whole=["made on", "quarter ending"],
    )
    for name, did in report["did"].items():
        if not did["forecasts"]:
            continue
        sentence = (
            f"  {name.upper()}: {did['inside']} of {did['forecasts']} past forecasts held; "
            f"off by {100 * did['error']:.1f} points on average"
        )
        if did["beside"]:
            sentence += (
                f" ({100 * did['error_beside']:.1f} where last year's figure can be told, which was off by "
                f"{100 * did['last_year']:.1f})"
            )
        say(sentence + ".")
    say("")


def _show_at_risk(report: Mapping[str, Any]) -> None:
    if not report["at_risk"]:
        say("ARR at risk by quarter: " + report["says"])
        return
    figures = ["term ends", "notice given", "expected loss", "of the rest: less", "more"]
    show_table(
        "ARR at risk by quarter",
        ["quarter ending", *figures],
        [
            [
                row["month"],
                _money(row["renewing"]),
                _money(row["noticed"]),
                f"{_money(row['lost'])} ({_money(row['lost_low'])} to {_money(row['lost_high'])})",
                _money(row["shrunk"]),
                _money(row["gained"]),
            ]
            for row in report["at_risk"]
        ],
        right=figures,
        whole=["quarter ending"],
    )
    say("  Of the accounts with ARR now; in brackets 95%, for accounts deciding one by one at these chances.")
    say("  Expected loss counts who leaves before a term ends, or has none, too: it can exceed what ends.")
    say("")


def _show_notice(notice: Mapping[str, Any]) -> None:
    if notice["missing"]:
        say(f"Days of notice: {notice['missing']}")
        return
    figures = ["contracts", "accounts", "ARR", "renews itself", "notice given"]
    show_table(
        "Last days to give notice, by month",
        ["month", "currency", *figures],
        [
            [
                row["month"],
                row["currency"],
                f"{row['contracts']:,}",
                f"{row['accounts']:,}",
                *(_money(row[name]) for name in ("arr", "renews_itself", "noticed")),
            ]
            for row in notice["months"]
        ],
        right=figures,
        whole=["month"],
    )
    for row in notice["untold"]:
        say(
            f"  {row['contracts']:,} contracts with {_money(row['arr'])} {row['currency']} of ARR end "
            "without a period of notice on record."
        )
    say("")


def _show_payment(payment: Mapping[str, Any]) -> None:
    if payment["missing"]:
        say(f"Payment risk: {payment['missing']}")
        return
    show_table(
        "Overdue invoices by age",
        ["days overdue", "currency", "invoices", "accounts", "amount"],
        [
            [
                f"over {row['from_days']}"
                if row["to_days"] is None
                else f"{row['from_days'] + 1} to {row['to_days']}",
                row["currency"],
                f"{row['invoices']:,}",
                f"{row['accounts']:,}",
                _money(row["amount"]),
            ]
            for row in payment["ages"]
        ],
        right=["invoices", "accounts", "amount"],
    )
    for row in payment["owing"]:
        say(
            f"  ARR in force of the {row['accounts']:,} accounts more than 30 days overdue, in "
            f"{row['currency']}: {_money(row['arr'])}."
        )
    for row in payment["late"]:
        say(
            f"  Of what fell due in the last 364 days in {row['currency']} ({row['invoices']:,} invoices), "
            f"{row['share']:.1%} was paid late or is overdue."
        )


def _show_chart(name: str, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> None:
    if not rows:
        return
    months = sorted({row["month"] for row in rows})[-6:]
    cells = {(row["category"], row["month"]): row for row in rows}
    of = {month: next(row["of"] for row in rows if row["month"] == month) for month in months}
    show_table(
        f"{name.capitalize()} reasons by month (within limits: count of so many; outside: with the limits)",
        ["reason", "usual", *(f"{month} ({of[month]})" for month in months)],
        [
            [label, _usual(cells[category, months[-1]]), *(_cell(cells[category, month]) for month in months)]
            for category, label in labels.items()
        ],
        right=["usual", *(f"{month} ({of[month]})" for month in months)],
    )
    if all(row["low"] is None for row in rows if row["month"] == months[-1]):
        say("  No limits: fewer than 20 reasons before this month, or none in it.")


def _usual(row: Mapping[str, Any]) -> str:
    return "" if row["centre"] is None else f"{row['centre']:.0%}"


def _cell(row: Mapping[str, Any]) -> str:
    if row["signal"] is None:
        return f"{row['count']}"
    return f"{row['count']} {row['signal']} ({row['low']:.0f} to {row['high']:.0f})"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _share(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    ends = "" if low is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{row[name]:.1%}{ends}"


def _was(row: Mapping[str, Any], name: str) -> str:
    outside = row[f"{name}_low"] is not None and not row[f"{name}_inside"]
    return f"{row[f'{name}_realised']:.1%}{' outside' if outside else ''}"
