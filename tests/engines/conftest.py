"""Engines the definitions run on and sources are read from: started once for all tests of a worker."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

import postgres_server
from absent import missing

AWAY = "Europe/Berlin"
"""Where the tests are run: instants are UTC everywhere, even in the hour that local clocks show twice."""


@pytest.fixture(autouse=True)
def away_from_utc() -> Iterator[None]:
    """Give the process a local time that is not UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = AWAY
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.fixture
def database(postgres: postgres_server.Server, request: pytest.FixtureRequest) -> str:
    """Return the address of a fresh database."""
    return postgres.create(request.node.name)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark session in this process: two threads, one GiB, no page, nothing listening but on loopback."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        missing(
            "Java",
            "install Java 17 (apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17)",
        )
    if find_spec("pyspark") is None:
        missing("pyspark", "pip install 'lifecycle_ml[spark]', or run the tests with make test")
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.local.dir": str(folder / "local"),
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": AWAY,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield session
    session.stop()
