"""The Python face: few names, all real, and light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lifecycle_ml


def test_every_public_name_resolves():
    """A name in __all__ that nothing stands behind would fail only in somebody's notebook."""
    for name in lifecycle_ml.__all__:
        assert getattr(lifecycle_ml, name) is not None
        assert name in dir(lifecycle_ml)


def test_the_face_stays_narrow():
    """At most twenty names, sorted so that a new one is seen in review."""
    assert len(lifecycle_ml.__all__) <= 20
    assert len(set(lifecycle_ml.__all__)) == len(lifecycle_ml.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """Python's own protocol, so that hasattr and tools keep working."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lifecycle_ml.nonsense  # noqa: B018


def test_importing_the_package_loads_no_heavy_library():
    """`import lifecycle_ml` must stay a matter of milliseconds."""
    heavy = "{'ibis', 'duckdb', 'pandas', 'numpy', 'lightgbm', 'mlflow', 'shap', 'sklearn', 'sqlglot'}"
    code = f"import sys, lifecycle_ml; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
