"""`make bench`: every benchmark in turn; long (an hour or two on two cores), and resumable.

Results are printed and kept as JSON lines under out/; docs/benchmarks.md holds the figures of record.
"""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    ("benchmarks.simulator_difficulty",),
    ("benchmarks.twenty_companies", "--seeds", "20", "--out", "out/twenty_companies.jsonl"),
    ("benchmarks.training", "--out", "out/training.jsonl"),
    ("benchmarks.reasons", "--seeds", "20", "--out", "out/reasons.jsonl"),
    ("benchmarks.playbook_effects", "--seeds", "100", "--out", "out/playbook_effects.jsonl"),
    ("benchmarks.refusals", "--count", "50", "--out", "out/refusals.jsonl"),
    ("benchmarks.year_of_days", "--out", "out/year_of_days.jsonl"),
    ("benchmarks.colours_and_rules", "--out", "out/colours_and_rules.jsonl"),
    ("benchmarks.flat_tables", "--out", "out/flat_tables"),
    ("benchmarks.third_party", "--out", "out/third_party"),
    ("benchmarks.one_scan", "--out", "out/one_scan.jsonl"),
    ("benchmarks.rules", "--out", "out/rules.jsonl"),
    ("benchmarks.explaining", "--out", "out/explaining.jsonl"),
    ("benchmarks.reasons_audited", "--out", "out/reasons_audited.jsonl"),
    ("benchmarks.feedback_loops", "--seeds", "20", "--out", "out/feedback_loops.jsonl"),
    ("benchmarks.feedback_loops", "--part", "cost", "--out", "out/feedback_loops_cost.jsonl"),
    ("benchmarks.revenue_forecast", "--out", "out/revenue_forecast.jsonl"),
    ("benchmarks.revenue_forecast", "--rates-only", "--out", "out/revenue_forecast_rates.jsonl"),
    ("benchmarks.revenue_forecast", "--cost"),
    ("benchmarks.treated_accounts",),
    ("benchmarks.service", "--out", "out/service.jsonl"),
    ("benchmarks.service", "--part", "mixed", "--seconds", "600", "--out", "out/service.jsonl"),
)


def main() -> int:
    """Run each in a process of its own; return the number that failed."""
    failed = 0
    for module, *options in BENCHMARKS:
        print(f"\n{module}", flush=True)
        failed += subprocess.run([sys.executable, "-m", module, *options], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
