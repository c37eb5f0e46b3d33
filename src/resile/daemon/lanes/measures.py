"""What guards of all processes add up to, as metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

from resile.core.metrics import Registry

Row = Mapping[str, Any]


class PolicyMeasures:
    """Counters follow what processes say; gauges are set when somebody asks. Not thread-safe.

    Args:
        registry: Of the daemon.
    """

    def __init__(self, registry: Registry) -> None:
        self._counters = {
            "calls": registry.counter(
                "resile_policies_calls_total", "Attempts under a guard.", labels=("guard",)
            ),
            "failures": registry.counter(
                "resile_policies_failures_total", "Attempts that were bad.", labels=("guard",)
            ),
            "rejected": registry.counter(
                "resile_policies_rejected_total", "Calls that were not made.", labels=("guard",)
            ),
            "retries": registry.counter(
                "resile_policies_retries_total", "Attempts after the first.", labels=("guard",)
            ),
            "opened": registry.counter(
                "resile_policies_opened_total", "Breakers that opened.", labels=("guard",)
            ),
        }
        self._open = registry.gauge(
            "resile_policies_open_count",
            "Processes in which the guard's breaker lets no call, or only probes, through.",
            labels=("guard",),
        )
        self._processes = registry.gauge(
            "resile_policies_processes_count", "Processes whose guards are known."
        )
        self._unsaid = registry.gauge(
            "resile_policies_unsaid_count",
            "Changes of breakers that came too fast to be journalled.",
        )
        self._refused = registry.gauge(
            "resile_policies_refused_count",
            "Connections that were ended because of what came over them.",
        )
        self._guards: set[str] = set()

    def count(self, before: Mapping[str, Row], after: Mapping[str, Row]) -> None:
        """Add what one process has counted since it said so last; a count that was reset begins at 0."""
        for guard, row in after.items():
            old = before.get(guard, {})
            for name, counter in self._counters.items():
                known = old.get(name, 0)
                counter.add(row[name] - known if row[name] >= known else row[name], guard=guard)

    def set(self, rows: Iterable[Row], *, processes: int, unsaid: int, refused: int) -> None:
        """Set the gauges from what is known now."""
        is_open: dict[str, int] = {}
        for row in rows:
            is_closed = row["state"] in ("", "closed") and row["mode"] != "forced_open"
            is_open[row["guard"]] = is_open.get(row["guard"], 0) + (not is_closed)
        for gone in self._guards - is_open.keys():
            self._open.remove(guard=gone)
        self._guards = set(is_open)
        for guard, count in is_open.items():
            self._open.set(count, guard=guard)
        self._processes.set(processes)
        self._unsaid.set(unsaid)
        self._refused.set(refused)
