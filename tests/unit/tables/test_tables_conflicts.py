"""Where two tables disagree about an account: both values, which one decides, the ARR that hangs on it."""

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.tables.clock import cut
from lifecycle_ml.tables.conflicts import CONFLICTS, find_conflicts
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.source import tables_from_frames

AS_OF = date(2024, 7, 1)
ACCOUNTS = pd.DataFrame(
    {
        "account_id": ["a", "b"],
        "created_at": ["2022-01-01T00:00:00"] * 2,
        "csm_owner": ["ann", "ann"],
        "sales_owner": ["sam", "sam"],
    }
)
# Two accounts alike: 12,000 and 24,000 EUR a year since 2023, over two terms.
CONTRACTS = pd.DataFrame(
    {
        "contract_id": ["a1", "a2", "b1", "b2"],
        "account_id": ["a", "a", "b", "b"],
        "starts_on": ["2023-01-01", "2024-01-01"] * 2,
        "ends_on": ["2024-01-01", "2025-01-01"] * 2,
        "arr": [12_000, 12_000, 24_000, 24_000],
        "currency": "EUR",
        "payment_terms_days": 30,
        "renewal_owner": "ann",
    }
)
QUARTERS = ["2023-07-01", "2023-10-01", "2024-01-01", "2024-04-01"]


def invoices(**changes):
    """Four quarterly invoices of each account, due after 30 days; `changes` are columns of all eight."""
    days = pd.to_datetime(pd.Series(QUARTERS * 2))
    made = {
        "invoice_id": [f"{account}-{n}" for account in "ab" for n in range(1, 5)],
        "account_id": list("aaaabbbb"),
        "issued_on": days,
        "due_on": days + pd.Timedelta(days=30),
        "amount": [3_000] * 4 + [6_000] * 4,
        "currency": "EUR",
    }
    return pd.DataFrame(made | changes)


def conflicts(as_of=AS_OF, **frames):
    tables = tables_from_frames(
        {"accounts": ACCOUNTS, "contracts": CONTRACTS, "invoices": invoices()} | frames
    )
    return find_conflicts(tables, as_of)


def only(as_of=AS_OF, **frames):
    (finding,) = conflicts(as_of, **frames)
    assert finding.severity == RULES[finding.rule].severity
    return finding


def with_rows(table, *rows):
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def changed(table, at, **values):
    made = table.copy()
    for name, value in values.items():
        made[name] = made[name].astype("object")
        made.loc[at, name] = value
    return made


def test_tables_that_agree_have_no_conflict():
    """Renewed, billed by quarter, owned by one person."""
    outcomes = pd.DataFrame({"account_id": ["a"], "happened_on": ["2024-01-01"], "outcome": ["flat"]})
    assert conflicts(outcomes=outcomes) == []


def test_arr_in_billing_and_contract():
    """Account b: 24,000 a year under contract, 4 x 5,000 = 20,000 billed; a agrees to the unit."""
    finding = only(invoices=invoices(amount=[3_000] * 4 + [5_000] * 4))
    assert (finding.rule, finding.table, finding.column, finding.rows) == (
        "two_arrs",
        "invoices",
        "amount",
        1,
    )
    assert finding.examples == ("b: contracts 24,000 EUR a year; invoices of the last year 20,000 EUR",)
    assert finding.advice.startswith(
        "A year's invoices are more than 10% off the ARR of the contracts, which was the same all year: "
        "1 of 2 accounts compared, e.g. b: "
    )
    assert "Contracts decide what ARR is" in finding.advice
    assert "ARR that hangs on it: 24,000 EUR." in finding.advice


@pytest.mark.parametrize("each", [5_400, 6_600])
def test_billing_ten_in_a_hundred_off_is_no_other_arr(each):
    """4 x 5,400 = 21,600 and 4 x 6,600 = 26,400 lie just on 24,000 +- 10%; one less or more is over."""
    assert conflicts(invoices=invoices(amount=[3_000] * 4 + [each] * 4)) == []
    over = each + (1 if each > 6_000 else -1)
    assert only(invoices=invoices(amount=[3_000] * 4 + [over] * 4)).rule == "two_arrs"


