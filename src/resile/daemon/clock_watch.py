"""Notices that the wall clock was set, or that the machine slept: it moved otherwise than time has passed."""

from datetime import datetime, timedelta
from typing import Final

from resile.core.clock import Clock
from resile.core.events import ClockJumped, Payload, SymptomChanged
from resile.core.units import format_duration
from resile.core.vocabulary import Cause, FaultKind
from resile.recover import MACHINE_TARGET

JUMP_S: Final = 2.0
"""What a clock is corrected by in small steps stays far below that between two looks."""


class ClockWatch:
    """Looks once a second, and before anything is decided. Not thread-safe.

    Args:
        clock: Both of its clocks are compared.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[datetime, float] | None = None

    def look(self) -> tuple[Payload, ...]:
        """Compare the clocks since the last look; give what is to be told of a jump."""
        now, monotonic_s = self._clock.now(), self._clock.monotonic()
        before, self._seen = self._seen, (now, monotonic_s)
        if before is None:
            return ()
        passed_s = monotonic_s - before[1]
        by_s = (now - before[0]).total_seconds() - passed_s
        if abs(by_s) < JUMP_S:
            return ()
        where = "forward" if by_s > 0 else "back"
        reason = f"set {where} by {format_duration(abs(by_s))}, or the machine slept"
        return (
            ClockJumped(by_s=round(by_s, 3), seen_at=now - timedelta(seconds=passed_s)),
            SymptomChanged(
                target=MACHINE_TARGET,
                fault=FaultKind.CLOCK_JUMP,
                is_there=True,
                reason=reason,
                cause=Cause.CLOCK,
            ),
        )
