"""A store in a file."""

from __future__ import annotations

import pytest

from lifecycle_ml.store.store import Store


@pytest.fixture
def url(tmp_path):
    """The address of a store that does not exist yet, in a folder that does not either."""
    return f"sqlite:///{tmp_path}/out/lifecycle.db"


@pytest.fixture
def store(url):
    """An empty store."""
    opened = Store.open(url)
    yield opened
    opened.close()
