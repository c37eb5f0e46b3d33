"""Counters, gauges and histograms, and their text for Prometheus.

Names are `resile_<part>_<noun>_<unit>[_total]`. The number of series is bounded: a metric that
has its limit of label combinations puts every further one into a single series whose labels all
read "other", so that a label with endless values costs exactness, not memory.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

import math
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable
from typing import ClassVar, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SERIES_MAX = 1000
"""Of one metric: 200 services with five states each."""

OTHER = "other"

DURATION_BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""From a local call to the longest recovery objective of an outage."""

_NAME = re.compile(r"resile(_[a-z0-9]+){2,}")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_LABELS = {"le", "quantile"}


class _Metric:
    """A name, its labels, and its series by their labels' values. Safe to share between threads."""

    type_name: ClassVar[str]

    def __init__(self, name: str, description: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], list[float]] = {}

    def remove(self, **labels: str) -> None:
        """Forget a series, such as that of a service which is gone."""
        with self._lock:
            self._values.pop(self._key(labels), None)

    def lines(self) -> Iterable[str]:
        """Give the metric's lines of the text exposition."""
        yield f"# HELP {self.name} {_escape(self.description)}"
        yield f"# TYPE {self.name} {self.type_name}"
        with self._lock:
            series = sorted((key, tuple(values)) for key, values in self._values.items())
        for key, values in series:
            yield from self._series_lines(dict(zip(self.labels, key, strict=True)), values)

    def _series_lines(self, labels: dict[str, str], values: tuple[float, ...]) -> Iterable[str]:
        yield f"{self.name}{_label_text(labels)} {_number(values[0])}"

    def _slot(self, labels: dict[str, str], size: int = 1) -> list[float]:
        """Find or make the values of a series; the caller holds the lock."""
        key = self._key(labels)
        if key not in self._values and len(self._values) >= SERIES_MAX - 1:
            key = (OTHER,) * len(self.labels)
        return self._values.setdefault(key, [0.0] * size)

    def _key(self, labels: dict[str, str]) -> tuple[str, ...]:
        if set(labels) != set(self.labels):
            raise AssertionError(f"{self.name} has the labels {self.labels}, not {sorted(labels)}")
        return tuple(str(labels[label]) for label in self.labels)

    def _value(self, labels: dict[str, str]) -> float:
        with self._lock:
            return self._values.get(self._key(labels), [0.0])[0]


class Counter(_Metric):
    """A number that only grows. Safe to share between threads."""

    type_name = "counter"

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count `amount` (0 or more)."""
        if not 0 <= amount < math.inf:
            raise AssertionError(f"{self.name} cannot grow by {amount}")
        with self._lock:
            self._slot(labels)[0] += amount

    def value(self, **labels: str) -> float:
        """Tell the count; 0 if there was none."""
        return self._value(labels)


class Gauge(_Metric):
    """A number that goes up and down. Safe to share between threads."""

    type_name = "gauge"

    def set(self, value: float, **labels: str) -> None:
        """Set the value; what is no number is refused here, not where somebody reads the page."""
        number = float(value)
        with self._lock:
            self._slot(labels)[0] = number

    def value(self, **labels: str) -> float:
        """Tell the value; 0 if it was never set."""
        return self._value(labels)


class Histogram(_Metric):
    """How often a value fell into each bucket. Safe to share between threads.

    Args:
        name: Ends in its unit, such as `_seconds`.
        description: One sentence.
        labels: Their names.
        buckets: Upper bounds, rising; the last one, infinity, is added.
    """

    type_name = "histogram"

    def __init__(
        self, name: str, description: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> None:
        super().__init__(name, description, labels)
        if not buckets or sorted(set(buckets)) != list(buckets):
            raise AssertionError(f"the buckets of {name} do not rise: {buckets}")
        self._bounds = (*buckets, math.inf)

    def observe(self, value: float, **labels: str) -> None:
        """Count one value."""
        with self._lock:
            # The last slot is the sum; the others count one bucket each, not yet cumulated.
            slot = self._slot(labels, len(self._bounds) + 1)
            slot[bisect_left(self._bounds, value)] += 1
            slot[-1] += value

    def _series_lines(self, labels: dict[str, str], values: tuple[float, ...]) -> Iterable[str]:
        count = 0.0
        for bound, in_bucket in zip(self._bounds, values[:-1], strict=True):
            count += in_bucket
            text = _label_text({**labels, "le": _number(bound)})
            yield f"{self.name}_bucket{text} {_number(count)}"
        yield f"{self.name}_sum{_label_text(labels)} {_number(values[-1])}"
        yield f"{self.name}_count{_label_text(labels)} {_number(count)}"


_M = TypeVar("_M", bound=_Metric)


class Registry:
    """The metrics of one process. Safe to share between threads.

    Asking twice for the same metric gives the same one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics: dict[str, _Metric] = {}

    def counter(self, name: str, description: str, *, labels: tuple[str, ...] = ()) -> Counter:
        """Make or find a counter; its name ends in `_total`."""
        if not name.endswith("_total"):
            raise AssertionError(f"the counter {name} does not end in _total")
        return self._add(Counter(name, description, labels))

    def gauge(self, name: str, description: str, *, labels: tuple[str, ...] = ()) -> Gauge:
        """Make or find a gauge."""
        return self._add(Gauge(name, description, labels))

    def histogram(
        self,
        name: str,
        description: str,
        *,
        labels: tuple[str, ...] = (),
        buckets: tuple[float, ...] = DURATION_BUCKETS_S,
    ) -> Histogram:
        """Make or find a histogram. Default buckets: 1 ms to 5 min."""
        return self._add(Histogram(name, description, labels, buckets))

    def text(self) -> str:
        """Give all metrics, sorted by name, in the text exposition format 0.0.4."""
        with self._lock:
            metrics = sorted(self._metrics.values(), key=lambda metric: metric.name)
        return "".join(f"{line}\n" for metric in metrics for line in metric.lines())

    def names(self) -> tuple[str, ...]:
        """List the metrics' names, sorted."""
        with self._lock:
            return tuple(sorted(self._metrics))

    def _add(self, metric: _M) -> _M:
        _check_names(metric)
        with self._lock:
            known = self._metrics.setdefault(metric.name, metric)
        if not isinstance(known, type(metric)) or known.labels != metric.labels:
            raise AssertionError(f"{metric.name} is already a {known.type_name} {known.labels}")
        return known


def _check_names(metric: _Metric) -> None:
    if not _NAME.fullmatch(metric.name):
        raise AssertionError(f"{metric.name!r} is not resile_<part>_<noun>_<unit>")
    for label in metric.labels:
        if not _LABEL.fullmatch(label) or label in _RESERVED_LABELS:
            raise AssertionError(f"{label!r} is no label of {metric.name}")


def _label_text(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escape(value, quotes=True)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escape(text: str, *, quotes: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quotes else escaped


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
