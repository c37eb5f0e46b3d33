"""The state itself: dictionaries of frozen records, and how they come from and go to one record.

`World` adds the questions; `fold` is the only thing that changes it.
"""

from dataclasses import replace
from typing import Any

from resile.core.vocabulary import CheckGroup, FaultKind
from resile.recover.facts import (
    CheckStatus,
    InFlight,
    ServiceStatus,
    SymptomStatus,
    WorldRecord,
)
from resile.recover.graph import Graph
from resile.recover.model import MACHINE_TARGET, SystemSpec, service_of, service_target


def symptom_key(kind: FaultKind, target: str) -> str:
    """Name a fault on a target, for what detectors see."""
    return f"{kind.value} {target}"


class Store:
    """What is known. Not thread-safe.

    Args:
        spec: What is declared.
        graph: Its dependencies.
        record: Where to begin.
    """

    def __init__(self, spec: SystemSpec, graph: Graph, record: WorldRecord) -> None:
        self.spec = spec
        self.graph = graph
        self.load(record)

    def load(self, record: WorldRecord) -> None:
        """Take a state over; what is not declared is left out, what is new starts afresh."""
        self.services = {n: record.services.get(n, ServiceStatus()) for n in self.spec.services}
        self.checks = {c: record.checks.get(c, CheckStatus()) for c in self.spec.checks}
        self.pressures = {t: p for t, p in record.pressures.items() if self.has_memory(t)}
        self.symptoms = {key: s for key, s in record.symptoms.items() if self._is_seen(key)}
        self.faults = dict(record.faults)
        self.troubles = dict(record.troubles)
        self.plans = dict(record.plans)
        self.in_flight = {i: a for i, a in record.in_flight.items() if self.is_known(a.target)}
        self.remedies = record.remedies
        self.maintenance = {t: m for t, m in record.maintenance.items() if self.is_declared(t)}
        self.restarts = tuple(r for r in record.restarts if r.service in self.services)
        self.is_shutdown_wanted = record.is_shutdown_wanted
        self.guard_pid = record.guard_pid
        self.guard_identity = record.guard_identity
        self.proposals = {i: p for i, p in record.proposals.items() if self.is_known(p.target)}
        self.switches = record.switches
        self.lessons = dict(record.lessons)
        self.outcomes = dict(record.outcomes)
        self.failings = {k: f for k, f in record.failings.items() if self.is_known(f.target)}
        self.config_digest = record.config_digest
        self.faults_count = record.faults_count
        self.actions_count = record.actions_count
        self.took = record.took
        self.setbacks = {t: s for t, s in record.setbacks.items() if self.is_declared(t)}

    def record(self) -> WorldRecord:
        """Give the whole state as one frozen value."""
        return WorldRecord(
            services=dict(self.services),
            checks=dict(self.checks),
            pressures=dict(self.pressures),
            symptoms=dict(self.symptoms),
            faults=dict(self.faults),
            troubles=dict(self.troubles),
            plans=dict(self.plans),
            in_flight=dict(self.in_flight),
            remedies=self.remedies,
            maintenance=dict(self.maintenance),
            restarts=self.restarts,
            is_shutdown_wanted=self.is_shutdown_wanted,
            guard_pid=self.guard_pid,
            guard_identity=self.guard_identity,
            proposals=dict(self.proposals),
            switches=self.switches,
            lessons=dict(self.lessons),
            outcomes=dict(self.outcomes),
            failings=dict(self.failings),
            config_digest=self.config_digest,
            faults_count=self.faults_count,
            actions_count=self.actions_count,
            took=self.took,
            setbacks=dict(self.setbacks),
        )

    def checks_of(self, name: str, group: CheckGroup | None = None) -> tuple[str, ...]:
        """Give the live and ready checks of a service, or those of one group."""
        return self.graph.checks_of(name, group)

    def known_service(self, target: str) -> str | None:
        """Tell which declared service a target names; None if it names none."""
        name = service_of(target)
        return name if name in self.services else None

    def action_on(self, target: str) -> InFlight | None:
        """Give the action that works on a target now; None if none does."""
        return next((a for a in self.in_flight.values() if a.target == target), None)

    def is_maintained(self, target: str) -> bool:
        """Tell whether an operator works on a target, so that recovery leaves it alone."""
        last = self.maintenance.get(target)
        return last is not None and last.ended_at is None

    def is_left_to_operator(self, name: str) -> bool:
        """Tell whether a service ended by itself, or could not be started, in maintenance."""
        status = self.services[name]
        if status.is_alive or not self.is_maintained(service_target(name)):
            return False
        has_crashed = status.ended is not None and not status.ended.is_expected
        return has_crashed or bool(status.start_error)

    def is_guarded_by(self, pid: int, identity: str) -> bool:
        """Tell whether a guard is the one of this run.

        Its identity tells; its pid does where one of the two has none, as in old records.
        """
        if identity and self.guard_identity:
            return identity == self.guard_identity
        return pid == self.guard_pid

    def is_declared(self, target: str) -> bool:
        """Tell whether a target is a declared service or check."""
        kind, _, name = target.partition("/")
        return name in (self.spec.services if kind == "service" else self.spec.checks)

    def is_known(self, target: str) -> bool:
        """Tell whether a target may be worked on: it is declared, or it need not be, as a store."""
        return target.partition("/")[0] not in ("service", "check") or self.is_declared(target)

    def has_memory(self, target: str) -> bool:
        """Tell whether memory of a target is watched: of a declared service, or of the machine."""
        return target == MACHINE_TARGET or service_of(target) in self.spec.services

    def symptom(self, kind: FaultKind, target: str) -> SymptomStatus | None:
        """Give what a detector has seen last of a fault on a target; None if it never saw any."""
        return self.symptoms.get(symptom_key(kind, target))

    def _is_seen(self, key: str) -> bool:
        return self.has_memory(key.partition(" ")[2])

    def change(self, name: str, **changes: Any) -> None:
        """Replace fields of a service's status; for the fold alone."""
        self.services[name] = replace(self.services[name], **changes)
