"""What accounts call for: a whole table judged at once says what each account alone is told."""

import numpy as np
import pandas as pd
import pytest
from planned_company import DAY, RULES, row, state, table

from lifecycle_ml.actions.checkpoints import renewal_of
from lifecycle_ml.actions.needs import look_at
from lifecycle_ml.actions.playbooks import REASONS

NAN = float("nan")


@pytest.fixture(scope="module")
def company():
    """Two hundred accounts of every sort, and their states."""
    random = np.random.default_rng(7)

    def pick(*values):
        return values[random.integers(len(values))]

    rows, states = [], {}
    for number in range(200):
        name, color = f"A{number:03}", pick("green", "green", "green", "yellow", "red")
        states[name] = state(color, pick(*REASONS), DAY)
        rows.append(
            row(
                name,
                health=color,
                owner=pick("Dana", "Kim", None),
                sales_owner=pick("Sal", None),
                renewal_owner=pick("Ren", None),
                arr=pick(NAN, 1_000.0, 60_000.0, 400_000.0),
                risk=pick(NAN, 0.02, 0.5),
                reason=pick(*REASONS),
                expansion_band=pick(None, "low", "high"),
                expansion_lift=pick(NAN, 0.1, 2.0),
                days_to_renewal=pick(NAN, -3.0, 0.0, 20.5, 100.0, 209.0, 211.0, 300.0, 500.0),
                notice_days=pick(NAN, 0.0, 30.0, 90.0, 400.0),
                term_days=pick(NAN, 30.0, 365.0, 1_095.0),
                auto_renew=pick(NAN, 0.0, 1.0),
                renewal_signed=pick(NAN, 0.0, 0.0, 1.0),
                renewal_owner_named=pick(NAN, 0.0, 1.0),
                auto_renew_known=pick(0.0, 1.0),
                usage_limit_used_28d=pick(NAN, 0.5, 0.9),
                new_departments_84d=pick(NAN, 0.0, 1.0, 3.0),
                handoff_gaps=pick(NAN, 0.0, 2.0),
                milestones_overdue=pick(NAN, 0.0, 1.0),
                days_since_business_review=pick(NAN, 300.0),
                stage=pick("hand_off", "onboarding", "renewal", "growth", "adoption"),
            )
        )
    return table(*rows), states


def _all_of(today):
    """Everything a need says, by account, in order."""
    found = {}
    for need in today.needs:
        plain = {name: value for name, value in vars(need).items() if name not in ("told", "measured")}
        plain.pop("_words", None)
        said = (plain, need.why, need.because, need.hold_out)
        found.setdefault(need.account_id, []).append(said)
    return found


def test_a_whole_table_says_what_each_account_alone_is_told(company):
    """Needs with their words and hold-outs, triggers, problems and stage tasks."""
    scored, states = company
    today = look_at(scored, states, RULES)
    needs = _all_of(today)
    kinds = {need.kind for need in today.needs}
    assert kinds == {"playbook", "checkpoint", "renewal_data", "stage", "trigger"}
    for at, account_id in list(enumerate(scored["account_id"]))[::4]:
        alone = look_at(scored.iloc[[at]], {account_id: states[account_id]}, RULES)
        assert needs.get(account_id, []) == _all_of(alone).get(account_id, [])
        assert today.fired.get(account_id) == alone.fired.get(account_id)
        assert today.problems.get(account_id) == alone.problems.get(account_id)
        assert today.renewals.get(account_id) == alone.renewals.get(account_id)
        assert dict(today.rows[account_id]) == dict(alone.rows[account_id])
        for task in RULES.stages.tasks:
            assert today.asked[task].get(account_id, "absent") == alone.asked[task].get(account_id, "absent")


def test_every_checkpoint_reached_is_called_for_and_no_other(company):
    """However it was found, it is what the renewal of the account says."""
    scored, states = company
    called = {need.account_id for need in look_at(scored, states, RULES).needs if need.kind == "checkpoint"}
    expected = {
        each["account_id"]
        for each in scored.astype(object).where(scored.notna(), None).to_dict("records")
        if (renewal := renewal_of(each, DAY, RULES.renewals)) is not None and renewal.reached is not None
    }
    assert called == expected
    assert 10 < len(expected) < len(scored) / 2


def test_accounts_without_a_state_are_left_out(company):
    """A row nobody knows the colour of calls for nothing."""
    scored, states = company
    some = {name: one for name, one in states.items() if name < "A100"}
    today = look_at(scored, some, RULES)
    assert set(today.rows) == set(some)
    assert today.needs
    assert _all_of(today) == {
        name: said for name, said in _all_of(look_at(scored, states, RULES)).items() if name in some
    }


def test_a_need_that_is_open_already_is_never_put_into_words(company, monkeypatch):
    """Words are written when they are asked for, once."""
    scored, states = company
    written = []
    monkeypatch.setattr(
        "lifecycle_ml.actions.needs._data_words",
        lambda _row, says: (written.append(says), ("why", "because"))[1],
    )
    need = next(each for each in look_at(scored, states, RULES).needs if each.kind == "renewal_data")
    assert not written
    assert (need.why, need.because) == ("why", "because")
    assert len(written) == 1


def test_a_table_without_features_calls_for_playbooks_alone():
    """Rules whose features are lacking are left out or cannot be told."""
    bare = pd.DataFrame(
        [{"account_id": "A", "as_of": pd.Timestamp(DAY), "health": "red", "stage": "adoption", "arr": 1.0}]
    )
    today = look_at(bare, {"A": state("red")}, RULES)
    assert [need.kind for need in today.needs] == ["playbook"]
    assert not today.renewals
    assert today.asked[next(iter(RULES.stages.tasks))] == {}
