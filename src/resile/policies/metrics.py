"""Numbers of all guards of this process, for Prometheus.

They are read from the guards when somebody asks, so a guarded call pays nothing for them.
"""

from collections import Counter as Sums
from collections.abc import Iterable
from typing import Final

from resile.core.metrics import Counter, Gauge
from resile.core.metrics import Registry as Metrics
from resile.policies.keyed import COUNTS, keyed_guards
from resile.policies.layer import Measure, measures_of
from resile.policies.registry import REGISTRY
from resile.policies.signals import POST

GUARDS_SHOWN_MAX: Final = 200
"""Guards with series of their own, some 25 each; the names after them are summed up as "other"."""
OTHER: Final = "other"
_Sample = tuple[str, tuple[str, ...]]


def metrics_text() -> str:
    """Give the numbers of all guards in the Prometheus text format 0.0.4.

    For a page `/metrics` of any service; content type `resile.core.metrics.CONTENT_TYPE`. Guards
    that `per` made are summed up under the name of their parent. It takes some 20 microseconds for
    each guard and each key.
    """
    metrics = Metrics()
    families = policy_families(metrics)
    for (family, labels), value in policy_sums().items():
        _put(families[family], value, labels)
    return metrics.text()


def policy_sums() -> Sums[_Sample]:
    """Give all numbers, by family and by the values of its labels, the guard's name first."""
    sums: Sums[_Sample] = Sums(
        {("dropped", ()): POST.dropped, ("failed_listeners", ()): POST.failed}
    )
    guards = REGISTRY.guards()
    keyed = keyed_guards(guards)
    labels = {one.name: OTHER for one in guards}
    labels |= {one.name: one.name for one in guards[:GUARDS_SHOWN_MAX]}
    kept_apart = {one.name for one in keyed}
    for guard in guards:
        # What a guard is itself would stand among what its keys are.
        measures = measures_of(guard.layers)
        is_parent = guard.name in kept_apart
        _add(sums, labels[guard.name], (m for m in measures if m.family in COUNTS or not is_parent))
    for one in keyed:
        _add(sums, labels[one.name], one.measures())
    return sums


def _add(sums: Sums[_Sample], name: str, measures: Iterable[Measure]) -> None:
    for measure in measures:
        labels = (name, measure.label) if measure.label else (name,)
        sums[measure.family, labels] += measure.value  # type: ignore[assignment]


def _put(family: Counter | Gauge, value: float, labels: tuple[str, ...]) -> None:
    named = dict(zip(family.labels, labels, strict=True))
    if isinstance(family, Counter):
        family.add(value, **named)
    else:
        family.set(value, **named)


def policy_families(metrics: Metrics) -> dict[str, Counter | Gauge]:
    """Declare every family by the name that measures have for it."""
    return {
        "attempts": metrics.counter(
            "resile_policy_attempts_total",
            "Attempts by what came of them, success or failure.",
            labels=("guard", "outcome"),
        ),
        "rejections": metrics.counter(
            "resile_policy_rejections_total",
            "Calls that were turned away, by the policy that did it.",
            labels=("guard", "by"),
        ),
        "timeouts": metrics.counter(
            "resile_policy_timeouts_total",
            "Calls that were stopped because they took too long.",
            labels=("guard",),
        ),
        **_retry_families(metrics),
        **_breaker_families(metrics),
        **_limit_families(metrics),
        **_answer_families(metrics),
        "keys": metrics.gauge(
            "resile_policy_keys", "Keys that a guard keeps apart now.", labels=("guard",)
        ),
        "dropped": metrics.counter(
            "resile_policy_signals_dropped_total", "Signals for which listeners were too slow."
        ),
        "failed_listeners": metrics.counter(
            "resile_policy_listeners_dropped_total", "Listeners that were let go as they raised."
        ),
    }


def _retry_families(metrics: Metrics) -> dict[str, Counter | Gauge]:
    return {
        "retries": metrics.counter(
            "resile_policy_retries_total", "Attempts after the first.", labels=("guard",)
        ),
        "recovered": metrics.counter(
            "resile_policy_recoveries_total",
            "Calls that succeeded after the first attempt.",
            labels=("guard",),
        ),
        "given_up": metrics.counter(
            "resile_policy_give_ups_total",
            "Calls whose retries ended without success.",
            labels=("guard",),
        ),
        "budget_exhausted": metrics.counter(
            "resile_policy_budget_exhausted_total",
            "Retries that were not made as the budget was used up.",
            labels=("guard",),
        ),
        "budget": metrics.gauge(
            "resile_policy_budget_retries",
            "Retries that the budget allows now.",
            labels=("guard",),
        ),
    }


def _breaker_families(metrics: Metrics) -> dict[str, Counter | Gauge]:
    return {
        "state": metrics.gauge(
            "resile_policy_breaker_state",
            "1 for the state that the breaker is in, 0 for the others; of keys, how many are in it.",
            labels=("guard", "state"),
        ),
        "mode": metrics.gauge(
            "resile_policy_breaker_mode",
            "1 for the mode that the breaker is in, 0 for the others; of keys, how many are in it.",
            labels=("guard", "mode"),
        ),
        "opened": metrics.counter(
            "resile_policy_breaker_openings_total",
            "How often the breaker has opened.",
            labels=("guard",),
        ),
    }


def _limit_families(metrics: Metrics) -> dict[str, Counter | Gauge]:
    return {
        "in_flight": metrics.gauge(
            "resile_policy_in_flight_calls",
            "Calls that have a permit of the bulkhead now.",
            labels=("guard",),
        ),
        "limit": metrics.gauge(
            "resile_policy_limit_calls",
            "Calls that may have a permit now; an adaptive limit moves.",
            labels=("guard",),
        ),
        "waiting": metrics.gauge(
            "resile_policy_waiting_calls",
            "Calls that wait for a permit or for their turn, by the policy for which they do.",
            labels=("guard", "by"),
        ),
    }


def _answer_families(metrics: Metrics) -> dict[str, Counter | Gauge]:
    return {
        "fallbacks": metrics.counter(
            "resile_policy_fallbacks_total",
            "Calls that failed and for which a fallback was asked.",
            labels=("guard",),
        ),
        "hedges": metrics.counter(
            "resile_policy_hedges_total",
            "Second calls that were made because the first took long.",
            labels=("guard",),
        ),
        "hedged_running": metrics.gauge(
            "resile_policy_hedged_running_calls",
            "Threads and tasks of hedged calls now, with those that lost.",
            labels=("guard",),
        ),
        "cache": metrics.counter(
            "resile_policy_cache_lookups_total",
            "Calls of a cache by what it had for them: hit, miss; stale, if the call failed.",
            labels=("guard", "had"),
        ),
        "cached": metrics.gauge(
            "resile_policy_cached_results", "Results that are kept now.", labels=("guard",)
        ),
    }
