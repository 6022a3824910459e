"""The lines benchmarks keep: what was stopped goes on where it ended."""

from __future__ import annotations

import json

from benchmarks.result_lines import add_line, companies_parser, read_lines, run_companies


def test_only_the_seeds_that_are_missing_are_run(tmp_path, capsys):
    """Each is kept and told as it is done; lines of other seeds stay and are not summarised."""
    out = tmp_path / "new" / "lines.jsonl"
    parser = companies_parser("What is asked?\n\nMore.", first_seed=7)
    ran = []

    def run(seed):
        ran.append(seed)
        return {"seed": seed, "rows": 10 * seed}

    def of(*words):
        return run_companies(
            parser.parse_args(["--out", str(out), *words]), run, lambda line: f"{line['rows']} rows"
        )

    assert of("--seeds", "1") == [{"seed": 7, "rows": 70}]
    assert [line["seed"] for line in of("--seeds", "2")] == [7, 8]
    assert [line["seed"] for line in of("--seeds", "1", "--first-seed", "9")] == [9]
    assert ran == [7, 8, 9]
    assert capsys.readouterr().out == "seed 7: 70 rows\nseed 8: 80 rows\nseed 9: 90 rows\n"
    assert out.read_text("utf-8") == "".join(
        json.dumps({"seed": s, "rows": 10 * s}) + "\n" for s in (7, 8, 9)
    )


def test_a_line_that_was_cut_off_is_left_out_and_takes_no_other_with_it(tmp_path):
    """A run killed while it wrote goes on below that; a file that is not there has no lines."""
    path = tmp_path / "lines.jsonl"
    path.write_text('{"seed": 1}\n{"seed": 2, "ro', encoding="utf-8")

    assert read_lines(path) == [{"seed": 1}]
    add_line(path, {"seed": 2})
    add_line(path, {"seed": 3})
    assert read_lines(path) == [{"seed": 1}, {"seed": 2}, {"seed": 3}]
    assert read_lines(tmp_path / "none.jsonl") == []
