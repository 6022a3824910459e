"""Addresses and secrets are read once, strictly, and secrets stay out of sight."""

from pathlib import Path

import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import ROWS, Settings

ROOT = Path("company")


def test_defaults_keep_everything_in_the_workspace() -> None:
    """Without any variable, source, store, bundles and runs lie under the workspace."""
    settings = Settings.read(ROOT, environ={})

    assert settings.source_url == "company/data"
    assert settings.store_url == "sqlite:///company/out/lifecycle.db"
    assert settings.bundles == Path("company/out/bundles")
    assert settings.api_keys == ()


def test_an_unknown_variable_is_named_with_the_nearest_right_one() -> None:
    """A misspelt setting would otherwise be ignored in silence."""
    with pytest.raises(ConfigError, match=r"LIFECYCLE_SOURCE_URI is not a setting.*LIFECYCLE_SOURCE_URL"):
        Settings.read(ROOT, environ={"LIFECYCLE_SOURCE_URI": "x"})


@pytest.mark.parametrize("memory", ["2", "much", "2 gigabytes", "'; DROP TABLE x"])
def test_memory_must_be_a_number_and_a_unit(memory: str) -> None:
    """It goes into DuckDB's own setting, so nothing else may."""
    with pytest.raises(ConfigError, match=r"LIFECYCLE_MEMORY is .*; give a number and a unit"):
        Settings.read(ROOT, environ={"LIFECYCLE_MEMORY": memory})


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_threads_must_be_a_whole_number_from_one(threads: str) -> None:
    """Anything else would fail later, far from its cause."""
    with pytest.raises(ConfigError, match="LIFECYCLE_THREADS"):
        Settings.read(ROOT, environ={"LIFECYCLE_THREADS": threads})


@pytest.mark.parametrize("keys", ["secret", "owner:0123456789abcdef", "read:short"])
def test_an_api_key_needs_a_known_role_and_length(keys: str) -> None:
    """A key without a role, with an unknown one, or too short is refused without being shown."""
    with pytest.raises(ConfigError, match="LIFECYCLE_API_KEYS, key 1") as caught:
        Settings.read(ROOT, environ={"LIFECYCLE_API_KEYS": keys})

    assert keys not in str(caught.value)


def test_a_key_never_appears_in_a_repr() -> None:
    """Settings end up in logs and tracebacks; keys must not."""
    settings = Settings.read(ROOT, environ={"LIFECYCLE_API_KEYS": "act:0123456789abcdef"})

    assert settings.api_keys[0].key == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)


SECRET = "whsec_" + "QUFB" * 10
HOOK = {"LIFECYCLE_WEBHOOKS": "crm=https://crm.example/hooks", "LIFECYCLE_WEBHOOK_SECRETS": f"crm={SECRET}"}


def test_a_webhook_has_an_address_and_one_or_more_secrets() -> None:
    """Two while one is exchanged; neither they nor the address, which may hold a token, are ever shown."""
    twice = HOOK | {"LIFECYCLE_WEBHOOK_SECRETS": f"crm={SECRET} crm=whsec_{'QkJC' * 10}"}
    (hook,) = Settings.read(ROOT, environ=twice).webhooks

    assert (hook.name, hook.url, hook.private) == ("crm", "https://crm.example/hooks", False)
    assert hook.secrets == (b"A" * 30, b"B" * 30)
    assert "crm.example" not in repr(hook)
    assert "AAAA" not in repr(hook)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"LIFECYCLE_WEBHOOK_SECRETS": ""}, "webhook 'crm' has no secret"),
        ({"LIFECYCLE_WEBHOOK_SECRETS": "crm=whsec_short"}, "entry 1: write name=whsec_"),
        ({"LIFECYCLE_WEBHOOK_SECRETS": f"crn={SECRET}"}, "names 'crn'.*Did you mean 'crm'"),
        ({"LIFECYCLE_WEBHOOKS_PRIVATE": "data"}, "names 'data'"),
        ({"LIFECYCLE_WEBHOOKS": "crm=http://crm.example/"}, "speaks http"),
        ({"LIFECYCLE_WEBHOOKS": "crm=https://user:word@crm.example/"}, "without user or password"),
        ({"LIFECYCLE_WEBHOOKS": "crm=ftp://crm.example/"}, "write https://host/path"),
        ({"LIFECYCLE_WEBHOOKS": "https://crm.example/"}, "LIFECYCLE_WEBHOOKS, entry 1: write name="),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(changes: dict[str, str], says: str) -> None:
    """Each mistake with the variable and what to write, and never with a secret."""
    with pytest.raises(ConfigError, match=says) as caught:
        Settings.read(ROOT, environ=HOOK | changes)

    assert "QUFB" not in str(caught.value)
    assert "user:word" not in str(caught.value)


def test_a_private_webhook_may_speak_http() -> None:
    """On one's own network."""
    inside = {"LIFECYCLE_WEBHOOKS": "crm=http://10.0.0.7:8080/", "LIFECYCLE_WEBHOOKS_PRIVATE": "crm"}
    (hook,) = Settings.read(ROOT, environ=HOOK | inside).webhooks

    assert hook.private


def test_every_setting_is_in_the_reference() -> None:
    """The table of settings in the docs is the table in the code."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")

    for row in ROWS:
        assert f"| `{row.name}` | `{row.default}` | {row.help} |" in page
