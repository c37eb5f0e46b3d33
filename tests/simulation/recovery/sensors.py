"""Checks with hysteresis, driven by what changes: nobody looks in vain, so hours cost nothing.

A check tells another state after so many looks in a row that saw it; what changes back before that is
never told.
"""

from datetime import timedelta
from typing import Any

from resile.core.events import (
    BrainStarted,
    CheckChanged,
    MemoryPressureChanged,
    Payload,
    ProcessExited,
    ProcessStarted,
    ServiceReady,
)
from resile.core.vocabulary import CheckState, MemoryLevel
from resile.recover import SystemSpec, World, service_target

LOOK_MS, FALL, RISE = 1000, 2, 2


class Sensors:
    """The checks of one brain after the other.

    Args:
        spec: What is declared.
        life: Whose they are.
    """

    def __init__(self, spec: SystemSpec, life: Any) -> None:
        self._spec = spec
        self._life = life
        self._told = dict.fromkeys(spec.checks, CheckState.UNKNOWN)
        self._awaited: dict[str, tuple[CheckState, object]] = {}
        self._pressed: dict[str, MemoryLevel] = {}
        self._is_dirty = False

    def look(self) -> None:
        """Note that checks may see something else from now on."""
        self._is_dirty = True

    def forget(self) -> None:
        """Lose the rows of looks, as a brain does that dies."""
        self._awaited.clear()

    def follow(self, payload: Payload, world: World) -> None:
        """Begin anew with a new process, and with a new brain where the world stands."""
        if isinstance(payload, BrainStarted):
            self._told = {check: status.state for check, status in world.checks.items()}
            self._pressed = {target: status.level for target, status in world.pressures.items()}
        elif isinstance(payload, ProcessStarted | ProcessExited):
            for check in world.checks_of(payload.service):
                self._told[check] = world.check(check).state
                self._awaited.pop(check, None)
            self._pressed.pop(service_target(payload.service), None)
        elif not isinstance(payload, ServiceReady):
            return
        self._is_dirty = True

    def refresh(self) -> None:
        """Look where something changed."""
        if not self._is_dirty or not self._life.is_alive:
            return
        self._is_dirty = False
        memo: dict[str, bool] = {}
        services = self._life.world.services
        for index, check in enumerate(self._spec.checks):
            truth = self._life.machine.sees(memo, check, lambda name: services[name].is_ready)
            told, (awaited, _) = self._told[check], self._awaited.get(check, (None, None))
            if truth in (told, CheckState.UNKNOWN):
                self._awaited.pop(check, None)
            elif truth is not awaited:
                self._await(check, index, told, truth)
        for target, level in self._life.machine.memory.items():
            self._feel(target, level)

    def _feel(self, target: str, level: MemoryLevel) -> None:
        before = self._pressed.get(target, MemoryLevel.CALM)
        if before is level:
            return
        self._pressed[target] = level
        self._life.tell(
            MemoryPressureChanged(
                target=target, before=before, after=level, used_bytes=9, limit_bytes=10
            )
        )

    def _await(self, check: str, index: int, told: CheckState, truth: CheckState) -> None:
        life, mark = self._life, object()
        self._awaited[check] = (truth, mark)
        is_first = told is CheckState.UNKNOWN and truth is not CheckState.DOWN
        count = 1 if is_first else FALL if truth is CheckState.DOWN else RISE
        first_ms = LOOK_MS - (life.time.now_ms + index * 130) % LOOK_MS
        began_at = life.time.wall + timedelta(milliseconds=first_ms)

        def tell() -> None:
            if self._awaited.get(check, (None, None))[1] is not mark:
                return
            del self._awaited[check]
            self._told[check] = truth
            binding = self._spec.checks[check]
            life.tell(
                CheckChanged(
                    check=check,
                    service=binding.service,
                    group=binding.group,
                    before=told,
                    after=truth,
                    reason=f"it is {truth}",
                    began_at=began_at,
                )
            )

        life.time.later(first_ms + (count - 1) * LOOK_MS, tell)
