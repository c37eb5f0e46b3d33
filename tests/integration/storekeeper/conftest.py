"""What the tests of the storekeeper share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storekeeper_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.keeper.stop()
    made.keeper.run()
