"""What differs from company to company: drawn once per seed from the priors stated here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.causes import CAUSES
from lifecycle_ml.simulate.grid import Floats, stream

TERMS = ("annual", "monthly", "evergreen")
CHANNELS = ("inbound", "outbound", "partner", "paid_search", "events", "referral")
SEGMENTS = ("startup", "small", "mid_market", "enterprise")
INDUSTRIES = ("software", "retail", "health", "finance", "logistics", "education", "media")
REGIONS = ("emea", "amer", "apac")
FEATURES = (
    "dashboards", "search", "reports", "alerts", "tasks", "comments",
    "templates", "forms", "calendar", "mobile", "audit_log", "approvals",
)  # fmt: skip
CAPABILITIES = ("single_sign_on", "offline_mode", "custom_roles", "bulk_import", "data_residency")

ANNUAL, MONTHLY, EVERGREEN = range(3)


@dataclass(frozen=True)
class Traits:
    """One company's character. Without causes nothing is planted and every episode is a look-alike."""

    causes: bool
    mix: Floats  # per cause, multiplies how often it begins
    strength: Floats  # per cause, multiplies its hazard
    noise: float  # multiplies what happens in every account anyway: tickets, late payments, departures
    wobble: float  # standard deviation of the logarithm of usage from week to week
    alike: float  # look-alike episodes (same traces, no hazard) per true one
    muted: float  # share of true episodes which leave almost no trace
    sudden: float  # share of true episodes which come out of the blue
    terms: Floats  # shares of annual, monthly and cancel-any-time contracts
    season: float  # depth of the summer and year-end dips
    bad_channel: int
    activating_segment: int
    protective_feature: int
    protection: float  # hazard multiplier of accounts that use the protective feature
    gap_industry: int
    gap_capability: int
    drift_week: int  # from here on competitors come more often
    drift_factor: float
    chance: float  # weekly hazard where there are no causes


def draw_traits(seed: int, weeks: int, causes: bool) -> Traits:
    """Draw a company from the priors (docs/explanation/simulator.md repeats them in words)."""
    rng = stream(seed, "traits")
    count = len(CAUSES)
    return Traits(
        causes=causes,
        mix=rng.dirichlet(np.full(count, 12.0)) * count,
        strength=rng.lognormal(0.0, 0.12, count),
        noise=float(rng.lognormal(0.0, 0.12)),
        wobble=float(rng.uniform(0.15, 0.25)),
        alike=float(rng.uniform(0.08, 0.2)),
        muted=float(rng.uniform(0.03, 0.06)),
        sudden=float(rng.uniform(0.12, 0.16)),
        terms=rng.dirichlet(np.array([0.34, 0.33, 0.33]) * 80),
        season=float(rng.uniform(0.1, 0.3)),
        bad_channel=int(rng.integers(len(CHANNELS))),
        activating_segment=int(rng.integers(1, 3)),
        protective_feature=int(rng.integers(6, len(FEATURES))),
        protection=float(rng.uniform(0.62, 0.72)),
        gap_industry=int(rng.integers(len(INDUSTRIES))),
        gap_capability=int(rng.integers(len(CAPABILITIES))),
        drift_week=int(rng.integers(weeks * 55 // 100, max(weeks * 70 // 100, weeks * 55 // 100 + 1))),
        drift_factor=float(rng.uniform(1.5, 2.0)),
        chance=float(rng.uniform(0.0032, 0.0044)),
    )
