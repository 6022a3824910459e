"""`lifecycle check` in words: counts agree with their nouns, and long lists end."""

from lifecycle_ml.cli.inspect import NAMED, _show
from lifecycle_ml.tables.findings import Costs, Finding


def finding(rule, severity, rows, lost):
    return Finding(
        severity=severity,
        rule=rule,
        table="accounts",
        advice="Mend it.",
        rows=rows,
        costs=Costs(features=tuple(lost)),
    )


def test_one_of_a_thing_is_said_in_the_singular(capsys):
    """Not "1 rows", "1 features" or "1 pieces of advice"."""
    _show([finding("a", "warning", 1, ["seats"]), finding("b", "advice", 2, [])])

    said = capsys.readouterr().out
    assert "WARNING a (1 row)" in said
    assert "costs 1 feature: seats\n" in said
    assert "b (2 rows)" in said
    assert said.endswith("0 errors, 1 warning, 1 piece of advice.\n")


def test_a_long_list_of_lost_features_is_counted_after_the_first(capsys):
    """Fifty names in a row are read by nobody; machines get them all."""
    _show([finding("a", "advice", 0, [f"f{number}" for number in range(NAMED + 2)])])

    assert "costs 10 features: f0, f1, f2, f3, f4, f5, f6, f7 and 2 more; --json names all\n" in (
        capsys.readouterr().out
    )
