"""What the nightly run of the demo company leaves for revenue and reviews, as the service shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from demo_company import Demo
from lifecycle_ml.service.api.revenue import RevenueAnswer
from lifecycle_ml.service.app import create_app

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

KEY = "k" * 24


@pytest.fixture(scope="module")
def client(demo: Demo) -> Iterator[TestClient]:
    """The service over the demo, with somebody signed in."""
    app = create_app(demo.settings, demo.workspace, clock=lambda: datetime(2026, 7, 1, 9, tzinfo=UTC))
    with TestClient(app) as opened:
        token = re.search(r'name="token" value="(\w+)"', opened.get("/sign-in").text)
        assert token is not None
        opened.post("/sign-in", data={"key": KEY, "token": token[1], "next": "/"})
        yield opened


@pytest.fixture(scope="module")
def statement(client: TestClient) -> RevenueAnswer:
    """What the run kept."""
    return RevenueAnswer.model_validate(client.get("/v1/revenue", headers={"X-API-Key": KEY}).json())


def test_the_waterfall_closes_on_the_contracts_in_force(demo: Demo, statement: RevenueAnswer) -> None:
    """Twelve months that follow each other, the last one on what the raw table has in force on 30 June."""
    (book,) = statement.books
    flow = book.waterfall
    assert [row.month for row in flow] == list(
        pd.period_range("2025-07", "2026-06", freq="M").strftime("%Y-%m")
    )
    for row, following in zip(flow, [*flow[1:], None], strict=True):
        moved = row.new + row.reactivation + row.expansion + row.contraction + row.churn
        assert row.closing == pytest.approx(row.opening + moved, abs=0.005)
        assert following is None or following.opening == row.closing

    day = pd.Timestamp("2026-06-30")
    contracts = pd.read_parquet(demo.folder / "data" / "contracts.parquet")
    ends = contracts[["ends_on", "cancelled_on"]].min(axis=1)
    active = contracts[(contracts["starts_on"] <= day) & ~(ends <= day)]
    active = active[active["signed_at"].isna() | (active["signed_at"] <= pd.Timestamp("2026-07-01"))]
    assert flow[-1].closing - book.awaiting.arr == pytest.approx(active["arr"].sum(), rel=0.002)


def test_the_forecast_rests_on_the_scores_of_the_run(demo: Demo, statement: RevenueAnswer) -> None:
    """The publication is there before the statement is made, and its model is good enough to speak."""
    (book,) = statement.books
    assert book.forecast.no_models is None
    assert book.forecast.says == "the scores published for 2026-07-01"
    assert [row.month for row in book.forecast.quarters] == ["2026-09", "2026-12", "2027-03", "2027-06"]
    assert all(
        0 < row.grr.value <= row.nrr.value and row.nrr.low is not None for row in book.forecast.quarters
    )


def test_every_loop_is_there_with_what_stands_out(statement: RevenueAnswer) -> None:
    """The demo company has planted facts; the channel that brings customers who do not fit is one."""
    findings = {row.loop: row.findings for row in statement.loops.rows}
    assert len(findings) == 8
    assert any("do not fit" in says for says in findings["bad_fit"])


def test_the_pages_show_revenue_and_an_agenda(client: TestClient) -> None:
    """Every red account is on the agenda, and the first step is one of them."""
    assert "ARR waterfall, 2025-07 to 2026-06" in client.get("/revenue").text
    page = client.get("/review").text
    red = client.get("/accounts?health=red").text
    shown = re.search(r"<dt>Red</dt><dd>([\d,]+)</dd>", page)
    listed = re.search(r'class="tile red".*?<b>([\d,]+)</b>', red, re.DOTALL)
    assert shown is not None
    assert listed is not None
    assert shown[1] == listed[1]
    assert 'class="chip red"' in client.get("/review/next?since=2026-07-01T09:00").text
