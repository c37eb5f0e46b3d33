"""Which check is due, and what becomes of its result, without threads or real time."""

from itertools import pairwise
from math import inf

import pytest

from resile.core.vocabulary import CheckGroup, CheckState
from resile.health import CheckKind, CheckResult, CheckSpec, Streak
from resile.health.agenda import (
    COSTLY_EXTRA_INTERVAL_S,
    EXTRA_FOR_S,
    EXTRA_INTERVAL_S,
    SLOW_LOOK_S,
    Agenda,
    Job,
    Moment,
)
from resile.health.schedule import first_delay_s
from resile.testing import FakeClock

UP, DOWN, UNKNOWN = CheckState.UP, CheckState.DOWN, CheckState.UNKNOWN


def spec(check: str = "disk", **options: object) -> CheckSpec:
    """A check with an interval of 10 s that falls and rises at once."""
    fields: dict[str, object] = {"kind": CheckKind.TCP, "fall": 1, "rise": 1}
    return CheckSpec(id=check, **{**fields, **options})  # type: ignore[arg-type]


class Bench:
    """An agenda on a clock of its own."""

    def __init__(self, *specs: CheckSpec) -> None:
        self.clock = FakeClock()
        self.agenda = Agenda(specs, now=self.now())

    def now(self) -> Moment:
        return Moment(at=self.clock.now(), monotonic_s=self.clock.monotonic())

    def wait(self) -> list[Job]:
        """Go to the next due time and take what is due."""
        self.clock.advance(max(0.0, self.agenda.next_due_s() - self.clock.monotonic()))
        return self.agenda.take_due(self.now())[0]

    def wait_until_due(self) -> None:
        """Go to the next due time."""
        self.clock.advance(max(0.0, self.agenda.next_due_s() - self.clock.monotonic()))

    def begin(self) -> Job:
        """Go to the next look and begin it."""
        (job,) = self.wait()
        assert self.agenda.begin(job, self.now())
        return job

    def finish(self, job: Job, state: CheckState, latency_s: float = 0.01) -> bool:
        result = CheckResult(
            check=job.spec.id, state=state, reason="", latency_s=latency_s, at=self.clock.now()
        )
        return self.agenda.finish(job, result)[0]

    def look(self, state: CheckState, latency_s: float = 0.01) -> Job:
        job = self.begin()
        assert self.finish(job, state, latency_s)
        return job

    def start(self, service: str = "api") -> None:
        self.agenda.service_started(service, self.now(), at=self.clock.now())

    def state(self, check: str) -> CheckState:
        return self.agenda.streaks()[check].state


def test_two_checks_of_one_name_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="disk"):
        Bench(spec(), spec())


def test_system_check_is_looked_at_at_once_and_then_in_its_rhythm() -> None:
    bench = Bench(spec())
    begun_s = bench.clock.monotonic()

    times = []
    for _ in range(4):
        bench.look(UP)
        times.append(bench.clock.monotonic() - begun_s)

    assert times[0] == 0
    assert 0 < times[1] <= 10
    assert [round(b - a, 3) for a, b in pairwise(times[1:])] == [10, 10]


def test_bad_first_look_at_a_system_check_counts_for_nothing() -> None:
    bench = Bench(spec())

    bench.look(DOWN)

    assert bench.state("disk") is UNKNOWN


def test_check_of_a_service_waits_for_its_start() -> None:
    bench = Bench(spec("api.live", service="api"))

    assert bench.agenda.next_due_s() == inf


def test_started_service_is_looked_at_often_until_it_is_up() -> None:
    bench = Bench(spec("api.ready", service="api", interval_s=1000.0))
    bench.start()

    for _ in range(3):
        bench.look(DOWN)
    assert bench.clock.monotonic() == pytest.approx(2 * EXTRA_INTERVAL_S)
    bench.look(UP)
    bench.wait()  # the extra look that was already planned

    assert bench.state("api.ready") is UP
    assert bench.agenda.next_due_s() > bench.clock.monotonic() + EXTRA_INTERVAL_S


