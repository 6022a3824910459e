"""What a training looks like: calibration, gain, what the model leans on, and how steady it was.

The one module that imports Matplotlib. Figures are drawn without pyplot, so nothing global is touched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.curves import gain_curve, rate_curve
from lifecycle_ml.models.evaluation import evaluate
from lifecycle_ml.promotion.backtest import MODEL, Backtest

EXPLAINED_ROWS = 1_000
"""Snapshots drawn in the summary of contributions; its order hardly changes with more."""
SHOWN_FEATURES = 15
DRAWS = 300

# Okabe and Ito's colours, told apart with any kind of colour vision.
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#8A8F98", "#24292F"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", [BLUE, "#C9CED6", ORANGE])

Floats = npt.NDArray[np.float64]


def draw_plots(
    tried: Backtest | None, bundle: Bundle | None, matrix: pd.DataFrame, outcome: str
) -> dict[str, bytes]:
    """Draw a training: file name to PNG; none where no model was tried on past dates.

    tried: the out-of-time rows, all figures at the headline horizon. bundle: the model fitted on everything
    known. matrix: the snapshots it learned from. outcome: the word of what is predicted, "churned".
    """
    if tried is None or bundle is None or MODEL not in tried.probabilities:
        return {}
    y, p = tried.y, tried.at_headline(MODEL)
    accounts = tried.rows["account_id"].to_numpy()
    return {
        "reliability.png": draw_reliability(y, p, accounts, outcome, tried.headline),
        "gain.png": draw_gain(y, p, accounts, _best_rule(tried), outcome, tried.headline),
        "contributions.png": draw_contributions(bundle, matrix, outcome),
        "stability.png": draw_stability(
            y, p, accounts, tried.rows["fold"].to_numpy(), tried.cutoffs, outcome
        ),
    }


def draw_reliability(
    y: Floats, p: Floats, accounts: npt.NDArray[Any], outcome: str, horizon_days: int
) -> bytes:
    """Draw how often the outcome followed along the probability, and how many rows had which.

    Shapes: one entry per out-of-time row: outcome 0/1, probability, account.
    """
    curve = rate_curve(p, y, accounts, draws=DRAWS)
    figure = Figure(figsize=(6.4, 6.2))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top = 1.08 * float(max(curve["high"].max(), curve["value"].max(), 1e-3))
    above.plot([0, top], [0, top], color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    above.annotate(
        "as promised", (0.97 * top, 0.97 * top), color=GREY, ha="right", va="bottom", rotation=0, fontsize=9
    )
    spread = np.abs(curve[["low", "high"]].to_numpy().T - curve["rate"].to_numpy())
    above.errorbar(
        curve["value"],
        curve["rate"],
        yerr=spread,
        fmt="o",
        color=BLUE,
        ecolor=BLUE,
        elinewidth=1.4,
        capsize=3,
        markersize=6,
        zorder=2,
    )
    above.set(ylim=(0, top), xlim=(0, top), ylabel=f"share that {outcome} within {horizon_days} days")
    _titled(above, "Calibration out of time", "tenths of the rows, 95% intervals by account")
    below.hist(np.clip(p, 0, top), bins=np.linspace(0, top, 41), color=BLUE, alpha=0.75)
    below.set(xlabel="probability given (the last bar: that and more)", ylabel="rows")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(_percent(top))
    return _png(figure, above, below)


def draw_gain(
    y: Floats,
    p: Floats,
    accounts: npt.NDArray[Any],
    rule: tuple[str, Floats] | None,
    outcome: str,
    horizon_days: int,
) -> bytes:
    """Draw how much of the outcome a list of any length finds, beside the best rule, and the lift of it.

    Shapes: as `draw_reliability`; `rule` is a name and its risk for the same rows.
    """
    model = gain_curve(y, p, accounts, draws=DRAWS)
    figure = Figure(figsize=(10.5, 4.9))
    left, right = figure.subplots(1, 2)
    shown: list[tuple[str, Floats, pd.DataFrame | None, str]] = [("model", p, model, BLUE)]
    if rule is not None:
        shown.append((f"best rule: {readable(rule[0]).lower()}", rule[1], None, ORANGE))
    for name, score, known, color in shown:
        curve = gain_curve(y, score, accounts, draws=DRAWS) if known is None else known
        left.fill_between(curve["share"], curve["low"], curve["high"], color=color, alpha=0.16, linewidth=0)
        left.plot(curve["share"], curve["found"], color=color, linewidth=2, label=name)
        right.plot(curve["share"], curve["lift"], color=color, linewidth=2, label=name)
        right.fill_between(
            curve["share"],
            curve["low"] / curve["share"],
            curve["high"] / curve["share"],
            color=color,
            alpha=0.16,
            linewidth=0,
        )
    left.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="any order")
    right.axhline(1, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    tenth = model.iloc[(model["share"] - 0.1).abs().argmin()]
    for axes, value, words in (
        (left, tenth["found"], f"first tenth: {tenth['found']:.0%}"),
        (right, tenth["lift"], f"first tenth: {tenth['lift']:.1f} times"),
    ):
        axes.plot([tenth["share"]], [value], "o", color=BLUE, markersize=6)
        axes.annotate(
            words,
            (tenth["share"], value),
            xytext=(14, -4),
            textcoords="offset points",
            color=INK,
            fontsize=9,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )
    left.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share found of all that {outcome} in {horizon_days} days")
    # the first hundredth of a list is a handful of accounts: its interval would fill the picture
    highest = float(
        np.nanmax(model.loc[model["share"] >= 0.02, "high"] / model.loc[model["share"] >= 0.02, "share"])
    )
    right.set(xlim=(0, 1), ylim=(0, 1.08 * max(highest, 1.5)), ylabel="times as often as in any order")
    for axes in (left, right):
        axes.set_xlabel("length of the list, share of the rows, highest risk first")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.legend(frameon=False, loc="lower right", fontsize=9)
    _titled(left, "Gain out of time", "95% intervals by account")
    _titled(right, "Lift out of time", "95% intervals by account")
    return _png(figure, left, right)


def draw_contributions(bundle: Bundle, matrix: pd.DataFrame, outcome: str) -> bytes:
    """Draw what moves the model: a dot per snapshot and feature, coloured by the feature's own value.

    Rows: at most EXPLAINED_ROWS of `matrix`, the same ones each time. Features: those with the largest mean
    size of their contributions, in log-odds at the headline horizon.
    """
    rows = matrix.sample(min(len(matrix), EXPLAINED_ROWS), random_state=0).reset_index(drop=True)
    values = bundle.contributions(rows, bundle.headline).values[:, : len(bundle.features)]
    sizes = np.abs(values).mean(axis=0)
    order = [int(at) for at in np.argsort(-sizes, kind="stable")[:SHOWN_FEATURES] if sizes[at] > 0]
    figure = Figure(figsize=(9.2, 1.6 + 0.36 * max(len(order), 4)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    places = np.arange(len(order))[::-1]
    rng = np.random.default_rng(0)
    for place, at in zip(places, order, strict=True):
        here = values[:, at]
        known, shade = _shade(rows[bundle.features[at]])
        heights = place + _swarm(here, rng)
        left.scatter(here[~known], heights[~known], s=7, color=GREY, alpha=0.55, linewidths=0, zorder=2)
        left.scatter(
            here[known],
            heights[known],
            s=7,
            c=shade[known],
            cmap=LOW_TO_HIGH,
            vmin=0,
            vmax=1,
            alpha=0.85,
            linewidths=0,
            zorder=3,
        )
    left.axvline(0, color=GREY, linewidth=1, zorder=1)
    left.set_yticks(places, [readable(bundle.features[at]) for at in order])
    left.set(ylim=(-0.7, len(order) - 0.3), xlabel=f"moves the log-odds of having {outcome} by")
    left.tick_params(axis="y", length=0)
    right.barh(places, sizes[order], height=0.55, color=BLUE)
    right.set_xlabel("mean size")
    right.tick_params(axis="y", length=0, labelleft=False)
    right.xaxis.set_major_locator(MaxNLocator(3))
    _titled(
        left,
        f"What moves the model at {bundle.headline} days",
        f"{len(rows):,} snapshots; value low (blue) to high (orange), grey: category or no value",
    )
    return _png(figure, left, right, grid="x")


def draw_stability(
    y: Floats,
    p: Floats,
    accounts: npt.NDArray[Any],
    fold: npt.NDArray[Any],
    cutoffs: Sequence[date],
    outcome: str,
) -> bytes:
    """Draw AUROC, average precision and observed over expected by cut-off, each with its interval.

    Shapes: as `draw_reliability`, `fold` the number of the row's cut-off. One whose rows cannot
    tell has no point.
    """
    names = {
        "auroc": "AUROC",
        "average_precision": "average precision",
        "observed_expected": "observed / expected",
    }
    figures = [
        evaluate(y[fold == at], p[fold == at], accounts[fold == at], draws=DRAWS, metrics=names)
        for at in range(len(cutoffs))
    ]
    rates = [float(y[fold == at].mean()) if (fold == at).any() else np.nan for at in range(len(cutoffs))]
    figure = Figure(figsize=(10.5, 3.9))
    axes = figure.subplots(1, 3)
    at = np.arange(len(cutoffs))
    for place, (name, label) in zip(axes, names.items(), strict=True):
        value, low, high = (
            np.array([getattr(each[name], end) for each in figures]) for end in ("value", "low", "high")
        )
        there = np.isfinite(value)
        reach = np.nan_to_num(np.vstack([value - low, high - value]))
        place.errorbar(
            at[there],
            value[there],
            yerr=reach[:, there],
            fmt="o-",
            color=BLUE,
            linewidth=1.2,
            elinewidth=1.4,
            capsize=3,
            markersize=6,
        )
        place.set_xticks(at, [day.isoformat() for day in cutoffs], rotation=30, ha="right")
        place.set_xlim(-0.5, len(cutoffs) - 0.5)
        place.set_title(label, loc="left", fontsize=10, color=INK)
        place.margins(y=0.15)
    nothing = {"color": GREY, "linestyle": (0, (4, 3)), "linewidth": 1}
    axes[0].axhline(0.5, **nothing)
    axes[1].plot(at, rates, label=f"share that {outcome}", **nothing)
    axes[1].set_ylim(bottom=0)
    axes[1].legend(frameon=False, loc="upper left", fontsize=9)
    axes[2].axhline(1, **nothing)
    figure.suptitle(
        "By cut-off, out of time (95% intervals by account)",
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
    )
    return _png(figure, *axes)


def readable(name: str) -> str:
    """Write a feature's name as words: `active_users_28d` is "Active users (28 days)"."""
    words = re.sub(r"_(\d+)d(?=_|$)", r" (\1 days)", name).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _best_rule(tried: Backtest) -> tuple[str, Floats] | None:
    """Return the rule with the best average precision; the base rate alone orders nothing."""
    rules: Mapping[str, Floats] = {name: risk for name, risk in tried.rules.items() if name != "base_rate"}
    if not rules or not tried.y.any():
        return None
    accounts = tried.rows["account_id"].to_numpy()

    def precision(name: str) -> float:
        found = evaluate(tried.y, rules[name], accounts, draws=1, metrics=["average_precision"])
        return found["average_precision"].value

    best = max(sorted(rules), key=precision)
    return best, rules[best]


