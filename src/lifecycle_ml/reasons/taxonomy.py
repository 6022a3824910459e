"""The taxonomy: what each cause of churn means, who owns the answer, and what must be true to name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import sqlglot
from pydantic import Field, field_validator
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lifecycle_ml.conditions.parse import Condition, parse_condition
from lifecycle_ml.matrix.feature import USUAL
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Strict, Workspace, each_of, read_toml

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

UNKNOWN = "unknown"
DATA_GAP = "data_gap"
FILE = "taxonomy.toml"

_Said = TypeVar("_Said")

Role = Literal[
    "csm",
    "account_executive",
    "cs_lead",
    "vp_cs",
    "product",
    "product_marketing",
    "finance",
    "operations",
]


class Entry(Strict):
    """What a reader sees of a reason: its label, the question behind it and the role that owns the answer."""

    label: str = Field(min_length=3)
    question: str = Field(min_length=10)
    owner_role: Role

    @field_validator("question")
    @classmethod
    def _asks(cls, text: str) -> str:
        if not text.endswith("?"):
            raise ValueError("a question ends with a question mark")
        return text


class Category(Entry):
    """One cause of churn.

    `required_evidence` and `names_outright` are SQL conditions over feature columns; `floor` is the smallest
    share (0 to 1, of all eleven) with which the cause may be named.
    """

    required_evidence: str
    floor: float = Field(default=0.05, gt=0, le=1)
    names_outright: str | None = None


class Unknown(Entry):
    """The answer where no cause is clear: under `clear_from` of share, or `stable_from` of stability."""

    clear_from: float = Field(default=0.25, ge=0, le=1)
    stable_from: float = Field(default=0.5, ge=0, le=1)


def the_eleven(named: Mapping[str, _Said], where: str) -> dict[str, _Said]:
    """Return what the file `where` says of each of the eleven categories, in their order.

    Raises: ConfigError for a name that is none of them, with the nearest right one, or where one is missing.
    """
    return each_of(named, CATEGORIES, f"{where}: no category", f"{where}: categories")


class TaxonomyFile(Strict):
    """serving/taxonomy.toml as written: all eleven categories, and `unknown`."""

    categories: dict[str, Category]
    unknown: Unknown

    @field_validator("categories")
    @classmethod
    def _has_exactly_the_eleven(cls, categories: dict[str, Category]) -> dict[str, Category]:
        return the_eleven(categories, f"serving/{FILE}")


@dataclass(frozen=True)
class Comparison:
    """One comparison inside a category's evidence, such as `no_shows_84d >= 2`.

    Where it is true, the features it compares are evidence for the category.
    """

    category: str
    features: tuple[str, ...]
    condition: Condition


@dataclass(frozen=True, repr=False)
class Taxonomy:
    """The eleven categories with their conditions parsed. Build it with `load_taxonomy`."""

    categories: dict[str, Category]
    unknown: Unknown
    required: dict[str, Condition]
    outright: dict[str, Condition]
    comparisons: tuple[Comparison, ...]

    def __repr__(self) -> str:
        return f"Taxonomy({len(self.categories)} categories, {len(self.outright)} named outright)"

    def __getitem__(self, category: str) -> Entry:
        """Return what a reader sees of a category or of `unknown`."""
        return self.unknown if category == UNKNOWN else self.categories[category]

    def label(self, category: str) -> str:
        """Return the words for a category, or for `unknown`."""
        return self[category].label

    def named(self, category: str) -> Category:
        """Return a category's whole configuration."""
        return self.categories[category]

    @property
    def features(self) -> frozenset[str]:
        """Every column the conditions read, usual values included."""
        conditions = [*self.required.values(), *self.outright.values()]
        return frozenset(column for condition in conditions for column in condition.columns)

    def evidence_features(self, category: str) -> tuple[str, ...]:
        """Return the features a category's evidence compares, in the order of the file."""
        found = [name for item in self.comparisons if item.category == category for name in item.features]
        return tuple(dict.fromkeys(found))

    def evidenced(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the categories that could still be named with only the `available` features.

        A category can be evidenced when its condition can become true although every comparison over a
        feature that is not available is NULL.
        """
        have = set(available) | {name + USUAL for name in available}
        return tuple(name for name, item in self.required.items() if _can_be_true(item.tree, have))


def load_taxonomy(workspace: Workspace, columns: Collection[str]) -> Taxonomy:
    """Load serving/taxonomy.toml, checked against the features that are defined.

    `columns` are the names of all defined features, also of those whose tables are absent here: their part of
    a condition is NULL. `<feature>__usual` is known for every one of them.
    A workspace that defines features of its own may inherit the standard taxonomy: what that names and the
    workspace does not define is NULL too. In a file of its own an unknown name is a mistake.

    Raises: ConfigError for a wrong key or value, or a category missing or misspelt; ConditionError for a
    condition that does not parse or names an unknown feature.
    """
    path = workspace.file("serving", FILE)
    inherited = path.parent.parent != workspace.root
    file = read_toml(path, TaxonomyFile, f"serving/{FILE}")
    return build_taxonomy(file, columns, tolerant=inherited)


def build_taxonomy(file: TaxonomyFile, columns: Collection[str], *, tolerant: bool = False) -> Taxonomy:
    """Parse the conditions of a taxonomy file; `tolerant` treats unknown names as features without data."""
    known = {*columns, *(f"{name}{USUAL}" for name in columns)}
    required, outright = {}, {}
    comparisons: dict[tuple[str, str], Comparison] = {}
    for name, category in file.categories.items():
        where = f"serving/{FILE} categories.{name}"
        required[name] = _condition(category.required_evidence, known, f"{where}.required_evidence", tolerant)
        conditions = [required[name]]
        if category.names_outright is not None:
            outright[name] = _condition(category.names_outright, known, f"{where}.names_outright", tolerant)
            conditions.append(outright[name])
        for condition in conditions:
            for leaf in _leaves(condition.tree):
                # The same comparison in both conditions counts once.
                comparisons.setdefault((name, leaf.sql()), _comparison(name, leaf, condition))
    return Taxonomy(dict(file.categories), file.unknown, required, outright, tuple(comparisons.values()))


def _condition(text: str, known: set[str], where: str, tolerant: bool) -> Condition:
    return parse_condition(text.strip(), known | _columns(text) if tolerant else known, where)


def _columns(text: str) -> set[str]:
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except SqlglotError:
        return set()  # parse_condition says what is wrong with it
    return {column.name for column in tree.find_all(exp.Column)}


def _comparison(category: str, leaf: exp.Expr, condition: Condition) -> Comparison:
    columns = [column.name for column in leaf.find_all(exp.Column)]
    features = tuple(dict.fromkeys(column.removesuffix(USUAL) for column in columns))
    text = leaf.sql(dialect="duckdb")
    return Comparison(category, features, parse_condition(text, columns, condition.where))


def _leaves(node: exp.Expr) -> list[exp.Expr]:
    """Split at AND, OR and brackets; NOT stays with what it denies, so that a leaf is true or false alone."""
    if isinstance(node, exp.Paren):
        return _leaves(node.this)
    if isinstance(node, exp.And | exp.Or):
        return _leaves(node.left) + _leaves(node.right)
    return [node]


def _can_be_true(node: exp.Expr, have: set[str]) -> bool:
    if isinstance(node, exp.Paren):
        return _can_be_true(node.this, have)
    if isinstance(node, exp.And):
        return _can_be_true(node.left, have) and _can_be_true(node.right, have)
    if isinstance(node, exp.Or):
        return _can_be_true(node.left, have) or _can_be_true(node.right, have)
    # coalesce() gives a value where a column is missing, so one column is enough.
    enough = any if node.find(exp.Coalesce) is not None else all
    return enough(column.name in have for column in node.find_all(exp.Column))


def load_entries(workspace: Workspace) -> TaxonomyFile:
    """Load serving/taxonomy.toml without features: labels, questions and roles, for readers and documents."""
    return workspace.load("serving", FILE, TaxonomyFile)


def taxonomy_page(file: TaxonomyFile) -> str:
    """Write docs/reference/taxonomy.md: one section a category, generated so that it cannot fall behind."""
    lines = [
        "# Taxonomy",
        "",
        f"Generated from `serving/{FILE}`. After changing that file, write this page again:",
        "",
        "    python -m lifecycle_ml.reasons.taxonomy > docs/reference/taxonomy.md",
        "",
        "| Category | In words | Owner | Floor |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| [`{name}`](#{name}) | {category.label} | {category.owner_role} | {category.floor:.0%} |"
        for name, category in file.categories.items()
    ]
    lines += [f"| [`{UNKNOWN}`](#{UNKNOWN}) | {file.unknown.label} | {file.unknown.owner_role} | |"]
    for name, category in file.categories.items():
        lines += ["", f"## {name}", "", f"**{category.label}.** {category.question}", ""]
        lines += ["Named only when this is true:", "", "```sql", category.required_evidence.strip(), "```"]
        if category.names_outright is not None:
            lines += ["", "Named outright by this fact:", ""]
            lines += ["```sql", category.names_outright.strip(), "```"]
    lines += ["", f"## {UNKNOWN}", "", f"**{file.unknown.label}.** {file.unknown.question}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    from lifecycle_ml.workspace import standard_root

    root = standard_root()
    sys.stdout.write(taxonomy_page(load_entries(Workspace(root, root))))