def test_bad_extra_looks_never_make_a_starting_service_down() -> None:
    bench = Bench(spec("api.ready", service="api", interval_s=1000.0))
    bench.start()

    for _ in range(20):
        bench.look(DOWN)

    assert bench.state("api.ready") is UNKNOWN
    assert bench.agenda.results()["api.ready"].state is DOWN


def test_regular_looks_count_while_extra_ones_do_not() -> None:
    bench = Bench(spec("api.ready", service="api", interval_s=1.0, fall=2))
    bench.start()

    while bench.state("api.ready") is UNKNOWN:
        bench.look(DOWN)

    assert 1.0 <= bench.clock.monotonic() <= 2.0


def test_extra_looks_end_after_a_while() -> None:
    bench = Bench(spec("api.ready", service="api", interval_s=86_400.0))
    bench.start()

    while bench.agenda.next_due_s() < EXTRA_FOR_S + EXTRA_INTERVAL_S:
        bench.look(DOWN)

    assert bench.clock.monotonic() >= EXTRA_FOR_S - EXTRA_INTERVAL_S
    assert bench.agenda.next_due_s() > 2 * EXTRA_FOR_S


def test_commands_are_not_run_as_often_as_sockets_are_tried() -> None:
    bench = Bench(spec("api.ready", service="api", kind=CheckKind.COMMAND, interval_s=1000.0))
    bench.start()

    bench.look(DOWN)

    assert bench.agenda.next_due_s() == pytest.approx(COSTLY_EXTRA_INTERVAL_S)


def test_check_never_overlaps_itself() -> None:
    bench = Bench(spec(timeout_s=1.0))
    bench.begin()

    assert bench.wait() == []
    assert bench.wait() == []


def test_look_that_outlives_its_slot_counts_as_bad() -> None:
    bench = Bench(spec(timeout_s=1.0))
    bench.look(UP)
    job = bench.begin()

    bench.wait()

    assert bench.state("disk") is DOWN
    assert bench.agenda.results()["disk"].reason == "the last look is still running after 10.0s"
    assert bench.finish(job, UP)
    assert bench.state("disk") is UP


def test_look_that_ends_late_tells_the_cause_that_nobody_knew_before() -> None:
    bench = Bench(spec(timeout_s=1.0))
    bench.look(UP)
    job = bench.begin()
    bench.wait()
    locked = CheckResult(
        check="disk",
        state=DOWN,
        reason="no answer within 1s, it is locked",
        latency_s=10.5,
        at=bench.clock.now(),
    )

    _, changes = bench.agenda.finish(job, locked)

    assert [(c.before, c.after, c.reason) for c in changes] == [(DOWN, DOWN, locked.reason)]


def test_look_that_waits_for_a_worker_says_nothing() -> None:
    bench = Bench(spec(timeout_s=1.0))
    bench.look(UP)
    bench.wait()

    bench.wait()

    assert bench.state("disk") is UP


def test_extra_look_in_flight_stands_for_the_regular_slot_that_passes() -> None:
    """Else a hanging service with a short interval would never be DOWN after its start."""
    bench = Bench(spec("api.ready", service="api", interval_s=1.0, timeout_s=1.0))
    bench.start()
    job = bench.begin()
    bench.clock.advance(0.999)
    bench.agenda.take_due(bench.now())

    bench.finish(job, DOWN)

    assert bench.state("api.ready") is DOWN


def test_late_result_of_an_old_process_is_dropped() -> None:
    bench = Bench(spec("api.live", service="api"))
    bench.start()
    job = bench.begin()
    bench.start()

    assert not bench.finish(job, UP)

    assert bench.state("api.live") is UNKNOWN
    bench.look(UP)
    assert bench.state("api.live") is UP


def test_look_that_did_not_begin_before_the_restart_is_skipped() -> None:
    bench = Bench(spec("api.live", service="api"))
    bench.start()
    (job,) = bench.wait()
    bench.start()

    assert not bench.agenda.begin(job, bench.now())

    bench.look(UP)
    assert bench.state("api.live") is UP


