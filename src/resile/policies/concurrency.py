"""Decide how many calls may run at once, from how long they take and which were turned away.

Two rules over one interface. Neither waits nor looks at a clock; neither is thread-safe: the
layer that owns one holds its lock.

Source: Chiu and Jain 1989 for additive increase, multiplicative decrease; for the gradient,
"Performance Under Load" (Netflix, 2018); probing for the base latency is from BBR (2016).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

_GRADIENT_MIN: Final = 0.5
"""A single window at most halves the target, however slow it was."""
_SMOOTHING: Final = 0.2
"""Share of the target in the new limit: five windows make most of the way."""
_REMEMBERED: Final = 100
"""Windows of which the quickest is the base latency: a new, slower base is believed after them."""
_PROBE_EVERY: Final = 10
"""Windows from one probe to the next. Two of twelve at half the limit cost some 4 % of the
throughput, as a limit with room for a queue is about 1.5 times what the service does at once."""
_UTILISED: Final = 0.5
"""A limit of which less is used says nothing about the service, and is not raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was seen since the limit was last decided.

    Args:
        latency_s: Mean of the calls that succeeded; above 0.
        in_flight_max: Most calls that ran at once.
        was_overloaded: A call ran out of time, or was turned away by what it called.
    """

    latency_s: float
    in_flight_max: int
    was_overloaded: bool


class LimitRule(Protocol):
    """How a limit moves."""

    def next_limit(self, limit: float, window: Window) -> float:
        """Give the limit after a window, not yet cut to the range that the user set."""
        ...


class Aimd:
    """One more for a good window, a share of itself after an overload.

    Args:
        backoff: What is left of the limit after an overload; 0 < backoff < 1.
        latency_s_max: A window slower than this counts as an overload; None: none does.
    """

    __slots__ = ("_backoff", "_latency_s_max")

    def __init__(self, *, backoff: float, latency_s_max: float | None) -> None:
        self._backoff = backoff
        self._latency_s_max = latency_s_max

    def next_limit(self, limit: float, window: Window) -> float:
        """Give the limit after a window."""
        is_slow = self._latency_s_max is not None and window.latency_s > self._latency_s_max
        if window.was_overloaded or is_slow:
            return limit * self._backoff
        return limit + 1 if window.in_flight_max >= limit * _UTILISED else limit


class Gradient:
    """Follow the ratio of base latency to present latency; room for a short queue.

    A base that were only the average of the past would learn its own queue and drift upwards, so
    it is the quickest of the latest windows, and the limit is halved now and then to see whether
    calls are quicker without the queue.

    Args:
        backoff: What is left of the limit after an overload; 0 < backoff < 1.
        tolerance: How much longer than the base calls may take before the limit falls; 1 or more.
    """

    __slots__ = ("_backoff", "_latencies_s", "_resumed", "_tolerance", "_until_probe")

    def __init__(self, *, backoff: float, tolerance: float) -> None:
        self._backoff = backoff
        self._tolerance = tolerance
        self._latencies_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._until_probe = _PROBE_EVERY
        self._resumed = 0.0

    def next_limit(self, limit: float, window: Window) -> float:
        """Give the limit after a window."""
        self._until_probe -= 1
        if self._until_probe == 0:
            self._resumed = limit
            return limit * _GRADIENT_MIN
        if self._until_probe == -1:
            return limit  # Calls that began before the probe are still among these.
        if not window.was_overloaded:
            self._latencies_s.append(window.latency_s)
        if self._until_probe < 0:
            self._until_probe = _PROBE_EVERY
            return limit if window.was_overloaded else self._resumed
        if window.was_overloaded:
            return limit * self._backoff
        return self._followed(limit, window)

    def _followed(self, limit: float, window: Window) -> float:
        base_s = min(self._latencies_s)
        gradient = max(_GRADIENT_MIN, min(1.0, self._tolerance * base_s / window.latency_s))
        if window.in_flight_max < limit * _UTILISED and gradient == 1.0:
            return limit
        target = limit * gradient + math.sqrt(limit)
        return limit * (1 - _SMOOTHING) + target * _SMOOTHING
