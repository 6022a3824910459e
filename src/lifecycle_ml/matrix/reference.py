"""The feature reference of the documentation, written from the definitions."""

from __future__ import annotations

from itertools import groupby

from lifecycle_ml.matrix.feature import Feature, FeatureSet

_HEAD = """# Features

Every feature of the standard workspace, as defined in `features/`. This page is written from the
definitions (`python -m lifecycle_ml.matrix.reference > docs/reference/features.md`).
How to add one: [add a feature](../how-to/add-a-feature.md).

*Null* says what an empty value means: *unknown* (a gap in the data), *none* (there was nothing to measure)
or *not applicable*. *Risk* says what more of it does to churn risk. *Needs* are the tables it reads. A star
marks features that rest on columns which systems overwrite without a date: training leaves them out unless
the recipe allows them.
"""


def describe_features(features: FeatureSet) -> str:
    """Return the reference as Markdown: one table per churn category, in the order of first mention."""
    categories = list(dict.fromkeys(feature.category for feature in features))
    ordered = sorted(features, key=lambda feature: categories.index(feature.category))
    parts = [_HEAD]
    for category, members in groupby(ordered, key=lambda feature: feature.category):
        parts.append(f"## {category}\n")
        parts.append("| Feature | Unit | Null | Risk | Needs | Says |")
        parts.append("|---|---|---|---|---|---|")
        parts += [_line(feature) for feature in members]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _line(feature: Feature) -> str:
    name = f"`{feature.name}`{'*' if feature.rests_on_today else ''}"
    if not feature.for_model:
        name += " (not for the model)"
    risk = {"raises": "raises", "lowers": "lowers", "none": ""}[feature.direction]
    said = [text for text in (feature.says, feature.says_no, feature.says_null) if text is not None]
    cells = [
        name,
        feature.unit,
        feature.null_means.replace("_", " "),
        risk,
        ", ".join(feature.tables),
        " / ".join(said),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    import sys

    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.workspace import load_workspace

    sys.stdout.write(describe_features(load_features(load_workspace())))
