"""What the Dockerfile and the compose file must hold; there is no Docker where the tests run."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from lifecycle_ml.cli.reference import commands
from lifecycle_ml.settings import ROWS

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "serving" / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((ROOT / "serving" / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "lifecycle"]


def instructions():
    """Return the Dockerfile's instructions: name and the rest, continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_every_file_that_is_copied_exists():
    """A renamed folder would break the image, not a test, if nobody looked."""
    copied = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = [source for words in copied for source in words[:-1]]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_runs_as_a_user_without_rights():
    """USER is set in the last stage, is not root, and stands after everything that needs root."""
    last = instructions()[max(at for at, (name, _) in enumerate(instructions()) if name == "FROM") :]
    names = [name for name, _ in last]
    user = dict(last)["USER"]

    assert user not in {"root", "0"}
    assert f"useradd --create-home --uid 10001 {user}" in DOCKERFILE
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_says_whether_it_is_well_and_starts_a_command_there_is():
    """The health check asks a route there is; the entry point gets a command there is."""
    told = dict(instructions())

    assert "/healthz" in told["HEALTHCHECK"]
    assert told["ENTRYPOINT"] == '["lifecycle"]'
    assert yaml.safe_load(told["CMD"])[0] in dict(commands())


def test_packages_of_the_image_are_those_of_the_lock():
    """Nothing is installed that has no hash in the lock, and nothing beside it but LightGBM's runtime."""
    installs = re.findall(r"pip install .*", DOCKERFILE)

    assert len(installs) == 2
    assert all("--no-deps" in line for line in installs)
    assert "--require-hashes" in installs[0]
    assert re.search(r"^psycopg-binary==", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)


def test_there_is_the_service_its_store_and_mlflow():
    """And the nightly run, which starts only when asked to."""
    assert set(SERVICES) == {"service", "postgres", "mlflow", "nightly"}
    assert SERVICES["nightly"]["profiles"] == ["nightly"]
    assert SERVICES["nightly"]["command"][0] in dict(commands())


@pytest.mark.parametrize("name", ["service", "postgres", "mlflow"])
def test_what_stays_up_says_whether_it_is_well_and_comes_back(name):
    """Others wait for it to be healthy, not just started."""
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_whoever_is_waited_for_exists_and_says_when_it_is_well():
    """`service_healthy` of something without a health check would wait for ever."""
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name):
    """Ports are bound to 127.0.0.1; the database has none."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "ports" not in SERVICES["postgres"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_no_more_than_they_need(name):
    """No rights, no way to get some, nothing written but to volumes."""
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert "user" not in service
    assert not service.get("privileged", False)


def test_settings_are_ours_and_no_secret_stands_in_the_file():
    """Passwords and keys come from the environment; a misspelt setting would stop the service."""
    known = {row.name for row in ROWS}
    for name in ("service", "nightly"):
        assert set(SERVICES[name]["environment"]) <= known
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEYS", name):
                assert value.startswith("${"), name
    url = SERVICES["service"]["environment"]["LIFECYCLE_STORE_URL"]
    assert "${POSTGRES_PASSWORD" in url
    assert url.endswith("@postgres/lifecycle")
    assert urlsplit(SERVICES["nightly"]["environment"]["MLFLOW_TRACKING_URI"]).hostname in SERVICES


def test_every_named_volume_is_declared():
    """And every declared one is used."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if re.match(r"\w+:", mount)}

    assert named == set(COMPOSE["volumes"])


def test_the_container_is_given_longer_than_the_last_answers_take():
    """Docker's kill would cut them off."""
    from lifecycle_ml.cli.work import LAST_ANSWERS

    assert int(SERVICES["service"]["stop_grace_period"].removesuffix("s")) > LAST_ANSWERS
