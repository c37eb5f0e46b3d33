"""Why a process ended, as the brain puts it together: what it saw, what was wanted, what was counted."""

from datetime import UTC, datetime

import pytest

from resile.contain.cgroups import CgroupLimits
from resile.core.events import (
    ActionStarted,
    CheckChanged,
    FaultOpened,
    OperatorRequested,
    Payload,
    ProcessStarted,
    ServiceReady,
    announce,
)
from resile.core.vocabulary import (
    ActionKind,
    CheckGroup,
    CheckState,
    EndKind,
    FaultKind,
    Priority,
    Verb,
)
from resile.daemon.adopt import exit_payload
from resile.daemon.autopsy import Autopsy, OomKills, examine
from resile.daemon.protocol import Exited
from resile.recover import (
    CheckBinding,
    RestartPolicy,
    RestartSpec,
    ServiceSpec,
    SystemSpec,
    World,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20
STARTED = ProcessStarted(service="api", generation=1, pid=7, start_ticks=1)
READY = ServiceReady(service="api", generation=1, after_s=1.0)
TRACE = (
    "Traceback (most recent call last):",
    '  File "/srv/app.py", line 7, in work',
    "ValueError: no user 17",
)


def world_after(*payloads: Payload, **spec: object) -> World:
    service = ServiceSpec(name="api", is_notify=True, **spec)  # type: ignore[arg-type]
    checks = {
        check: CheckBinding(
            check=check, service="api", group=CheckGroup.LIVE, is_heartbeat="watchdog" in check
        )
        for check in ("api.live", "api.watchdog")
    }
    world = World(SystemSpec(services={"api": service}, checks=checks))
    for payload in (STARTED, *payloads):
        world.apply(announce(payload, at=NOW, actor="brain"))
    return world


def exited(**fields: object) -> Exited:
    return Exited(service="api", generation=1, pid=7, at=NOW, **fields)  # type: ignore[arg-type]


def examined(
    world: World,
    *,
    limits: CgroupLimits | None = None,
    kills: OomKills | None = None,
    **fields: object,
) -> Autopsy:
    return examine(
        world, exited(**fields), limits=limits or CgroupLimits(), kills=kills or OomKills()
    )


def acting(kind: FaultKind | None, action: ActionKind, reason: str = "") -> tuple[Payload, ...]:
    """Give a fault of the service, if it has one, and the action that works on it."""
    fault = FaultOpened(
        fault_id="flt_1",
        fault=kind or FaultKind.HANG,
        target="service/api",
        priority=Priority.P1,
        began_at=NOW,
        reason=reason,
    )
    started = ActionStarted(
        action_id="act_1",
        action=action,
        target="service/api",
        generation=1,
        fault_id="flt_1" if kind else "",
    )
    return (*((fault,) if kind else ()), started)


def down(check: str) -> CheckChanged:
    return CheckChanged(
        check=check,
        service="api",
        group=CheckGroup.LIVE,
        before=CheckState.UP,
        after=CheckState.DOWN,
        reason="",
        began_at=NOW,
    )


def test_exit_is_explained_by_the_exception_at_the_end_of_the_log() -> None:
    autopsy = examined(world_after(READY), exit_code=1, tail=("started", *TRACE))

    assert autopsy.explanation.kind is EndKind.EXIT
    assert autopsy.explanation.text == "ended with exit code 1: ValueError: no user 17"
    assert autopsy.words.frames == ("srv/app.py:work",)


def test_equal_crashes_have_equal_fingerprints() -> None:
    one = examined(world_after(READY), exit_code=1, tail=TRACE)
    moved = TRACE[1].replace("7", "9")
    other = examined(
        world_after(READY), exit_code=1, tail=(TRACE[0], moved, "ValueError: no user 42")
    )
    third = examined(world_after(READY), exit_code=1, tail=(*TRACE[:2], "KeyError: 17"))

    assert one.fingerprint == other.fingerprint != third.fingerprint


def test_end_before_readiness_is_a_failed_start() -> None:
    autopsy = examined(world_after(), exit_code=1)

    assert autopsy.explanation.kind is EndKind.START_FAILED


def test_hang_is_told_by_its_check() -> None:
    world = world_after(
        READY, down("api.live"), *acting(FaultKind.HANG, ActionKind.KILL, "api.live: no answer")
    )

    autopsy = examined(world, signal="SIGABRT")

    assert autopsy.explanation.kind is EndKind.HANG
    assert autopsy.explanation.text == "killed by resile because it hung: api.live: no answer"
    assert autopsy.is_crash


def test_missing_heartbeat_is_a_watchdogs() -> None:
    world = world_after(
        READY, down("api.watchdog"), *acting(FaultKind.HANG, ActionKind.KILL, "silent")
    )

    assert examined(world, signal="SIGKILL").explanation.kind is EndKind.WATCHDOG


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGABRT"])
def test_hang_has_one_fingerprint_however_it_was_ended(signal: str) -> None:
    world = world_after(
        READY, down("api.live"), *acting(FaultKind.HANG, ActionKind.KILL, "api.live: no answer")
    )

    assert examined(world, signal=signal).fingerprint == examined(world, exit_code=1).fingerprint


def test_stop_that_an_operator_asked_for_is_no_crash() -> None:
    asked = OperatorRequested(verb=Verb.STOP, services=("api",))
    world = world_after(READY, asked, *acting(None, ActionKind.STOP))

    autopsy = examined(world, signal="SIGTERM")

    assert autopsy.explanation.kind is EndKind.STOPPED
    assert autopsy.explanation.is_graceful
    assert not autopsy.is_crash


def test_process_that_was_not_ready_in_time_failed_to_start() -> None:
    world = world_after(*acting(FaultKind.START_FAILED, ActionKind.STOP))

    autopsy = examined(world, exit_code=0)

    assert autopsy.explanation.kind is EndKind.START_FAILED
    assert autopsy.is_crash


def test_action_of_another_service_is_no_reason_of_its_own() -> None:
    other = FaultOpened(
        fault_id="flt_2",
        fault=FaultKind.HANG,
        target="service/db",
        priority=Priority.P1,
        began_at=NOW,
        reason="db.live",
    )
    stop = ActionStarted(
        action_id="act_2",
        action=ActionKind.STOP,
        target="service/api",
        generation=1,
        fault_id="flt_2",
    )

    autopsy = examined(world_after(READY, other, stop), exit_code=0)

    assert autopsy.explanation.kind is EndKind.STOPPED


def test_end_of_an_earlier_generation_knows_nothing_of_the_present_one() -> None:
    again = ProcessStarted(service="api", generation=2, pid=8, start_ticks=2)
    world = world_after(READY, again, *acting(FaultKind.HANG, ActionKind.KILL, "hung"))

    assert examined(world, exit_code=1).explanation.kind is EndKind.EXIT


def test_good_end_is_a_crash_only_of_what_is_to_run_for_ever() -> None:
    transient = RestartSpec(policy=RestartPolicy.TRANSIENT)

    assert examined(world_after(READY), exit_code=0).is_crash
    assert not examined(world_after(READY, restart=transient), exit_code=0).is_crash


def test_memory_limit_is_seen_in_the_counter_or_in_the_most_that_was_used() -> None:
    limits = CgroupLimits(memory_bytes=64 * MIB)
    world, kills = world_after(READY), OomKills(group=1)

    def kind(**fields: object) -> EndKind:
        return examined(
            world, signal="SIGKILL", limits=limits, kills=kills, **fields
        ).explanation.kind

    assert kind(memory_limit_hits=1) is EndKind.OOM
    assert kind(memory_max_bytes=64 * MIB) is EndKind.OOM
    assert kind(memory_max_bytes=32 * MIB) is EndKind.MACHINE_OOM


def test_refused_processes_explain_a_failure() -> None:
    autopsy = examined(
        world_after(READY), limits=CgroupLimits(processes=20), exit_code=1, refused_processes=3
    )

    assert autopsy.explanation.kind is EndKind.PROCESSES


def test_what_was_found_goes_into_the_journal() -> None:
    end = exited(exit_code=1, tail=TRACE, oom_kills=None, refused_processes=2)
    autopsy = examine(world_after(READY), end, limits=CgroupLimits(), kills=OomKills())

    payload = exit_payload(end, autopsy, bundle="b")

    assert (payload.end, payload.explanation) == (EndKind.EXIT, autopsy.explanation.text)
    assert (payload.fingerprint, payload.bundle) == (autopsy.fingerprint, "b")
    assert (payload.error, payload.frames) == ("ValueError: no user 17", ("srv/app.py:work",))
    assert (payload.oom_kills, payload.refused_processes) == (0, 2)
