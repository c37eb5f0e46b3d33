"""What happens in guards, for OpenTelemetry: numbers as its instruments, signals as events of spans."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from resile.clients._extras import require
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.metrics import Counter, Gauge
from resile.core.metrics import Registry as Metrics
from resile.policies.metrics import policy_families, policy_sums
from resile.policies.signals import POST, Signal

_EXTRA: Final = "otel"
_FRESH_S: Final = 0.5
"""All instruments are asked one after the other, and shall tell of one moment."""


def use_opentelemetry(
    *, meter_provider: object = None, tracer: bool = True, clock: Clock = SYSTEM_CLOCK
) -> Callable[[], None]:
    """Show the guards of this process to OpenTelemetry. Safe to call from any thread.

    - The numbers of `resile.policies.metrics_text` become observable instruments, such as
      `resile.policy.attempts` with the attributes `guard` and `outcome`. They are read when an
      exporter asks.
    - Each signal becomes an event, such as `resile.retry`, of the span in which the guarded call
      runs, if that is recorded.

    Args:
        meter_provider: Of whose meter the instruments are. Default: the global one.
        tracer: False for no events of spans.
        clock: For the age of numbers.

    Returns:
        What ends it; the instruments stay and say nothing any more.

    Raises:
        MissingExtraError: If `opentelemetry-api` is not installed.
    """
    metrics = require("opentelemetry.metrics", extra=_EXTRA)
    meter = metrics.get_meter("resile", meter_provider=meter_provider)
    numbers = _Numbers(clock)
    for key, family in policy_families(Metrics()).items():
        _instrument(meter, metrics.Observation, key, family, numbers)
    with ExitStack() as started:
        started.callback(numbers.close)
        if tracer:
            trace = require("opentelemetry.trace", extra=_EXTRA)
            started.callback(POST.accompany(partial(_add_event, trace.get_current_span)))
        return started.pop_all().close


class _Numbers:
    """The numbers of one moment. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._sums: Mapping[tuple[str, tuple[str, ...]], float] = {}
        self._is_closed = False

    def of(self, family: str) -> Iterator[tuple[tuple[str, ...], float]]:
        """Give the values of a family, by those of its labels."""
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._read_s + _FRESH_S and not self._is_closed:
                self._sums, self._read_s = policy_sums(), now
            sums = self._sums
        return ((labels, value) for (name, labels), value in sums.items() if name == family)

    def close(self) -> None:
        """Have no numbers any more."""
        with self._lock:
            self._is_closed, self._sums = True, {}


def _instrument(
    meter: Any, observation: Any, key: str, family: Counter | Gauge, numbers: _Numbers
) -> None:
    """Make the instrument of a family; its name is that of Prometheus, as OpenTelemetry writes it."""

    def observed(options: object) -> Iterable[Any]:
        del options
        for labels, value in numbers.of(key):
            yield observation(value, dict(zip(family.labels, labels, strict=True)))

    is_counter = isinstance(family, Counter)
    make = meter.create_observable_counter if is_counter else meter.create_observable_gauge
    name = family.name.removesuffix("_total").replace("resile_policy_", "resile.policy.")
    make(name, callbacks=[observed], description=family.description)


def _add_event(current_span: Callable[[], Any], signal: Signal) -> None:
    span = current_span()
    if span.is_recording():
        detail = {key: value for key, value in signal.detail.items() if value is not None}
        span.add_event(f"resile.{signal.kind}", {"guard": signal.guard, **detail})
