"""What `/metrics` tells: the service's own figures, those of its checks, and those of its guards."""

import sys
import threading
from collections.abc import Iterable

from resile.core.metrics import Counter, Gauge
from resile.errors import ConfigError
from resile.health.endpoints.decide import overall
from resile.health.endpoints.model import Component, HealthStatus, is_label, is_name

METERS_MAX = 200
"""Of one service; the series of each are bounded by `core.metrics`."""


class Meters:
    """The gauges and counters of one service, by name. Safe to share between threads.

    Args:
        prefix: What the name of each begins with.

    Raises:
        ConfigError: If the prefix is no name, or belongs to resile itself.
    """

    def __init__(self, prefix: str) -> None:
        if not is_name(prefix) or prefix == "resile" or prefix.startswith("resile_"):
            raise ConfigError(
                f"{prefix!r} cannot begin the name of a metric",
                hint='take a lower-case word other than resile: resile.Health(prefix="shop")',
            )
        self.prefix = prefix
        self._lock = threading.Lock()
        self._known: dict[str, Gauge | Counter] = {}

    def make_gauge(self, name: str, description: str, labels: tuple[str, ...]) -> Gauge:
        """Make a gauge; see `Health.add_gauge`."""
        gauge = Gauge(f"{self.prefix}_{name}", description, labels)
        self._add(name, gauge)
        return gauge

    def make_counter(self, name: str, description: str, labels: tuple[str, ...]) -> Counter:
        """Make a counter; see `Health.add_counter`."""
        if not name.endswith("_total"):
            raise ConfigError(f"{name!r} does not end in _total", hint=f"call it {name}_total")
        counter = Counter(f"{self.prefix}_{name}", description, labels)
        self._add(name, counter)
        return counter

    def text(self, components: tuple[Component, ...], *, uptime_s: float, is_ready: bool) -> str:
        """Give everything in the text exposition format 0.0.4, sorted by name.

        Where a check's figure has the name of a gauge or counter of the user's, theirs is given.
        """
        told = {gauge.name: gauge for gauge in self._told(components, uptime_s, is_ready)}
        with self._lock:
            families = {**told, **self._known}
        lines = [line for name in sorted(families) for line in families[name].lines()]
        return "".join(f"{line}\n" for line in lines) + _guards_text()

    def _add(self, name: str, meter: Gauge | Counter) -> None:
        wrong = [one for one in meter.labels if not is_label(one)]
        if not is_name(name) or wrong:
            raise ConfigError(
                f"{', '.join(map(repr, wrong)) or repr(name)} cannot name a metric or a label",
                hint="take lower-case words joined by underscores, other than le and quantile",
            )
        with self._lock:
            if meter.name in self._known or len(self._known) >= METERS_MAX:
                raise ConfigError(
                    f"there is {meter.name} already, or {METERS_MAX} metrics are",
                    hint="keep what add_gauge or add_counter gave; take labels for many series",
                )
            self._known[meter.name] = meter

    def _told(
        self, components: Iterable[Component], uptime_s: float, is_ready: bool
    ) -> Iterable[Gauge]:
        components = tuple(components)
        prefix = self.prefix
        yield _gauge(f"{prefix}_uptime_seconds", "Age of the process.", uptime_s)
        yield _gauge(f"{prefix}_ready", "1 if requests can be served, else 0.", is_ready)
        yield _state_gauge(f"{prefix}_status", overall(components))
        yield from _check_gauges(prefix, components)
        yield from _figure_gauges(prefix, components)


def _gauge(name: str, description: str, value: float) -> Gauge:
    gauge = Gauge(name, description, ())
    gauge.set(value)
    return gauge


def _state_gauge(name: str, status: HealthStatus) -> Gauge:
    gauge = Gauge(name, "1 for the status that the service has, 0 for the others.", ("status",))
    for one in HealthStatus:
        gauge.set(one is status, status=one)
    return gauge


def _check_gauges(prefix: str, components: Iterable[Component]) -> Iterable[Gauge]:
    duration = Gauge(f"{prefix}_check_duration_seconds", "How long a check took.", ("check",))
    state = Gauge(
        f"{prefix}_check_status",
        "1 for the status that a check has, 0 for the others.",
        ("check", "status"),
    )
    for component in components:
        name, status = component.check.name, component.result.status
        duration.set(component.response_s, check=name)
        for one in HealthStatus:
            state.set(one is status, check=name, status=one)
    yield duration
    yield state


def _figure_gauges(prefix: str, components: Iterable[Component]) -> Iterable[Gauge]:
    """Give what checks measured. One name has one set of labels; other sets are left out."""
    known: dict[str, Gauge] = {}
    for component in components:
        check = component.check
        if check.timed:
            name = f"{prefix}_{check.name}_{check.timed}_duration_seconds"
            known[name] = _gauge(name, f"How long a {check.timed} took.", component.response_s)
        for figure in component.result.figures:
            name, labels = f"{prefix}_{check.name}_{figure.name}", tuple(figure.labels)
            gauge = known.setdefault(name, Gauge(name, figure.description, labels))
            if set(gauge.labels) == set(labels):
                gauge.set(figure.value, **figure.labels)
    return known.values()


def _guards_text() -> str:
    """Give the figures of the guards, if the process has any."""
    if "resile.policies.registry" not in sys.modules:
        return ""
    from resile.policies import metrics_text

    return metrics_text()
