"""A bundle: everything a score needs, in a folder without code, named by the hash of its content."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lifecycle_ml.errors import BundleError, DefinitionError
from lifecycle_ml.models.block import Block, Matrix
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.causes import Causes
from lifecycle_ml.models.changes import Bands
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.logistic import LogisticModel
from lifecycle_ml.models.references import References
from lifecycle_ml.models.rules import Band, RuleModel

FORMAT = 4
MANIFEST = "manifest.json"
DIGEST = "digest"
"""Written last: a folder without it was never finished."""
AT_HAND = 8
"""Bundles a process keeps once they are read, a few megabytes each."""

Model = HorizonModel | LogisticModel | RuleModel
KINDS: dict[type, str] = {HorizonModel: "trees", LogisticModel: "logistic", RuleModel: "rules"}


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to the calibrated margin of each row, at one horizon.

    `values` (rows, features + 1) follow `columns`: the bundle's features, then the horizon's own part.
    values.sum(1) + base == margin. `members` (members, rows, features + 1) are those of each member of the
    bag; their mean is `values`.
    """

    columns: tuple[str, ...]
    values: Floats
    base: float
    margin: Floats
    members: Floats


@dataclass(frozen=True)
class Bundle:
    """A model, or the rule that serves instead, with what is needed to score, band and explain.

    `tier` full: probabilities. advisory and insufficient: bands; the risk inside is the rate of the outcome
    the band had. `base_rates` are those of the recipe's population, by horizon. `ranges` are the 10th, 50th
    and 90th percentile of each numeric feature. `version` is the registry's, and no part of the content.
    """

    name: str
    tier: Literal["insufficient", "advisory", "full"]
    horizons: tuple[int, ...]
    headline: int
    model: Model
    base_rates: Mapping[int, float]
    band_rates: Mapping[str, float]
    medium_from: float = 1.0
    high_from: float = 3.0
    calibration: AffineCalibration = field(default_factory=AffineCalibration)
    references: References | None = None
    causes: Causes | None = None
    """What the facts of an account say of why accounts leave; None where no workspace was at hand."""
    ranges: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    changes: Mapping[str, Bands] = field(default_factory=dict)
    """How far each numeric feature is seen to move in some weeks, by where it started (`changes_of`)."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    refusals: tuple[Mapping[str, str], ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on: fingerprint, counts, dates."""
    version: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"Bundle({self.name!r}, {self.source}, {self.tier}, {self.digest[:19]})"

    @property
    def source(self) -> Literal["model", "rules"]:
        """Who speaks: a fitted model or a rule."""
        return "rules" if isinstance(self.model, RuleModel) else "model"

    @property
    def base_rate(self) -> float:
        """Rate of the outcome in the recipe's population in the headline horizon."""
        return self.base_rates[self.headline]

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of the matrix a score needs."""
        return self.model.features

    @cached_property
    def digest(self) -> str:
        """sha256 over the content: same data, recipe and seed, same digest."""
        return f"sha256:{hashlib.sha256(self._files[MANIFEST]).hexdigest()}"

    def score(self, matrix: Matrix) -> pd.DataFrame:
        """Score every row of `matrix` (account_id, as_of and the features), a table or its block.

        Returns account_id, as_of, `probability_{h}d` per horizon and `lift` (NaN unless tier is full), `risk`
        (0 to 1 at the headline horizon; where no probability is served the rate the band had), `band`,
        `source`, `tier`; rows in the order given.
        Raises: DefinitionError if features the bundle was trained on are missing.
        """
        block = Block.of(matrix)
        self._check(block)
        if isinstance(self.model, RuleModel):
            probabilities = np.full((len(block), len(self.horizons)), np.nan)
            bands = self.model.bands(block.frame)
        else:
            probabilities = self.probabilities(block)
            headline = probabilities[:, self.horizons.index(self.headline)]
            bands = self._bands(headline / self.base_rate)
        if self.tier == "full":
            risk = probabilities[:, self.horizons.index(self.headline)]
            lift = risk / self.base_rate
        else:
            probabilities = np.full_like(probabilities, np.nan)
            risk = np.array([self.band_rates[band] for band in bands], dtype=np.float64)
            lift = np.full(len(block), np.nan)
        count = len(block)
        # made in one go: column by column costs a single account more than its score
        return pd.DataFrame(
            {"account_id": block.frame["account_id"].array, "as_of": block.frame["as_of"].array}
            | {f"probability_{h}d": probabilities[:, at] for at, h in enumerate(self.horizons)}
            | {
                "risk": risk,
                "band": pd.array(bands, dtype="str"),
                "lift": lift,
                "source": pd.array([self.source] * count, dtype="str"),
                "tier": pd.array([self.tier] * count, dtype="str"),
            }
        )

    def probabilities(self, matrix: Matrix) -> Floats:
        """Return calibrated probabilities: (rows, horizons); they never fall with the horizon."""
        model = self._explainable()
        raw = model.raw(matrix)
        return np.column_stack(
            [
                self.calibration.probability(raw[:, position], horizon, model.starts[horizon])
                for position, horizon in enumerate(self.horizons)
            ]
        )

    def contributions(self, matrix: Matrix, horizon: int) -> Contributions:
        """Explain every row at one horizon, in calibrated log-odds. Raises: ValueError where rules serve."""
        model = self._explainable()
        block = Block.of(matrix)
        self._check(block)
        slope = self.calibration.slope_at(horizon)
        members, raw = model.explained(block, horizon)
        total = np.zeros_like(members[0])
        for member in members:
            total += member
        total *= slope / len(members)
        start = model.starts[horizon] + self.calibration.intercept
        base = float(total[0, -1]) + start if len(total) else start
        members *= slope
        return Contributions(
            columns=(*self.features, "horizon_days"),
            values=total[:, :-1],
            base=base,
            margin=self.calibration.margin(raw, horizon, model.starts[horizon]),
            members=members[..., :-1],
        )

    def reference(self, horizon: int, segment: str | None) -> Floats:
        """Return mean contributions of retained accounts of the segment, in the order of `Contributions`.

        Those of all retained accounts where the segment had fewer than 50. Raises: ValueError where rules
        serve.
        """
        self._explainable()
        if self.references is None:
            raise ValueError(f"bundle {self.name}: it was built without reference contributions.")
        return self.references.at(horizon, segment)

    def save(self, folder: Path) -> Path:
        """Write the bundle into `folder`, whole or not at all; an existing same bundle is left as it is."""
        if (folder / DIGEST).is_file() and (folder / DIGEST).read_text("utf-8").strip() == self.digest:
            try:
                load(folder, self.digest)
            except BundleError:
                pass
            else:
                return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".bundle-", dir=folder.parent))
        for name, content in self._files.items():
            (draft / name).write_bytes(content)
        (draft / DIGEST).write_text(self.digest + "\n", encoding="utf-8")
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)
        return folder

    @classmethod
    def load(cls, folder: Path, expected: str | None = None, *, num_threads: int = 1) -> Bundle:
        """Read a bundle as the module's `load` does."""
        return load(folder, expected, num_threads=num_threads)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        if isinstance(self.model, HorizonModel):
            for position, text in enumerate(self.model.bag.texts()):
                files[f"member-{position:02d}.txt"] = text.encode()
        if self.references is not None:
            buffer = io.BytesIO()
            np.save(buffer, self.references.values, allow_pickle=False)
            files["references.npy"] = buffer.getvalue()
        manifest = {
            "format": FORMAT,
            "name": self.name,
            "kind": KINDS[type(self.model)],
            "tier": self.tier,
            "horizons": list(self.horizons),
            "headline": self.headline,
            "model": self.model.to_json(),
            "calibration": asdict(self.calibration),
            "base_rates": {str(h): rate for h, rate in self.base_rates.items()},
            "band_rates": dict(self.band_rates),
            "medium_from": self.medium_from,
            "high_from": self.high_from,
            "segments": [] if self.references is None else list(self.references.segments),
            "causes": None if self.causes is None else self.causes.to_json(),
            "ranges": {name: list(values) for name, values in self.ranges.items()},
            "changes": {name: list(bands) for name, bands in self.changes.items()},
            "metrics": self.metrics,
            "refusals": [dict(refusal) for refusal in self.refusals],
            "data": self.data,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        text = json.dumps(_plain(manifest), sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
        return {MANIFEST: text.encode(), **files}

    def _bands(self, multiples: Floats) -> list[Band]:
        return [
            "high" if multiple >= self.high_from else "medium" if multiple >= self.medium_from else "low"
            for multiple in multiples
        ]

    def _explainable(self) -> HorizonModel | LogisticModel:
        if isinstance(self.model, RuleModel):
            raise ValueError(  # noqa: TRY004 (the bundle is right, the question is not)
                f"bundle {self.name}: rules serve; they have no probabilities to explain."
            )
        return self.model

    def _check(self, block: Block) -> None:
        if isinstance(self.model, RuleModel):
            return  # a rule copes with what is there
        if missing := block.lacking(self.features):
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise DefinitionError(
                f"bundle {self.name}: {len(missing)} of its {len(self.features)} features are not in the "
                f"matrix: {shown}. Bring back their definitions and tables, or train again without them "
                f"(`lifecycle train {self.name}`)."
            )


def load(folder: Path, expected: str | None = None, *, num_threads: int = 1) -> Bundle:
    """Read a bundle and prove that it is the one that was saved; nothing in it is executed.

    `expected` is the digest it must have. Raises: BundleError saying what is missing, changed or foreign.
    """
    content = _verified(folder, expected)
    try:
        return _rebuilt(content, num_threads)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError(
            f"bundle {content.digest[:19]} in {folder.name}: unreadable content ({error})."
        ) from error


@dataclass(frozen=True)
class _Content:
    """What a bundle's files hold; the same wherever its digest is the same."""

    digest: str
    files: Mapping[str, bytes] = field(compare=False, repr=False)


def _verified(folder: Path, expected: str | None) -> _Content:
    where = f"bundle in {folder.name}"
    if not (folder / DIGEST).is_file() or not (folder / MANIFEST).is_file():
        raise BundleError(f"{where}: half written or not a bundle ({DIGEST} or {MANIFEST} is missing).")
    digest = (folder / DIGEST).read_text(encoding="utf-8").strip()
    content = (folder / MANIFEST).read_bytes()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise BundleError(f"{where}: {MANIFEST} was changed after it was saved.")
    if expected is not None and digest != expected:
        raise BundleError(f"{where}: holds {digest[:19]}, expected {expected[:19]}.")
    listed: dict[str, str] = json.loads(content)["files"]
    present = {path.name for path in folder.iterdir()} - {DIGEST, MANIFEST}
    if foreign := sorted(present - set(listed)):
        raise BundleError(f"{where}: {foreign[0]} does not belong to it.")
    files = {MANIFEST: content}
    for name, wanted in listed.items():
        if name not in present:
            raise BundleError(f"{where}: half written ({name} is missing).")
        files[name] = (folder / name).read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != wanted:
            raise BundleError(f"{where}: {name} was changed after it was saved.")
    return _Content(digest, files)


@lru_cache(maxsize=AT_HAND)
def _rebuilt(content: _Content, num_threads: int) -> Bundle:
    # the service asks for the same bundles again and again, and tabulating trees takes half a second
    files = content.files
    saved = json.loads(files[MANIFEST])
    if saved["format"] != FORMAT:
        raise BundleError(
            f"bundle {saved['name']}: format {saved['format']}, this version reads {FORMAT}. Train again."
        )
    horizons = tuple(int(h) for h in saved["horizons"])
    model: Model
    if saved["kind"] == "trees":
        texts = [files[name].decode() for name in sorted(files) if name.startswith("member-")]
        model = HorizonModel.from_json(saved["model"], texts, num_threads)
    elif saved["kind"] == "logistic":
        model = LogisticModel.from_json(saved["model"])
    else:
        model = RuleModel.from_json(saved["model"])
    references = None
    if "references.npy" in files:
        values = np.load(io.BytesIO(files["references.npy"]), allow_pickle=False)
        references = References(horizons, tuple(saved["segments"]), values)
    return Bundle(
        name=saved["name"],
        tier=saved["tier"],
        horizons=horizons,
        headline=int(saved["headline"]),
        model=model,
        base_rates={int(h): float(rate) for h, rate in saved["base_rates"].items()},
        band_rates=saved["band_rates"],
        medium_from=saved["medium_from"],
        high_from=saved["high_from"],
        calibration=AffineCalibration(**saved["calibration"]),
        references=references,
        causes=None if saved["causes"] is None else Causes.from_json(saved["causes"]),
        ranges={name: tuple(values) for name, values in saved["ranges"].items()},
        changes={name: tuple(tuple(band) for band in bands) for name, bands in saved["changes"].items()},
        metrics=saved["metrics"],
        refusals=tuple(saved["refusals"]),
        data=saved["data"],
    )


def ranges_of(matrix: pd.DataFrame, features: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    """Return the 10th, 50th and 90th percentile of each numeric feature that has values."""
    found = {}
    for name in features:
        if pd.api.types.is_numeric_dtype(matrix[name].dtype):
            values = matrix[name].to_numpy(dtype=np.float64, na_value=np.nan)
            values = values[~np.isnan(values)]
            if len(values):
                low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
                found[name] = (float(low), float(middle), float(high))
    return found


def _plain(value: Any) -> Any:
    """Return JSON's own types: numbers without a value become null, keys text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
