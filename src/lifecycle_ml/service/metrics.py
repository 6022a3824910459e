"""Counters and latencies in Prometheus' text format: few enough to read, small enough to need no library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import accumulate
from threading import Lock

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; the last one is a CRM's patience."""


class Metrics:
    """Requests by route, method and status, and how long they took. One per process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (len(BUCKETS) + 2))

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        with self._lock:
            self._requests[route, method, status] += 1
            row = self._seconds[route]
            row[bisect_left(BUCKETS, seconds)] += 1
            row[-1] += seconds

    def render(self, gauges: dict[str, tuple[str, dict[str, float]]]) -> str:
        """Return everything as text. `gauges`: name to (help, value by label text)."""
        with self._lock:
            requests = sorted(self._requests.items())
            seconds = sorted((route, list(row)) for route, row in self._seconds.items())
        lines = [
            "# HELP lifecycle_requests_total Requests answered.",
            "# TYPE lifecycle_requests_total counter",
        ]
        for (route, method, status), count in requests:
            labels = f'route="{_escape(route)}",method="{_escape(method)}",status="{status}"'
            lines.append(f"lifecycle_requests_total{{{labels}}} {count}")
        lines += [
            "# HELP lifecycle_request_seconds Time to answer.",
            "# TYPE lifecycle_request_seconds histogram",
        ]
        for route, row in seconds:
            label = f'route="{_escape(route)}"'
            bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
            lines += [
                f'lifecycle_request_seconds_bucket{{{label},le="{bound}"}} {count:.0f}'
                for bound, count in zip(bounds, accumulate(row[:-1]), strict=True)
            ]
            lines.append(f"lifecycle_request_seconds_sum{{{label}}} {row[-1]:.6f}")
            lines.append(f"lifecycle_request_seconds_count{{{label}}} {sum(row[:-1]):.0f}")
        for name, (says, values) in gauges.items():
            lines += [f"# HELP {name} {says}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value:.15g}" for labels, value in values.items()]
        return "\n".join(lines) + "\n"


def label(**pairs: str) -> str:
    """Return labels as Prometheus writes them."""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
