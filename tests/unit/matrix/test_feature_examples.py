"""Examples in text tables: how they are read and worked out, and that every standard feature has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.examples import ROOM, TABLES, ExampleText, load_examples
from lifecycle_ml.matrix.load import load_families
from lifecycle_ml.matrix.proof import prove
from lifecycle_ml.workspace import Workspace, load_workspace

STANDARD = load_workspace(Path(__file__).parents[3])
FAMILIES = load_families(STANDARD)

MINE = """
from lifecycle_ml import Feature, count, days_since, distinct, latest, own_past, present, share
from lifecycle_ml.matrix.measures import among_peers, spread

COMMON = dict(null_means="unknown", direction="none", category="context", says="{value}", says_no="no")
tickets = count("tickets", days=28)
FEATURES = (
    Feature(name="tickets_28d", value=tickets, usual=own_past(tickets), unit="tickets", **COMMON),
    Feature(name="any_ticket", value=present("tickets"), unit="yes/no", **COMMON),
    Feature(name="severe_share", value=share("tickets", where="severity = 1"), unit="share", **COMMON),
    Feature(name="unsteady", value=spread(tickets, windows=3), unit="tickets", **COMMON),
    Feature(name="plan_now", value=latest("contracts", "plan", on="starts_on"), unit="category", **COMMON),
    Feature(name="tickets_peers", value=among_peers(tickets), unit="share", **COMMON),
)
"""


def workspace_of(folder, *examples, head="as_of = 2024-07-01", name="mine"):
    """A workspace whose only features are those above, with these examples in features/examples/mine.toml."""
    own = folder / "own"
    (own / ROOM).mkdir(parents=True)
    (own / "features" / "mine.py").write_text(MINE, encoding="utf-8")
    text = "\n".join([head, *(f"[[example]]\n{example}" for example in examples)])
    (own / ROOM / f"{name}.toml").write_text(text, encoding="utf-8")
    return Workspace(root=own, standard=folder / "standard")


def examples_of(folder, *examples, **options):
    """Read the examples written."""
    workspace = workspace_of(folder, *examples, **options)
    return load_examples(workspace, load_families(workspace))


def example(expected, says="what it is about", **rest):
    """Write one example; tables and keys by name."""
    keys = "".join(f"{key} = {value}\n" for key, value in rest.items() if "\n" not in value)
    tables = "".join(f'{key} = """{value}"""\n' for key, value in rest.items() if "\n" in value)
    return f'says = "{says}"\n{keys}{tables}expected = """\n{expected}\n"""\n'


def test_every_standard_feature_and_usual_value_has_an_example():
    """A feature nobody has worked out by hand is a feature nobody has checked."""
    examples = load_examples(STANDARD, FAMILIES)
    shown = {(item.feature.name, item.is_usual) for one in examples for item in one.expectations}
    wanted = {(feature.name, False) for members in FAMILIES.values() for feature in members}
    wanted |= {(f.name, True) for members in FAMILIES.values() for f in members if f.usual is not None}

    assert sorted(wanted - shown) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_standard_examples_hold(family):
    """The engine says what was worked out by hand, for every family."""
    names = {feature.name for feature in FAMILIES[family]}
    proofs = prove(load_examples(STANDARD, FAMILIES, only=names))

    assert [(p.example.where, p.expectation.column, p.got) for p in proofs if not p.holds] == []
    assert {proof.expectation.feature.name for proof in proofs} == names


def test_an_example_can_write_every_table_a_feature_may_read():
    """A table added to the schema must be added to the examples, too."""
    assert set(TABLES) <= set(ExampleText.model_fields)


def test_counts_shares_texts_usual_values_and_nulls_are_compared(tmp_path):
    """One example of every kind of value, with an account of which nothing is written."""
    (one,) = examples_of(
        tmp_path,
        example(
            """
            account_id | tickets_28d | tickets_28d usual | any_ticket | severe_share | unsteady  | plan_now
            A          | 2           | 1/3               | yes        | 1/3          | sqrt(2/3) | pro
            B          | 0           | 0                 | no         |              | 0         |
            """,
            tickets="""
            account_id | opened_at  | severity
            # exactly 28 days ago
            A          | 2024-06-03 | 1
            A          | 2024-06-30 | 2
            A          | 2024-05-10 |
            """,
            contracts="""
            account_id | starts_on  | arr | plan
            A          | 2024-01-01 | 10  | free
            A          | 2024-02-01 | 10  | pro
            """,
        ),
    )
    proofs = prove([one])

    assert [p.expectation.column for p in proofs if not p.holds] == []
    assert [p.got for p in proofs][:4] == [2.0, pytest.approx(1 / 3), 1.0, pytest.approx(1 / 3)]


def test_a_value_that_is_not_as_expected_is_said_with_what_came(tmp_path):
    """Counts must be met exactly, a null is no 0, and a ratio written with too few digits is none."""
    (one,) = examples_of(
        tmp_path,
        example(
            """
            account_id | tickets_28d | tickets_28d usual | severe_share
            A          | 4           | 0                 | 0.33
            B          |             |                   | 0
            """,
            tickets="""
            account_id | opened_at  | severity
            A          | 2024-06-20 | 1
            A          | 2024-06-21 | 2
            A          | 2024-06-22 | 2
            """,
        ),
    )
    wrong = {(p.expectation.account_id, p.expectation.column): p.got for p in prove([one]) if not p.holds}

    assert wrong == {
        ("A", "tickets_28d"): 3.0,
        ("A", "severe_share"): pytest.approx(1 / 3),
        ("B", "tickets_28d"): 0.0,
        ("B", "tickets_28d__usual"): 0.0,
        ("B", "severe_share"): None,
    }


def test_examples_do_not_see_each_other(tmp_path):
    """They share a build, but neither ids, nor how far back tables reach, nor peers."""
    ticket = "ticket_id | account_id | opened_at\nt1 | A | 2024-05-10"
    eleven = "account_id | starts_on | arr\n" + "\n".join(f"{c} | 2024-01-01 | 10" for c in "ABCDEFGHIJK")
    proofs = prove(
        examples_of(
            tmp_path,
            example("account_id | tickets_28d usual\nA | 1/3", tickets=ticket),
            example("account_id | tickets_28d usual\nA | 0"),
            example("account_id | tickets_28d usual\nA | 0.5", tickets=ticket, recorded_since="2024-04-08"),
            example("account_id | tickets_28d usual\nA |", tickets=ticket, recorded_since="2024-05-07"),
            example("account_id | tickets_peers\nA | 0.5", contracts=eleven),
            example("account_id | tickets_peers\nA |", contracts=eleven.replace("\nK | 2024-01-01 | 10", "")),
        )
    )

    assert [proof.got for proof in proofs if not proof.holds] == []
    assert len({proof.example.number for proof in proofs}) == 6


def test_the_same_day_is_looked_at_twice(tmp_path):
    """as_of and known_at may stand in the expected table: what was known then, and what is known now."""
    expected = """
    account_id | as_of      | known_at            | tickets_28d
    A          | 2024-07-01 |                     | 0
    A          | 2024-07-01 | 2024-07-02T10:00:00 | 1
    A          | 2024-07-03 |                     | 1
    """
    late = "account_id | opened_at | known_at\nA | 2024-06-30 | 2024-07-02T10:00:00"
    proofs = prove(examples_of(tmp_path, example(expected, tickets=late)))

    assert all(proof.holds for proof in proofs)
    assert [str(proof.expectation.known_at) for proof in proofs] == [
        "2024-07-01 00:00:00",
        "2024-07-02 10:00:00",
        "2024-07-03 00:00:00",
    ]


def test_known_at_with_a_zone_is_utc(tmp_path):
    """10 o'clock in Berlin is 8 o'clock UTC."""
    (one,) = examples_of(
        tmp_path, example("account_id | tickets_28d\nA | 0", known_at="2024-07-02T10:00:00+02:00")
    )
    assert str(one.expectations[0].known_at) == "2024-07-02 08:00:00"


def test_only_the_wanted_features_are_worked_out(tmp_path):
    """Expectations of others are left out, and examples without any left."""
    workspace = workspace_of(
        tmp_path,
        example("account_id | tickets_28d | any_ticket\nA | 0 | no"),
        example("account_id | any_ticket\nA | no"),
    )
    (one,) = load_examples(workspace, load_families(workspace), only={"tickets_28d"})

    assert [item.column for item in one.expectations] == ["tickets_28d"]


def test_mistakes_in_other_families_wait_until_those_are_asked_for(tmp_path):
    """Whoever proves one feature is not kept up by another's examples; whoever proves all of them is."""
    workspace = workspace_of(tmp_path, example("account_id | tickets_28d\nA | 0"))
    (workspace.root / "features" / "z.py").write_text(MINE.replace('name="', 'name="z_'), encoding="utf-8")
    (workspace.root / ROOM / "z.toml").write_text("[[example]]\n" + example(SHORT), encoding="utf-8")
    families = load_families(workspace)

    assert len(load_examples(workspace, families, only={"tickets_28d"})) == 1
    with pytest.raises(ConfigError, match=r"z.toml: example 1 .* as_of is missing"):
        load_examples(workspace, families)
    with pytest.raises(ConfigError, match=r"z.toml: example 1 .* as_of is missing"):
        load_examples(workspace, families, only={"z_tickets_28d"})