def _shade(values: pd.Series) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return which values have a place between low and high, and that place: their rank, 0 to 1."""
    if not pd.api.types.is_numeric_dtype(values):
        return np.zeros(len(values), dtype=bool), np.zeros(len(values))
    known = values.notna().to_numpy()
    ranks = values.rank(pct=True).to_numpy(dtype=np.float64)
    return known, np.nan_to_num(ranks)


def _swarm(values: Floats, rng: np.random.Generator) -> Floats:
    """Return heights, within 0.4 of 0, that spread dots the wider the more of them lie at one value."""
    if not len(values) or np.ptp(values) == 0:
        return rng.uniform(-0.1, 0.1, len(values))
    edges = np.linspace(values.min(), values.max(), 61)
    place = np.clip(np.digitize(values, edges) - 1, 0, 59)
    crowd = np.bincount(place, minlength=60)
    width = np.sqrt(crowd / crowd.max())
    return np.asarray(0.4 * width[place] * rng.uniform(-1, 1, len(values)), dtype=np.float64)


def _percent(top: float) -> PercentFormatter:
    return PercentFormatter(1, decimals=1 if top < 0.05 else 0)


def _titled(axes: Any, title: str, below: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.text(0, 1.025, below, transform=axes.transAxes, fontsize=9, color=GREY)


def _png(figure: Figure, *axes: Any, grid: str = "both") -> bytes:
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(GREY)
        each.tick_params(colors=INK, labelsize=9)
        each.xaxis.label.set(color=INK, size=10)
        each.yaxis.label.set(color=INK, size=10)
        each.set_axisbelow(True)
        each.grid(axis=grid, color="#E6E8EB", linewidth=0.7)
    figure.set_layout_engine("constrained")
    buffer = io.BytesIO()
    # no name of the software inside: the same figures are the same bytes
    figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
