"""What tests of rotations share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.secrets.rotation.kit import Kit


@pytest.fixture
def kit(place: Path) -> Iterator[Kit]:
    made = Kit(place)
    yield made
    made.close()