@pytest.mark.parametrize(
    "frames",
    [
        {"contracts": changed(CONTRACTS, 3, arr=30_000)},
        {"contracts": CONTRACTS.iloc[:3]},
        {"contracts": changed(CONTRACTS, 2, ends_on="2023-12-31")},
        {"invoices": invoices(amount=[3_000] * 4 + [1.0] * 3 + [None])},
    ],
    ids=[
        "raised within the year",
        "not under contract all year",
        "a gap of one day",
        "an amount not recorded",
    ],
)
def test_arr_is_compared_only_where_a_year_of_invoices_must_come_to_it(frames):
    """Billing that differs a lot, of an account of which nobody can say what the year had to come to."""
    odd = {"invoices": invoices(amount=[3_000] * 4 + [1.0] * 4)} | frames
    assert "two_arrs" not in {finding.rule for finding in conflicts(**odd)}


def test_invoices_of_accounts_that_left():
    """Contracts of b end on 2024-01-01; the invoice of 2024-04-01 comes 91 days later, one in February 31."""
    contracts = CONTRACTS[CONTRACTS["contract_id"] != "b2"]
    finding = only(contracts=contracts)
    assert (finding.rule, finding.rows) == ("billed_after_end", 1)
    assert finding.examples == ("b: last contract ended on 2024-01-01; invoice b-4 of 2024-04-01",)
    assert "1 of 1 accounts" in finding.advice
    assert "ARR that hangs on it: 24,000 EUR." in finding.advice
    soon = invoices().assign(issued_on=lambda each: each["issued_on"].replace("2024-04-01", "2024-02-01"))
    assert (
        conflicts(contracts=contracts, invoices=soon.assign(due_on=soon["issued_on"] + pd.Timedelta("30D")))
        == []
    )


def test_currencies_are_never_summed():
    """One invoice of b in USD; beside a contract of b in pounds, both amounts are told."""
    billed = changed(invoices(), 7, currency="USD")
    finding = only(invoices=billed)
    assert (finding.rule, finding.rows) == ("two_currencies", 1)
    assert finding.examples == ("b: contract EUR; invoice b-4 USD",)
    extra = {
        **CONTRACTS.iloc[3].to_dict(),
        "contract_id": "b3",
        "arr": 1_000,
        "currency": "GBP",
        "product": "x",
    }
    rates = pd.DataFrame({"currency": ["EUR", "GBP"], "month": ["2022-01-01"] * 2, "rate": [1.0, 1.2]})
    found = {
        each.rule: each
        for each in conflicts(contracts=with_rows(CONTRACTS, extra), invoices=billed, fx_rates=rates)
    }
    assert "hangs on it: 24,000 EUR and 1,000 GBP." in found["two_currencies"].advice


def test_payment_terms_of_invoice_and_contract():
    """One invoice due after 14 days where 30 are agreed."""
    billed = changed(invoices(), 3, due_on=pd.Timestamp("2024-04-15"))
    finding = only(invoices=billed)
    assert (finding.rule, finding.examples) == (
        "two_payment_terms",
        ("a: contract 30 days; invoice a-4 14 days",),
    )


def test_two_renewal_dates():
    """An addition that ends half a year earlier than the contract it belongs to."""
    extra = {**CONTRACTS.iloc[1].to_dict(), "contract_id": "a3", "arr": 500.5, "starts_on": "2024-06-30"}
    assert only(contracts=with_rows(CONTRACTS, extra | {"ends_on": "2024-07-02"})).examples == (
        "a: contract a3 2024-07-02; contract a2 2025-01-01",
    )
    assert (
        "hangs on it: 12,500 EUR."
        in conflicts(contracts=with_rows(CONTRACTS, extra | {"ends_on": "2024-07-02"}))[0].advice
    )
    assert conflicts(contracts=with_rows(CONTRACTS, extra)) == []  # it ends with the other
    assert conflicts(contracts=with_rows(CONTRACTS, extra | {"ends_on": "2024-07-01"})) == []  # it has ended


def test_two_renewal_owners():
    """Two contracts in force of one account; the one that ends last decides."""
    extra = {**CONTRACTS.iloc[1].to_dict(), "contract_id": "a0", "renewal_owner": "sam", "arr": 1}
    finding = only(contracts=with_rows(CONTRACTS, extra | {"starts_on": "2024-06-30"}))
    assert (finding.rule, finding.examples) == (
        "two_renewal_owners",
        ("a: contract a0 sam; contract a2 ann",),
    )
    assert conflicts(contracts=with_rows(CONTRACTS, extra | {"starts_on": "2024-07-02"})) == []


