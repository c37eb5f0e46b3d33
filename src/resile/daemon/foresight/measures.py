"""The metrics of health and of predictions: counters follow the records, gauges are set when somebody asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from resile.core.events import Payload, PredictionEnded, PredictionMade
from resile.core.metrics import Gauge, Registry
from resile.health.prediction import Forecast
from resile.health.score import Score

_Labels = tuple[tuple[str, str], ...]


class Told(Protocol):
    """What the gauges are set from; `Foresight` is one."""

    def scores(self) -> Mapping[str, Score]:
        """Give the last scores, by target."""
        ...

    def forecasts(self) -> Sequence[Forecast]:
        """Give what is expected to run out."""
        ...

    def precisions(self) -> Iterator[tuple[str, str, float]]:
        """Give resource, target and precision of each predictor that has shown something."""
        ...


class ForesightMeasures:
    """Lives on the brain's event loop.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: Registry) -> None:
        self._score = registry.gauge(
            "resile_health_score",
            "How well a service is, or the system: 0 to 100.",
            labels=("target",),
        )
        self._left = registry.gauge(
            "resile_prediction_left_seconds",
            "Until a resource is expected to run out; only while it is.",
            labels=("resource", "target"),
        )
        self._confidence = registry.gauge(
            "resile_prediction_confidence_ratio",
            "How far the prediction that a resource runs out goes, 0 to 1; only while there is one.",
            labels=("resource", "target"),
        )
        self._precision = registry.gauge(
            "resile_prediction_precision_ratio",
            "Which part of a predictor's last ten predictions came true.",
            labels=("resource", "target"),
        )
        self._made = registry.counter(
            "resile_prediction_made_total",
            "Predictions that a resource runs out, those of muted predictors included.",
            labels=("resource",),
        )
        self._ended = registry.counter(
            "resile_prediction_ended_total",
            "Predictions of which it is known what came of them.",
            labels=("resource", "outcome"),
        )
        self._set: dict[Gauge, set[_Labels]] = {}

    def apply(self, payload: Payload | None) -> None:
        """Count one record."""
        if isinstance(payload, PredictionMade):
            self._made.add(resource=payload.resource)
        elif isinstance(payload, PredictionEnded):
            self._ended.add(resource=payload.resource, outcome=payload.outcome)

    def take(self, told: Told) -> None:
        """Set the gauges; what is told no more is removed."""
        forecasts = told.forecasts()
        scores = told.scores().items()
        self._put(self._score, ((_labels(target=one), score.value) for one, score in scores))
        # The nearest comes first: of several of one target and resource it stays.
        self._put(self._left, ((_of(one), one.left_s) for one in reversed(forecasts)))
        self._put(self._confidence, ((_of(one), one.confidence) for one in reversed(forecasts)))
        self._put(
            self._precision,
            (
                (_labels(resource=resource, target=target), precision)
                for resource, target, precision in told.precisions()
            ),
        )

    def _put(self, gauge: Gauge, series: Iterable[tuple[_Labels, float]]) -> None:
        found = dict(series)
        for gone in self._set.get(gauge, set()) - found.keys():
            gauge.remove(**dict(gone))
        for labels, value in found.items():
            gauge.set(value, **dict(labels))
        self._set[gauge] = set(found)


def _of(forecast: Forecast) -> _Labels:
    return _labels(resource=forecast.resource.value, target=forecast.target)


def _labels(**labels: str) -> _Labels:
    return tuple(labels.items())
