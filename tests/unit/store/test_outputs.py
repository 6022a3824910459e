"""Files beside the store: rows and words of an account go, everything else stays as it was."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifecycle_ml.store.outputs import erase, look
from lifecycle_ml.store.traces import Traces

GONE = Traces("GONE-0001", ("Nimbus Trading 1",))
TABLE = {"account_id": ["GONE-0001", "GONE-00011", "S-2"], "risk": [0.1, 0.2, 0.3]}


@pytest.fixture
def out(tmp_path):
    """The folder of outputs."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def forget(out, traces=GONE):
    """Look, erase, look again; return what was found, by file name."""
    found = look([out], [], traces)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert erase([out], [], traces) == found
    assert [each for each in look([out], [], traces) if not each.why] == []
    for path, content in before.items():
        if path not in {each.path for each in found if not each.why}:
            assert path.read_bytes() == content
    return {str(each.path.relative_to(out.resolve())): each.why or each.count for each in found}


def test_parquet_loses_the_rows_and_keeps_types_and_the_rest(out):
    """Also where a dictionary would keep the id of a row that is gone; ids that only begin alike stay."""
    frame = pd.DataFrame(
        TABLE | {"at": pd.Timestamp("2026-06-30"), "parent_account_id": [None, "GONE-0001", None]}
    )
    frame["why"] = ["x", "as Nimbus Trading 1 does", "Nimbus Trading 12"]
    frame.astype({"account_id": "category"}).to_parquet(out / "p.parquet", index=False)
    pq.write_table(pa.table({"n": [1, 2]}), out / "n.parquet")

    assert forget(out) == {"p.parquet": 3}
    left = pd.read_parquet(out / "p.parquet")
    assert left["account_id"].tolist() == ["GONE-00011", "S-2"]
    assert left["parent_account_id"].isna().all()
    assert left["why"].tolist() == ["as [forgotten] does", "Nimbus Trading 12"]
    assert left.dtypes["at"] == frame.dtypes["at"]
    assert left["risk"].tolist() == [0.2, 0.3]
    content = (out / "p.parquet").read_bytes()
    assert b"GONE-0001" not in content.replace(b"GONE-00011", b"")


@pytest.mark.parametrize("ids", [[7, 77], ["7", "77"]])
def test_an_id_of_digits_is_known_by_its_column_alone(out, ids):
    """7 is a count everywhere else."""
    pd.DataFrame({"account_id": ids, "seats": [7, 7], "text": ["7", "7"]}).to_parquet(out / "p.parquet")
    (out / "a.json").write_text(json.dumps({"seats": 7, "version": "7", "rows": [{"account_id": ids[0]}]}))
    (out / "a.md").write_text("7 of 7")
    (out / "a.csv").write_text("accounts,parent_account_id\n7,7\n7,77\n")
    (out / "b.json").write_text(json.dumps({"accounts": 7, "by": {"accounts": {"7": 1, "77": 7}}}))

    assert forget(out, Traces("7")) == {"a.csv": 1, "a.json": 1, "b.json": 1, "p.parquet": 1}
    assert (out / "a.csv").read_text() == "accounts,parent_account_id\n7,\n7,77\n"
    assert json.loads((out / "b.json").read_text()) == {"accounts": 7, "by": {"accounts": {"77": 7}}}
    assert pd.read_parquet(out / "p.parquet")["seats"].tolist() == [7]
    assert json.loads((out / "a.json").read_text()) == {"seats": 7, "version": "7", "rows": []}


def test_csv_json_and_texts(out):
    """Each as what it is; a file that was about this account alone is deleted."""
    text = 'account_id,name,said\nGONE-0001,"Nimbus, Trading",x\nS-2,Other,"like GONE-0001, they say"\n'
    (out / "a.csv").write_text(text)
    (out / "z.csv.gz").write_bytes(gzip.compress(text.encode()))
    (out / "one.json").write_text(json.dumps({"account_id": "GONE-0001", "risk": 0.1}))
    (out / "all.json").write_text(json.dumps({"account_ids": ["GONE-0001", "S-2"], "GONE-0001": 1, "n": 0.1}))
    (out / "l.jsonl").write_text('{"account_id":"GONE-0001"}\n{"account_id": "S-2"}\n')
    (out / "r.html").write_text("<p>GONE-0001 and GONE-0001x; Nimbus Trading 1.</p>")

    assert forget(out) == {"a.csv": 2, "all.json": 2, "l.jsonl": 1, "one.json": 1, "r.html": 2, "z.csv.gz": 2}
    kept = 'account_id,name,said\nS-2,Other,"like [forgotten], they say"\n'
    assert (out / "a.csv").read_text() == kept
    assert gzip.decompress((out / "z.csv.gz").read_bytes()).decode() == kept
    assert not (out / "one.json").exists()
    assert json.loads((out / "all.json").read_text()) == {"account_ids": ["S-2"], "n": 0.1}
    assert (out / "l.jsonl").read_text() == '{"account_id": "S-2"}\n'
    assert (out / "r.html").read_text() == "<p>[forgotten] and GONE-0001x; [forgotten].</p>"


def test_what_cannot_be_written_anew_is_named_and_left(out):
    """A model sealed by its hash, a copy of the database, JSON that is broken off: a person decides."""
    (out / "bundle").mkdir()
    for name in ("digest", "manifest.json"):
        (out / "bundle" / name).write_text('{"account_id": "GONE-0001"}')
    (out / "copy.db").write_bytes(b"\0GONE-0001\0")
    (out / "half.json").write_text('{"account_id": "GONE-0001"')
    (out / "half.csv.gz").write_bytes(gzip.compress(b"account_id\nGONE-0001\n", mtime=0)[:-9])
    (out / "plot.png").write_bytes(b"\x89PNG")

    sealed = "it is part of a model and sealed by its hash"
    assert forget(out) == {
        "bundle/digest": sealed,
        "bundle/manifest.json": sealed,
        "copy.db": "no file we can write anew",
        "half.csv.gz": "it cannot be read (EOFError)",
        "half.json": "it cannot be read (JSONDecodeError)",
    }


def test_what_is_not_ours_is_not_looked_into(out, tmp_path):
    """The source tables, a workspace inside this one, a Python environment, and what a link leads to."""
    elsewhere = tmp_path / "elsewhere"
    for folder in (out / "data", out / "demo" / "features", out / "env", elsewhere):
        folder.mkdir(parents=True)
    (out / "env" / "pyvenv.cfg").touch()
    named = [out / "data", out / "demo", out / "env", elsewhere]
    for folder in named:
        (folder / "a.csv").write_text("account_id\nGONE-0001\n")
    (out / "link").symlink_to(elsewhere)
    (out / "a.csv").symlink_to(elsewhere / "a.csv")

    assert erase([out, out / "missing"], [out / "data"], GONE) == []
    assert all("GONE-0001" in (folder / "a.csv").read_text() for folder in named)


def test_a_file_that_is_named_twice_is_written_once(out):
    """A folder of models is often inside the outputs."""
    (out / "a.csv").write_text("account_id\nGONE-0001\n")
    assert [each.count for each in erase([out, out, out / "a.csv"], [], GONE)] == [1]
    assert not list(out.glob(".*"))