def hung(bench: Bench, took_s: float = 1.005) -> None:
    """Look at what does not answer; the slots that pass meanwhile come."""
    (job,) = bench.wait()
    bench.clock.advance(0.002)  # A worker has to take it first.
    assert bench.agenda.begin(job, bench.now())
    end_s = bench.clock.monotonic() + took_s
    while bench.agenda.next_due_s() < end_s:
        assert bench.wait() == []
    bench.clock.advance(end_s - bench.clock.monotonic())
    bench.finish(job, DOWN, latency_s=took_s)


def test_hang_is_seen_in_as_many_time_outs_where_each_is_as_long_as_the_interval() -> None:
    bench = Bench(spec("api.live", service="api", interval_s=1.0, timeout_s=1.0, fall=3))
    bench.start()
    bench.look(UP)
    while bench.agenda.next_due_s() - bench.clock.monotonic() < 0.2:
        bench.look(UP)
    bench.wait_until_due()
    began_s = bench.clock.monotonic()

    for _ in range(3):
        hung(bench)

    assert bench.state("api.live") is DOWN
    assert bench.clock.monotonic() - began_s < 3.1


def test_slow_look_that_is_good_is_not_made_up_for() -> None:
    bench = Bench(spec(interval_s=1.0, timeout_s=1.0))
    job = bench.begin()
    bench.clock.advance(0.999)
    bench.agenda.take_due(bench.now())
    bench.finish(job, UP, latency_s=0.999)

    assert bench.agenda.next_due_s() - bench.clock.monotonic() > 0.2


def test_look_that_is_made_up_for_keeps_the_rhythm() -> None:
    bench = Bench(spec(interval_s=1.0, timeout_s=1.0))
    phase_s = bench.clock.monotonic() + first_delay_s("disk", 1.0, bench.clock.now().timestamp())
    while bench.clock.monotonic() < phase_s + 2:
        hung(bench)

    bench.look(DOWN)
    slot_s = bench.agenda.next_due_s() - phase_s

    assert abs(slot_s - round(slot_s)) < 0.01


def test_live_check_forgets_at_readiness_what_it_saw_of_the_start() -> None:
    """Else a service that was slow would be DOWN, and killed, for what it was before."""
    bench = Bench(live := spec("api.live", service="api", group=CheckGroup.LIVE, rise=2))
    bench.start()
    bench.clock.advance(EXTRA_FOR_S)
    bench.look(DOWN)  # It came too late for an extra look.
    bench.look(DOWN)
    assert bench.state(live.id) is DOWN

    (change,) = bench.agenda.service_ready("api", bench.now())

    assert (change.before, change.after) == (DOWN, UNKNOWN)
    assert change.began_at == bench.clock.now()
    assert bench.agenda.next_due_s() == bench.clock.monotonic()
    bench.look(UP)
    assert bench.state(live.id) is UP


def test_bad_looks_before_readiness_are_not_counted_with_those_after_it() -> None:
    bench = Bench(spec("api.live", service="api", group=CheckGroup.LIVE, fall=2))
    bench.start()
    bench.clock.advance(EXTRA_FOR_S)
    bench.look(DOWN)
    assert bench.agenda.streaks()["api.live"].candidate_count == 1
    job = bench.begin()

    bench.agenda.service_ready("api", bench.now())

    assert not bench.finish(job, DOWN)
    assert bench.state("api.live") is UNKNOWN


def test_readiness_says_nothing_of_a_live_check_that_was_good_before() -> None:
    bench = Bench(spec("api.live", service="api", group=CheckGroup.LIVE))
    bench.start()
    bench.look(UP)
    bench.look(DOWN)  # An extra look, which was planned before the good one was there.
    bench.look(DOWN)

    assert bench.agenda.service_ready("api", bench.now()) == []

    assert bench.state("api.live") is DOWN


