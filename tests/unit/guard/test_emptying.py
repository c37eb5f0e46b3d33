"""The killing of a group, step by step on a clock that the test moves."""

from collections.abc import Iterator

import pytest
from tests.unit.guard.fakes import FakeGroup

from resile.daemon.guard.emptying import EMPTY_TIMEOUT_S, Emptying
from resile.daemon.guard.reactor import Reactor
from resile.testing import FakeClock


class Kill:
    """One emptying, and what came of it."""

    def __init__(self, group: FakeGroup) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock)
        self.results: list[bool] = []
        Emptying(group, self.reactor, clock=self.clock, on_done=self.results.append).step()

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.reactor.turn(0)


@pytest.fixture
def group() -> FakeGroup:
    return FakeGroup("app-1")


@pytest.fixture
def kill(group: FakeGroup, request: pytest.FixtureRequest) -> Iterator[Kill]:
    group.kills_needed = request.param
    kill = Kill(group)
    yield kill
    kill.reactor.close()


@pytest.mark.parametrize("kill", [0], indirect=True)
def test_an_empty_group_is_done_at_once_and_not_killed(group: FakeGroup, kill: Kill) -> None:
    assert kill.results == [True]
    assert group.kill_count == 0


@pytest.mark.parametrize("kill", [3], indirect=True)
def test_a_group_is_killed_until_it_is_empty(group: FakeGroup, kill: Kill) -> None:
    assert kill.results == []

    kill.pass_time(1)

    assert kill.results == [True]
    assert group.kill_count == 3


@pytest.mark.parametrize("kill", [None], indirect=True)
def test_a_group_that_does_not_die_is_given_up_in_time(group: FakeGroup, kill: Kill) -> None:
    kill.pass_time(EMPTY_TIMEOUT_S - 0.5)
    assert kill.results == []

    kill.pass_time(1)
    count = group.kill_count
    kill.pass_time(5)

    assert kill.results == [False]
    assert group.kill_count == count


@pytest.mark.parametrize("kill", [2], indirect=True)
def test_a_kill_that_the_kernel_refuses_is_tried_again(group: FakeGroup, kill: Kill) -> None:
    group.fails_to_kill = True

    kill.pass_time(1)

    assert kill.results == [True]
