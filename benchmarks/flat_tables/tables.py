"""Flat third-party tables as published: one row per customer, two classes, identifiers dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

SEED = 20261121
FOLDS = 5
QUARTERS = 4
"""Quarters after issue within which a policy has to be surrendered to count."""

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


class TableMissingError(Exception):
    """A table is not on this machine."""


@dataclass(frozen=True)
class FlatTable:
    """One row per customer: features `X` (numbers and text, with gaps), label `y` 0/1.

    left_out: rows of the file whose label nobody can know.
    """

    name: str
    X: pd.DataFrame
    y: Labels
    left_out: int = 0

    def folds(self) -> list[tuple[Rows, Rows]]:
        """Return the five stratified folds every contender is given: rows to learn from, rows to judge."""
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
        return list(splitter.split(np.zeros((len(self.y), 1)), self.y))


@dataclass(frozen=True)
class Published:
    """Where a table lies below the data folder, and which of its columns are label and identifiers.

    numbers: columns written as text that hold numbers. codes: columns written as numbers that name classes.
    """

    label: str
    identifiers: tuple[str, ...] = ()
    file: str | None = None
    numbers: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    most_rows: int | None = None

    def read(self, name: str, data: Path | None) -> FlatTable:
        """Read the table. Raises: TableMissingError."""
        frame = _read(name, data, self.file)
        for column in self.numbers:
            frame[column] = pd.to_numeric(frame[column], errors="coerce")
        frame = frame.astype(dict.fromkeys(self.codes, str))
        if self.most_rows is not None and len(frame) > self.most_rows:
            drawn = np.random.default_rng(SEED).choice(len(frame), self.most_rows, replace=False)
            frame = frame.iloc[np.sort(drawn)].reset_index(drop=True)
        said = frame[self.label].astype(str).str.lower()
        y = said.isin(["yes", "1", "1.0", "true"]).to_numpy(dtype=np.int64)
        return FlatTable(name, frame.drop(columns=[self.label, *self.identifiers]), y)


def policies_at_issue(name: str, data: Path | None) -> FlatTable:
    """Read the life policies of us_lapse_agent: surrendered within four quarters of issue, or not?

    Population: every policy, one row, on the day it was issued. Label: 1 where the policy ended by
    surrender at most four quarters later. Death and other endings within that time are no surrender: such a
    row stays with label 0, as somebody who acts on the score at issue meets them too. A policy that was
    watched for less than four quarters without an end is left out. Features are what is known at issue: the
    policy holder, the contract, and the day of issue as a decimal year. `duration`, the cause, its four
    copies and `DJIA` (the index at the *end* of each policy: one value for all that are in force) are not.
    Folds draw policies, not dates, as on the other tables: this measures models, not a forecast.
    """
    frame = _read(name, data, None)
    ended = frame["termination.cause"] != "in-force"
    known = ended | (frame["duration"] >= QUARTERS)
    frame = frame.loc[known].reset_index(drop=True)
    surrendered = (frame["termination.cause"] == "surrender") & (frame["duration"] <= QUARTERS)
    issued = pd.to_datetime(frame["issue.date"])
    later = ["duration", "termination.cause", "surrender", "death", "other", "allcause", "DJIA"]
    X = frame.drop(columns=[*later, "issue.date"])
    X.insert(0, "issue_year", issued.dt.year + (issued.dt.dayofyear - 1) / 365.25)
    return FlatTable(name, X, surrendered.to_numpy(dtype=np.int64), left_out=int((~known).sum()))


def tv_subscriptions(name: str, data: Path | None) -> FlatTable:  # noqa: ARG001 (in a package)
    """Return the TV churn table shipped in the package `empulse`."""
    try:
        from empulse.datasets import load_churn_tv_subscriptions
    except ImportError as error:
        raise TableMissingError("it is part of the package empulse: pip install empulse") from error
    shipped = load_churn_tv_subscriptions(backend="pandas")
    X = pd.DataFrame(shipped.data).reset_index(drop=True)
    return FlatTable(name, X, np.asarray(shipped.target).astype(np.int64))


TABLES: dict[str, Callable[[str, Path | None], FlatTable]] = {
    "telco_plain": Published(
        "Churn", ("customerID",), "telco_customer_churn.csv.gz", numbers=("TotalCharges",)
    ).read,
    "mlc_churn": Published("churn").read,
    "ecommerce_churn": Published("Churn", ("CustomerID",)).read,
    "cell2cell": Published("Churn", ("CustomerID",), "cell2cell_train.csv.gz", most_rows=20_000).read,
    "eu_direct_lapse": Published("lapse").read,
    # the two customer types of the challenge are numbered, not ordered
    "caravan": Published("Purchase", codes=("MOSTYPE", "MOSHOOFD")).read,
    "tv_subscriptions": tv_subscriptions,
    "us_lapse_agent": policies_at_issue,
}
"""How each table is read, by name."""


def load(name: str, data: Path | None) -> FlatTable:
    """Return a table by name, from its folder below `data`.

    Raises: TableMissingError saying where it was looked for.
    """
    return TABLES[name](name, data)


def _read(name: str, data: Path | None, file: str | None) -> pd.DataFrame:
    if data is None:
        raise TableMissingError("no folder of third-party tables is named; give --data or THIRD_PARTY_DATA")
    path = data / name / (file or f"{name}.csv.gz")
    if not path.is_file():
        raise TableMissingError(f"there is no {path}; --data names the folder that holds {name}/")
    return pd.read_csv(path)
