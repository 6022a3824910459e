"""The demo company, run once for all tests of a worker that read it."""

import pytest

from demo_company import Demo, run_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo company, from raw tables to a publication."""
    return run_demo(tmp_path_factory.mktemp("demo") / "company")
