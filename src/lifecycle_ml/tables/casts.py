"""From whatever type a source returns to the canonical one, as DuckDB expressions."""

from __future__ import annotations

from lifecycle_ml.tables.schema import Column, Type

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_FLOAT = ("DOUBLE", "FLOAT")
_INSTANT = ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE")


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def family(sql_type: str) -> str:
    """Reduce a DuckDB type to text, whole, big, float, date, instant, yes_no, texts, null or other."""
    if sql_type in {"VARCHAR", "JSON", "UUID"} or sql_type.startswith("ENUM"):
        return "text"
    if sql_type.endswith("]"):
        return "texts"
    if sql_type in _WHOLE:
        return "whole"
    if sql_type in _FLOAT:
        return "float"
    if sql_type.startswith("DECIMAL") or sql_type in {"HUGEINT", "UHUGEINT", "UBIGINT"}:
        return "big"
    if sql_type in _INSTANT:
        return "instant"
    return {"DATE": "date", "BOOLEAN": "yes_no", '"NULL"': "null", "NULL": "null"}.get(sql_type, "other")


def cast(column: Column, name: str, sql_type: str) -> str:
    """Return the expression that turns the source's column `name` into canonical `column`.

    A value that cannot be turned becomes NULL (see `is_risky`). Text that is empty counts as no value, times
    with a zone become UTC, times in text without one are UTC, not-a-number is no value.
    """
    q, kind, target = quoted(name), family(sql_type), column.type
    none = f"CAST(NULL AS {target})"
    if kind == "null":
        return none
    if kind == "float":
        q = f"(CASE WHEN isnan({q}) THEN NULL ELSE {q} END)"
    if target is Type.TEXT:
        return _text(column, q, kind)
    if target is Type.TEXTS:
        if kind == "text":
            return (
                # DuckDB writes lists in brackets, Postgres in braces.
                f"list_filter(list_transform(string_split_regex(trim({q}::VARCHAR, '[]{{}} '), '[,;|]'), "
                "lambda x: trim(x, ' \"'''))"
                ", lambda x: x <> '')"
            )
        return f"TRY_CAST({q} AS VARCHAR[])" if kind == "texts" else none
    if kind == "text":
        q = f"nullif(trim({q}::VARCHAR), '')"
    if target in {Type.DATE, Type.INSTANT}:
        if kind == "text":
            # By way of a zoned instant: a plain cast to TIMESTAMP would drop the offset written in the text.
            instant = f"CAST(TRY_CAST({q} AS TIMESTAMPTZ) AS TIMESTAMP)"
            return instant if target is Type.INSTANT else f"CAST({instant} AS DATE)"
        if kind == "instant":
            return f"CAST(CAST({q} AS TIMESTAMP) AS {target})"
        return f"CAST({q} AS {target})" if kind == "date" else none
    if target is Type.YES_NO:
        if kind == "text":
            return (
                f"(CASE WHEN lower({q}) IN ('true', 't', 'yes', 'y', '1') THEN TRUE "
                f"WHEN lower({q}) IN ('false', 'f', 'no', 'n', '0') THEN FALSE END)"
            )
        if kind in {"whole", "float", "big"}:
            return f"(CASE {q} WHEN 1 THEN TRUE WHEN 0 THEN FALSE END)"
        return q if kind == "yes_no" else none
    return f"TRY_CAST({q} AS {target})" if kind in {"text", "whole", "float", "big", "yes_no"} else none


def _text(column: Column, q: str, kind: str) -> str:
    if kind == "float":
        # pandas reads whole-number ids with a gap as floats; '7.0' is nobody's id.
        whole = f"CAST(TRY_CAST({q} AS HUGEINT) AS VARCHAR)"
        return f"(CASE WHEN {q} = trunc({q}) THEN {whole} ELSE CAST({q} AS VARCHAR) END)"
    text = f"nullif(trim(CAST({q} AS VARCHAR)), '')"
    return f"lower({text})" if column.values else text


def is_risky(column: Column, sql_type: str) -> bool:
    """Whether the cast may lose values that are there, so that they have to be counted."""
    kind, target = family(sql_type), column.type
    if kind == "null" or target is Type.TEXT:
        return False
    safe = {
        Type.TEXTS: {"text"},
        Type.DATE: {"date", "instant"},
        Type.INSTANT: {"date", "instant"},
        Type.YES_NO: {"yes_no"},
        Type.WHOLE: {"whole", "yes_no"},
        Type.NUMBER: {"yes_no"} | ({"whole"} if sql_type != "BIGINT" else set()),
    }
    return kind not in safe[target]
