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


def test_both_stages_stand_on_one_release_of_python_that_is_named_once():
    """A tag that moves would make another image of the same commit; two could make a mixture."""
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    (base,) = [rest for name, rest in instructions() if name == "ARG"]

    assert set(bases) == {"${BASE}"}
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-[a-z]+", base)


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


def _texts(value):
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _each(pattern):
    """Whether something is a list of texts of one form."""
    return lambda value: _texts(value) and all(re.fullmatch(pattern, each) for each in value)


def _one(pattern):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _mapping(**shapes):
    """Whether something is a mapping with some of these keys, each as it must be."""
    return lambda value: (
        isinstance(value, dict)
        and bool(value)
        and value.keys() <= shapes.keys()
        and all(shapes[key](each) for key, each in value.items())
    )


def _flag(value):
    return isinstance(value, bool)


DURATION = _one(r"(\d+(us|ms|s|m|h))+")
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SHAPES = {
    "image": _one(r"[a-z0-9./-]+(:[\w.-]+)?"),
    "build": _mapping(context=_one(".+"), dockerfile=_one(".+")),
    "entrypoint": _texts,
    "command": _texts,
    "environment": lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()),
    "volumes": _each(r"(\$\{\w+:-[^}]+\}|[\w.-]+):/[^:]*(:ro)?"),
    "ports": _each(r"([\d.]+:)?\d+:\d+"),
    "depends_on": lambda value: all(
        each.keys() <= {"condition", "restart", "required"} and each["condition"] in CONDITIONS
        for each in value.values()
    ),
    "healthcheck": _mapping(
        test=lambda value: _texts(value) and value[0] in {"CMD", "CMD-SHELL", "NONE"},
        interval=DURATION,
        timeout=DURATION,
        start_period=DURATION,
        retries=lambda value: isinstance(value, int) and value > 0,
        disable=_flag,
    ),
    "restart": _one(r"no|always|on-failure(:\d+)?|unless-stopped"),
    "profiles": _each(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    "stop_grace_period": DURATION,
    "read_only": _flag,
    "tmpfs": _each(r"/.+"),
    "cap_drop": _each(r"[A-Z_]+"),
    "security_opt": _each(r"[\w-]+:[\w-]+"),
}
"""What we use of a service, in the forms of the Compose Specification (its schema/compose-spec.json)."""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_shape_of_the_compose_specification(name):
    """A key that is none, or a value of another form, would be found when somebody starts it."""
    service = SERVICES[name]

    assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
    assert [key for key, value in service.items() if key not in SHAPES or not SHAPES[key](value)] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depends_on", {"postgres": {"condition": "healthy"}}),
        ("healthcheck", {"test": ["CMD", "x"], "interval": "10 seconds"}),
        ("healthcheck", {"tests": ["CMD", "x"]}),
        ("ports", ["8000"]),
        ("restart", "sometimes"),
        ("read_only", "yes"),
        ("environment", ["A=b"]),
        ("volumes", ["store"]),
        ("command", "run"),
    ],
)
def test_another_shape_is_none(key, value):
    """The check above tells a wrong form from a right one."""
    assert not SHAPES[key](value)


def test_the_file_has_only_what_compose_knows_and_asks_for_what_it_needs():
    """Of the top-level keys three; what is taken from outside has a default or is demanded."""
    text = re.sub(r"(?m)^\s*#.*$", "", (ROOT / "serving" / "compose.yaml").read_text("utf-8"))
    extra = {key for key in COMPOSE if not key.startswith("x-")}

    assert extra == {"name", "services", "volumes"}
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", COMPOSE["name"])
    assert re.findall(r"\$(?!\{[A-Z_]+:[?-])", text) == []


def test_images_of_others_are_of_one_release():
    """A major version alone moves; `latest` is none."""
    theirs = [service["image"] for service in SERVICES.values() if service["image"] != "lifecycle"]

    assert theirs
    assert all(re.search(r":\d+\.\d+", image) for image in theirs)


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