def test_examples_of_a_standard_family_that_was_replaced_are_not_read(tmp_path):
    """They speak of features that are no longer there; those of other standard families stay."""
    own, standard = tmp_path / "own", tmp_path / "standard"
    for root, families in ((own, ["a"]), (standard, ["a", "b", "c"])):
        (root / ROOM).mkdir(parents=True)
        for family in families:
            text = MINE.replace('"tickets_28d"', f'"{family}_{root.name}"').split('    Feature(name="any')[0]
            (root / "features" / f"{family}.py").write_text(text + ")\n", encoding="utf-8")
    for family in "abc":
        (standard / ROOM / f"{family}.toml").write_text(
            "as_of = 2024-07-01\n[[example]]\n" + example(f"account_id | {family}_standard\nA | 0"),
            encoding="utf-8",
        )
    (own / ROOM / "b.toml").write_text(
        "as_of = 2024-07-01\n[[example]]\n" + example("account_id | b_standard\nA | 0", says="of our own"),
        encoding="utf-8",
    )
    workspace = Workspace(root=own, standard=standard)
    examples = load_examples(workspace, load_families(workspace))

    assert [(one.file, one.says) for one in examples] == [
        ("features/examples/b.toml", "of our own"),
        ("features/examples/c.toml", "what it is about"),
    ]


