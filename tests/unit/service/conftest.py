"""The service over a small published company."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from browsing import signed_in
from published_company import AS_OF, KEYS, NOW, TestClient, action, company
from sqlalchemy.engine import make_url

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.service.app import create_app
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store
from lifecycle_ml.workspace import Workspace, standard_root


@pytest.fixture
def settings(tmp_path):
    """Settings with one key of each role and everything else under a temporary folder."""
    keys = ",".join(f"{role}:{key}" for role, key in KEYS.items())
    return Settings.read(tmp_path, {"LIFECYCLE_API_KEYS": keys})


@pytest.fixture
def workspace(tmp_path):
    """A workspace that has only what the standard one has."""
    return Workspace(root=tmp_path, standard=standard_root())


def publish(store):
    """Publish the company, with an action for two accounts."""
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW, digests={"workspace": "sha256:ab"})
    store.write_readings(publication, company())
    store.write_unscored(publication, {"A-lapsed": "No recurring contract on 2026-06-30."})
    opened = [
        action("act-1"),
        action("act-2", title="Write the plan down", due_at=NOW + timedelta(days=9), arr_kept_per_hour=90.0),
        action("act-3", "<A&\"1'>", title="<i>Ask</i> why", status="over_capacity", owner=None),
    ]
    store.publish(publication, [ActionEvent("opened", NOW, each) for each in opened])
    return publication


@pytest.fixture(scope="session")
def made_stores(tmp_path_factory):
    """Two SQLite files to copy, one of an empty store and one with the company: making them takes longer."""
    folder = tmp_path_factory.mktemp("stores")
    for name in ("empty", "company"):
        with closing(Store.open(f"sqlite:///{folder}/{name}.db")) as store:
            if name == "company":
                publish(store)
    return folder


@pytest.fixture
def store(settings, made_stores, request):
    """The store the service opens too; a file holds the company already where a test wants it."""
    url = make_url(settings.store_url)
    if url.get_backend_name() == "sqlite":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        name = "company" if "published" in request.fixturenames else "empty"
        shutil.copy(made_stores / f"{name}.db", url.database)
    opened = Store.open(settings.store_url)
    yield opened
    opened.close()


@pytest.fixture
def published(store):
    """One published publication of the company, with an action for two accounts."""
    current = store.current()
    return current or publish(store)


@pytest.fixture
def make_client(settings, workspace):
    """Start the service with other arguments than usual."""
    clients = []

    def start(*, raising=True, **arguments):
        arguments.setdefault("clock", lambda: NOW + timedelta(hours=6))
        client = TestClient(
            create_app(settings, workspace, **arguments),
            raise_server_exceptions=raising,
            follow_redirects=False,
        )
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client):
    """The service with a read key in every request."""
    client = make_client()
    client.headers["X-API-Key"] = KEYS["read"]
    return client


@pytest.fixture
def browser(published, make_client):
    """Somebody who has signed in with a read key."""
    return signed_in(make_client())


@pytest.fixture
def actor(published, make_client):
    """Somebody who has signed in with an act key."""
    return signed_in(make_client(), "act")
