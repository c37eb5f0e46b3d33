"""What is told of memory, and what is known of kills, from groups on paper."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from resile.contain.cgroups import CgroupUsage
from resile.core.events import (
    MemoryPressureChanged,
    Payload,
    ProcessExited,
    ProcessStarted,
    announce,
)
from resile.core.vocabulary import MemoryLevel
from resile.daemon.autopsy import OomKills
from resile.daemon.memory_watch import LATELY_LOOKS, MemoryWatch
from resile.daemon.protocol import Exited
from resile.health.memory import CALM_S, MemoryReading
from resile.recover import ServiceSpec, SystemSpec, World
from resile.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20
CALM, HIGH, CRITICAL = MemoryLevel


class Group:
    """Counts what a test says."""

    def __init__(self) -> None:
        self.now = CgroupUsage(memory_bytes=10 * MIB, memory_idle_bytes=0, oom_kills=0)

    def usage(self) -> CgroupUsage:
        return self.now


class Desk:
    """A watch over the service `api`, which runs as generation 1."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.world = World(SystemSpec(services={"api": ServiceSpec(name="api")}))
        self.group: Group | None = Group()
        self.machine_bytes = 10 * MIB
        self.machine_kills = 5
        self.watch = self.make()
        self.tell(ProcessStarted(service="api", generation=1, pid=7, start_ticks=1))

    def make(self) -> MemoryWatch:
        return MemoryWatch(
            self.world,
            limits={"api": 100 * MIB},
            group_of=lambda _service, _generation: self.group,  # type: ignore[arg-type, return-value]
            clock=self.clock,
            machine=lambda at: MemoryReading(
                at=at, used_bytes=self.machine_bytes, limit_bytes=100 * MIB
            ),
            machine_oom_kills=lambda: self.machine_kills,
        )

    def tell(self, payload: Payload) -> None:
        self.world.apply(announce(payload, at=self.clock.now(), actor="test"))

    def use(self, mib: int, *, idle_mib: int = 0, oom_kills: int = 0) -> None:
        assert self.group is not None
        self.group.now = CgroupUsage(
            memory_bytes=mib * MIB, memory_idle_bytes=idle_mib * MIB, oom_kills=oom_kills
        )

    def look(self, seconds: int = 1) -> list[MemoryPressureChanged]:
        told: list[MemoryPressureChanged] = []
        for _ in range(seconds):
            self.clock.advance(1.0)
            changes = self.watch.look()
            for change in changes:
                self.tell(change)
            told += changes
        return told


@pytest.fixture
def desk() -> Desk:
    return Desk()


def exited(*, oom_kills: int | None, generation: int = 1) -> Exited:
    return Exited(service="api", generation=generation, pid=7, oom_kills=oom_kills, at=NOW)


def test_service_near_its_limit_is_told_once(desk: Desk) -> None:
    desk.look(5)
    desk.use(97)

    (change,) = desk.look(30)

    assert (change.target, change.before, change.after) == ("service/api", CALM, CRITICAL)
    assert (change.used_bytes, change.limit_bytes) == (97 * MIB, 100 * MIB)
    assert change.reason == "97MiB of 100MiB (97%) of memory used"


def test_cache_that_the_kernel_takes_back_does_not_count(desk: Desk) -> None:
    desk.use(97, idle_mib=60)

    assert desk.look(10) == []


def test_relief_is_told(desk: Desk) -> None:
    desk.use(97)
    desk.look(5)
    desk.use(10)

    assert [change.after for change in desk.look(int(CALM_S) + 2)] == [CALM]


def test_machine_is_watched_too(desk: Desk) -> None:
    desk.machine_bytes = 99 * MIB

    assert [(change.target, change.after) for change in desk.look(5)] == [("machine", CRITICAL)]


def test_new_process_begins_anew_and_nothing_is_told_of_the_old_one(desk: Desk) -> None:
    desk.use(97)
    desk.look(5)
    desk.tell(ProcessExited(service="api", generation=1, pid=7))
    assert desk.look(3) == []
    desk.use(10)
    desk.tell(ProcessStarted(service="api", generation=2, pid=8, start_ticks=2))

    assert desk.look(30) == []
    assert desk.world.pressures["service/api"].level is CALM


def test_new_brain_does_not_tell_again_what_is_known(desk: Desk) -> None:
    desk.use(97)
    desk.look(5)
    desk.watch = desk.make()

    assert desk.look(30) == []


@pytest.mark.parametrize(
    "lose",
    [
        lambda desk: setattr(desk, "group", None),
        lambda desk: setattr(desk.group, "now", CgroupUsage()),
    ],
)
def test_group_that_cannot_be_seen_is_no_trouble(desk: Desk, lose: Callable[[Desk], None]) -> None:
    lose(desk)

    assert desk.look(5) == []


# Who was killed -----------------------------------------------------------------------------------


def test_kill_of_the_last_moments_explains_an_end(desk: Desk) -> None:
    desk.look(30)

    assert desk.watch.kills(exited(oom_kills=1)) == OomKills(group=1, machine=0)


def test_kill_that_was_seen_a_moment_ago_explains_an_end(desk: Desk) -> None:
    desk.look(30)
    desk.use(10, oom_kills=1)
    desk.look(3)

    assert desk.watch.kills(exited(oom_kills=1)).group == 1


def test_kill_before_the_first_look_explains_an_end(desk: Desk) -> None:
    desk.use(10, oom_kills=1)
    desk.look()

    assert desk.watch.kills(exited(oom_kills=1)).group == 1


def test_new_brain_does_not_take_kills_of_long_ago_for_new_ones(desk: Desk) -> None:
    desk.use(10, oom_kills=1)
    desk.clock.advance(3600)
    desk.watch = desk.make()
    desk.look()

    assert desk.watch.kills(exited(oom_kills=1)).group == 0


def test_kill_of_long_ago_explains_nothing(desk: Desk) -> None:
    desk.look(30)
    desk.use(10, oom_kills=1)
    desk.look(LATELY_LOOKS + 1)

    assert desk.watch.kills(exited(oom_kills=1)).group == 0


def test_kills_on_the_machine_are_counted_where_groups_count_none(desk: Desk) -> None:
    desk.look(30)
    desk.machine_kills += 2

    assert desk.watch.kills(exited(oom_kills=None)) == OomKills(group=None, machine=2)


def test_who_has_not_looked_yet_knows_nothing_of_before(desk: Desk) -> None:
    assert desk.watch.kills(exited(oom_kills=None)) == OomKills(group=None, machine=0)
    assert desk.watch.kills(exited(oom_kills=2)) == OomKills(group=2, machine=0)


def test_counts_of_another_generation_are_not_taken(desk: Desk) -> None:
    desk.use(10, oom_kills=3)
    desk.look(30)

    assert desk.watch.kills(exited(oom_kills=4, generation=2)).group == 4
    assert desk.watch.kills(exited(oom_kills=4)).group == 1
