"""The daemon's metrics: counters follow the records, gauges are set when somebody asks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resile.core.events import Event, FaultClosed, FaultOpened, ProcessStarted
from resile.core.metrics import Registry
from resile.core.vocabulary import CheckState, Outcome
from resile.daemon.foresight.measures import ForesightMeasures
from resile.daemon.lanes import PolicyMeasures
from resile.daemon.recovery_measures import RecoveryMeasures
from resile.daemon.secret_measures import SecretMeasures
from resile.daemon.store_measures import StoreMeasures
from resile.daemon.switch_measures import SwitchMeasures
from resile.health import ProcessSample
from resile.incidents import IncidentBook
from resile.recover import World

UP_STATES = frozenset({CheckState.UP, CheckState.DEGRADED})


class Measures:
    """All of them, in one registry. Lives on the brain's event loop."""

    def __init__(self) -> None:
        registry = Registry()
        self._registry = registry
        self._events = registry.counter(
            "resile_journal_events_total", "Events that this brain appended.", labels=("part",)
        )
        self._dropped = registry.gauge(
            "resile_journal_dropped_count",
            "Events that were dropped because the journal could not be written for too long.",
        )
        self._starts = registry.counter(
            "resile_service_starts_total", "Processes that were started.", labels=("service",)
        )
        self._faults = registry.counter(
            "resile_recovery_faults_total", "Faults that were opened.", labels=("fault",)
        )
        self._recoveries = registry.counter(
            "resile_recovery_count_total",
            "Faults that were closed, by how.",
            labels=("fault", "outcome"),
        )
        self._late = registry.counter(
            "resile_recovery_rto_missed_total",
            "Faults that took longer than their recovery time objective.",
            labels=("fault",),
        )
        self._duration = registry.histogram(
            "resile_recovery_duration_seconds",
            "From the beginning of a fault to its end, where a plan of ours ended it.",
            labels=("fault",),
        )
        self._up = registry.gauge(
            "resile_service_up", "1 if the service is UP or DEGRADED, else 0.", labels=("service",)
        )
        self._restarts = registry.gauge(
            "resile_service_restarts_count", "Restarts by recovery.", labels=("service",)
        )
        self._memory = registry.gauge(
            "resile_service_memory_bytes",
            "Resident memory of the main process.",
            labels=("service",),
        )
        self._cpu = registry.gauge(
            "resile_service_cpu_seconds_total",
            "Processor time of the main process since its start.",
            labels=("service",),
        )
        self._check_up = registry.gauge(
            "resile_check_up", "1 if the check is UP or DEGRADED, else 0.", labels=("check",)
        )
        self._store = StoreMeasures(registry)
        self.policies = PolicyMeasures(registry)
        self.secrets = SecretMeasures(registry)
        self.foresight = ForesightMeasures(registry)
        self.recovery = RecoveryMeasures(registry)
        self._switches = SwitchMeasures(registry)
        self._incidents = registry.gauge(
            "resile_incidents_open_count", "Incidents that are not resolved."
        )

    def store(self, figures: Mapping[str, Any]) -> None:
        """Take the storekeeper's figures: of each name one or several, by folder or place."""
        self._store.take(figures)

    def apply(self, event: Event) -> None:
        """Count one event."""
        self._events.add(part=event.kind.partition(".")[0])
        payload = event.payload()
        if isinstance(payload, ProcessStarted):
            self._starts.add(service=payload.service)
        elif isinstance(payload, FaultOpened):
            self._faults.add(fault=payload.fault)
        elif isinstance(payload, FaultClosed):
            self._count_end(payload)
        self.secrets.apply(payload)
        self.foresight.apply(payload)
        self.recovery.apply(payload)

    def text(
        self,
        world: World,
        book: IncidentBook,
        samples: Mapping[str, ProcessSample],
        *,
        dropped_count: int,
        now: datetime,
    ) -> str:
        """Set the gauges from what is known now, and give all of it as text."""
        for name, status in world.services.items():
            self._up.set(float(status.state in UP_STATES), service=name)
            self._restarts.set(status.restarts, service=name)
            sample = samples.get(name)
            self._memory.set(sample.rss_bytes if sample else 0, service=name)
            self._cpu.set(sample.cpu_s if sample else 0.0, service=name)
        for check, known in world.checks.items():
            self._check_up.set(float(known.state in UP_STATES), check=check)
        self.recovery.refresh()
        self._incidents.set(len(book.active()))
        self._dropped.set(dropped_count)
        self._switches.take(world.switches, now)
        return self._registry.text()

    def _count_end(self, closed: FaultClosed) -> None:
        self._recoveries.add(fault=closed.fault, outcome=closed.outcome)
        if closed.outcome is Outcome.RECOVERED:
            self._duration.observe(closed.recovery_s, fault=closed.fault)
        if not closed.is_within_rto:
            self._late.add(fault=closed.fault)
