"""What was wanted of a process at the moment in which it ended. Pure."""

from resile.core.vocabulary import ActionKind, CheckGroup, Desired, FaultKind
from resile.health.ends import Asked
from resile.recover import conditions
from resile.recover.facts import InFlight
from resile.recover.model import RestartPolicy, service_target
from resile.recover.world import STOP_ACTIONS, World

_WHY = {
    FaultKind.START_FAILED: "it was not ready in time",
    FaultKind.NOT_READY: "it was not ready any more",
    FaultKind.MEMORY_PRESSURE: "it was about to reach its memory limit",
    FaultKind.DESCRIPTORS_EXHAUSTED: "it had no descriptors left",
    FaultKind.POOL_EXHAUSTED: "its pool was full, and nothing got done in it",
}
"""Why recovery replaces a process that lives, for the faults that lead to that."""


def asked_of(world: World, name: str) -> Asked | None:
    """Tell what resile or an operator wanted of a service's process; None: that it runs.

    Ask before its end is folded: what it did is forgotten then.
    """
    action = world.action_on(service_target(name))
    if action is None or action.action not in STOP_ACTIONS:
        return Asked() if world.service(name).desired is Desired.STOPPED else None
    return _asked_by(world, name, action)


def is_early(world: World, name: str) -> bool:
    """Tell whether a service's process has to prove that it is ready, and has not been yet."""
    return not world.service(name).is_ready and conditions.proves_readiness(world, name)


def may_end_well(world: World, name: str) -> bool:
    """Tell whether a service is finished when it ends by itself with exit code 0."""
    return world.service_spec(name).restart.policy is not RestartPolicy.PERMANENT


def _asked_by(world: World, name: str, action: InFlight) -> Asked:
    """Tell what an action wanted. One for the sake of another service has no reason of its own."""
    is_kill = action.action is ActionKind.KILL
    fault = world.faults.get(action.fault_id)
    if fault is None or fault.target != service_target(name):
        return Asked(is_kill=is_kill)
    if fault.kind is FaultKind.HANG:
        down = conditions.down_checks(world, name, CheckGroup.LIVE)
        is_heartbeat = bool(down) and all(world.spec.checks[c].is_heartbeat for c in down)
        return Asked(is_kill=is_kill, hang=fault.reason, is_heartbeat=is_heartbeat)
    return Asked(
        is_kill=is_kill,
        because=_WHY.get(fault.kind, ""),
        is_start_failure=fault.kind is FaultKind.START_FAILED,
    )