TICKETS = "account_id | opened_at\nA | 2024-06-20"
SHORT = "account_id | tickets_28d\nA | 1"
WRONG = {
    "key": (example(SHORT, ticket=TICKETS), r"unknown key 'ticket' of example 1. Did you mean 'tickets'"),
    "no says": (
        f'expected = """\n{SHORT}\n"""',
        "features/examples/mine.toml: key 'says' of example 1 is missing",
    ),
    "feature": (
        example("account_id | tickets_28\nA | 1"),
        r"example 1 \('what it is about'\), expected: no feature 'tickets_28'. Did you mean 'tickets_28d'",
    ),
    "usual": (example("account_id | any_ticket usual\nA | 1"), "any_ticket has no usual value"),
    "no account": (example("tickets_28d\n1"), "expected: the column account_id is missing"),
    "no value": (example("account_id\nA"), "no value is expected"),
    "no header": (example("\n"), "no line that names the columns"),
    "empty account": (example("account_id | tickets_28d\n | 1"), "expected line 2: account_id is empty"),
    "twice": (example(SHORT + "\nA | 1"), "line 3: account 'A' as of 2024-07-01 is there twice"),
    "column twice": (
        example("account_id | tickets_28d | tickets_28d\nA | 1 | 1"),
        "column 'tickets_28d' is there twice",
    ),
    "no name": (example("account_id |\nA | 1"), "a column has no name"),
    "cells": (
        example(SHORT, tickets="account_id | opened_at\nA"),
        r"tickets line 2: 1 cells, but 2 columns \(account_id, opened_at\)",
    ),
    "column": (
        example(SHORT, tickets="account_id | open_at\nA | 2024-06-20"),
        "tickets has no column 'open_at'. Did you mean 'opened_at'",
    ),
    "required column": (
        example(SHORT, tickets="account_id | severity\nA | 1"),
        "tickets: opened_at is missing; every row needs one",
    ),
    "required cell": (
        example(SHORT, tickets=TICKETS + "\nA |"),
        "tickets, row 2 below the header: opened_at is missing; every row needs one",
    ),
    "date": (
        example(SHORT, contracts="account_id | starts_on | arr\nA | 2024-13-01 | 1"),
        "contracts line 2: starts_on is '2024-13-01'; write a date, YYYY-MM-DD, or nothing for null",
    ),
    "instant": (
        example(SHORT, tickets="account_id | opened_at\nA | noon"),
        "opened_at is 'noon'; write an instant",
    ),
    "whole": (
        example(SHORT, tickets="account_id | opened_at | severity\nA | 2024-06-20 | 1.5"),
        "severity is '1.5'; write a whole number",
    ),
    "number": (
        example(SHORT, tickets="account_id | opened_at | csat\nA | 2024-06-20 | good"),
        "csat is 'good'; write a number",
    ),
    "yes or no": (
        example(SHORT, contracts="account_id | starts_on | arr | auto_renew\nA | 2024-01-01 | 1 | maybe"),
        "auto_renew is 'maybe'; write yes or no",
    ),
    "value": (
        example(SHORT, tickets="account_id | opened_at | kind\nA | 2024-06-20 | buk"),
        "kind is 'buk', which is not on its list. Did you mean 'bug'",
    ),
    "expected number": (
        example("account_id | tickets_28d\nA | many"),
        "'many' is no number; write 31, 0.8, 1/3",
    ),
    "expected yes": (example("account_id | any_ticket\nA | 2"), "'2' is neither yes nor no"),
    "expected as_of": (
        example("account_id | as_of | tickets_28d\nA | July | 1"),
        "as_of is 'July'; write YYYY",
    ),
    "early look": (
        example(SHORT, known_at="2024-06-30"),
        "known_at 2024-06-30 00:00:00 lies before as_of 2024-07-01",
    ),
    "stranger": (
        example(
            SHORT, accounts="account_id | created_at\nA | 2023-01-01", tickets=TICKETS.replace("A |", "AA |")
        ),
        "tickets: account 'AA' is not among its accounts. Did you mean 'A'",
    ),
    "unheard of": (
        example("account_id | tickets_28d\nB | 1", accounts="account_id | created_at\nA | 2023-01-01"),
        "expected: account 'B' is not among its accounts",
    ),
    "before the records": (
        example(SHORT, tickets=TICKETS, recorded_since="2024-06-25"),
        "tickets: a row of 2024-06-20 lies before recorded_since 2024-06-25",
    ),
}


