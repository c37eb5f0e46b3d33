"""Guards of one test only."""

import pytest

from resile.policies.registry import REGISTRY


@pytest.fixture
def fresh_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
