"""What holds for every test."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

# Behaviour is asserted, never speed: a slow machine must not turn a test red.
settings.register_profile("resile", deadline=None)
settings.load_profile("resile")


@pytest.fixture(scope="session")
def openbao() -> Iterator[object]:
    """One server (tests.support.openbao.OpenBao) for all tests that are marked `needs_openbao`."""
    from tests.support import openbao as servers

    if reason := servers.why_not():
        pytest.skip(reason)
    with servers.openbao_server() as server:
        yield server
