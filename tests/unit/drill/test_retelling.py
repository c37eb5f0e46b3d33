"""A drill, told again from the journal."""

from datetime import timedelta

from tests.unit.drill.stories import CRASH, HANG, ago, drill, proved, told

from resile.core.events import (
    Event,
    FaultInjected,
    HeartbeatReceived,
    ProcessExited,
    RunBegun,
    RunBreached,
    RunEnded,
    ServiceReady,
)
from resile.core.vocabulary import DrillVerdict, RunReason
from resile.drill.history import History, PastDrill
from resile.drill.retelling import MOMENTS_MAX, retell

BEGAN = ago(1)


def past_of(events: list[Event]) -> PastDrill:
    history = History()
    history.add(events)
    return history.drills[0]


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def injected(target: str, seconds: float) -> Event:
    payload = FaultInjected(
        fault_id="flt_9", fault="process.kill", target=target, ttl_s=5, who="drill"
    )
    return told(payload, BEGAN + at(seconds))


def ready(seconds: float) -> Event:
    return told(ServiceReady(service="api", generation=2, after_s=1.0), BEGAN + at(seconds))


def exited(seconds: float) -> Event:
    payload = ProcessExited(service="api", generation=1, pid=7, signal="SIGKILL", uptime_s=60)
    return told(payload, BEGAN + at(seconds))


def test_each_scenario_has_its_own_story_from_its_fault_on() -> None:
    begun, first, second, ended = drill("drl_1", BEGAN, proved(CRASH), proved(HANG))
    past = past_of([begun, first, second, ended])
    story = [
        *(begun, injected("service/api", 1), exited(1.1), ready(2), first),
        *(ready(11), injected("service/api", 12), ready(14), second),
        *(ended, exited(500)),
    ]

    found = retell(past, story)

    crash, hang = found.results
    assert crash.began_at == BEGAN + at(1)
    assert [moment.at for moment in crash.timeline] == [BEGAN + at(s) for s in (1, 1.1, 2)]
    assert "SIGKILL" in crash.timeline[1].text
    assert hang.began_at == BEGAN + at(12)
    assert [moment.at for moment in hang.timeline] == [BEGAN + at(12), BEGAN + at(14)]


def test_drill_has_the_figures_of_the_journal() -> None:
    result = proved(CRASH, DrillVerdict.LOST, acked=80, lost=2, failed=5, why="two were gone")
    events = drill("drl_1", BEGAN, result)

    found = retell(past_of(events), events)

    assert (found.id, found.who, found.began_at) == ("drl_1", "ann", BEGAN)
    assert found.ended_at == BEGAN + at(11)
    told_of = found.results[0]
    assert (told_of.verdict, told_of.acked, told_of.lost) == (DrillVerdict.LOST, 80, 2)
    assert (told_of.why, told_of.began_at, told_of.timeline) == ("two were gone", None, ())


def test_drill_that_was_killed_ends_with_what_it_told_last() -> None:
    events = drill("drl_1", BEGAN, proved(CRASH), is_ended=False)

    assert retell(past_of(events), events).ended_at == BEGAN + at(10)


def test_other_drills_noise_and_floods_do_not_spoil_a_story() -> None:
    own, other = proved(CRASH), proved(CRASH, drill="drl_0")
    begun, first, _ = drill("drl_1", BEGAN, own)
    beat = told(HeartbeatReceived(check="backup"), BEGAN + at(2))
    flood = [ready(3 + number / 1000) for number in range(2 * MOMENTS_MAX)]
    story = [begun, injected("service/api", 1), told(other, BEGAN + at(1.5)), beat, *flood, first]

    found = retell(past_of([begun, first]), story)

    timeline = found.results[0].timeline
    assert len(timeline) == MOMENTS_MAX
    assert not any("backup" in moment.text for moment in timeline)


def test_of_runs_only_those_are_told_of_with_which_something_was_wrong() -> None:
    begun, first, _ = drill("drl_1", BEGAN, proved("run_time:run"))
    story = [begun, *run_story("run_load", RunReason.OK), *run_story("run_long", RunReason.TIMEOUT)]

    found = retell(past_of([begun, first]), [*story, first])

    texts = [moment.text for moment in found.results[0].timeline]
    assert len(texts) == 3
    assert "run_long.sh" in texts[0]
    assert "ran too long" in texts[1]


def run_story(run_id: str, reason: RunReason) -> list[Event]:
    command = (f"{run_id}.sh",)
    begun = RunBegun(run_id=run_id, command=command, commit="never", supervisor_pid=1)
    breached = RunBreached(
        run_id=run_id, label="EXECUTION_TIMEOUT", reason=reason, detail="ran too long"
    )
    ended = RunEnded(run_id=run_id, reason=reason, code="", changes=0)
    payloads = [begun, ended] if reason is RunReason.OK else [begun, breached, ended]
    return [told(payload, BEGAN + at(1)) for payload in payloads]
