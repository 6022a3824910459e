"""MLflow: runs, versions and aliases. The one module that imports it; serving needs none of this."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# MLflow reports use to its makers unless told not to before it is imported; we phone nobody.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
# MLflow tries a server that does not answer for minutes; who waits at a terminal wants to know sooner.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# It draws a progress bar for every artefact it fetches; the command draws its own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lifecycle_ml.errors import ConfigError, LifecycleError
from lifecycle_ml.models.bundle import Bundle

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases: the version that serves, and the newest one trained beside it."""
DIGEST = "digest"
"""Tag of runs and versions: which bundle they made."""
_LONGEST_PARAM = 500
_LONGEST_TAG = 5000
_LONGEST_DATA_DIGEST = 36
_MLMODEL = """\
artifact_path: bundle
flavors:
  python_function:
    data: bundle
    env:
      virtualenv: python_env.yaml
    loader_module: lifecycle_ml.promotion.served
    python_version: {python}
"""


@dataclass(frozen=True)
class Record:
    """What a training leaves behind: settings, figures, artefacts, and the bundle it made."""

    recipe: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    texts: Mapping[str, str]
    """Artefacts by file name: model card, feature list, figures."""
    bundle: Bundle | None
    """The fitted model, registered as a version; None where none was fitted."""
    rules: Bundle
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Artefacts by path that are no text: predictions, plots."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What it learned from: fingerprint, counts, dates; MLflow shows it as the run's dataset."""


@dataclass(frozen=True)
class Version:
    """One registered version: its number, the run that made it, and the digest of its bundle."""

    number: str
    run_id: str
    digest: str


