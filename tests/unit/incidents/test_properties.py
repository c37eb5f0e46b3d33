"""What must hold for any graph, any order and any rhythm."""

import json
import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.desk import Desk
from tests.support.systems import service, system

from resile.core.events import IncidentFlapping
from resile.core.vocabulary import FaultKind, Priority
from resile.incidents import IncidentBook, decide
from resile.incidents.flapping import (
    SHARE_OFF,
    SHARE_ON,
    SLOT_S,
    SLOTS_COUNT,
    THIN_S,
    is_flapping,
    remembered,
    share_of_change,
)
from resile.recover import SystemSpec

NODES = 20
SYMPTOM_KINDS = (
    FaultKind.NOT_READY,
    FaultKind.DEPENDENCY_DOWN,
    FaultKind.CRASH,
    FaultKind.START_FAILED,
)


def twenty_services(rng: random.Random) -> SystemSpec:
    """Declare twenty services that all depend on `n0`, however far away, in random ways."""
    services = [service("n0")]
    for index in range(1, NODES):
        more = rng.sample(range(index), min(index, rng.choice((0, 0, 1, 2))))
        needs = dict.fromkeys([rng.randrange(index), *more])
        services.append(service(f"n{index}", *[f"n{need}" for need in needs]))
    return system(*services)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_one_fault_in_twenty_services_is_one_incident_in_every_order(seed: int) -> None:
    rng = random.Random(seed)
    desk = Desk(twenty_services(rng))
    names = [f"n{index}" for index in range(NODES)]
    rng.shuffle(names)
    faults = []

    for name in names:
        desk.run(rng.choice((0.0, 0.01, rng.uniform(0, 2.9))))
        kind = FaultKind.HANG if name == "n0" else rng.choice(SYMPTOM_KINDS)
        priority = rng.choice((Priority.P1, Priority.P2))
        faults.append(desk.fault(name, kind, priority=priority, ago_s=rng.uniform(0, 1)))
    desk.run(30)

    incident = desk.only()
    assert incident.target == "service/n0"
    assert len(incident.members) == NODES
    assert set(incident.faults) == set(faults)

    rng.shuffle(faults)
    for fault_id in faults:
        desk.close(fault_id)
    desk.run(600)
    assert desk.active() == []
    assert desk.book.faults == {}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_symptoms_that_are_seen_within_the_group_wait_make_one_notice(seed: int) -> None:
    rng = random.Random(seed)
    desk = Desk(twenty_services(rng))
    names = [f"n{index}" for index in range(NODES)]
    rng.shuffle(names)

    for name in names:
        desk.run(rng.uniform(0, 0.4))
        desk.fault(name, FaultKind.HANG if name == "n0" else FaultKind.NOT_READY)
    desk.run(60)

    assert desk.notices() == ["opened"]


@pytest.mark.parametrize("down_s", [1.0, 10.0, 29.0])
@pytest.mark.parametrize("up_s", [1.0, 10.0, 30.0, 59.0])
@pytest.mark.parametrize("priority", [Priority.P0, Priority.P1])
def test_half_an_hour_of_flapping_is_one_incident_and_at_most_two_notices(
    down_s: float, up_s: float, priority: Priority
) -> None:
    desk = Desk(system(service("a")))
    end = desk.now + timedelta(minutes=30)

    while desk.now < end:
        desk.blip("a", seconds=down_s, priority=priority)
        desk.run(up_s)
    desk.run(3600)

    assert len(desk.book.incidents) == 1
    assert [text.partition(":")[0] for text in desk.notices()] == ["opened", "resolved"]
    assert desk.active() == []
    assert desk.of(IncidentFlapping)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["n0", "n3", "n7", "n12"]), st.floats(0, 400)), max_size=25)
)
def test_a_restored_book_is_the_same_and_decides_the_same(story: list[tuple[str, float]]) -> None:
    desk = Desk(twenty_services(random.Random(3)))
    open_faults: dict[str, str] = {}
    for name, seconds in story:
        if name in open_faults:
            desk.close(open_faults.pop(name))
        else:
            open_faults[name] = desk.fault(name)
        desk.run(seconds)

    data = json.loads(json.dumps(desk.book.snapshot()))
    twin = IncidentBook.restore(desk.spec, data)
    folded = IncidentBook(desk.spec)
    for event in desk.journal:
        folded.apply(event)

    assert twin == desk.book == folded
    later = desk.now + timedelta(seconds=30)
    assert decide(twin, later) == decide(desk.book, later)
    assert twin != "a book"


def test_data_that_is_no_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        IncidentBook.restore(system(), {"incidents": {"inc_x": 3}})


@given(st.lists(st.floats(0, 2000), max_size=60), st.booleans())
def test_the_measure_of_flapping_is_a_share_with_two_thresholds(
    ages: list[float], was_flapping: bool
) -> None:
    now = Desk().now
    changes = [now - timedelta(seconds=age) for age in ages]

    share = share_of_change(changes, now)

    assert 0 <= share <= 1.0 + 1e-9
    expected = share >= (SHARE_OFF if was_flapping else SHARE_ON)
    assert is_flapping(changes, now, was_flapping=was_flapping) is expected


def test_newer_changes_weigh_more() -> None:
    now = Desk().now
    old = [now - timedelta(seconds=SLOT_S * (SLOTS_COUNT - 1))]

    assert share_of_change([now], now) == pytest.approx(1.2 / SLOTS_COUNT)
    assert share_of_change(old, now) == pytest.approx(0.8 / SLOTS_COUNT)
    assert share_of_change([now + timedelta(seconds=1)], now) == 0


def test_changes_that_no_longer_matter_are_forgotten() -> None:
    now = Desk().now
    old = now - timedelta(seconds=SLOT_S * SLOTS_COUNT)

    assert remembered([old], now) == (now,)


@given(st.lists(st.floats(0, 40), min_size=1, max_size=400))
def test_what_is_remembered_of_changes_is_bounded_and_measures_the_same(gaps: list[float]) -> None:
    now = Desk().now
    every: list[datetime] = []
    kept: tuple[datetime, ...] = ()
    for gap in gaps:
        now += timedelta(seconds=gap)
        every.append(now)
        kept = remembered(kept, now)

    assert kept[-1] == now
    assert len(kept) <= 2 * SLOTS_COUNT * SLOT_S / THIN_S + 2
    assert share_of_change(kept, now) == pytest.approx(share_of_change(every, now), abs=0.1)


def test_flapping_begins_at_half_and_ends_below_a_quarter() -> None:
    now = Desk().now

    def changed_in(slots: int) -> list[datetime]:
        return [now - timedelta(seconds=SLOT_S * slot + 1) for slot in range(slots)]

    assert not is_flapping(changed_in(7), now, was_flapping=False)
    assert is_flapping(changed_in(7), now, was_flapping=True)
    assert is_flapping(changed_in(10), now, was_flapping=False)
    assert not is_flapping(changed_in(4), now, was_flapping=True)
