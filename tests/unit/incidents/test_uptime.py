"""Uptime bars and availability."""

from datetime import UTC, datetime, timedelta

import pytest

from resile.core.events import (
    BrainStarted,
    BrainStopped,
    GuardLost,
    Payload,
    ServiceChanged,
    announce,
)
from resile.core.vocabulary import CheckState, Phase
from resile.incidents import UptimeBook

T0 = datetime(2026, 1, 1, tzinfo=UTC)
UP, DOWN, UNKNOWN = CheckState.UP, CheckState.DOWN, CheckState.UNKNOWN


def told(*events: tuple[float, Payload]) -> UptimeBook:
    book = UptimeBook(slots_count=5, slot_s=60.0)
    for after_s, payload in events:
        book.apply(announce(payload, at=T0 + timedelta(seconds=after_s), actor="brain"))
    return book


def to(state: CheckState) -> ServiceChanged:
    return ServiceChanged(service="a", before=UNKNOWN, after=state, phase=Phase.RUNNING)


def bars(book: UptimeBook, after_s: float) -> list[CheckState | None]:
    return [bar.state for bar in book.bars("a", T0 + timedelta(seconds=after_s))]


def share(book: UptimeBook, after_s: float) -> float | None:
    return book.availability("a", T0 + timedelta(seconds=after_s))


def brain(*adopted: str) -> BrainStarted:
    return BrainStarted(pid=1, guard_pid=2, release="0", config_digest="", adopted=adopted)


def test_a_service_without_history_has_empty_bars_and_no_availability() -> None:
    book = told()

    assert bars(book, 300) == [None] * 5
    assert share(book, 300) is None


def test_a_bar_shows_the_worst_state_of_its_slot() -> None:
    book = told((0, to(UP)), (70, to(DOWN)), (80, to(UP)), (130, to(CheckState.DEGRADED)))

    assert bars(book, 250) == [UP, DOWN, *[CheckState.DEGRADED] * 3]


def test_bars_begin_at_multiples_of_their_length_and_the_last_holds_now() -> None:
    book = told((0, to(UP)))

    found = book.bars("a", T0 + timedelta(seconds=250))

    assert [(bar.began_at - T0).total_seconds() for bar in found] == [0, 60, 120, 180, 240]


def test_a_state_that_changes_at_the_edge_belongs_to_the_new_slot_alone() -> None:
    book = told((0, to(DOWN)), (60, to(UP)))

    assert bars(book, 250)[:2] == [DOWN, UP]


def test_availability_counts_only_what_was_known_and_not_declared() -> None:
    book = told(
        (0, to(UP)),
        (60, to(DOWN)),
        (80, to(UNKNOWN)),
        (100, to(CheckState.MAINTENANCE)),
        (200, to(CheckState.DEGRADED)),
    )

    assert share(book, 220) == pytest.approx((60 + 20) / (60 + 20 + 20))


@pytest.mark.parametrize("end", [BrainStopped(reason="asked"), GuardLost(pid=2)])
def test_nothing_is_claimed_after_the_end_of_a_run(end: Payload) -> None:
    book = told((0, to(UP)), (60, end))

    assert bars(book, 250) == [UP, None, None, None, None]
    assert share(book, 250) == 1.0


def test_nothing_is_claimed_between_two_runs_when_the_first_one_just_vanished() -> None:
    book = told((0, brain()), (0, to(UP)), (30, to(UP)), (190, brain()), (250, to(UP)))

    assert bars(book, 280) == [UP, None, None, None, UP]


def test_what_ran_on_while_the_brain_was_replaced_is_as_it_was() -> None:
    book = told((0, to(UP)), (190, brain("a")))

    assert bars(book, 280) == [UP] * 5
    assert share(book, 280) == 1.0


def test_old_history_is_forgotten_and_what_stands_for_the_bars_stays() -> None:
    book = told((0, to(DOWN)), (10, to(UP)), *[(20 + i, to((DOWN, UP)[i % 2])) for i in range(40)])
    book.apply(announce(to(DOWN), at=T0 + timedelta(hours=1), actor="brain"))

    assert len(book._spans["a"]) == 2
    assert bars(book, 3600) == [UP, UP, UP, UP, DOWN]
