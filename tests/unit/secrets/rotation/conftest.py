"""What tests of rotations share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.secrets.rotation.kit import Kit

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: each commit waits for the disk elsewhere."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="resile-test-", dir=where) as made:
        yield Path(made)


@pytest.fixture
def kit(folder: Path) -> Iterator[Kit]:
    made = Kit(folder)
    yield made
    made.close()
