"""Addresses and secrets: read once from the environment, everything else is in the workspace's files."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

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
        "Keys the service is started with, comma separated, each role:key with role read, act or admin; "
        "without name, end or limit. `lifecycle keys` makes those for other systems.",
    ),
    Row(
        "LIFECYCLE_WEBHOOKS",
        "",
        "Addresses told of actions, separated by spaces, each name=https://….",
    ),
    Row(
        "LIFECYCLE_WEBHOOK_SECRETS",
        "",
        "What webhooks are signed with, separated by spaces, each name=whsec_… (base64, 24 to 64 bytes); a "
        "name twice while a secret is exchanged.",
    ),
    Row(
        "LIFECYCLE_WEBHOOKS_PRIVATE",
        "",
        "Names of webhooks, separated by spaces, that may lie on this machine or a private network.",
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
class Webhook:
    """An address that is told of actions; its secrets never appear in a repr."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)
    private: bool = False
    """Whether it may lie on this machine or a private network, and speak http."""


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
    webhooks: tuple[Webhook, ...] = ()

    @classmethod
    def read(cls, root: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings for the workspace at `root`.

        Raises: ConfigError for an unknown LIFECYCLE_ variable, a thread count that is no positive
        number, an API key without a known role, or a webhook without secret or with an address that
        cannot be one.
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
            webhooks=_parse_webhooks(value),
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


def _parse_webhooks(value: Mapping[str, str]) -> tuple[Webhook, ...]:
    addresses = dict(_pairs("LIFECYCLE_WEBHOOKS", value["LIFECYCLE_WEBHOOKS"]))
    secrets: dict[str, list[bytes]] = {}
    for at, (name, text) in enumerate(
        _pairs("LIFECYCLE_WEBHOOK_SECRETS", value["LIFECYCLE_WEBHOOK_SECRETS"])
    ):
        secrets.setdefault(name, []).append(_decode_secret(text, at + 1))
    private = value["LIFECYCLE_WEBHOOKS_PRIVATE"].split()
    for variable, names in (("LIFECYCLE_WEBHOOK_SECRETS", secrets), ("LIFECYCLE_WEBHOOKS_PRIVATE", private)):
        for name in names:
            if name not in addresses:
                raise ConfigError(
                    f"environment: {variable} names {name!r}, which LIFECYCLE_WEBHOOKS does not have."
                    f"{did_you_mean(name, addresses)}"
                )
    for name, url in addresses.items():
        if name not in secrets:
            raise ConfigError(
                f"environment: webhook {name!r} has no secret; add {name}=whsec_… to "
                "LIFECYCLE_WEBHOOK_SECRETS."
            )
        _check_address(name, url, private=name in private)
    return tuple(
        Webhook(name=name, url=url, secrets=tuple(secrets[name]), private=name in private)
        for name, url in addresses.items()
    )


def _pairs(variable: str, text: str) -> list[tuple[str, str]]:
    pairs = []
    for position, item in enumerate(text.split(), 1):
        name, equals, rest = item.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name) or not rest:
            raise ConfigError(
                f"environment: {variable}, entry {position}: write name=…, the name in lower-case letters, "
                "digits, - and _."
            )
        pairs.append((name, rest))
    return pairs


def _decode_secret(text: str, position: int) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith("whsec_") or not 24 <= len(secret) <= 64:
        raise ConfigError(
            f"environment: LIFECYCLE_WEBHOOK_SECRETS, entry {position}: write name=whsec_ and 24 to 64 "
            "random bytes in base64, for example from `openssl rand -base64 32`."
        )
    return secret


def _check_address(name: str, url: str, *, private: bool) -> None:
    try:
        parts = urlsplit(url)
        known = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or "@" in parts.netloc or parts.scheme not in ("https", "http"):
        raise ConfigError(
            f"environment: webhook {name!r}: write https://host/path, without user or password."
        )
    if parts.scheme == "http" and not private:
        raise ConfigError(
            f"environment: webhook {name!r} speaks http, which anybody on the way can read; use https, or "
            "name it in LIFECYCLE_WEBHOOKS_PRIVATE if it lies on your own network."
        )
