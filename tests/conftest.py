"""What is made once for all tests of a worker: the demo company, and a Postgres server."""

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import postgres_server
from absent import missing
from demo_company import Demo, run_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo company, from raw tables to a publication."""
    return run_demo(tmp_path_factory.mktemp("demo") / "company")


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    """A Postgres server of our own."""
    if find_spec("psycopg") is None:
        missing("psycopg", "pip install 'lifecycle_ml[postgres]', or run the tests with make test")
    folder = postgres_server.programs()
    if folder is None:
        missing("the Postgres server", f"install {postgres_server.NEEDS}")
    with postgres_server.running(folder) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_store_url(postgres: postgres_server.Server) -> str:
    """The address of a store on Postgres, for one test after the other: making one takes a second."""
    from lifecycle_ml.store.store import Store

    url = postgres.create("store")
    Store.open(url).close()
    return url


@pytest.fixture
def store_url(request: pytest.FixtureRequest, new_store_url: Callable[[str], str]) -> Callable[[str], str]:
    """Give the address of an empty store of the kind asked for: sqlite or postgres."""

    def give(kind: str) -> str:
        if kind == "sqlite":
            return new_store_url(kind)
        url: str = request.getfixturevalue("postgres_store_url")
        request.getfixturevalue("postgres").empty(url)
        return url

    return give


@pytest.fixture
def new_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Make addresses of stores that do not exist yet, of the kind asked for: sqlite or postgres."""
    made: list[str] = []
    number = itertools.count()

    def make(kind: str) -> str:
        if kind == "sqlite":
            # in a folder that does not exist either
            return f"sqlite:///{tmp_path}/out{next(number)}/lifecycle.db"
        made.append(request.getfixturevalue("postgres").create("store"))
        return made[-1]

    yield make
    for url in made:
        request.getfixturevalue("postgres").drop(url)
