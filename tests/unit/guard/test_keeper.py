"""Keeping a brain: when the next one starts, when a silent one is killed, when it is hopeless."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard.fakes import FakeSpawner, FakeTree

from resile.core.spawning import Ended
from resile.daemon.guard.keeper import (
    DELAY_FIRST_S,
    DELAY_LAST_S,
    FIRST_PING_TIMEOUT_S,
    HANG_UP_TIMEOUT_S,
    PING_TIMEOUT_S,
    PROVEN_LIFE_S,
    VAIN_LIVES_MAX,
    BrainKeeper,
    delay_after,
    is_hopeless,
)
from resile.daemon.guard.reactor import Reactor
from resile.daemon.protocol import GUARD_FD_VARIABLE, Message, Ping, StopWanted, from_line, to_line
from resile.errors import CgroupError, SpawnError
from resile.testing import FakeClock


def test_delays_double_up_to_the_longest() -> None:
    delays = [0.0]
    for _ in range(9):
        delays.append(delay_after(delays[-1], life_s=0.1, has_pinged=True))

    assert delays[1:] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_proven_life_starts_the_delays_anew() -> None:
    assert delay_after(DELAY_LAST_S, PROVEN_LIFE_S, has_pinged=True) == DELAY_FIRST_S
    assert delay_after(DELAY_LAST_S, PROVEN_LIFE_S - 1, has_pinged=True) == DELAY_LAST_S
    assert delay_after(DELAY_LAST_S, 60, has_pinged=False) == DELAY_LAST_S


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_a_wrong_configuration_is_hopeless_while_nothing_runs(code: int) -> None:
    assert is_hopeless(code, has_pinged=False, vain_lives=1, active_count=0)
    assert not is_hopeless(code, has_pinged=True, vain_lives=0, active_count=0)
    assert not is_hopeless(code, has_pinged=False, vain_lives=1, active_count=1)


@pytest.mark.parametrize("code", [None, 0, 1, 6, 139])
def test_a_crash_is_hopeless_only_after_many_lives_in_vain(code: int | None) -> None:
    few, many = VAIN_LIVES_MAX - 1, VAIN_LIVES_MAX

    assert not is_hopeless(code, has_pinged=False, vain_lives=few, active_count=0)
    assert is_hopeless(code, has_pinged=False, vain_lives=many, active_count=0)
    assert not is_hopeless(code, has_pinged=False, vain_lives=many, active_count=1)


class Desk:
    """A keeper among fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock)
        self.tree = FakeTree()
        self.spawner = FakeSpawner()
        self.received: list[Message] = []
        self.connected_count = 0
        self.gone: list[tuple[int | None, bool]] = []
        self.keeper = BrainKeeper(
            ("brain", "--config", "x"),
            cwd=Path("/"),
            tree=self.tree,
            reactor=self.reactor,
            clock=self.clock,
            spawner=self.spawner,
            on_message=self.received.append,
            on_connected=self._connected,
            on_gone=lambda code, has_pinged: self.gone.append((code, has_pinged)),
        )

    def _connected(self) -> None:
        self.connected_count += 1

    @property
    def pid(self) -> int:
        return 4_195_304 + len(self.spawner.specs)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.reactor.turn(0)

    def die(self, exit_code: int | None = None) -> None:
        assert self.keeper.reaped(Ended(pid=self.pid, exit_code=exit_code))

    def kill_count(self) -> int:
        return self.tree.groups[f"brain.{len(self.spawner.specs)}"].kill_count

    def close(self) -> None:
        self.keeper.end()
        self.spawner.close()
        self.reactor.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def test_a_brain_is_started_with_its_line(desk: Desk) -> None:
    desk.keeper.start()

    (spec,) = desk.spawner.specs
    assert spec.argv == ("brain", "--config", "x")
    assert spec.env[GUARD_FD_VARIABLE] == str(spec.kept_fds[0])
    assert spec.env["MARK"] == "yes"
    assert not spec.dies_with_parent
    assert desk.connected_count == 1
    assert desk.keeper.is_running


def test_messages_go_both_ways(desk: Desk) -> None:
    desk.keeper.start()

    desk.keeper.send(StopWanted(signal="SIGTERM"))
    desk.spawner.lines[0].send(to_line(Ping(request_id=1)))
    desk.reactor.turn(0)

    assert from_line(desk.spawner.lines[0].recv(1000)) == StopWanted(signal="SIGTERM")
    assert desk.received == [Ping(request_id=1)]


def test_what_is_sent_to_no_brain_is_dropped(desk: Desk) -> None:
    desk.keeper.send(StopWanted(signal="SIGTERM"))
    desk.keeper.pinged()

    assert not desk.keeper.is_running


def test_somebody_elses_end_is_not_the_brains(desk: Desk) -> None:
    assert not desk.keeper.reaped(Ended(pid=desk.pid, exit_code=0))
    desk.keeper.start()

    assert not desk.keeper.reaped(Ended(pid=desk.pid + 1, exit_code=0))
    assert desk.keeper.is_running


