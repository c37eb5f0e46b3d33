"""The coordinated plan as the page shows it, and how good recovery was."""

from datetime import timedelta

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    FaultClosed,
    FaultEscalated,
    ObjectiveMissed,
    PlanDecided,
    announce,
)
from resile.core.metrics import Registry
from resile.core.vocabulary import FaultKind, Objective, Outcome, Priority
from resile.daemon.recovery_desk import RecoveryDesk
from resile.daemon.recovery_measures import RecoveryMeasures
from resile.recover.points import RecoveryPoints
from resile.recover.rates import RecoveryRecord
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal
from resile.web.recovery_models import Recovery

SPEC = system(service("db"), service("shop", "db", is_critical=True), checks="db.ready shop.ready")


def desk(shell: Shell) -> RecoveryDesk:
    return RecoveryDesk(
        world=shell.world,
        record=RecoveryRecord(),
        points=RecoveryPoints(periods_s={"/data": 60.0}, began_at=shell.now),
        clock=_At(shell),
    )


class _At(FakeClock):
    """The time of a simulated system."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell

    def now(self):  # type: ignore[no-untyped-def]
        return self.shell.now


def closed(
    fault_id: str, *, took_s: float = 1.0, outcome: Outcome = Outcome.RECOVERED
) -> FaultClosed:
    return FaultClosed(
        fault_id=fault_id,
        fault=FaultKind.CRASH,
        target="service/a",
        outcome=outcome,
        restored_at=FakeClock().now(),
        recovery_s=took_s,
        rto_s=120.0,
        is_within_rto=took_s <= 120.0,
    )


def escalated(fault_id: str) -> FaultEscalated:
    return FaultEscalated(
        fault_id=fault_id, target="service/a", priority=Priority.P0, reason="tried 3 times"
    )


def missed(fault_id: str) -> ObjectiveMissed:
    return ObjectiveMissed(
        objective=Objective.RTO,
        target="service/a",
        fault_id=fault_id,
        priority=Priority.P1,
        limit_s=120.0,
        ends_at=FakeClock().now(),
    )


def test_the_plan_has_the_shape_that_the_api_promises() -> None:
    shell = Shell(SPEC).begin()
    shell.run(10)
    shell.crash("db", exit_code=1)
    shell.crash("shop", exit_code=1)

    answer = desk(shell).overview()

    told = Recovery.model_validate(answer)
    assert [one.target for one in told.faults] == ["service/db", "service/shop"]
    assert told.faults[0].urgency is Priority.P0
    assert told.faults[0].steps[0].state == "doing"
    assert told.faults[0].steps[0].text == "start db"
    assert told.faults[1].causes == ["service/db"]
    assert told.places.kept_for_p0 == 2
    assert told.points[0].left_s == 120.0


def test_what_is_left_of_an_objective_runs_down() -> None:
    shell = Shell(SPEC).begin()
    shell.run(10)
    shell.programs["db"].start_error = "no disk"
    shell.crash("db", exit_code=1)
    before = desk(shell).overview()["faults"][0]["rto_left_s"]
    shell.run(7)

    after = desk(shell).overview()["faults"][0]["rto_left_s"]

    assert before - after == 7.0


def test_rates_count_what_was_mended_and_what_is_stuck() -> None:
    record = RecoveryRecord()
    for index in range(6):
        record.apply(closed(f"flt_{index}", took_s=2.0 * index))
    record.apply(closed("flt_6", took_s=200.0))
    record.apply(escalated("flt_7"))
    record.apply(closed("flt_7", took_s=400.0))
    record.apply(closed("flt_8", outcome=Outcome.WITHDRAWN))
    record.apply(escalated("flt_9"))
    record.apply(missed("flt_9"))

    rates = record.rates()

    assert rates.count == 9
    assert rates.success == 7 / 9
    assert rates.rto_compliance == 6 / 9
    assert rates.within_2min == 6 / 9
    assert rates.within_5min == 7 / 9
    assert (rates.median_s, rates.p95_s) == (8.0, 400.0)


def test_nothing_counted_is_no_rate() -> None:
    assert RecoveryRecord().rates().success is None


def test_metrics_begin_with_what_the_journal_holds() -> None:
    journal, at = MemoryJournal(), FakeClock().now()
    told = (closed("flt_1"), escalated("flt_2"), closed("flt_2", took_s=500.0))
    journal.append(
        *(announce(one, at=at + timedelta(seconds=n), actor="brain") for n, one in enumerate(told))
    )
    registry = Registry()
    measures = RecoveryMeasures(registry)

    measures.read(journal)
    measures.refresh()

    assert "resile_recovery_success_rate 0.5" in registry.text()
    assert "resile_recovery_rto_compliance_rate 0.5" in registry.text()


def test_what_is_taken_back_is_counted() -> None:
    registry = Registry()
    measures = RecoveryMeasures(registry)

    measures.apply(
        PlanDecided(
            plan_id="pln_1",
            fault_id="flt_1",
            playbook="ours",
            attempt=1,
            steps=(),
            verify_s=1.0,
            stable_s=1.0,
            is_undo=True,
        )
    )

    assert 'resile_recovery_rollbacks_total{what="plan"} 1' in registry.text()
