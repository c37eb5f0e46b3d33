"""The pure parts of the daemon's end of the lanes."""

import os
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.events import PolicyOrdered
from resile.daemon.lanes.orders import MOMENT_S, STANDING_MAX, Standing, order_of
from resile.daemon.lanes.throttle import BURST, BURST_OF_ALL, EVERY_S, GUARDS_MAX, Throttle
from resile.daemon.lanes.whose import Instance, service_of
from resile.testing.clock import START


def ordered(order: str = "trip", guard: str = "db", for_s: float | None = None) -> PolicyOrdered:
    until = None if for_s is None else START + timedelta(seconds=for_s)
    return PolicyOrdered(guard=guard, order_id=f"ord_{order}", order=order, until=until)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("order", "for_s", "holds_s"),
    [
        ("trip", 300.0, 300.0),
        ("trip", None, MOMENT_S),
        ("reset", None, MOMENT_S),
        ("automatic", None, MOMENT_S),
        ("force-open", 60.0, 60.0),
    ],
)
def test_an_order_holds_for_later_processes_until_its_time_is_over(
    order: str, for_s: float | None, holds_s: float
) -> None:
    standing = Standing()
    standing.take(order_of(ordered(order, for_s=for_s), START))

    held = standing.of("db", after(holds_s - 1))
    assert held is not None
    assert held.told(after(holds_s - 1))["for_s"] == (None if for_s is None else 1.0)
    assert standing.of("db", after(holds_s)) is None
    assert standing.all(after(holds_s)) == []


@pytest.mark.parametrize("order", ["force-open", "disable", "metrics-only"])
def test_a_mode_without_an_end_holds_until_the_next_order(order: str) -> None:
    standing = Standing()
    standing.restore([(ordered(order), START)])

    assert standing.of("db", after(1e8)) is not None
    standing.take(order_of(ordered("automatic"), after(1e8)))
    assert standing.of("db", after(1e8 + MOMENT_S)) is None


def test_of_too_many_orders_the_oldest_holds_no_more() -> None:
    standing = Standing()
    for n in range(STANDING_MAX + 1):
        standing.take(order_of(ordered("disable", guard=f"g{n}"), START))

    assert standing.of("g0", START) is None
    assert len(standing.all(START)) == STANDING_MAX


def test_a_guard_that_flaps_is_journalled_in_bursts_and_what_was_left_out_is_counted() -> None:
    throttle = Throttle()
    throttle.admit("other", 0.0)

    first = [throttle.admit("flappy", 0.01 * n) for n in range(100)]

    assert first[:BURST] == [0] * BURST
    assert first[BURST:] == [None] * (100 - BURST)
    assert throttle.admit("other", 1.0) == 0
    assert throttle.admit("flappy", 1.0 + EVERY_S) == 100 - BURST
    assert throttle.unsaid == 100 - BURST


def test_all_guards_together_are_bounded_and_so_is_what_is_remembered_of_them() -> None:
    throttle = Throttle()

    told = [throttle.admit(f"g{n}", 0.0) for n in range(3 * GUARDS_MAX)]

    assert told.count(0) == BURST_OF_ALL
    assert len(throttle._guards) == GUARDS_MAX


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=200))
def test_nothing_that_is_left_out_goes_uncounted(changes: list[tuple[str, float]]) -> None:
    throttle, now_s, said, counted = Throttle(), 0.0, 0, 0
    for guard, pause_s in changes:
        now_s += pause_s
        unsaid = throttle.admit(guard, now_s)
        said += unsaid is not None
        counted += unsaid or 0

    left = sum(bucket.unsaid for bucket in throttle._guards.values())
    assert said + counted + left == len(changes)
    assert throttle.unsaid == counted + left


def test_a_process_belongs_to_the_service_that_is_above_it() -> None:
    services = {"web": Instance(os.getppid(), 1), "db": Instance(os.getpid(), 2)}

    assert service_of(os.getpid(), services) == "db"
    assert service_of(os.getpid(), {"web": services["web"]}) == "web"
    assert service_of(os.getpid(), {}) == ""
    assert service_of(1 << 30, services) == ""


def test_a_process_belongs_to_the_service_whose_cgroup_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "resile.daemon.lanes.whose._cgroup_parts", lambda _pid: ["0::", "resile", "web-3", "own"]
    )

    assert service_of(7, {"web": Instance(1 << 30, 3)}) == "web"
    assert service_of(1 << 30, {"web": Instance(1 << 30 - 1, 2)}) == ""
