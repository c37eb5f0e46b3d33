"""A rotation is followed from outside while somebody else does it."""

import threading
from typing import Any

import pytest

from resile.cli.secret_own import RESUME_PATIENCE_S
from resile.cli.secret_rotating import rotate
from resile.core.vocabulary import RotationReason
from resile.daemon.secretkeeper.consumers import RETURN_S
from resile.errors import ProviderDownError, SecretConflictError
from resile.testing import FakeClock

DEADLINE_S = 20.0


def view(rotation_id: str, *steps: str, outcome: str | None = None, **facts: Any) -> dict[str, Any]:
    return {
        "rotation_id": rotation_id,
        "name": "a",
        "steps": [
            {"step": step, "at": "2026-01-01T00:00:00+00:00", "after_s": float(number)}
            for number, step in enumerate(steps)
        ],
        "outcome": outcome,
        "duration_s": 3.0,
        "cut": [],
        "waits_for": [],
        "why": "",
        "version": "2",
        **facts,
    }


def report(rotation_id: str, *steps: str, outcome: str | None) -> dict[str, Any]:
    seen = view(rotation_id, *steps, outcome=outcome)
    steps_ms = {step: 1e3 * number for number, step in enumerate(steps)}
    return {**seen, "number": "2", "steps_ms": steps_ms}


def scene(*open_ones: dict[str, Any], ended: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"open": list(open_ones), "ended": list(ended)}


class FakeDesk:
    """Shows one scene after the other, the last one for ever. Its answer comes when that was seen."""

    goes_on = True

    def __init__(self, answer: Any, *scenes: dict[str, Any]) -> None:
        self._answer = answer
        self._scenes = list(scenes) or [scene()]
        self._last_seen = threading.Event()

    def rotate(self, *_: Any, **__: Any) -> Any:
        self._last_seen.wait(DEADLINE_S)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def rotations(self) -> dict[str, Any]:
        if len(self._scenes) > 1:
            return self._scenes.pop(0)
        self._last_seen.set()
        return self._scenes[0]


class AwayDesk(FakeDesk):
    """Cannot tell how rotations stand."""

    def rotations(self) -> dict[str, Any]:
        super().rotations()
        raise ProviderDownError("away")


class Steps:
    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.held: list[str] = []

    def __call__(self, step: str, after_s: float) -> None:
        self.told.append((step, after_s))


def follow(desk: Any, steps: Steps, *, wait_s: float | None = 60.0) -> Any:
    return rotate(
        desk,
        "a",
        reason=RotationReason.MANUAL,
        why="",
        wait_s=wait_s,
        on_step=steps,
        on_hold=steps.held.append,
        clock=FakeClock(),
    )


def test_refusal_is_raised_as_it_came() -> None:
    desk = FakeDesk(SecretConflictError("a rotation is open"))

    with pytest.raises(SecretConflictError, match="is open"):
        follow(desk, Steps())


def test_steps_of_a_quick_rotation_are_told_from_its_report() -> None:
    steps = Steps()

    done = follow(FakeDesk(report("r", "begun", "retired", outcome="rotated")), steps)

    assert done["outcome"] == "rotated"
    assert steps.told == [("begun", 0.0), ("retired", 1.0)]


def test_each_step_is_told_once_when_it_is_reached() -> None:
    steps = Steps()
    desk = FakeDesk(
        report("r", "begun", "set", "retired", outcome="rotated"),
        scene(),
        scene(view("r", "begun")),
        scene(view("r", "begun")),
        scene(view("r", "begun", "set")),
    )

    follow(desk, steps)

    assert steps.told == [("begun", 0.0), ("set", 1.0), ("retired", 2.0)]


def test_what_holds_it_up_is_told_when_it_changes() -> None:
    steps = Steps()
    waits = scene(view("r", "begun", waits_for=["x (pid 1)"]))
    desk = FakeDesk(
        report("r", "begun", outcome="rotated"),
        scene(),
        scene(view("r", "begun", why="the target is down")),
        waits,
        waits,
        scene(view("r", "begun")),
    )

    follow(desk, steps)

    assert steps.held == ["the target is down", "it waits for x (pid 1)"]


def test_what_was_over_before_is_not_taken_for_it() -> None:
    steps = Steps()
    old = scene(ended=(view("old", "begun", "retired", outcome="rotated"),))

    done = follow(FakeDesk(report("r", "begun", outcome="rotated"), old, old), steps)

    assert done["rotation_id"] == "r"
    assert steps.told == [("begun", 0.0)]


def test_rotations_of_other_secrets_are_not_followed() -> None:
    steps = Steps()
    other = scene(view("other", "begun", "set", name="b"))

    follow(FakeDesk(report("r", "begun", outcome="rotated"), scene(), other), steps)

    assert steps.told == [("begun", 0.0)]


def test_keeper_that_cannot_tell_of_steps_hinders_no_rotation() -> None:
    done = follow(AwayDesk(report("r", "begun", outcome="rotated")), Steps())

    assert done["outcome"] == "rotated"


def test_rotation_that_waits_for_consumers_is_followed_to_its_end() -> None:
    steps = Steps()
    desk = FakeDesk(
        report("r", "begun", outcome=None),
        scene(),
        scene(view("r", "begun")),
        scene(ended=(view("r", "begun", "retired", outcome="rotated"),)),
    )

    done = follow(desk, steps)

    assert (done["outcome"], done["number"]) == ("rotated", "2")
    assert steps.told == [("begun", 0.0), ("retired", 1.0)]


def test_waiting_ends_with_the_time() -> None:
    done = follow(FakeDesk(report("r", "begun", outcome=None)), Steps(), wait_s=1.0)

    assert done["outcome"] is None


def test_nothing_is_waited_for_where_nobody_goes_on() -> None:
    desk = FakeDesk(report("r", "begun", outcome=None))
    desk.goes_on = False

    assert follow(desk, Steps())["outcome"] is None


def test_without_waiting_it_returns_when_the_rotation_has_begun() -> None:
    never = FakeDesk(report("r", outcome="rotated"), scene(), *[scene(view("r", "begun"))] * 1000)

    assert follow(never, Steps(), wait_s=None)["outcome"] is None


def test_rotation_that_takes_longer_than_the_time_is_told_as_it_stands() -> None:
    never = FakeDesk(report("r", outcome="rotated"), scene(), *[scene(view("r", "begun"))] * 1000)

    assert follow(never, Steps(), wait_s=0.0)["outcome"] is None


def test_rotation_that_does_not_begin_in_time_is_an_error() -> None:
    never = FakeDesk(report("r", outcome="rotated"), *[scene()] * 1000)

    with pytest.raises(ProviderDownError, match="not begun in time"):
        follow(never, Steps(), wait_s=0.0)


def test_own_rotation_is_never_left_for_the_time() -> None:
    desk = FakeDesk(report("r", outcome="rotated"), scene(), *[scene(view("r", "begun"))] * 2)
    desk.goes_on = False

    assert follow(desk, Steps(), wait_s=0.0)["outcome"] == "rotated"


def test_rotation_that_is_gone_on_with_outwaits_clients_that_nobody_remembers() -> None:
    assert RESUME_PATIENCE_S > RETURN_S
