"""The order of the tests; and what is made once for all of a worker: the demo company, a Postgres server."""

import gc
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import postgres_server
from absent import missing
from demo_company import Demo, run_demo

# xdist gives its workers the width of a terminal that no command of a test writes to
os.environ.pop("COLUMNS", None)

LONGEST = (
    "demo",
    "killed",
    "spark",
    "06_champion_against_challenger",
    "churnsim_crm5",
    "slow_test_no_look_ahead",
    "05_write_a_feature_and_prove_it",
    "slow_test_engines_agree",
    "online_retail_ii",
    "slow_test_year_of_days",
    "cdnow",
    "postgres",
    "relax_saas",
    "why_it_moved",
    "slow_test_oracle",
    "promote",
    "slow_test_bad_input",
)
"""Groups of slow tests, the longest first: no worker is left alone with one at the end."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what is imported: none of it is ever freed, and there is a lot of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # xdist writes the groups behind the names right after
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put fast tests before slow ones, and a file's in one group: what they share is made once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            slow = item.get_closest_marker("slow") is not None
            item.add_marker(pytest.mark.xdist_group(f"slow_{item.path.stem}" if slow else item.path.stem))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Return -1 for a fast test; else where its group comes among the slow ones."""
    group = item.get_closest_marker("xdist_group")
    assert group is not None
    if item.get_closest_marker("slow") is None:
        return -1
    return LONGEST.index(group.args[0]) if group.args[0] in LONGEST else len(LONGEST)


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
