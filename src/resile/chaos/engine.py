"""Runs an experiment: steady state before, the method under guard, everything taken back, steady state after.

Whatever happens, every fault is taken back: by the engine if it lives, else by the watchdog.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from resile.chaos.catalogue import find_fault, obstacle
from resile.chaos.decide import verdict_of
from resile.chaos.experiments.calling import Caller
from resile.chaos.experiments.method import DeviatedError, Method, StoppedEarlyError
from resile.chaos.experiments.model import Experiment, Injection, Probe
from resile.chaos.experiments.report import FaultReport, Report
from resile.chaos.experiments.running import Runner, ThreadRunner
from resile.chaos.experiments.steady import ThreadWatch, Watch, first_breach
from resile.chaos.injecting import Gate, Injector
from resile.chaos.port import Host
from resile.chaos.story import Tell
from resile.chaos.watching import watched
from resile.core.clock import Clock
from resile.core.events import ExperimentBegun, ExperimentEnded
from resile.core.ids import new_id
from resile.core.process import identity_of
from resile.core.verdicts import ExperimentVerdict
from resile.errors import RejectedError

LOOK_AFTER_S: Final = 0.1
"""Between two looks whether the steady state holds again."""
WatchOf = Callable[[tuple[Probe, ...], Caller, Clock], Watch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What tests give an engine in place of the real thing.

    Args:
        gate: Holds the watchdog while a record is written.
        runner: Runs calls.
        watch_of: Makes the watch over the guards.
    """

    gate: Gate = watched
    runner: Runner = field(default_factory=ThreadRunner)
    watch_of: WatchOf = ThreadWatch


