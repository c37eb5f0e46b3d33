"""A fake Vault, and a client of each kind for it."""

from pathlib import Path

import pytest
from tests.support.vaulting import KINDS, Either, FakeVault, client_of, session_of

from resile.clients.vault import Session
from resile.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vault(clock: FakeClock) -> FakeVault:
    return FakeVault(clock)


@pytest.fixture
def session(vault: FakeVault, tmp_path: Path) -> Session:
    return session_of(vault, tmp_path)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def client(request: pytest.FixtureRequest, vault: FakeVault, session: Session) -> Either:
    return client_of(request.param, vault, session)
