"""The API's description as a file, in the form the importer asks for."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.cli.screen import say
from lifecycle_ml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

FORMATS: Final = ("3.1", "3.0", "2.0", "hubspot")


def export_openapi(workspace: Workspace, settings: Settings, form: str, server: str, out: Path) -> None:
    """Write the description. Raises: ConfigError for an unknown format or an address that is none."""
    from lifecycle_ml.service.app import create_app
    from lifecycle_ml.service.hubspot import hubspot_action
    from lifecycle_ml.service.schema import plain_openapi, swagger

    if form not in FORMATS:
        raise ConfigError(f"--format {form!r} is not one.{did_you_mean(form, FORMATS)}")
    server = server.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#\"\\]+(/[^\s?#\"\\]*)?", server):
        raise ConfigError(f"--server {server!r} is no address; write https://lifecycle.example.com.")
    if form == "hubspot":
        _write(out, hubspot_action(server))
        say(f"{out}: a HubSpot workflow action; put the key in its place before you send it.")
        return
    own: dict[str, Any] = create_app(settings, workspace).openapi()
    made = {
        "3.1": lambda: {**own, "servers": [{"url": server}]},
        "3.0": lambda: plain_openapi(own, server),
        "2.0": lambda: swagger(own, server),
    }[form]()
    _write(out, made)
    named = f"OpenAPI {made['openapi']}" if "openapi" in made else "Swagger 2.0"
    operations = sum(len(operations) for operations in made["paths"].values())
    say(f"{out}: {named}, {operations} operations.")


def _write(out: Path, document: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
