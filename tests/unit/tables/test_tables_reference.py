"""The reference page is the schema, written out."""

from pathlib import Path

from lifecycle_ml.tables.reference import reference
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.schema import SCHEMAS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "tables.md"


def test_the_page_is_current():
    """docs/reference/tables.md is generated; this fails when it has gone stale."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_every_column_and_rule_is_explained():
    """No column without a word on what it holds, no rule without one on what it does."""
    assert all(column.says for schema in SCHEMAS.values() for column in schema.columns)
    page = reference()
    assert all(f"`{rule}`" in page for rule in RULES)


def test_a_column_hangs_only_on_a_dated_column_of_its_table():
    """A clock names a column that has a clock itself."""
    for schema in SCHEMAS.values():
        for column in schema.columns:
            if column.clock not in {"row", "dated", "effective", "today"}:
                assert schema[column.clock].clock in {"dated", "effective"}


def test_keys_and_clocks_name_columns_of_their_table():
    """A misspelt name in the schema would silently never match."""
    for schema in SCHEMAS.values():
        named = {*schema.key, *schema.known, *schema.known_at_start} - {"known_at"}
        assert named <= set(schema.by_name)
        assert schema.happened is None or schema[schema.happened].type in {"DATE", "TIMESTAMP"}