def test_the_next_brain_starts_after_the_delay(desk: Desk) -> None:
    desk.keeper.start()
    desk.die(exit_code=1)
    desk.keeper.start_later()

    desk.pass_time(DELAY_FIRST_S / 2)
    assert not desk.keeper.is_running
    desk.pass_time(DELAY_FIRST_S)

    assert desk.keeper.is_running
    assert desk.gone == [(1, False)]
    assert desk.tree.groups["brain.1"].is_removed


def test_brains_that_work_are_replaced_at_once_however_often_they_are_killed(desk: Desk) -> None:
    desk.keeper.start()
    for _ in range(20):
        desk.keeper.pinged()
        desk.pass_time(PROVEN_LIFE_S)
        desk.die()
        desk.keeper.start_later()
        desk.pass_time(2 * DELAY_FIRST_S)

        assert desk.keeper.is_running


def test_lives_in_vain_are_counted_until_one_pings(desk: Desk) -> None:
    for count in range(3):
        assert desk.keeper.vain_lives == count
        desk.keeper.start()
        desk.die(exit_code=1)

    desk.keeper.start()
    desk.keeper.pinged()
    desk.die(exit_code=1)

    assert desk.keeper.vain_lives == 0


def test_what_a_brain_leaves_is_killed(desk: Desk) -> None:
    desk.keeper.start()
    group = desk.tree.groups["brain.1"]
    group.kills_needed = 2

    desk.die()
    desk.pass_time(0.1)
    desk.pass_time(0.1)

    assert group.is_removed


def test_a_brain_that_never_pings_is_killed(desk: Desk) -> None:
    desk.keeper.start()

    desk.pass_time(FIRST_PING_TIMEOUT_S - 1)
    assert desk.kill_count() == 0
    desk.pass_time(2)

    assert desk.kill_count() == 1
    desk.die()
    assert desk.gone == [(None, False)]


def test_a_brain_that_goes_silent_is_killed_sooner(desk: Desk) -> None:
    desk.keeper.start()
    for _ in range(20):
        desk.pass_time(PING_TIMEOUT_S / 2)
        desk.keeper.pinged()
    desk.pass_time(PING_TIMEOUT_S / 2)
    assert desk.kill_count() == 0

    desk.pass_time(PING_TIMEOUT_S + 1)
    desk.pass_time(PING_TIMEOUT_S + 1)

    assert desk.kill_count() >= 1
    desk.die()
    assert desk.gone == [(None, True)]


def test_a_silent_brain_that_the_kernel_does_not_kill_is_killed_again(desk: Desk) -> None:
    desk.keeper.start()
    desk.tree.groups["brain.1"].fails_to_kill = True

    desk.pass_time(FIRST_PING_TIMEOUT_S + 1)
    desk.pass_time(FIRST_PING_TIMEOUT_S + 1)

    assert desk.kill_count() == 2


def test_no_patience_with_a_dead_brain_kills_its_heir(desk: Desk) -> None:
    desk.keeper.start()
    desk.pass_time(FIRST_PING_TIMEOUT_S - 10)
    desk.die()
    desk.keeper.start()

    desk.pass_time(FIRST_PING_TIMEOUT_S - 10)

    assert desk.kill_count() == 0


def test_a_brain_that_hangs_up_has_a_little_time_to_end(desk: Desk) -> None:
    desk.keeper.start()
    desk.spawner.lines[0].close()
    desk.reactor.turn(0)

    desk.pass_time(HANG_UP_TIMEOUT_S - 1)
    assert desk.kill_count() == 0
    desk.pass_time(2)

    assert desk.kill_count() == 1


def test_after_the_end_no_brain_is_started(desk: Desk) -> None:
    desk.keeper.start()
    desk.die()
    desk.keeper.start_later()

    desk.keeper.end()
    desk.pass_time(DELAY_LAST_S)

    assert not desk.keeper.is_running


def test_the_end_closes_the_line_and_kills_who_stays(desk: Desk) -> None:
    desk.keeper.start()

    desk.keeper.end()

    assert desk.spawner.lines[0].recv(1) == b""
    desk.pass_time(HANG_UP_TIMEOUT_S + 1)
    assert desk.kill_count() == 1


def test_a_first_brain_that_cannot_be_started_is_an_error(desk: Desk) -> None:
    desk.spawner.fails = True

    with pytest.raises(SpawnError):
        desk.keeper.start()

    assert desk.tree.groups["brain.1"].is_removed


@pytest.mark.parametrize("what", ["tree", "spawner"])
def test_a_later_one_that_cannot_be_started_is_tried_again(desk: Desk, what: str) -> None:
    desk.keeper.start()
    desk.die()
    getattr(desk, what).fails = True
    desk.keeper.start()
    assert not desk.keeper.is_running

    getattr(desk, what).fails = False
    desk.pass_time(1)

    assert desk.keeper.is_running


def test_a_tree_that_makes_no_group_fails_the_first_start(desk: Desk) -> None:
    desk.tree.fails = True

    with pytest.raises(CgroupError):
        desk.keeper.start()
