"""What a new brain must record so that the journal agrees with what the guard owns. Pure.

The guard is right about what runs; the journal is right about what was decided. A brain that
died between a spawn and its record left the two apart. Exits need no care here: the guard tells
them again to every brain until they are forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from resile.core.events import (
    ActionStarted,
    Payload,
    ProcessExited,
    ProcessStarted,
    ServiceNotified,
)
from resile.daemon.autopsy import Autopsy
from resile.daemon.protocol import Exited, Instance
from resile.recover import InFlight, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What to do about the instances that the guard knows.

    Args:
        adopted: Services that the guard still speaks of.
        payloads: To be journalled, in this order.
        running: Instances that run.
        undeclared: Instances of services that are not declared any more: to be ended.
    """

    adopted: tuple[str, ...] = ()
    payloads: tuple[Payload, ...] = ()
    running: tuple[Instance, ...] = ()
    undeclared: tuple[Instance, ...] = ()


def plan_adoption(world: World, instances: Iterable[Instance]) -> Adoption:
    """Compare the world, folded up to the last record, with the guard's instances."""
    ordered = sorted(instances, key=lambda i: (i.service, i.generation))
    known = [i for i in ordered if i.service in world.services]
    payloads: list[Payload] = []
    for instance in known:
        payloads += _missing(world, instance)
    return Adoption(
        adopted=tuple(sorted({instance.service for instance in known})),
        payloads=tuple(payloads),
        running=tuple(i for i in known if i.exited is None),
        undeclared=tuple(i for i in ordered if i.service not in world.services),
    )


def exit_payload(exited: Exited, autopsy: Autopsy, *, bundle: str = "") -> ProcessExited:
    """Turn the guard's word of an exit, and what it means, into what the journal keeps."""
    return ProcessExited(
        service=exited.service,
        generation=exited.generation,
        pid=exited.pid,
        exit_code=exited.exit_code,
        signal=exited.signal,
        core_dumped=exited.core_dumped,
        oom_kills=exited.oom_kills or 0,
        uptime_s=exited.uptime_s,
        cpu_user_s=exited.cpu_user_s,
        cpu_system_s=exited.cpu_system_s,
        memory_max_bytes=exited.memory_max_bytes,
        survivors_killed=exited.survivors_killed,
        bundle=bundle,
        end=autopsy.explanation.kind,
        explanation=autopsy.explanation.text,
        is_graceful=autopsy.explanation.is_graceful,
        fingerprint=autopsy.fingerprint,
        error=autopsy.words.error,
        frames=autopsy.words.frames,
        place=autopsy.words.place,
        refused_processes=exited.refused_processes,
        cause=autopsy.cause.value if autopsy.cause else "",
    )


def start_payload(instance: Instance) -> ProcessStarted:
    """Turn the guard's word of a start into what the journal keeps."""
    return ProcessStarted(
        service=instance.service,
        generation=instance.generation,
        pid=instance.pid,
        start_ticks=instance.start_ticks,
        cgroup=instance.cgroup,
    )


def begun_again(action: InFlight) -> ActionStarted:
    """Give the intent of an action whose end is not known, to perform it again."""
    return ActionStarted(
        action_id=action.action_id,
        action=action.action,
        target=action.target,
        generation=action.generation,
        plan_id=action.plan_id,
        fault_id=action.fault_id,
        step=action.step,
        command=action.command,
        timeout_s=action.timeout_s,
        is_repeatable=action.is_repeatable,
    )


def _missing(world: World, instance: Instance) -> list[Payload]:
    """List what the journal does not say of an instance yet."""
    status = world.service(instance.service)
    if instance.generation <= status.exited_generation:
        return []
    missing: list[Payload] = []
    is_recorded = status.is_alive and status.generation == instance.generation
    if not is_recorded:
        missing.append(start_payload(instance))
    if instance.is_ready and not (is_recorded and status.is_notified):
        missing.append(
            ServiceNotified(service=instance.service, generation=instance.generation, is_ready=True)
        )
    return missing
