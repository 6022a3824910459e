"""Addresses and secrets: read once from the environment, everything else is in the workspace's files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lifecycle_ml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(NamedTuple):
    """One setting: its environment variable, its default ({root} is the workspace) and what it is for."""

    name: str
    default: str
    help: str


ROWS = (
    Row(
        "LIFECYCLE_SOURCE_URL",
        "{root}/data",
        "Raw tables: a folder of Parquet, CSV or CSV.GZ files, or an Ibis URL.",
    ),
    Row(
        "LIFECYCLE_STORE_URL",
        "sqlite:///{root}/out/lifecycle.db",
        "SQLAlchemy URL of publications, readings and actions.",
    ),
    Row(
        "LIFECYCLE_API_KEYS",
        "",
        "Keys of the service, comma separated, each role:key with role read, act or admin.",
    ),
    Row(
        "LIFECYCLE_BUNDLES",
        "{root}/out/bundles",
        "Folder into which promoted models are exported by digest.",
    ),
    Row("LIFECYCLE_THREADS", "2", "Threads used for building matrices and for training."),
    Row(
        "LIFECYCLE_MEMORY",
        "",
        "Most memory DuckDB may take, e.g. 2GB; the rest goes to disk. Empty: four fifths of the machine's.",
    ),
    Row(
        "MLFLOW_TRACKING_URI",
        "sqlite:///{root}/mlruns/mlflow.db",
        "Where runs and registered models are kept.",
    ),
)
ROLES = ("read", "act", "admin")


@dataclass(frozen=True)
class ApiKey:
    """A key and what it may do; the key itself never appears in a repr."""

    role: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """What the environment says, checked. Build it with `Settings.read`."""

    source_url: str
    store_url: str
    api_keys: tuple[ApiKey, ...]
    bundles: Path
    threads: int
    memory: str
    mlflow_tracking_uri: str

    @classmethod
    def read(cls, root: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings for the workspace at `root`.

        Raises: ConfigError for an unknown LIFECYCLE_ variable, a thread count that is no positive
        number, or an API key without a known role.
        """
        env = os.environ if environ is None else environ
        known = {row.name for row in ROWS}
        for name in env:
            if name.startswith("LIFECYCLE_") and name not in known:
                raise ConfigError(f"environment: {name} is not a setting.{did_you_mean(name, known)}")
        value = {row.name: env.get(row.name) or row.default.format(root=root) for row in ROWS}
        threads = value["LIFECYCLE_THREADS"]
        if not threads.isdigit() or int(threads) < 1:
            raise ConfigError(f"environment: LIFECYCLE_THREADS is {threads!r}; give a whole number from 1.")
        memory = value["LIFECYCLE_MEMORY"]
        if memory and not re.fullmatch(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", memory):
            raise ConfigError(
                f"environment: LIFECYCLE_MEMORY is {memory!r}; give a number and a unit, like 2GB or 512MB."
            )
        return cls(
            source_url=value["LIFECYCLE_SOURCE_URL"],
            store_url=value["LIFECYCLE_STORE_URL"],
            api_keys=_parse_keys(value["LIFECYCLE_API_KEYS"]),
            bundles=Path(value["LIFECYCLE_BUNDLES"]),
            threads=int(threads),
            memory=memory,
            mlflow_tracking_uri=value["MLFLOW_TRACKING_URI"],
        )


def _parse_keys(text: str) -> tuple[ApiKey, ...]:
    keys = []
    for position, item in enumerate(part.strip() for part in text.split(",") if part.strip()):
        role, colon, key = item.partition(":")
        if not colon or role not in ROLES or len(key) < 16:
            raise ConfigError(
                f"environment: LIFECYCLE_API_KEYS, key {position + 1}: write role:key with a role of "
                f"{', '.join(ROLES)} and a key of at least 16 characters."
            )
        keys.append(ApiKey(role=role, key=key))
    return tuple(keys)
