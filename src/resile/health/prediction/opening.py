"""Find the predictor that the configuration names: ours, river's, or another package's by its entry point."""

from typing import cast

from resile.errors import ConfigError
from resile.health.prediction import online
from resile.health.prediction.guard import NAME, TrendGuard
from resile.health.prediction.port import MakePredictor
from resile.policies import nearest

ENTRY_POINTS = "resile.predictors"
"""Each names what is called without arguments for every resource, and gives a `Predictor`."""


def find_predictor(name: str) -> MakePredictor:
    """Give what makes predictors of this name; "trend" is ours, "river" is ours by `river`.

    Raises:
        ConfigError: If there is none of this name, or it cannot be loaded.
        MissingExtraError: If `river` is wanted and not installed.
    """
    if name == NAME:
        return TrendGuard
    if name == online.NAME:
        online.OnlineTrend()  # Loads river now, before it is needed, or tells that it is missing.
        return online.OnlineTrend
    from importlib.metadata import entry_points  # Loads much: only who looks for others' kinds.

    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in others:
        raise ConfigError(
            f"there is no predictor {name!r}", hint=nearest(name, {NAME, online.NAME, *others})
        )
    try:
        return cast("MakePredictor", others[name].load())
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"the predictor {name!r} cannot be loaded from {others[name].value}: {exc}",
            hint="install its package again",
        ) from exc
