"""What to do where something a test needs is not on this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip what cannot run here and say why; where CI is set, what is missing is a failure."""
    reason = f"NOT TESTED: {what} is missing; {remedy}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
