"""A guard and the brain that a test plays."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.guarding import (
    Brain,
    GuardProcess,
    guarding,
)

from resile.contain import (
    CgroupKind,
    probe,
)


@pytest.fixture(autouse=True)
def _has_what_it_needs(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Skip what would fail for want of groups: without them, some processes do escape."""
    if request.node.get_closest_marker("needs_cgroups") is not None:
        found = probe(tmp_path)
        found.tree.remove()
        if found.tree.layout.kind is CgroupKind.NONE:
            pytest.skip(f"no cgroups: {'; '.join(found.refused)}")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[GuardProcess]:
    with guarding(tmp_path) as running:
        yield running


@pytest.fixture
def brain(guard: GuardProcess) -> Brain:
    return guard.brain()