@pytest.mark.parametrize(("written", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_is_said_with_file_example_table_and_line(tmp_path, written, says):
    """An analyst who mistyped reads what to mend, and the nearest right word."""
    with pytest.raises(ConfigError, match=says) as error:
        examples_of(tmp_path, written)
    assert str(error.value).startswith("features/examples/mine.toml: ")


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (
            {"contracts": "account_id | starts_on | arr\nA | 2024-01-01 | -5"},
            r"mine.toml: example 2 \('the bad one'\): 1 row of `contracts` left out: .* contracts1",
        ),
        (
            {
                "tickets": "ticket_id | account_id | opened_at | severity\n"
                "t1 | A | 2024-06-20 | 1\nt1 | A | 2024-06-20 | 2"
            },
            r"mine.toml: example 2 \('the bad one'\): .*share ticket_id and known_at but differ, e.g. 't1'",
        ),
    ],
)
def test_rows_that_break_the_data_contract_are_no_example(tmp_path, tables, says):
    """Rows the tables would leave out, or refuse, would prove nothing; the example they are in is named."""
    good = example(SHORT, tickets="ticket_id | account_id | opened_at\nt1 | A | 2024-06-20")
    bad = example(SHORT, says="the bad one", **tables)
    with pytest.raises(ConfigError, match=says):
        prove(examples_of(tmp_path, good, bad))


def test_a_file_beside_no_family_is_a_misspelt_one(tmp_path):
    """Examples that nobody reads would be taken for proofs."""
    with pytest.raises(ConfigError, match=r"mien.toml: there is no features/mien.py .* Did you mean 'mine'"):
        examples_of(tmp_path, example(SHORT), name="mien")


def test_as_of_must_be_somewhere(tmp_path):
    """In the example, at the head of the file, or in the row."""
    with pytest.raises(
        ConfigError, match="as_of is missing; give it here, at the head of the file, or as a col"
    ):
        examples_of(tmp_path, example(SHORT), head="")
