"""The predictor that is wanted is found, be it ours or another package's."""

from importlib.metadata import EntryPoint

import pytest

from resile.errors import ConfigError
from resile.health.prediction import TrendGuard
from resile.health.prediction.opening import ENTRY_POINTS, find_predictor


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("mine", "resile.health.prediction.guard:TrendGuard", ENTRY_POINTS),
        EntryPoint("broken", "no_such_package:Predictor", ENTRY_POINTS),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)


def test_ours_is_found_by_its_name() -> None:
    assert find_predictor("trend") is TrendGuard


def test_that_of_another_package_is_found_by_its_entry_point() -> None:
    assert find_predictor("mine") is TrendGuard


def test_unknown_one_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no predictor 'trent'") as caught:
        find_predictor("trent")

    assert "trend" in caught.value.hint


def test_one_that_cannot_be_loaded_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"broken.*cannot be loaded"):
        find_predictor("broken")
