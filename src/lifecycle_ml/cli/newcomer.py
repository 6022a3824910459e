"""What a newcomer types first: init, simulate, demo."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import progress_bars, say
from lifecycle_ml.errors import ConfigError, counted
from lifecycle_ml.settings import ApiKey, Settings
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, TableSchema
from lifecycle_ml.workspace import Workspace, standard_root

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


def init(folder: Path) -> None:
    """Write a SELECT to fill in for each canonical table. Raises: ConfigError if the folder has sources."""
    sources = folder / "features" / "sources"
    if sources.exists():
        raise ConfigError(f"{sources} exists already; choose a new folder, or edit the SELECTs there.")
    sources.mkdir(parents=True)
    for schema in SCHEMAS.values():
        (sources / f"{schema.name}.sql").write_text(_select(schema), encoding="utf-8")
    say(f"{sources}: {len(SCHEMAS)} SELECTs, one for each canonical table.")
    say("Next: let each select from your raw table, delete the tables you do not have, then run")
    say(f"  LIFECYCLE_SOURCE_URL=<folder or database> lifecycle check --workspace {folder}")


def _select(schema: TableSchema) -> str:
    """Render a SELECT that takes canonical columns as they are, below what each column may hold."""
    width = max(len(column.name) for column in schema.columns)
    lines = [f"-- {schema.says}", "--"]
    for column in schema.columns:
        notes = [column.type.value.lower(), "required" if column.required else "", " | ".join(column.values)]
        lines.append(f"--   {column.name:<{width}}  {'; '.join(note for note in notes if note)}")
    lines.append(
        f"--   {KNOWN_AT.name:<{width}}  timestamp; when the row was first known, where your system tells"
    )
    lines.append("--")
    lines.append("-- Where your columns have other names, write them out: SELECT crm_id AS account_id, ...")
    lines.append(f"SELECT * FROM {schema.name}")
    return "\n".join(lines) + "\n"


def simulate(folder: Path, accounts: int, seed: int) -> None:
    """Write a synthetic company to `folder` and its truth beside it, over one that was simulated before.

    Raises: ConfigError where the folder holds tables that nobody simulated.
    """
    from lifecycle_ml.simulate.company import simulate_company

    truth = folder.with_name(folder.name + "-truth")
    there = [name for name in SCHEMAS if (folder / f"{name}.parquet").exists()]
    if there and not truth.exists():
        raise ConfigError(
            f"{folder} holds {counted(len(there), 'table')} that no simulation wrote, for there is no "
            f"{truth.name} beside it: {', '.join(there)}. They would be overwritten; choose another folder."
        )
    with progress_bars() as progress:
        progress("simulating a company", 0, 1)
        company = simulate_company(seed, accounts)
        company.write(folder, truth)
        progress("simulating a company", 1, 1)
    rows = sum(len(frame) for frame in company.tables.values())
    say(f"{folder}: {len(company.tables)} tables, {rows:,} rows, {accounts:,} accounts.")
    last = company.first + timedelta(days=company.days)
    say(f"The data end on {last}: use --as-of {last}.")
    say(f"{truth}: the true hazards and causes; nothing but evaluations should read them.")


def demo(folder: Path, accounts: int, seed: int, as_of: date, port: int, *, serve_after: bool) -> None:
    """Take a simulated company, whose three years end in the week up to `as_of`, to a served account."""
    from lifecycle_ml.check import check
    from lifecycle_ml.cli import readings, work
    from lifecycle_ml.nightly import run_nightly
    from lifecycle_ml.promotion.training import train
    from lifecycle_ml.simulate.company import simulate_company
    from lifecycle_ml.tables.source import read_tables

    folder = folder.resolve()
    workspace = Workspace(root=standard_root(), standard=standard_root())
    settings = _demo_settings(folder)
    _clear_earlier_demo(folder)
    with progress_bars() as progress:
        progress("simulating a company", 0, 1)
        company = simulate_company(seed, accounts)
        # the same company whatever the day, so that what a newcomer sees has been looked at before
        company = company.moved((as_of - company.first - timedelta(days=company.days)).days // 7)
        company.write(folder / "data", folder / "truth")
        as_of = company.first + timedelta(days=company.days)
        progress("simulating a company", 1, 1)
        progress("reading and checking its tables", 0, 1)
        tables = read_tables(workspace, settings)
        report = check(workspace, settings, as_of, tables=tables)
        progress("reading and checking its tables", 1, 1)
        trainings = [
            train(workspace, settings, recipe, tables, as_of, progress=progress)
            for recipe in ("churn", "expansion")
        ]
        now = datetime.combine(as_of, time()) + timedelta(hours=2)
        run_nightly(workspace, settings, as_of, now, tables=tables, report=report, progress=progress)
    for training in trainings:
        work.show_training(training)
    readings.show_today(settings, most=10)
    first = readings.first_account(settings)
    say("")
    say("One account in words:")
    say(f"  LIFECYCLE_STORE_URL={settings.store_url} lifecycle explain {first} --workspace {workspace.root}")
    if serve_after:
        key = settings.api_keys[0].key
        say(f"Pages: http://127.0.0.1:{port}/  (sign in with the key)")
        say(f"X-API-Key: {key}")
        example = '{"account_ids": ["' + first + '"]}'
        say(
            f"curl -s -H 'X-API-Key: {key}' -H 'Content-Type: application/json' "
            f"-d '{example}' http://127.0.0.1:{port}/v1/score"
        )
        work.serve(workspace, settings, "127.0.0.1", port)


def _clear_earlier_demo(folder: Path) -> None:
    """Remove what an earlier demo left. Raises: ConfigError for a folder that no demo made."""
    parts = [folder / name for name in ("data", "truth", "out", "mlruns")]
    if not any(part.exists() for part in parts):
        return
    if not (folder / "truth").is_dir():
        raise ConfigError(f"{folder} holds something that no demo made; name another folder with --folder.")
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)


def _demo_settings(folder: Path) -> Settings:
    """Everything of the demo lies in its folder, whatever the environment says; the key is new each time."""
    settings = Settings.read(folder, environ={})
    return replace(settings, api_keys=(ApiKey(role="admin", key=secrets.token_urlsafe(24)),))
