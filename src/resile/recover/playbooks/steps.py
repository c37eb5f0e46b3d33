"""What a playbook's steps come to for one target in the present world. Pure.

The group's strategy decides who else is stopped and started with a service: dependents and later
members stop first, and start last.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from resile.core.events import Step
from resile.core.vocabulary import ActionKind, Cause
from resile.recover.facts import OpenFault
from resile.recover.model import service_of, service_target
from resile.recover.playbook import Do, Playbook, PlaybookStep
from resile.recover.playbooks.model import Remedy
from resile.recover.playbooks.restart import affected, backoff_s, port_wait_s
from resile.recover.world import World

VERIFY_MARGIN_S = 60.0
"""Beyond the time to become ready: checks with long intervals need it to see the change."""
CHECK_VERIFY_S = 120.0
"""Of a target that is a check: a disk check's interval, three times, with room."""

_PLAIN = {
    Do.PRUNE: ActionKind.PRUNE,
    Do.EXPLAIN: ActionKind.EXPLAIN,
    Do.FREE_PORT: ActionKind.FREE_PORT,
    Do.FREE_LOCK: ActionKind.FREE_LOCK,
    Do.ROLL_BACK: ActionKind.ROLL_BACK,
    Do.ROTATE_SECRET: ActionKind.ROTATE_SECRET,
    Do.KILL_RUNS: ActionKind.KILL_RUNS,
    Do.FREEZE: ActionKind.FREEZE,
    Do.COLLECT: ActionKind.COLLECT,
    Do.REARM: ActionKind.REARM,
}
"""What is one action on the target, whatever that is."""
_ENDS = {Do.STOP: ActionKind.STOP, Do.KILL: ActionKind.KILL, Do.RESTART: ActionKind.STOP}


def remedy_of(world: World, playbook: Playbook, fault: OpenFault) -> Remedy:
    """Work a playbook out for a fault."""
    name = service_of(fault.target)
    runs = name is not None and world.service(name).is_alive
    steps = [*_worked_out(world, playbook.steps, fault, runs=runs)]
    verify = playbook.verify
    if verify.command:
        steps.append(
            Step(
                action=ActionKind.RUN,
                target=fault.target,
                command=verify.command,
                timeout_s=verify.timeout_s,
                is_repeatable=True,
                is_check=True,
            )
        )
    usual_s = CHECK_VERIFY_S
    if name is not None:
        usual_s = world.service_spec(name).ready_timeout_s + VERIFY_MARGIN_S
    return Remedy(
        playbook=playbook.name,
        steps=tuple(steps),
        verify_s=usual_s if verify.within_s is None else verify.within_s,
        undo=tuple(_worked_out(world, playbook.undo, fault)),
    )


def _worked_out(
    world: World, planned: Iterable[PlaybookStep], fault: OpenFault, *, runs: bool = False
) -> Iterator[Step]:
    """Work steps out. What `runs`, and is ended by none of them, is not started either."""
    name = service_of(fault.target)
    for step in planned:
        if step.do is Do.START and runs:
            continue
        runs = runs and step.do not in _ENDS
        if step.do is Do.COMMAND:
            yield Step(
                action=ActionKind.RUN,
                target=fault.target,
                command=step.command,
                timeout_s=step.timeout_s,
                is_repeatable=step.is_repeatable,
            )
        elif step.do is Do.RENEW_CERTIFICATE:
            yield _renewal(world, step, fault, name)
        elif step.do in _PLAIN:
            yield Step(action=_PLAIN[step.do], target=fault.target)
        elif name is not None:
            yield from _of_service(world, step, fault, name)


def _renewal(world: World, step: PlaybookStep, fault: OpenFault, name: str | None) -> Step:
    command = () if name is None else world.service_spec(name).renew
    if not command:
        return Step(action=ActionKind.ROTATE_SECRET, target=fault.target)
    return Step(
        action=ActionKind.RUN,
        target=fault.target,
        command=command,
        timeout_s=step.timeout_s,
        is_repeatable=True,
    )


def _of_service(world: World, step: PlaybookStep, fault: OpenFault, name: str) -> Iterator[Step]:
    end = _ENDS.get(step.do)
    if end is not None:
        yield Step(action=end, target=fault.target)
    if step.do not in (Do.START, Do.RESTART):
        return
    together = affected(world, name)
    for other in reversed(together):
        if other != name and world.service(other).is_alive:
            yield Step(action=ActionKind.STOP, target=service_target(other))
    not_before = _backed_off(world, fault, name) if step.has_backoff else None
    for other in together:
        delay = not_before if other == name else None
        yield Step(action=ActionKind.START, target=service_target(other), not_before=delay)


def _backed_off(world: World, fault: OpenFault, name: str) -> datetime:
    status = world.service(name)
    spec, attempt = world.service_spec(name).restart, status.backoff_attempt
    delay_s = backoff_s(spec, attempt, fault.fault_id)
    if fault.evidence.get("cause") == Cause.PORT_TAKEN.value:
        delay_s = max(delay_s, port_wait_s(spec, attempt))
    return (status.down_since or fault.began_at) + timedelta(seconds=delay_s)
