"""Does the steps of an experiment, and looks all the time whether to stop."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from resile.chaos.catalogue import find_fault
from resile.chaos.experiments.calling import Caller
from resile.chaos.experiments.model import Activity, Injection, Pause, Probe, Settle, Step
from resile.chaos.experiments.report import FaultReport, Report, StepReport
from resile.chaos.experiments.running import TICK_S, Runner, Stop
from resile.chaos.experiments.steady import first_breach
from resile.chaos.experiments.tolerances import holds
from resile.chaos.injecting import Injector
from resile.chaos.model import UndoRecord
from resile.chaos.port import Host
from resile.errors import OperationError, ResileError

PROVE_S: Final = 2.0
"""A fault is looked for so long before it is held: what carries it takes a moment to begin."""
PROVE_EVERY_S: Final = 0.1
ROLLBACK_S: Final = 60.0
"""An action that takes back what the method did is waited for so long."""
BACKGROUND_S: Final = 60.0
"""What runs beside is waited for so long when the method is through."""


class StoppedEarlyError(Exception):
    """The method ended early; its text is why."""


class DeviatedError(Exception):
    """The steady state did not come back in the middle of the method; its text is what did not hold."""


class Method:
    """Does steps one after the other. Not thread-safe.

    Args:
        host: The world.
        caller: Does calls.
        probes: The steady state.
        injector: Begins and ends faults.
        runner: Runs calls that may be left alone.
        report: What is done is noted there.
        began_s: When the experiment began.
        stop: Tells why to stop; empty: go on.
    """

    def __init__(
        self,
        *,
        host: Host,
        caller: Caller,
        probes: Sequence[Probe],
        injector: Injector,
        runner: Runner,
        report: Report,
        began_s: float,
        stop: Stop,
    ) -> None:
        self.failed: list[str] = []
        self.stopped_at_s = 0.0
        self._host = host
        self._clock = host.clock
        self._caller = caller
        self._probes = probes
        self._injector = injector
        self._runner = runner
        self._report = report
        self._began_s = began_s
        self._stop = stop
        self._faults: dict[str, FaultReport] = {}
        self._beside: list[Callable[[], bool]] = []
        self._prove_at_s = 0.0

    def run(self, steps: Sequence[Step]) -> None:
        """Do them all.

        Raises:
            StoppedEarlyError: If it was stopped; its faults are still active.
            DeviatedError: If a step waited for the steady state in vain; the same holds.
        """
        for step in steps:
            self._wait(0.0)
            match step:
                case Injection():
                    self._inject(step)
                case Activity():
                    self._act(step)
                case Settle():
                    self._settle(step)
                case Pause():
                    began_s = self._now_s()
                    self._wait(step.pause_s)
                    self._note(step.name, "pause", began_s, is_ok=True)
        deadline_s = self._clock.monotonic() + BACKGROUND_S
        while not all(is_over() for is_over in self._beside):
            self._wait(TICK_S)
            if self._clock.monotonic() >= deadline_s:
                self.failed.append(f"what ran beside did not end within {BACKGROUND_S:g} s")
                break
        self._wait(0.0)

    def end_faults(self, why: str) -> None:
        """Take back all that is active, the newest first."""
        with contextlib.ExitStack() as stack:  # The last first, and each, whatever another raises.
            for record in self._injector.active:
                stack.callback(self._end, record, why)

    def roll_back(self, rollbacks: Sequence[Activity]) -> None:
        """Do the actions that take back what the method did; one that fails hinders no other."""
        deadline_s = self._clock.monotonic() + ROLLBACK_S
        for step in rollbacks:
            self._perform(step, "rollback", lambda: _late(self._clock.monotonic(), deadline_s))

    def _inject(self, step: Injection) -> None:
        began_s = self._now_s()
        fault = FaultReport(fault_id="", fault=step.wish.fault, target=step.wish.target)
        self._report.faults.append(fault)
        try:
            record = self._injector.inject(step.wish)
        except ResileError as exc:
            fault.detail = exc.message
            self._note(step.name, "fault", began_s, is_ok=False, detail=exc.message)
            return
        fault.fault_id, fault.applied_s = record.fault_id, self._now_s()
        self._faults[record.fault_id] = fault
        self._prove(record)
        is_momentary = find_fault(record.fault, self._host.faults).is_momentary
        if step.is_background and not is_momentary:
            self._note(step.name, "fault", began_s, is_ok=None, detail=fault.detail)
            return
        self._wait_for_proof(record, fault)
        self._wait(step.hold_s)
        self._end(record, "its step is over")
        self._note(
            step.name, "fault", began_s, is_ok=fault.proven_s is not None, detail=fault.detail
        )

    def _settle(self, step: Settle) -> None:
        """Wait until the steady state holds.

        Raises:
            DeviatedError: If it does not in time.
        """
        began_s, deadline_s = self._now_s(), self._clock.monotonic() + step.within_s
        while (breach := first_breach(self._probes, self._caller, self._clock)) is not None:
            if self._clock.monotonic() >= deadline_s:
                detail = f"{breach.probe} {breach.detail}"
                self._note(step.name, "steady", began_s, is_ok=False, detail=detail)
                raise DeviatedError(detail)
            self._wait(PROVE_EVERY_S)
        self._note(step.name, "steady", began_s, is_ok=True)

    def _wait_for_proof(self, record: UndoRecord, fault: FaultReport) -> None:
        deadline_s = self._clock.monotonic() + PROVE_S
        while fault.proven_s is None and self._clock.monotonic() < deadline_s:
            self._wait(TICK_S)
            self._prove(record)

    def _act(self, step: Activity) -> None:
        self._wait(step.pause_before_s)
        if step.is_background:
            self._beside.append(
                self._runner.begin(lambda: self._perform(step, _kind(step), _never))
            )
        else:
            self._perform(step, _kind(step), self._stop)
        self._wait(step.pause_after_s)

    def _perform(self, step: Activity, kind: str, stop: Stop) -> None:
        """Call what a step calls, and note what came of it."""
        began_s = self._now_s()
        is_ok: bool | None = None
        try:
            value = self._runner.run(lambda: self._caller.call(step.call), stop)
            if step.tolerance is not None:
                is_ok = holds(step.tolerance, value, self._caller.judge)
            detail = self._caller.shown(value)
        except OperationError as exc:
            is_ok, detail = False, exc.message
            if kind == "action":
                self.failed.append(f"{step.name} failed: {exc.message}")
        self._note(step.name, kind, began_s, is_ok=is_ok, detail=detail)

    def _wait(self, seconds: float) -> None:
        """Let time pass, look at the faults, and stop if there is a reason.

        Raises:
            StoppedEarlyError: With the reason.
        """
        until_s = self._clock.monotonic() + seconds
        while True:
            if why := self._stop():
                self.stopped_at_s = self._clock.monotonic()
                raise StoppedEarlyError(why)
            now_s = self._clock.monotonic()
            if now_s >= self._prove_at_s:
                self._prove_at_s = now_s + PROVE_EVERY_S
                for record in self._injector.active:
                    self._prove(record)
            if now_s >= until_s:
                return
            self._clock.sleep(min(TICK_S, until_s - now_s))

    def _prove(self, record: UndoRecord) -> None:
        """Look whether a fault is active, until that is seen once."""
        fault = self._faults.get(record.fault_id)
        if fault is None or fault.proven_s is not None:
            return
        try:
            proof = find_fault(record.fault, self._host.faults).verify_active(record, self._host)
        except ResileError as exc:
            fault.detail = exc.message
            return
        fault.detail = proof.detail
        if proof.holds:
            fault.proven_s = self._now_s()

    def _end(self, record: UndoRecord, why: str) -> None:
        said = self._host.ledger.said(record.fault_id)
        try:
            self._prove(record)
        finally:
            ending = self._injector.end(record, why=why)
        fault = self._faults.get(record.fault_id)
        if fault is not None:
            fault.said = said
            fault.is_gone = ending.is_gone
            fault.ended_s = self._now_s() if ending.is_gone else None
            if not ending.is_gone:
                fault.detail = ending.detail

    def _note(
        self, name: str, kind: str, began_s: float, *, is_ok: bool | None, detail: str = ""
    ) -> None:
        self._report.steps.append(
            StepReport(
                name=name,
                kind=kind,
                began_s=began_s,
                took_s=self._now_s() - began_s,
                is_ok=is_ok,
                detail=detail,
            )
        )

    def _now_s(self) -> float:
        return self._clock.monotonic() - self._began_s


def _kind(step: Activity) -> str:
    return "action" if step.is_action else "probe"


def _never() -> str:
    return ""


def _late(now_s: float, deadline_s: float) -> str:
    return "it takes too long" if now_s >= deadline_s else ""
