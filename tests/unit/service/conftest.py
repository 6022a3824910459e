"""The service over a small published company."""

from __future__ import annotations

from datetime import timedelta

import pytest
from browsing import signed_in
from published_company import AS_OF, KEYS, NOW, TestClient, action, company

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


@pytest.fixture
def store(settings):
    """The store the service opens too."""
    opened = Store.open(settings.store_url)
    yield opened
    opened.close()


@pytest.fixture
def published(store):
    """One published publication of the company, with an action for two accounts."""
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
