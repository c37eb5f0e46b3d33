"""The state of the system as recovery knows it: folded from the journal, asked by the decisions.

`World.apply(event)` is the only way in which it changes. A new brain that restores the last
checkpoint and folds what came after it stands exactly where the dead one stood.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resile.core.codec import decode, encode
from resile.core.events import Event, Payload, Step
from resile.core.vocabulary import ActionKind, CheckState, Desired, FaultKind, Phase
from resile.recover.facts import (
    CheckStatus,
    OpenFault,
    OpenPlan,
    Proposal,
    ServiceStatus,
    WorldRecord,
)
from resile.recover.fold import fold, take_up
from resile.recover.graph import Graph
from resile.recover.model import (
    RestartPolicy,
    ServiceSpec,
    SystemSpec,
    check_target,
    service_target,
)
from resile.recover.store import Store

STOP_ACTIONS = frozenset({ActionKind.STOP, ActionKind.KILL})
FAILING_KINDS = (FaultKind.CRASH, FaultKind.START_FAILED)
"""A service has at most one of these faults open: it does not run, or not far enough."""


class World(Store):
    """What is known, and questions about it. Not thread-safe: one owner applies and asks.

    Args:
        spec: What is declared. Events of services and checks that are not declared are
            ignored, but their open faults are kept until they are withdrawn.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec, Graph(spec), WorldRecord())

    # Changing -----------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Fold one event into the state. Kinds that do not matter here change nothing.

        Raises:
            ValueError: If the event's body does not fit its kind.
        """
        payload = event.payload()
        if payload is not None:
            self.fold(payload, event.at)

    def fold(self, payload: Payload, at: datetime) -> None:
        """Change the state by what happened at `at`."""
        fold(self, payload, at)

    def copy(self) -> "World":
        """Give a world that can be folded further without changing this one."""
        twin = World.__new__(World)
        Store.__init__(twin, self.spec, self.graph, self.record())
        return twin

    def snapshot(self) -> dict[str, Any]:
        """Give the state as JSON data, for a checkpoint."""
        data: dict[str, Any] = encode(self.record())
        return data

    @classmethod
    def restore(cls, spec: SystemSpec, snapshot: Mapping[str, Any]) -> "World":
        """Take a checkpoint up again under a declaration that may have changed since.

        What is not declared any more is dropped, but for its open faults: `decide` withdraws
        them. What is new starts afresh.

        Raises:
            ValueError: If the data is no snapshot of a world.
        """
        world = cls(spec)
        world.load(decode(WorldRecord, snapshot))
        take_up(world)
        return world

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, World):
            return NotImplemented
        return self.spec == other.spec and self.record() == other.record()

    __hash__ = None  # type: ignore[assignment]

    # Asking -------------------------------------------------------------------------------------

    def service(self, name: str) -> ServiceStatus:
        """Give where a declared service stands."""
        return self.services[name]

    def service_spec(self, name: str) -> ServiceSpec:
        """Give how a declared service is to be handled."""
        return self.spec.services[name]

    def check(self, check: str) -> CheckStatus:
        """Give where a declared check stands."""
        return self.checks[check]

    def is_stopping(self, name: str) -> bool:
        """Tell whether a stop or a kill works on a service now."""
        action = self.action_on(service_target(name))
        return action is not None and action.action in STOP_ACTIONS

    def fault_on(self, target: str, *kinds: FaultKind) -> OpenFault | None:
        """Give the open fault of a target that has one of these kinds; None if there is none."""
        found = (f for f in self.faults.values() if f.target == target and f.kind in kinds)
        return next(found, None)

    def failing_fault(self, name: str) -> OpenFault | None:
        """Give the open fault because of which a service is started by recovery."""
        return self.fault_on(service_target(name), *FAILING_KINDS)

    def plan_for(self, fault_id: str) -> OpenPlan | None:
        """Give the open plan of a fault; None if there is none."""
        return next((p for p in self.plans.values() if p.fault_id == fault_id), None)

    def proposal_for(self, fault_id: str) -> Proposal | None:
        """Give the plan of a fault that waits for a person; None if none does."""
        return next((p for p in self.proposals.values() if p.fault_id == fault_id), None)

    def next_step(self, plan: OpenPlan) -> tuple[int, Step] | None:
        """Give the step that is due next and its index; None if every step is done.

        A step that has nothing to do is passed over: a stop of what does not run, a start of
        what runs or must not be started.
        """
        for index in range(plan.done, len(plan.steps)):
            if not self._is_moot(plan.steps[index]):
                return index, plan.steps[index]
        return None

    def is_finished(self, name: str) -> bool:
        """Tell whether a service ended well and its policy does not want it back."""
        status = self.services[name]
        ended = status.ended
        if status.is_alive or ended is None or ended.is_expected or status.start_error:
            return False
        policy = self.spec.services[name].restart.policy
        return ended.is_clean and policy is not RestartPolicy.PERMANENT

    def is_left_down(self, name: str) -> bool:
        """Tell whether a service failed, and its policy wants no end answered with a restart."""
        status = self.services[name]
        ended = status.ended
        if status.is_alive or ended is None or ended.is_expected or ended.is_clean:
            return False
        return self.spec.services[name].restart.policy is RestartPolicy.TEMPORARY

    def phase(self, name: str) -> Phase:
        """Tell where a service stands in its life."""
        status = self.services[name]
        action = self.action_on(service_target(name))
        if action is not None and action.action in STOP_ACTIONS:
            return Phase.STOPPING
        if status.is_alive:
            return Phase.RUNNING if status.is_ready else Phase.STARTING
        if action is not None:
            return Phase.STARTING
        is_over = self.is_finished(name) or self.is_left_down(name)
        if status.desired is Desired.STOPPED or is_over:
            return Phase.STOPPED
        if status.is_quarantined:
            return Phase.QUARANTINED
        is_failing = self.failing_fault(name) is not None
        return Phase.BACKOFF if is_failing and self.is_startable(name) else Phase.WAITING

    def is_usable(self, name: str) -> bool:
        """Tell whether a dependency is good enough to start what needs it.

        A service: it runs, has been ready, none of its checks is DOWN and nobody stops it; or
        it has finished well. A check: UP or DEGRADED.
        """
        if not self.graph.is_service(name):
            return self.checks[name].good_since is not None
        if self.is_finished(name):
            return True
        return self.services[name].is_ready and not self.is_stopping(name) and self._is_well(name)

    def is_startable(self, name: str) -> bool:
        """Tell whether everything that a service names in `depends_on` is usable."""
        return all(self.is_usable(need) for need in self.graph.needs(name))

    def is_restarting(self, name: str) -> bool:
        """Tell whether a service is the one that an operator's restart works on now."""
        return bool(self.restarts) and self.restarts[0].service == name

    @property
    def is_all_stopped(self) -> bool:
        """Tell whether nothing runs and nothing is being done to a service.

        What makes room meanwhile is not waited for: it can be cut anywhere.
        """
        is_alive = any(status.is_alive for status in self.services.values())
        is_acting = any(self.known_service(a.target) for a in self.in_flight.values())
        return not is_alive and not is_acting

    def _is_well(self, name: str) -> bool:
        return not any(
            self.checks[check].state is CheckState.DOWN
            and not self.is_maintained(check_target(check))
            for check in self.checks_of(name)
        )

    def _is_moot(self, step: Step) -> bool:
        name = self.known_service(step.target)
        if step.action is not ActionKind.START and step.action not in STOP_ACTIONS:
            return False
        if name is None:
            return True
        status = self.services[name]
        if step.action is ActionKind.START:
            return status.is_alive or status.is_quarantined or status.desired is Desired.STOPPED
        return not status.is_alive
