"""What `features test` prints: worked examples beside what the engine makes of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import progress_bars, say, say_json, show_table
from lifecycle_ml.errors import ConfigError, UserError, counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle_ml.matrix.feature import Feature
    from lifecycle_ml.matrix.proof import Proof
    from lifecycle_ml.workspace import Workspace


def prove_features(workspace: Workspace, names: Sequence[str], *, as_json: bool) -> None:
    """Work out the examples of features/examples/ and say what is not as expected.

    `names` are features or families; all without. Raises: UserError where a value is not as expected, or
    ConfigError for an example that cannot be read: exit status 2.
    """
    from lifecycle_ml.matrix.examples import load_examples
    from lifecycle_ml.matrix.load import load_families
    from lifecycle_ml.matrix.proof import prove

    families = load_families(workspace)
    wanted = _wanted(families, names)
    examples = load_examples(workspace, families, only=wanted)
    with progress_bars() as progress:
        proofs = prove(examples, progress)
    wrong = [proof for proof in proofs if not proof.holds]
    proven = {proof.expectation.feature.name for proof in proofs}
    unproven = [
        feature.name
        for members in families.values()
        for feature in members
        if feature.name in wanted and feature.name not in proven
    ]
    if as_json:
        say_json(
            {
                "ok": not wrong,
                "examples": len(examples),
                "values": len(proofs),
                "failures": [_proof_entry(proof) for proof in wrong],
                "without_example": unproven,
            }
        )
    else:
        if names:
            _show_values(proofs)
        for proof in wrong:
            _show_failure(proof)
        _show_families(families, wanted, proofs, unproven)
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(proofs)} values {'is' if len(wrong) == 1 else 'are'} not as expected."
        )


def _wanted(families: Mapping[str, Sequence[Feature]], names: Sequence[str]) -> set[str]:
    by_family = {family: {item.name for item in members} for family, members in families.items()}
    every = set().union(*by_family.values())
    wanted: set[str] = set()
    for name in names:
        if name not in every and name not in by_family:
            raise ConfigError(f"no feature or family {name!r}.{did_you_mean(name, {*every, *by_family})}")
        wanted |= {name} if name in every else by_family[name]
    return wanted if names else every


def _proof_entry(proof: Proof) -> dict[str, Any]:
    item = proof.expectation
    return {
        "file": proof.example.file,
        "example": proof.example.number,
        "example_says": proof.example.says,
        "account_id": item.account_id,
        "as_of": item.as_of.isoformat(),
        "known_at": item.known_at.isoformat(),
        "feature": item.feature.name,
        "usual": item.is_usual,
        "expected": item.value,
        "got": proof.got,
        "sentence": _sentence(proof),
    }


def _sentence(proof: Proof) -> str | None:
    from lifecycle_ml.reasons.sentences import write_sentence

    return write_sentence(proof.expectation.feature, proof.value, proof.usual)


def _written(value: float | str | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:.12g}"


def _when(proof: Proof) -> str:
    item = proof.expectation
    at_once = item.known_at == datetime.combine(item.as_of, datetime.min.time())
    return str(item.as_of) + ("" if at_once else f", known {item.known_at.isoformat()}")


def _show_failure(proof: Proof) -> None:
    item = proof.expectation
    what = f"the usual value of {item.feature.name}" if item.is_usual else item.feature.name
    say(f"{proof.example.where}: {proof.example.says}")
    say(f"  {what} of account {item.account_id} as of {_when(proof)}")
    say(f"    expected  {_written(item.value)}")
    say(f"    got       {_written(proof.got)}")
    say(f"    reads     {_sentence(proof) or '(nothing is said of null)'}")


def _show_values(proofs: Sequence[Proof]) -> None:
    """Show what was worked out and how it reads, as an author wants to see it."""
    rows = []
    for proof in proofs:
        item = proof.expectation
        if item.is_usual:
            continue
        rows.append(
            [
                f"{proof.example.family} {proof.example.number}",
                item.account_id,
                _when(proof),
                item.feature.name,
                _written(proof.value),
                _sentence(proof) or "",
            ]
        )
    columns = ["example", "account", "as of", "feature", "value", "reads"]
    show_table("As worked out", columns, rows, right=["value"], whole=["example", "feature"])


def _show_families(
    families: Mapping[str, Sequence[Feature]],
    wanted: set[str],
    proofs: Sequence[Proof],
    unproven: Sequence[str],
) -> None:
    rows = []
    for family, members in families.items():
        names = [feature.name for feature in members if feature.name in wanted]
        mine = [proof for proof in proofs if proof.example.family == family]
        if not names and not mine:
            continue
        wrong = sum(not proof.holds for proof in mine)
        without = sum(name in unproven for name in names)
        examples = len({proof.example.number for proof in mine})
        rows.append([family, len(names), without or "", examples, len(mine), wrong or ""])
    columns = ["family", "features", "without example", "examples", "values", "wrong"]
    show_table("Worked examples", columns, rows, columns[1:])
    held = sum(proof.holds for proof in proofs)
    examples = len({(proof.example.family, proof.example.number) for proof in proofs})
    say(f"{counted(examples, 'example')}, {held} of {len(proofs)} values as expected.")
    if unproven:
        shown = ", ".join(unproven[:20]) + (f" and {len(unproven) - 20} more" if len(unproven) > 20 else "")
        lacking = f"{counted(len(unproven), 'feature')} {'has' if len(unproven) == 1 else 'have'}"
        say(f"{lacking} no example in features/examples/: {shown}.")
    else:
        say("Every feature has an example." if len(wanted) > 1 else "It has an example.")
