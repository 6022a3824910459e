"""Files beside the store that name an account: predictions, exports, matrices, reports.

Each kind is read as what it is and written anew without the account, beside the old one, which it then
replaces: a kill leaves the old file or the new one. What cannot be written anew is named, for a person to do.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.store.traces import ROWS_OF, Traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

TEXTS: Final = frozenset({".html", ".log", ".md", ".svg", ".txt"})
"""Files of which the words that name an account are replaced."""
_SEALED: Final = "digest"
"""A folder with such a file is a model under the hash of its content: changed, it would serve no more."""
_CHUNK: Final = 1 << 20
_DRAFT: Final = ".forgetting"


@dataclass(frozen=True)
class Named:
    """One file that names the account. `count`: rows, cells or words; `why` it stays as it is, if it does."""

    path: Path
    count: int
    why: str = ""


def look(roots: Sequence[Path], leave: Sequence[Path], traces: Traces) -> list[Named]:
    """Return the files under `roots` that name the account, and change none.

    Not looked into: `leave` (the store's own files, the source tables), Python environments, workspaces
    inside this one, and what links lead to.
    """
    return [named for path in _files(roots, leave) if (named := _treat(path, traces, write=False))]


def erase(roots: Sequence[Path], leave: Sequence[Path], traces: Traces) -> list[Named]:
    """Write these files anew without the account, as `look` found them, and return them.

    A file in which nothing is left (JSON of this one account) is deleted.
    """
    return [named for path in _files(roots, leave) if (named := _treat(path, traces, write=True))]


def _files(roots: Sequence[Path], leave: Sequence[Path]) -> Iterator[Path]:
    left = {path.resolve() for path in leave}
    seen: set[Path] = set()
    for root in (each.resolve() for each in roots):
        if root.is_file() and root not in left | seen:
            seen.add(root)
            yield root
        for folder, folders, names in os.walk(root):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if _is_ours(here / name, left))
            for path in (here / name for name in sorted(names)):
                if path not in left | seen and path.is_file() and not path.is_symlink():
                    seen.add(path)
                    yield path


def _is_ours(folder: Path, left: set[Path]) -> bool:
    inner = ("features", "training", "serving", "pyvenv.cfg")
    return folder not in left and not any((folder / name).exists() for name in inner)


def _treat(path: Path, traces: Traces, *, write: bool) -> Named | None:
    name = path.name.lower()
    sealed = (path.parent / _SEALED).is_file()
    draft = path.with_name(f".{path.name}{_DRAFT}")
    try:
        if sealed or not name.endswith((".parquet", ".csv", ".csv.gz", ".json", ".jsonl", *TEXTS)):
            why = "it is part of a model and sealed by its hash" if sealed else "no file we can write anew"
            return Named(path, 1, why) if _names(path, traces) else None
        if name.endswith(".parquet"):
            count, left = _count_in_parquet(path, traces), True
            if count and write:
                _write_parquet(path, traces, draft)
        else:
            new, count, left = _text(path, traces)
            if count and write and left:
                draft.write_bytes(new)
        if count and write and left:
            shutil.copymode(path, draft)
            draft.replace(path)
        elif count and write:
            path.unlink()
    except OSError as error:
        return Named(path, 1, f"it cannot be read or written: {error.strerror or type(error).__name__}")
    except (ValueError, csv.Error, EOFError, zlib.error, RecursionError) as error:
        # of what is packed the bytes do not tell whether it names the account
        packed = name.endswith((".gz", ".parquet"))
        named = packed or _names(path, traces)
        return Named(path, 1, f"it cannot be read ({type(error).__name__})") if named else None
    finally:
        draft.unlink(missing_ok=True)
    return Named(path, count) if count else None


def _names(path: Path, traces: Traces) -> bool:
    """Whether the bytes of a file name the account unmistakably."""
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if traces.is_in(before + chunk):
                return True
            before = chunk[-1024:]
    return False


def _text(path: Path, traces: Traces) -> tuple[bytes, int, bool]:
    """Return a text file's content without the account, how much went and whether anything is left."""
    content = path.read_bytes()
    packed = path.suffix.lower() == ".gz"
    if packed:
        content = gzip.decompress(content)
    if not traces.may_be_in(content):
        return content, 0, True
    text = content.decode("utf-8")
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    new: str | None
    if kind == ".json":
        new, count = _json(text, traces)
    elif kind == ".jsonl":
        new, count = _json_lines(text, traces)
    elif kind == ".csv":
        new, count = _csv(text, traces)
    else:
        new = traces.reword(text)
        count = new.count("[forgotten]") - text.count("[forgotten]")
    if new is None:
        return b"", count, False
    return gzip.compress(new.encode(), mtime=0) if packed else new.encode(), count, True


def _json(text: str, traces: Traces) -> tuple[str | None, int]:
    left, gone = traces.without(json.loads(text))
    if left is None:
        return None, gone
    indent = 1 if "\n" in text.strip() else None
    return json.dumps(left, indent=indent, ensure_ascii=False) + "\n", gone


def _json_lines(text: str, traces: Traces) -> tuple[str, int]:
    kept: list[str] = []
    total = 0
    for line in text.splitlines():
        left, gone = traces.without(json.loads(line)) if line.strip() else (None, 0)
        total += gone
        if not gone:
            kept.append(line)
        elif left is not None:
            kept.append(json.dumps(left, ensure_ascii=False))
    return "".join(f"{line}\n" for line in kept), total


def _csv(text: str, traces: Traces) -> tuple[str, int]:
    ends = "\r\n" if "\r\n" in text else "\n"
    first = text.split("\n", 1)[0]
    comma = max((",", ";", "\t"), key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
    columns = next(rows, [])
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=comma, lineterminator=ends)
    writer.writerow(columns)
    total = 0
    for row in rows:
        cells, gone = _cells(dict(enumerate(row)), columns, traces)
        total += gone
        if cells is not None:
            writer.writerow([cells[at] or "" for at in range(len(row))])
    return out.getvalue(), total


def _cells(row: dict[int, Any], columns: Sequence[str], traces: Traces) -> tuple[dict[int, Any] | None, int]:
    """Return the cells of a row without the account, None where the row is its own, and how many changed."""
    left, gone = dict(row), 0
    for at, value in row.items():
        column = columns[at] if at < len(columns) else ""
        if traces.is_it(value, column):
            if column in ROWS_OF:
                return None, 1
            left[at], gone = None, gone + 1
        elif isinstance(value, str) and (reworded := traces.reword(value)) != value:
            left[at], gone = reworded, gone + 1
    return left, gone


def _count_in_parquet(path: Path, traces: Traces) -> int:
    """Return how many rows and cells of a Parquet file name the account, reading the columns that can."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = _plain_schema(file.schema_arrow)
        asked = [field.name for field in schema if _is_text(field.type) or field.name in ROWS_OF]
        if not asked:
            return 0
        return sum(_batch(each, schema, traces)[1] for each in file.iter_batches(columns=asked))


def _write_parquet(path: Path, traces: Traces, draft: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = _plain_schema(file.schema_arrow)
        with pq.ParquetWriter(draft, schema) as writer:
            for batch in file.iter_batches():
                writer.write_table(_batch(batch, schema, traces)[0])


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with texts as texts: a dictionary would keep the ids of rows that are gone."""
    import pyarrow as pa

    for at, each in enumerate(schema):
        if pa.types.is_dictionary(each.type):
            schema = schema.set(at, each.with_type(each.type.value_type))
    return schema


def _batch(batch: pa.RecordBatch, schema: pa.Schema, traces: Traces) -> tuple[pa.Table, int]:
    """Return some rows (of some columns) without the account, and how many rows and cells went."""
    import pyarrow as pa
    import pyarrow.compute as pc

    fields = [schema.field(name) for name in batch.schema.names]
    table = pa.Table.from_batches([batch]).cast(pa.schema(fields, schema.metadata))
    gone = table.num_rows
    for name in sorted(ROWS_OF & set(table.column_names)):
        column = table[name]
        if _is_text(column.type) or pa.types.is_integer(column.type):
            same = pc.equal(column.cast(pa.string()), traces.account_id)
            table = table.filter(pc.invert(pc.fill_null(same, fill_value=False)))
    gone -= table.num_rows
    for at, field in enumerate(fields):
        column = table.column(at)
        if not _is_text(field.type) or not any(
            pc.any(pc.match_substring(column, word)).as_py() for word in {traces.account_id, *traces.words}
        ):
            continue
        old = column.to_pylist()
        new = [None if traces.is_it(each, field.name) else each and traces.reword(each) for each in old]
        gone += sum(one != other for one, other in zip(old, new, strict=True))
        table = table.set_column(at, field, pa.array(new, field.type))
    return table, gone


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
