"""Questions in SQL over the tables as they were known on one day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd

from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.tables.source import Tables


@dataclass(frozen=True)
class Known:
    """The tables of one company as known on `known_on`, to be asked in SQL as known_contracts and so on."""

    con: Any
    known_on: date
    tables: dict[str, str]

    def frame(self, question: str, *names: str) -> pd.DataFrame:
        """Return the rows of a question over the tables named; `{today}` stands for known_on as a date."""
        parts = [f"known_{name} AS ({self.tables[name]})" for name in names]
        today = f"DATE '{self.known_on.isoformat()}'"
        text = question.replace("{today}", today)
        rows: pd.DataFrame = self.con.sql(f"WITH {', '.join(parts)}, {text}").df()
        return rows

    def lacks(self, *names: str) -> str | None:
        """Say which of these tables is not there and what to add, None where all are."""
        missing = [name for name in names if name not in self.tables]
        if not missing:
            return None
        listed = ", ".join(missing)
        return f"cannot be told: there is no table of {listed}. Add features/sources/{missing[0]}.sql."


def known_tables(tables: Tables, known_on: date) -> Known:
    """Prepare the tables for questions as known on `known_on`; nothing is read yet."""
    through = ibis.timestamp(pd.Timestamp(known_on).to_pydatetime())
    sqls = {}
    for name in ("accounts", "contracts", "invoices", "outcomes", "usage_events"):
        if name in tables:
            spined = tables[name].mutate(as_of=through, known_until=through)
            known = as_known(spined, SCHEMAS[name])
            sqls[name] = str(ibis.to_sql(known.drop("as_of", "known_until"), dialect="duckdb"))
    return Known(tables.backend.con.cursor(), known_on, sqls)
