"""A store in a file, and one on a Postgres server: every test of the store is run on both."""

from __future__ import annotations

import pytest

from lifecycle_ml.store.store import Store


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request):
    """Which database the store is on."""
    return request.param


@pytest.fixture
def url(kind, store_url):
    """The address of an empty store."""
    return store_url(kind)


@pytest.fixture
def store(url):
    """An empty store."""
    opened = Store.open(url)
    yield opened
    opened.close()
