"""What end-to-end tests share."""

from collections.abc import Iterator

import pytest
from tests.e2e.example_daemon import SERVICES, Example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """Give the example under its daemon. Its tests belong to `xdist_group("example")`, and leave it running."""
    made = Example(tmp_path_factory.mktemp("example"))
    try:
        made.up()
        made.wait_up(*SERVICES)
        yield made
    finally:
        made.destroy()
