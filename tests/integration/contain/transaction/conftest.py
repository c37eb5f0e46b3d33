"""Folders for transactions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.memory import memory_folder


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory, where a sync costs nothing."""
    with memory_folder() as folder:
        yield folder
