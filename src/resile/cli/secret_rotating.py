"""Have a secret rotated, and follow it step by step until it is over."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from resile.cli.secret_desk import Desk, Facts
from resile.cli.secret_tables import hold_text
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.vocabulary import RotationReason
from resile.errors import ProviderDownError, ResileError

POLL_S = 0.1
BEGIN_S = 10.0
"""A rotation that is asked for begins within that, or is refused."""

OnStep = Callable[[str, float], None]
"""Gets each step that is reached, once, and the seconds since the beginning."""
OnHold = Callable[[str], None]
"""Gets what holds it up, when that changes."""


def rotate(
    desk: Desk,
    name: str,
    *,
    reason: RotationReason,
    why: str,
    wait_s: float | None,
    on_step: OnStep,
    on_hold: OnHold,
    clock: Clock = SYSTEM_CLOCK,
) -> Facts:
    """Rotate, and give the report; its outcome is None if it goes on after this.

    Args:
        desk: Whom to ask.
        name: The secret.
        reason: Why, as a word.
        why: In words.
        wait_s: How long to wait for its end; None: until it has begun.
        on_step: Called in this thread.
        on_hold: The same.
        clock: Bounds the wait.

    Raises:
        ResileError: If it is refused, or fails before anything has begun.
    """
    until_s = clock.monotonic() + (BEGIN_S if wait_s is None else wait_s)
    following = _Following(desk, name, on_step, on_hold)
    asking = _Asking(lambda: desk.rotate(name, reason=reason, why=why, is_dry=False))
    while not asking.is_over(POLL_S):
        seen = following.look()
        is_late = desk.goes_on and clock.monotonic() >= until_s
        if seen is not None and (is_late or wait_s is None):
            return seen
        if is_late:
            break
    report = asking.result()
    following.tell(report)
    while report["outcome"] is None and desk.goes_on and clock.monotonic() < until_s:
        clock.sleep(POLL_S)
        report = following.look() or report
    return report


class _Asking:
    """A question in a thread of its own, so that what it does can be looked at meanwhile."""

    def __init__(self, ask: Callable[[], Facts]) -> None:
        self._ask = ask
        self._answer: Facts | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rotate", daemon=True)
        self._thread.start()

    def is_over(self, wait_s: float) -> bool:
        """Wait a moment for the end; tell whether it has come."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def result(self) -> Facts:
        """Give the answer, or raise what came instead."""
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise ProviderDownError(
                "the rotation has not begun in time", hint="see: resile secrets list --rotations"
            )
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as exc:  # noqa: BLE001 - it is raised by whoever waits
            self._error = exc


class _Following:
    """What is known of one secret's rotation from outside. What was over when this began is not its concern."""

    def __init__(self, desk: Desk, name: str, on_step: OnStep, on_hold: OnHold) -> None:
        self._desk = desk
        self._name = name
        self._on_step = on_step
        self._on_hold = on_hold
        self._held = ""
        self._told: set[str] = set()
        self._old = {one["rotation_id"] for one in self._rotations("ended")}

    def look(self) -> Facts | None:
        """Tell new steps; give the rotation as a report, None if there is none."""
        for one in (*self._rotations("open"), *self._rotations("ended")):
            if one["name"] == self._name and one["rotation_id"] not in self._old:
                report = _report_of(one)
                self.tell(report)
                self._tell_hold(report)
                return report
        return None

    def tell(self, report: Facts) -> None:
        """Tell the steps of a report that were not told yet."""
        for step, after_ms in report["steps_ms"].items():
            if step not in self._told:
                self._told.add(step)
                self._on_step(step, after_ms / 1e3)

    def _tell_hold(self, report: Facts) -> None:
        held = hold_text(report) if report["outcome"] is None else ""
        if held and held != self._held:
            self._on_hold(held)
        self._held = held

    def _rotations(self, which: str) -> list[Facts]:
        with contextlib.suppress(ResileError):  # Whoever rotates tells the trouble.
            found: list[Facts] = self._desk.rotations()[which]
            return found
        return []


def _report_of(view: Facts) -> dict[str, Any]:
    keys = ("rotation_id", "name", "outcome", "duration_s", "cut", "waits_for", "why")
    return {
        **{key: view[key] for key in keys},
        "number": view["version"],
        "steps_ms": {one["step"]: round(one["after_s"] * 1e3, 1) for one in view["steps"]},
    }
