"""What tests of secrets share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.memory import memory_folder


@pytest.fixture
def place() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder
