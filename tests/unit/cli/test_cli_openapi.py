"""`lifecycle export-openapi` writes each form, and says what it wrote."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.errors import ConfigError


def export(folder, *words):
    """Run the command for a folder without anything of its own."""
    (folder / "serving").mkdir(exist_ok=True)
    out = folder / "kit" / "api.json"
    done = CliRunner().invoke(app, ["export-openapi", "--workspace", str(folder), "--out", str(out), *words])
    return done, out


@pytest.mark.parametrize(
    ("form", "key", "value", "says"),
    [
        ("3.1", "openapi", "3.1.0", "OpenAPI 3.1.0"),
        ("3.0", "openapi", "3.0.3", "OpenAPI 3.0.3"),
        ("2.0", "swagger", "2.0", "Swagger 2.0"),
        ("hubspot", "objectTypes", ["COMPANY"], "put the key in its place"),
    ],
)
def test_each_form_is_written_with_the_address_to_call(tmp_path, form, key, value, says):
    """The address is in every one of them, whether as server, host or URL."""
    done, out = export(tmp_path, "--format", form, "--server", "https://risk.acme.example/")
    document = json.loads(out.read_text(encoding="utf-8"))

    assert done.exit_code == 0, done.output
    assert document[key] == value
    assert "risk.acme.example" in json.dumps(document)
    assert says in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "3.2"), "Did you mean '3.1'?"),
        (("--server", "lifecycle.example.com"), "is no address"),
        (("--server", 'https://a"b', "--format", "hubspot"), "is no address"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, words, says):
    """And no file is left behind."""
    done, out = export(tmp_path, *words)

    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert not out.exists()
