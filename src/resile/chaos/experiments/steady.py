"""Looks whether a system is in its steady state: once, until it is, or all the time."""

import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol

from resile.chaos.decide import Breach, Patience
from resile.chaos.experiments.calling import Caller
from resile.chaos.experiments.model import Probe
from resile.chaos.experiments.tolerances import holds
from resile.core.clock import Clock
from resile.errors import OperationError

EVERY_S: Final = 0.1
GUARD_TIMEOUT_S: Final = 0.5
"""A guard that waits longer for an answer could not tell of it within a second."""
SILENT_S: Final = 1.0
"""A guard that has not looked for so long is blind, and counts as broken."""


def look(
    probe: Probe, caller: Caller, clock: Clock, *, timeout_s_max: float = float("inf")
) -> Breach | None:
    """Look through one probe; None if it holds."""
    try:
        value = caller.call(probe.call, timeout_s_max=timeout_s_max)
        if holds(probe.tolerance, value, caller.judge):
            return None
        detail = f"gave {caller.shown(_short(value))}"
    except OperationError as exc:
        detail = exc.message
    return Breach(probe=probe.name, detail=detail, at_s=clock.monotonic())


def first_breach(probes: Sequence[Probe], caller: Caller, clock: Clock) -> Breach | None:
    """Look through each until one does not hold."""
    for probe in probes:
        breach = look(probe, caller, clock)
        if breach is not None:
            return breach
    return None


class Watch(Protocol):
    """Looks through the guards of an experiment all the time."""

    def start(self) -> None:
        """Begin."""
        ...

    def breach(self) -> Breach | None:
        """Give the first guard that did not hold for longer than it may; None: all is well."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class ThreadWatch:
    """Watches with a thread for each guard, ten times a second. Safe to share between threads.

    Args:
        probes: Those of the experiment; only guards are watched.
        caller: Does the looks.
        clock: Measures.
    """

    def __init__(self, probes: Sequence[Probe], caller: Caller, clock: Clock) -> None:
        self._guards = [probe for probe in probes if probe.is_guard]
        self._caller = caller
        self._clock = clock
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._breach: Breach | None = None
        self._looked_s: dict[int, float] = {}

    def start(self) -> None:
        """Begin."""
        for number, probe in enumerate(self._guards):
            self._looked_s[number] = self._clock.monotonic()
            threading.Thread(
                target=self._watch, args=(number, probe), name=f"guard-{number}", daemon=True
            ).start()

    def breach(self) -> Breach | None:
        """Give the first guard that did not hold, or does not look any more."""
        now_s = self._clock.monotonic()
        with self._lock:
            if self._breach is None and not self._end.is_set():
                self._breach = next(
                    (
                        Breach(
                            probe=probe.name, detail="it has not answered for too long", at_s=now_s
                        )
                        for number, probe in enumerate(self._guards)
                        if now_s - self._looked_s[number] > SILENT_S + probe.patience_s
                    ),
                    None,
                )
            return self._breach

    def stop(self) -> None:
        """End; a look that hangs is left alone."""
        self._end.set()

    def _watch(self, number: int, probe: Probe) -> None:
        patience = Patience(probe.patience_s)
        while not self._end.is_set():
            began_s = self._clock.monotonic()
            found = look(probe, self._caller, self._clock, timeout_s_max=GUARD_TIMEOUT_S)
            now_s = self._clock.monotonic()
            patience = patience.looked(holds=found is None, now_s=now_s)
            with self._lock:
                self._looked_s[number] = now_s
                if found is not None and patience.is_over(now_s) and self._breach is None:
                    self._breach = found
            self._end.wait(max(0.0, EVERY_S - (now_s - began_s)))


class InlineWatch:
    """Watches whenever it is asked: for tests and simulations, where looks take no time."""

    def __init__(self, probes: Sequence[Probe], caller: Caller, clock: Clock) -> None:
        self._guards = [probe for probe in probes if probe.is_guard]
        self._patience = [Patience(probe.patience_s) for probe in self._guards]
        self._caller = caller
        self._clock = clock
        self._due_s = 0.0

    def start(self) -> None:
        """Begin."""

    def breach(self) -> Breach | None:
        """Look, if it is time."""
        now_s = self._clock.monotonic()
        if now_s < self._due_s:
            return None
        self._due_s = now_s + EVERY_S
        for number, probe in enumerate(self._guards):
            found = look(probe, self._caller, self._clock)
            patience = self._patience[number].looked(holds=found is None, now_s=now_s)
            self._patience[number] = patience
            if found is not None and patience.is_over(now_s):
                return found
        return None

    def stop(self) -> None:
        """End."""


def _short(value: Any) -> Any:
    """Give of an answer what people want to see first."""
    return value.get("status", value) if isinstance(value, dict) else value
