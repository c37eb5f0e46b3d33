"""A provider that speaks with a KV engine in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.vault_kv import FakeKv, provider_of

from resile.secrets.providers.vault import VaultProvider
from resile.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vault(clock: FakeClock) -> FakeKv:
    return FakeKv(clock)


@pytest.fixture
def provider(vault: FakeKv, tmp_path: Path) -> Iterator[VaultProvider]:
    made = provider_of(vault, tmp_path)
    yield made
    made.close()