def test_an_owner_of_the_renewal_who_is_no_owner_of_the_account():
    """Said where it is the exception; where most are renewed by somebody else, the company means it so."""
    renewed_by_zoe = changed(CONTRACTS, [2, 3], renewal_owner="zoe")
    finding = only(contracts=renewed_by_zoe)
    assert (finding.rule, finding.examples) == ("two_owners", ("b: contract zoe; account ann and sam",))
    assert conflicts(contracts=CONTRACTS.assign(renewal_owner="zoe")) == []
    assert conflicts(contracts=changed(CONTRACTS, [2, 3], renewal_owner="sam")) == []


def test_churn_recorded_against_the_contracts():
    """Recorded as churned while a contract runs on; the other account's contract did end within 30 days."""
    outcomes = pd.DataFrame(
        {"account_id": ["a", "b"], "happened_on": ["2024-03-01"] * 2, "outcome": "churned"}
    )
    contracts = CONTRACTS.assign(cancelled_on=[None, None, None, "2024-03-31"])
    finding = only(contracts=contracts, outcomes=outcomes, invoices=invoices().iloc[:7])
    assert (finding.rule, finding.rows) == ("outcome_contradicted", 1)
    assert finding.examples == ("a: recorded as churned on 2024-03-01; contract a2 in force 30 days later",)


def test_an_account_with_a_contract_under_another_one():
    """The parent's contract is to cover it, and it has one of its own."""
    accounts = ACCOUNTS.assign(parent_account_id=[None, "a"])
    finding = only(accounts=accounts)
    assert (finding.rule, finding.examples) == ("covered_twice", ("b: own contract b2; contract a2 of a",))
    assert conflicts(accounts=accounts, contracts=CONTRACTS.iloc[:2], invoices=invoices().iloc[:4]) == []


def test_the_accounts_with_most_arr_are_the_examples():
    """More ARR hangs on b than on a."""
    finding = only(invoices=invoices(amount=1))
    assert [each[0] for each in finding.examples] == ["b", "a"]
    assert "hangs on it: 36,000 EUR." in finding.advice


def test_a_correction_counts_from_the_day_it_was_known():
    """Billed wrongly and corrected on 2024-05-10: seen before, gone after, by tables whole and cut alike."""
    wrong = invoices(amount=[3_000] * 4 + [5_000] * 4, known_at=pd.to_datetime(pd.Series(QUARTERS * 2)))
    right = invoices(known_at=pd.Timestamp("2024-05-10T08:00"))[4:]
    tables = tables_from_frames(
        {"accounts": ACCOUNTS, "contracts": CONTRACTS, "invoices": pd.concat([wrong, right])}
    )
    for as_of, rules in ((date(2024, 5, 10), ["two_arrs"]), (date(2024, 5, 11), [])):
        assert [each.rule for each in find_conflicts(tables, as_of)] == rules
        assert find_conflicts(cut(tables, as_of), as_of) == find_conflicts(tables, as_of)


def test_what_happens_after_as_of_is_not_seen():
    """A cancellation on 2024-06-15 makes an invoice of 2024-10-01 one too many, not before it was issued."""
    contracts = CONTRACTS.assign(cancelled_on=[None, "2024-06-15", None, None])
    late = {**invoices().iloc[3].to_dict(), "invoice_id": "a-5", "issued_on": pd.Timestamp("2024-10-01")}
    late["due_on"] = pd.Timestamp("2024-10-31")
    frames = {"contracts": contracts, "invoices": with_rows(invoices(), late)}
    for as_of, seen in ((date(2024, 10, 1), False), (date(2024, 10, 2), True)):
        assert ("billed_after_end" in {each.rule for each in conflicts(as_of, **frames)}) is seen


def test_pairs_that_are_not_filled_are_not_compared():
    """No invoices, no owners, no currencies: nothing to compare, and no fault."""
    bare = CONTRACTS[["contract_id", "account_id", "starts_on", "arr"]]
    tables = tables_from_frames({"accounts": ACCOUNTS[["account_id", "created_at"]], "contracts": bare})
    assert find_conflicts(tables, AS_OF) == []
    assert find_conflicts(tables_from_frames({"accounts": ACCOUNTS}), AS_OF) == []


def test_every_conflict_is_a_rule_that_keeps_the_rows():
    """Both rows stay: a rule decides which counts."""
    assert all(RULES[each.rule].effect == "kept" for each in CONFLICTS)
    assert len({each.rule for each in CONFLICTS}) == len(CONFLICTS)
