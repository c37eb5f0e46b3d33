"""The pytest plugin: a fixture `policies`, and a marker that puts a whole test under it.

pytest loads it in every run, so it imports nothing but pytest, which is there already.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from resile.testing.kit import PolicyKit

_MARKER = "resile_policies"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(attempts=None, disabled=False): run guarded code without waits, with a fresh "
        "state of all guards, as the fixture `policies` does",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a marked test the fixture, before all others that it has."""
    names = getattr(item, "fixturenames", None)
    if names is not None and item.get_closest_marker(_MARKER) and "policies" not in names:
        names.insert(0, "policies")


@pytest.fixture
def policies(request: pytest.FixtureRequest) -> Iterator["PolicyKit"]:
    """Run guarded code without waits, with forced outcomes and assertions about what happened."""
    from resile.testing.kit import policies as kit

    marker = request.node.get_closest_marker(_MARKER)
    with kit(**(marker.kwargs if marker else {})) as made:
        yield made
