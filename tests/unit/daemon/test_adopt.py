"""A brain that died between an effect and its record: what the next one must record."""

from datetime import UTC, datetime

from resile.core.events import Payload, ProcessExited, ProcessStarted, ServiceNotified, announce
from resile.daemon.adopt import plan_adoption
from resile.daemon.protocol import Exited, Instance
from resile.recover import ServiceSpec, SystemSpec, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def world_after(*payloads: Payload) -> World:
    world = World(SystemSpec(services={"a": ServiceSpec(name="a", is_notify=True)}))
    for payload in payloads:
        world.apply(announce(payload, at=NOW, actor="brain"))
    return world


def instance(
    *, generation: int = 1, is_ready: bool = False, exited: bool = False, service: str = "a"
) -> Instance:
    end = Exited(service=service, generation=generation, pid=42, exit_code=7, at=NOW)
    return Instance(
        service=service,
        generation=generation,
        pid=42,
        start_ticks=9,
        cgroup="g",
        started_at=NOW,
        is_ready=is_ready,
        exited=end if exited else None,
    )


STARTED = ProcessStarted(service="a", generation=1, pid=42, start_ticks=9)
EXITED = ProcessExited(service="a", generation=1, pid=42, exit_code=7)


def test_what_is_recorded_already_is_only_adopted() -> None:
    plan = plan_adoption(world_after(STARTED), [instance()])

    assert plan.adopted == ("a",)
    assert plan.payloads == ()
    assert [i.generation for i in plan.running] == [1]


def test_spawn_that_was_not_recorded_is_recorded_now() -> None:
    plan = plan_adoption(world_after(), [instance()])

    assert [type(p) for p in plan.payloads] == [ProcessStarted]


def test_ready_that_was_told_while_no_brain_lived_is_recorded_now() -> None:
    plan = plan_adoption(world_after(STARTED), [instance(is_ready=True)])

    assert [type(p) for p in plan.payloads] == [ServiceNotified]


def test_exit_is_left_to_the_guard_which_tells_it_again() -> None:
    plan = plan_adoption(world_after(STARTED), [instance(exited=True)])

    assert plan.payloads == ()
    assert plan.running == ()
    assert plan.adopted == ("a",)


def test_exit_that_is_recorded_says_nothing_new() -> None:
    plan = plan_adoption(world_after(STARTED, EXITED), [instance(exited=True)])

    assert plan.payloads == ()


def test_instance_of_a_service_that_is_not_declared_any_more_is_to_be_ended() -> None:
    plan = plan_adoption(world_after(), [instance(service="gone")])

    assert [i.service for i in plan.undeclared] == ["gone"]

    assert plan.adopted == ()
    assert plan.running == ()
