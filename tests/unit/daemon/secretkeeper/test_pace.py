"""No client takes the keeper from the others."""

from resile.daemon.secretkeeper.pace import BURST, CLIENTS_MAX, FAILURE_COSTS, PER_S, Pace, Paces
from resile.testing.clock import FakeClock


def asked(pace: Pace, times: int) -> list[float]:
    return [pace.wait_s() for _ in range(times)]


def test_client_may_ask_many_at_once_and_then_so_many_a_second() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)

    assert set(asked(pace, int(BURST))) == {0.0}
    assert pace.wait_s() > 0
    clock.advance(1.0)
    assert set(asked(pace, int(PER_S))) == {0.0}
    assert pace.wait_s() > 0


def test_question_that_fails_costs_more_and_never_without_end() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    for _ in range(int(10 * BURST / FAILURE_COSTS)):
        pace.failed()

    assert pace.wait_s() > 0
    clock.advance(2 * BURST / PER_S)
    assert pace.wait_s() == 0


def test_clients_have_their_own_pace_and_the_oldest_are_forgotten() -> None:
    paces = Paces(FakeClock().monotonic)
    first = paces.of("a")
    first.failed()
    assert paces.of("a") is first
    assert paces.of("b") is not first

    for number in range(CLIENTS_MAX):
        paces.of(str(number))

    assert paces.of("a") is not first