def test_stopped_service_becomes_unknown_and_is_left_alone() -> None:
    bench = Bench(spec("api.live", service="api"), spec("db.live", service="db"))
    bench.start()
    bench.look(UP)

    (change,) = bench.agenda.service_stopped("api", bench.now())

    assert (change.before, change.after) == (UP, UNKNOWN)
    assert bench.agenda.next_due_s() == inf
    assert bench.agenda.service_stopped("api", bench.now()) == []


def test_restart_of_a_healthy_service_is_told_as_unknown() -> None:
    bench = Bench(spec("api.live", service="api"))
    bench.start()
    bench.look(UP)

    (change,) = bench.agenda.service_started("api", bench.now(), at=bench.clock.now())

    assert (change.before, change.after) == (UP, UNKNOWN)


def test_adopted_service_stays_what_it_was() -> None:
    bench = Bench(spec("api.live", service="api"))
    bench.agenda.restore({"api.live": Streak(state=UP), "gone": Streak(state=UP)})

    bench.agenda.service_adopted("api", bench.now())

    assert bench.agenda.streaks() == {"api.live": Streak(state=UP)}
    assert 0 <= bench.agenda.next_due_s() <= 10


def test_adopted_service_of_which_nothing_is_known_is_looked_at_at_once() -> None:
    bench = Bench(spec("api.live", service="api", interval_s=1000.0))

    bench.agenda.service_adopted("api", bench.now())

    assert bench.agenda.next_due_s() == bench.clock.monotonic()


def test_paused_check_is_unknown_and_not_looked_at_until_resumed() -> None:
    bench = Bench(spec())
    bench.look(UP)

    (change,) = bench.agenda.pause("disk", bench.now())

    assert change.after is UNKNOWN
    assert bench.agenda.pause("disk", bench.now()) == []
    assert bench.agenda.next_due_s() == inf
    bench.agenda.resume("disk", bench.now())
    bench.agenda.resume("disk", bench.now())
    bench.look(UP)
    assert bench.state("disk") is UP


def test_paused_check_stays_paused_when_its_service_restarts() -> None:
    bench = Bench(spec("api.live", service="api"))
    bench.agenda.pause("api.live", bench.now())

    bench.start()

    assert bench.agenda.next_due_s() == inf


def test_check_is_slow_after_a_slow_look_and_quick_after_a_quick_one() -> None:
    bench = Bench(spec())

    lanes = [bench.look(UP, latency_s).is_slow for latency_s in (SLOW_LOOK_S, 0.01, 0.01)]

    assert lanes == [False, True, False]


def test_check_whose_look_never_ended_is_slow_from_then_on() -> None:
    bench = Bench(spec("api.live", service="api", timeout_s=1.0))
    bench.start()
    job = bench.begin()
    while bench.agenda.results() == {}:
        bench.wait()

    bench.finish(job, DOWN, latency_s=SLOW_LOOK_S)

    assert bench.begin().is_slow


def test_jump_of_the_wall_clock_makes_no_burst_and_no_gap() -> None:
    bench = Bench(spec())
    bench.look(UP)

    for jump_s in (86_400.0 + 3, -7 * 86_400.0 - 5, 0.4):
        before_s = bench.clock.monotonic()
        bench.clock.jump(jump_s)
        bench.look(UP)
        bench.look(UP)
        assert 5 <= bench.clock.monotonic() - before_s <= 25


def test_many_restarts_leave_no_trace_in_memory() -> None:
    bench = Bench(spec("api.live", service="api", interval_s=86_400.0))

    for _ in range(1000):
        bench.start()

    assert len(bench.agenda._heap) < 10


def test_a_thousand_checks_are_spread_over_their_interval() -> None:
    bench = Bench(*(spec(f"check-{i}") for i in range(1000)))
    for job in bench.agenda.take_due(bench.now())[0]:
        bench.finish(job, UP)
    counts = [0] * 10

    for second in range(10):
        bench.clock.advance(1)
        counts[second] = len(bench.agenda.take_due(bench.now())[0])

    assert sum(counts) == 1000
    assert all(60 <= count <= 140 for count in counts)
