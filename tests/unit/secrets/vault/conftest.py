"""A provider that speaks with a KV engine in memory."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.vault_kv import FakeKv
from tests.support.vaulting import ADDRESS, ROLE_ID, secret_id_file

from resile.clients.vault import AppRole, Target
from resile.secrets.providers.vault import VaultProvider
from resile.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vault(clock: FakeClock) -> FakeKv:
    return FakeKv(clock)


@pytest.fixture
def provider(vault: FakeKv, clock: FakeClock, tmp_path: Path) -> Iterator[VaultProvider]:
    made = VaultProvider(
        Target(ADDRESS),
        AppRole(ROLE_ID, secret_id_file(tmp_path)),
        clock=clock,
        transport=httpx.MockTransport(vault.handle),
    )
    yield made
    made.close()