@dataclass(frozen=True)
class Registry:
    """Runs and registered models at one tracking address."""

    client: MlflowClient
    artifacts: str | None

    @classmethod
    def open(cls, uri: str, *, make: bool = True) -> Registry:
        """Open the tracking database; a SQLite file is made where there is none (about 9 s).

        Raises: ConfigError where there is none and none is to be made.
        """
        artifacts = None
        if uri.startswith("sqlite:///"):
            database = Path(uri.removeprefix("sqlite:///")).resolve()
            artifacts = (database.parent / "artifacts").as_uri()
            if not database.exists():
                if not make:
                    raise ConfigError(
                        f"no model was registered yet: MLFLOW_TRACKING_URI names {database.name}, which is "
                        "not there. Run `lifecycle train` first, or point it at the registry in use."
                    )
                database.parent.mkdir(parents=True, exist_ok=True)
                _make(database)
        return cls(MlflowClient(tracking_uri=uri, registry_uri=uri), artifacts)

    def log(self, record: Record) -> tuple[str, str | None]:
        """Log one training. Returns the run's id and the registered version (None without a model).

        The same bundle is registered once: a training that repeats another, or goes on where one was killed,
        gets the version there is, and a run that was killed is written to its end.
        """
        version = None if record.bundle is None else self._version_of(record.recipe, record.bundle.digest)
        run_id = self._run_of(record) if version is None else str(version.run_id)
        try:
            if version is None:
                version = self._fill(run_id, record)
        except BaseException:
            self.client.set_terminated(run_id, status="FAILED")
            raise
        self.client.set_terminated(run_id)
        return run_id, None if version is None else str(version.version)

    def versions(self, recipe: str) -> list[Version]:
        """Return the registered versions of a recipe, oldest first; none where it was never registered."""
        found = self.client.search_model_versions(f"name = '{recipe}'")
        listed = [Version(str(each.version), str(each.run_id), each.tags.get(DIGEST, "")) for each in found]
        return sorted(listed, key=lambda each: int(each.number))

    def bundle(self, version: Version) -> Bundle:
        """Fetch the bundle of a version. Raises: BundleError where it is not the one that was registered."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.client.download_artifacts(version.run_id, "model/bundle", folder)
            return Bundle.load(Path(path), version.digest)

    def artefact(self, version: Version, path: str) -> bytes | None:
        """Return an artefact of the run that made a version, None where it left no such file."""
        folder = Path(path).parent.as_posix()
        listed = self.client.list_artifacts(version.run_id, None if folder == "." else folder)
        if path not in {item.path for item in listed}:
            return None
        with tempfile.TemporaryDirectory() as target:
            return Path(self.client.download_artifacts(version.run_id, path, target)).read_bytes()

    def seed(self, version: Version) -> int:
        """Return the seed a version was trained with."""
        return int(self.client.get_run(version.run_id).data.params.get("seed", 0))

    def point(self, recipe: str, alias: str, digest: str | None) -> str | None:
        """Let an alias name the newest version that holds this bundle; returns its number.

        The alias is taken away where no version holds it (a rule serves, or `digest` is None).
        """
        versions = self.versions(recipe)
        if not versions:
            return None
        held = [each.number for each in versions if digest is not None and each.digest == digest]
        aliases = self.client.get_registered_model(recipe).aliases
        if not held:
            if alias in aliases:
                self.client.delete_registered_model_alias(recipe, alias)
            return None
        if str(aliases.get(alias)) != held[-1]:
            self.client.set_registered_model_alias(recipe, alias, held[-1])
        return held[-1]

    def alias(self, recipe: str, alias: str) -> str | None:
        """Return the number of the version an alias names, None where it names none."""
        if not self.versions(recipe):
            return None
        number = self.client.get_registered_model(recipe).aliases.get(alias)
        return None if number is None else str(number)

    def note(self, recipe: str, version: Version, decision: str) -> None:
        """Keep what was decided of a version with it, as the tag `promotion`."""
        self.client.set_model_version_tag(recipe, version.number, "promotion", decision[:_LONGEST_TAG])

    def _version_of(self, recipe: str, digest: str) -> ModelVersion | None:
        """Return the newest version of this recipe that holds this bundle."""
        found = self.client.search_model_versions(f"name = '{recipe}'")
        same = [version for version in found if version.tags.get(DIGEST) == digest]
        return max(same, key=lambda version: int(version.version), default=None)

    def _run_of(self, record: Record) -> str:
        """Return a run to write to: one that began with the same bundle and never ended, else a new one."""
        experiment = self._experiment(record.recipe)
        digest = (record.bundle or record.rules).digest
        began = self.client.search_runs(
            [experiment], f"tags.{DIGEST} = '{digest}' and attributes.status = 'RUNNING'", max_results=1
        )
        if began:
            return str(began[0].info.run_id)
        run = self.client.create_run(experiment, run_name=record.recipe, tags={DIGEST: digest})
        return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None if self.artifacts is None else f"{self.artifacts}/{name}"
        return str(self.client.create_experiment(name, artifact_location=location))

    def _fill(self, run_id: str, record: Record) -> ModelVersion | None:
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in record.metrics.items()],
            params=[Param(name, str(value)[:_LONGEST_PARAM]) for name, value in record.params.items()],
            tags=[RunTag(name, value) for name, value in record.tags.items()],
        )
        if record.data:
            self.client.log_inputs(run_id, [_dataset(record)])
        with tempfile.TemporaryDirectory() as folder:
            files = {name: text.encode() for name, text in record.texts.items()} | dict(record.files)
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            record.rules.save(Path(folder) / "rules")
            self.client.log_artifacts(run_id, folder)
        if record.bundle is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            _write_model(Path(folder), record.bundle)
            self.client.log_artifacts(run_id, folder, "model")
        try:
            self.client.create_registered_model(record.recipe)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.create_model_version(
            record.recipe,
            source=f"{self.client.get_run(run_id).info.artifact_uri}/model",
            run_id=run_id,
            tags={DIGEST: record.bundle.digest, **record.tags},
        )


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Say in words that the registry at `uri` does not answer. Raises: LifecycleError, never MLflow's own."""
    try:
        yield
    except (MlflowException, OSError) as error:
        said = str(error).strip().splitlines()[0][:200]
        raise LifecycleError(
            f"the model registry does not answer ({said}). See that MLFLOW_TRACKING_URI ({_shown(uri)}) is "
            "right and reachable; what serves goes on serving."
        ) from error


def _shown(uri: str) -> str:
    """Return an address without user and password."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _dataset(record: Record) -> DatasetInput:
    digest = str(record.data.get("fingerprint", "")).removeprefix("sha256:")
    dataset = Dataset(
        name=f"{record.recipe} snapshots",
        digest=digest[:_LONGEST_DATA_DIGEST],
        source_type="lifecycle_ml",
        source=json.dumps({"fingerprint": record.data.get("fingerprint")}),
        profile=json.dumps(dict(record.data)),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _write_model(folder: Path, bundle: Bundle) -> None:
    """Write the bundle as an MLflow model folder, by hand: MLflow's own writer would pickle or guess."""
    import platform
    from importlib.metadata import version

    bundle.save(folder / "bundle")
    requirement = f"lifecycle_ml=={version('lifecycle_ml')}"
    python = platform.python_version()
    (folder / "MLmodel").write_text(_MLMODEL.format(python=python), encoding="utf-8")
    (folder / "requirements.txt").write_text(requirement + "\n", encoding="utf-8")
    (folder / "python_env.yaml").write_text(
        f"python: {python}\ndependencies:\n- -r requirements.txt\n", encoding="utf-8"
    )


def _make(database: Path) -> None:
    """Make MLflow's tables, whole or not at all: one killed half way could never be opened again."""
    draft = database.with_name(database.name + ".draft")
    draft.unlink(missing_ok=True)
    uri = f"sqlite:///{draft}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    draft.replace(database)
