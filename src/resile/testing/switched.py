"""Switches that switch nothing, for tests of what shows and sets them."""

from collections.abc import Mapping, Sequence
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.events import EmergencyBegun, SwitchSet
from resile.core.switches import Switches, part_of, until_of
from resile.errors import RejectedError
from resile.testing.clock import FakeClock


class FakeSwitches:
    """Implements `resile.web.SwitchesView` in memory; tests look at `switches`, or change it.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.clock: Clock = FakeClock()
        self.switches = Switches()

    def overview(self) -> Mapping[str, Any]:
        """Give what is off now, and the emergency stop that holds."""
        offs = self.switches.active(self.clock.now())
        emergency = self.switches.emergency
        return {
            "switches": [{"word": off.word, **encode(off)} for off in offs],
            "emergency": encode(emergency) if emergency else None,
        }

    async def set(
        self, words: Sequence[str], *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Switch parts off or on."""
        now = self.clock.now()
        try:
            parts = [part_of(word) for word in words]
            until = None if is_on else until_of(for_s or 0.0, now)
        except ValueError as exc:
            raise RejectedError(str(exc)) from exc
        for part, name in parts:
            payload = SwitchSet(part=part, name=name, is_on=is_on, until=until, why=why, who=who)
            self.switches = self.switches.apply(payload, now)
        return self.overview()

    async def stop(self, *, is_stopping_services: bool, why: str, who: str) -> Mapping[str, Any]:
        """Begin an emergency stop, which is never carried out."""
        begun = EmergencyBegun(is_stopping_services=is_stopping_services, why=why, who=who)
        self.switches = self.switches.apply(begun, self.clock.now())
        return self.overview()
