"""BG/NBD by the package lifetimes, in an environment of its own: `python with_lifetimes.py <folder>`.

fit.csv: customer histories, score.csv: histories and horizon_days; both with repeats, last and age (days from
the first purchase). Writes answer.csv: p, the chance of no purchase inside the horizon.
"""

import sys
from pathlib import Path

import pandas as pd
from lifetimes import BetaGeoFitter

WEEK = 7.0

folder = Path(sys.argv[1])
known, asked = pd.read_csv(folder / "fit.csv"), pd.read_csv(folder / "score.csv")
model = BetaGeoFitter()
model.fit(known["repeats"], known["last"] / WEEK, known["age"] / WEEK)
alive = model.conditional_probability_alive(asked["repeats"], asked["last"] / WEEK, asked["age"] / WEEK)
r, alpha = model.params_["r"], model.params_["alpha"]
# Of a customer who is alive the rate is gamma(r + repeats, alpha + age), and none leaves before buying again.
until, through = alpha + asked["age"] / WEEK, alpha + (asked["age"] + asked["horizon_days"]) / WEEK
silent = (until / through) ** (r + asked["repeats"])
pd.DataFrame({"p": 1 - alive * (1 - silent)}).to_csv(folder / "answer.csv", index=False)
