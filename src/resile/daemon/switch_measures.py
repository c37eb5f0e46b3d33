"""How much is switched off, for the metrics."""

from datetime import datetime

from resile.core.metrics import Registry
from resile.core.switches import Switches
from resile.core.vocabulary import Part


class SwitchMeasures:
    """Lives on the brain's event loop.

    Args:
        registry: Takes the gauge.
    """

    def __init__(self, registry: Registry) -> None:
        self._off = registry.gauge(
            "resile_switches_off_count",
            "What is switched off: 1 for a part that is, or how many playbooks are.",
            labels=("part",),
        )

    def take(self, switches: Switches, now: datetime) -> None:
        """Set it from what is off now."""
        parts = [off.part for off in switches.active(now)]
        for part in Part:
            self._off.set(parts.count(part), part=part)
