"""MLflow: runs, versions and aliases. The one module that imports it; serving needs none of this."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# MLflow reports use to its makers unless told not to before it is imported; we phone nobody.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from lifecycle_ml.models.bundle import Bundle

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

CHAMPION = "champion"
DIGEST = "digest"
"""Tag of runs and versions: which bundle they made."""
_LONGEST_PARAM = 500
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
    """What a training leaves behind: settings, figures, texts, and the bundle it made."""

    recipe: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    texts: Mapping[str, str]
    """Artefacts by file name: model card, feature list, figures."""
    bundle: Bundle | None
    """The fitted model, registered as a version; None where none was fitted."""
    rules: Bundle


@dataclass(frozen=True)
class Registry:
    """Runs and registered models at one tracking address."""

    client: MlflowClient
    artifacts: str | None

    @classmethod
    def open(cls, uri: str) -> Registry:
        """Open the tracking database; a SQLite file is made where there is none (about 9 s)."""
        artifacts = None
        if uri.startswith("sqlite:///"):
            database = Path(uri.removeprefix("sqlite:///")).resolve()
            database.parent.mkdir(parents=True, exist_ok=True)
            artifacts = (database.parent / "artifacts").as_uri()
            if not database.exists():
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

    def crown(self, recipe: str, version: str) -> None:
        """Give a version the alias `champion`."""
        self.client.set_registered_model_alias(recipe, CHAMPION, version)

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
        for name, text in record.texts.items():
            self.client.log_text(run_id, text, name)
        with tempfile.TemporaryDirectory() as folder:
            record.rules.save(Path(folder) / "rules")
            self.client.log_artifacts(run_id, str(Path(folder) / "rules"), "rules")
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