class Engine:
    """Runs one experiment. `interrupt` may be called from anywhere; all else is for one thread.

    Args:
        host: The world.
        tell: Hears of what is done.
        who: Wants it.
        folder: Where commands run. Default: the host's root.
        parts: Of which it is made.
    """

    def __init__(
        self,
        host: Host,
        *,
        tell: Tell,
        who: str,
        folder: Path | None = None,
        parts: Parts | None = None,
    ) -> None:
        self._host = host
        self._tell = tell
        self._who = who
        self._folder = folder or host.root
        self._parts = parts or Parts()
        self._interrupted = ""

    def interrupt(self, why: str) -> None:
        """End the experiment early: everything is taken back, and the report says why."""
        self._interrupted = self._interrupted or why

    def run(self, experiment: Experiment) -> Report:
        """Run it to its end. Blocks.

        Raises:
            ConfigError: If a target does not exist; nothing was done.
            DaemonUnreachableError: If it needs the daemon, and none answers; nothing was done.
        """
        clock = self._host.clock
        began_s = clock.monotonic()
        report = Report(
            experiment_id=new_id("exp", at=clock.now()),
            title=experiment.title,
            began_at=clock.now(),
            warnings=experiment.warnings,
        )
        caller = Caller(experiment.variables, folder=self._folder, system=self._host.system)
        if not self._is_ready(experiment, caller, report):
            report.duration_s = clock.monotonic() - began_s
            return report
        self._tell(
            ExperimentBegun(
                experiment_id=report.experiment_id,
                title=report.title,
                faults=tuple(f"{s.wish.fault} {s.wish.target}" for s in experiment.injections),
                who=self._who,
            )
        )
        self._perform(experiment, caller, report, began_s)
        report.duration_s = clock.monotonic() - began_s
        self._tell(_ended(report))
        return report

    def _is_ready(self, experiment: Experiment, caller: Caller, report: Report) -> bool:
        """Look whether it may begin; if not, the report says why."""
        breach = first_breach(experiment.probes, caller, self._host.clock)
        if breach is not None:
            report.verdict = ExperimentVerdict.UNSTEADY
            report.reason = f"{breach.probe} {breach.detail}"
            return False
        hindered = [one for step in experiment.injections if (one := self._hindrance(step))]
        report.faults += hindered
        if hindered:
            report.verdict, report.reason = verdict_of(
                [one.seen for one in hindered], aborted="", failed=(), deviation=""
            )
        return not hindered

    def _hindrance(self, step: Injection) -> FaultReport | None:
        """Tell why a fault cannot be applied; None if it can.

        Raises:
            ConfigError: If its target does not exist.
        """
        wish = step.wish
        why = self._host.ledger.why_stopped() or obstacle(wish.fault, self._host)
        if not why:
            try:
                find_fault(wish.fault, self._host.faults).plan(wish, self._host)
            except RejectedError as exc:
                why = exc.message
        if not why:
            return None
        return FaultReport(fault_id="", fault=wish.fault, target=wish.target, obstacle=why)

    def _perform(
        self, experiment: Experiment, caller: Caller, report: Report, began_s: float
    ) -> None:
        """Do what is in it, and judge."""
        clock = self._host.clock
        watch = self._parts.watch_of(experiment.probes, caller, clock)
        method = Method(
            host=self._host,
            caller=caller,
            probes=experiment.probes,
            injector=self._injector(report.experiment_id),
            runner=self._parts.runner,
            report=report,
            began_s=began_s,
            stop=lambda: self._why_stop(watch),
        )
        aborted = deviation = ""
        watch.start()
        try:
            method.run(experiment.method)
        except StoppedEarlyError as exc:
            aborted = str(exc)
        except DeviatedError as exc:
            deviation = str(exc)
        finally:
            method.end_faults(aborted or "its step is over")
            watch.stop()
        report.method_ended_s = clock.monotonic() - began_s
        if aborted:
            report.abort_s = clock.monotonic() - method.stopped_at_s
        if experiment.is_judged_before_rollbacks and not aborted and not deviation:
            deviation = self._deviation(experiment, caller, within_s=0.0)
        method.roll_back(experiment.rollbacks)
        after = self._after(experiment, caller, report, began_s)
        report.verdict, report.reason = verdict_of(
            [one.seen for one in report.faults],
            aborted=aborted,
            failed=method.failed,
            deviation=deviation or after,
        )

    def _after(self, experiment: Experiment, caller: Caller, report: Report, began_s: float) -> str:
        """Wait until the steady state holds again; tell what does not."""
        deviation = self._deviation(experiment, caller, within_s=experiment.recovers_within_s)
        if not deviation and report.method_ended_s is not None:
            now_s = self._host.clock.monotonic() - began_s
            report.recovered_s = now_s - report.method_ended_s
        return deviation

    def _deviation(self, experiment: Experiment, caller: Caller, *, within_s: float) -> str:
        """Tell which probe does not hold; empty as soon as all do."""
        clock = self._host.clock
        deadline_s = clock.monotonic() + within_s
        while True:
            breach = first_breach(experiment.probes, caller, clock)
            if breach is None:
                return ""
            # Who was told to end waits for nothing: one look is enough.
            if clock.monotonic() >= deadline_s or self._interrupted:
                return f"{breach.probe} {breach.detail}"
            clock.sleep(LOOK_AFTER_S)

    def _why_stop(self, watch: Watch) -> str:
        if self._interrupted:
            return self._interrupted
        if why := self._host.ledger.why_stopped():
            return why
        breach = watch.breach()
        return f"{breach.probe} {breach.detail}" if breach is not None else ""

    def _injector(self, experiment_id: str) -> Injector:
        return Injector(
            self._host,
            tell=self._tell,
            who=self._who,
            owner=identity_of(os.getpid()),
            experiment_id=experiment_id,
            gate=self._parts.gate,
        )


def _ended(report: Report) -> ExperimentEnded:
    return ExperimentEnded(
        experiment_id=report.experiment_id,
        title=report.title,
        verdict=report.verdict,
        reason=report.reason,
        duration_s=report.duration_s,
        recovered_s=report.recovered_s,
    )
