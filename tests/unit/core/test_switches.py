"""What is switched off: folded, and over by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resile.core.events import (
    BrainStopped,
    EmergencyBegun,
    EmergencyCarriedOut,
    SwitchEnded,
    SwitchSet,
)
from resile.core.switches import (
    FROZEN,
    OFF_S_MAX,
    OFFS_MAX,
    Switches,
    part_of,
    until_of,
    word_of,
)
from resile.core.vocabulary import Part
from resile.errors import RejectedError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def off(part: Part, name: str = "", until: datetime | None = NOW + HOUR) -> SwitchSet:
    return SwitchSet(part=part, name=name, is_on=False, until=until, why="tests", who="ann")


def on(part: Part, name: str = "") -> SwitchSet:
    return SwitchSet(part=part, name=name, is_on=True)


def after(*payloads: object) -> Switches:
    switches = Switches()
    for payload in payloads:
        switches = switches.apply(payload, NOW)  # type: ignore[arg-type]
    return switches


@pytest.mark.parametrize(
    ("word", "playbooks", "told"),
    [
        ("snapshot", None, "did you mean snapshots?"),
        ("chaos/all", None, "there is no part 'chaos/all'"),
        ("", None, "there is no part ''"),
        ("playbook", None, "a playbook is named: playbook/NAME"),
        ("playbook/", ("restart",), "a playbook is named"),
        ("playbook/restrat", ("restart", "prune"), "did you mean playbook/restart?"),
        ("playbook/zzzz", ("restart",), "there is no playbook 'zzzz'"),
        ("plabyook/restart", ("restart",), "did you mean playbook/restart?"),
    ],
)
def test_word_that_is_no_part_is_refused_with_the_nearest(
    word: str, playbooks: tuple[str, ...] | None, told: str
) -> None:
    with pytest.raises(ValueError, match=r"part|playbook") as caught:
        part_of(word, playbooks=playbooks)

    assert told in str(caught.value)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.5, OFF_S_MAX + 1, float("nan"), float("inf")])
def test_switch_lasts_for_a_second_to_thirty_days(seconds: float) -> None:
    with pytest.raises(ValueError, match="1s to 30d"):
        until_of(seconds, NOW)


def test_part_that_is_off_refuses_and_says_how_to_go_on() -> None:
    switches = after(off(Part.CHAOS))

    with pytest.raises(
        RejectedError, match=r"chaos is switched off by ann until .*: tests"
    ) as told:
        switches.check(Part.CHAOS, now=NOW)

    assert told.value.hint == "`resile enable chaos` switches it on again"


@pytest.mark.parametrize("part", [p for p in Part if p is not Part.PLAYBOOK])
def test_each_part_is_switched_by_its_word(part: Part) -> None:
    switches = after(off(*part_of(word_of(part))))

    assert switches.is_off(part, now=NOW)
    assert [one.word for one in switches.active(NOW)] == [part.value]
    assert not after(off(part), on(part)).is_off(part, now=NOW)


def test_playbook_is_switched_off_alone() -> None:
    switches = after(off(*part_of("playbook/restart", playbooks=["restart"])))

    assert switches.is_off(Part.PLAYBOOK, "restart", now=NOW)
    assert not switches.is_off(Part.PLAYBOOK, "prune", now=NOW)
    assert not switches.is_off(Part.RECOVERY, now=NOW)


def test_switch_ends_by_itself_even_before_that_is_recorded() -> None:
    switches = after(off(Part.SCRUB))

    assert switches.is_off(Part.SCRUB, now=NOW + HOUR - timedelta(microseconds=1))
    assert not switches.is_off(Part.SCRUB, now=NOW + HOUR)
    assert list(switches.over(NOW)) == []
    (ended,) = switches.over(NOW + HOUR)
    assert ended == SwitchEnded(part=Part.SCRUB, why="tests")
    assert list(switches.apply(ended, NOW + HOUR).over(NOW + HOUR)) == []


def test_switch_that_is_set_again_takes_the_new_time() -> None:
    switches = after(off(Part.SCRUB), off(Part.SCRUB, until=NOW + 2 * HOUR))

    (only,) = switches.active(NOW)
    assert only.until == NOW + 2 * HOUR


def test_emergency_freezes_until_a_person_switches_on_what_it_froze() -> None:
    stopped = after(off(Part.SCRUB), off(Part.CHAOS), EmergencyBegun(is_stopping_services=True))

    assert all(stopped.is_off(part, now=NOW + 999 * HOUR) for part in FROZEN)
    assert stopped.is_off(Part.SCRUB, now=NOW)
    half = stopped.apply(on(Part.RECOVERY), NOW)
    assert half.emergency is not None
    assert half.apply(on(Part.CHAOS), NOW).emergency is None


def test_emergency_that_is_asked_for_again_is_carried_out_again_and_never_weaker() -> None:
    done = after(EmergencyBegun(is_stopping_services=True), EmergencyCarriedOut(killed=1, undone=0))
    assert done.emergency is not None
    assert done.emergency.is_carried_out

    again = done.apply(EmergencyBegun(is_stopping_services=False), NOW)

    assert again.emergency is not None
    assert not again.emergency.is_carried_out
    assert again.emergency.is_stopping_services
    both = again.apply(EmergencyCarriedOut(killed=2, undone=1, problems=("p",)), NOW).emergency
    assert both is not None
    assert (both.killed, both.undone, both.problems) == (3, 1, ("p",))


def test_emergency_is_not_shortened_by_a_switch_with_a_time() -> None:
    switches = after(EmergencyBegun(is_stopping_services=False), off(Part.RECOVERY))

    assert switches.is_off(Part.RECOVERY, now=NOW + 2 * HOUR)


def test_nothing_is_folded_from_other_events_or_without_an_emergency() -> None:
    switches = after(BrainStopped(reason="x"), EmergencyCarriedOut(killed=0, undone=0))

    assert switches == Switches()


def test_switches_are_bounded_and_the_emergency_comes_first() -> None:
    many = [off(Part.PLAYBOOK, f"book-{n}") for n in range(OFFS_MAX + 5)]

    assert len(after(*many).offs) == OFFS_MAX
    stopped = after(*many, EmergencyBegun(is_stopping_services=False))
    assert len(stopped.offs) == OFFS_MAX
    assert all(stopped.is_off(part, now=NOW) for part in FROZEN)


PARTS = st.one_of(
    st.sampled_from([(part, "") for part in Part if part is not Part.PLAYBOOK]),
    st.sampled_from([(Part.PLAYBOOK, "restart"), (Part.PLAYBOOK, "prune")]),
)


class SwitchMachine(RuleBasedStateMachine):
    """Switches against a plain model: a dictionary of times."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.switches = Switches()
        self.model: dict[tuple[Part, str], datetime | None] = {}
        self.is_emergency = False

    @rule(which=PARTS, seconds=st.integers(min_value=1, max_value=7200))
    def switch_off(self, which: tuple[Part, str], seconds: int) -> None:
        until = self.now + timedelta(seconds=seconds)
        self.switches = self.switches.apply(off(*which, until=until), self.now)
        self.model[which] = None if self.is_emergency and which[0] in FROZEN else until

    @rule(which=PARTS)
    def switch_on(self, which: tuple[Part, str]) -> None:
        self.switches = self.switches.apply(on(*which), self.now)
        self.model.pop(which, None)
        self.is_emergency &= any((part, "") in self.model for part in FROZEN)

    @rule(is_stopping=st.booleans())
    def stop(self, is_stopping: bool) -> None:
        begun = EmergencyBegun(is_stopping_services=is_stopping)
        self.switches = self.switches.apply(begun, self.now)
        self.model |= {(part, ""): None for part in FROZEN}
        self.is_emergency = True

    @rule(seconds=st.integers(min_value=-60, max_value=7200), is_asked=st.booleans())
    def time_passes(self, seconds: int, is_asked: bool) -> None:
        self.now += timedelta(seconds=seconds)
        for ended in list(self.switches.over(self.now)) if is_asked else ():
            self.switches = self.switches.apply(ended, self.now)
            self.model.pop((ended.part, ended.name))

    @invariant()
    def tells_what_the_model_tells(self) -> None:
        expected = {w for w, until in self.model.items() if until is None or self.now < until}
        assert {(o.part, o.name) for o in self.switches.active(self.now)} == expected
        assert all(self.switches.is_off(*which, now=self.now) for which in expected)
        over = {(ended.part, ended.name) for ended in self.switches.over(self.now)}
        assert over == set(self.model) - expected
        assert (self.switches.emergency is not None) == self.is_emergency


SwitchMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSwitchMachine = SwitchMachine.TestCase
