"""Build one matrix in a process of its own and say how much memory that took at most.

python -m benchmarks.one_scan.memory FOLDER usage 2GB 24
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb
from benchmarks.one_scan.definitions import additive_features, usage_features
from benchmarks.one_scan.events import as_of_dates, open_tables
from benchmarks.one_scan.measuring import peak_memory
from benchmarks.one_scan.rivals import account_names, spine_of

from lifecycle_ml.matrix.build import build_matrix


def main() -> None:
    """Print JSON: bytes held at most before and after, seconds, values; or what went wrong."""
    home, family, limit, dates = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    features = additive_features() if family == "additive" else usage_features()
    spine = spine_of(account_names(home), as_of_dates(dates))
    tables = open_tables(home, memory_limit=limit)
    before, began = peak_memory(), time.perf_counter()
    try:
        matrix = build_matrix(tables, features, spine)
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        print(json.dumps({"failed": str(error).splitlines()[0], "peak": peak_memory()}))
        return
    print(
        json.dumps(
            {
                "before": before,
                "peak": peak_memory(),
                "seconds": round(time.perf_counter() - began, 3),
                "values": len(matrix) * len(features),
                "matrix": int(matrix.memory_usage(deep=False).sum()),
            }
        )
    )


if __name__ == "__main__":
    main()
