"""What people read: one line for every kind of event, and never a failure."""

from datetime import UTC, datetime

import pytest

from resile.core.events import (
    ActionStarted,
    CheckChanged,
    Event,
    FaultClosed,
    OperatorRequested,
    Payload,
    PlanDecided,
    PlanProposed,
    ProcessExited,
    ProposalAnswered,
    ServiceChanged,
    Step,
    announce,
    payload_kinds,
)
from resile.core.sentences import _SENTENCES, TEXT_LENGTH_MAX, sentence
from resile.core.vocabulary import (
    ActionKind,
    CheckGroup,
    CheckState,
    FaultKind,
    Outcome,
    Phase,
    Verb,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def told(payload: Payload) -> str:
    return sentence(announce(payload, at=NOW, actor="brain"))


def test_every_kind_of_event_has_a_sentence() -> None:
    assert {kind.kind for kind in _SENTENCES if kind is not type(None)} == set(payload_kinds())


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            ProcessExited(service="api", generation=1, pid=7, exit_code=0),
            "api (pid 7) ended: exit code 0",
        ),
        (
            ProcessExited(service="api", generation=1, pid=7, is_lost=True),
            "api (pid 7) ended: nobody saw how",
        ),
        (
            ProcessExited(
                service="api", generation=1, pid=7, signal="SIGKILL", oom_kills=1, uptime_s=61
            ),
            "api (pid 7) ended: killed by SIGKILL after 1m1s for want of memory",
        ),
        (
            ProcessExited(
                service="api",
                generation=1,
                pid=7,
                signal="SIGSEGV",
                explanation="killed by SIGSEGV: why",
                uptime_s=61,
            ),
            "api (pid 7) was killed by SIGSEGV: why, after 1m1s",
        ),
        (
            ProcessExited(service="api", generation=1, pid=7, explanation="ended when asked"),
            "api (pid 7) ended when asked",
        ),
        (
            ServiceChanged(
                service="api", before=CheckState.UP, after=CheckState.DOWN, phase=Phase.BACKOFF
            ),
            "api is DOWN, was UP",
        ),
        (
            CheckChanged(
                check="api.live",
                service="api",
                group=CheckGroup.LIVE,
                before=CheckState.UP,
                after=CheckState.DOWN,
                reason="refused",
                began_at=NOW,
            ),
            "api.live is DOWN, was UP: refused",
        ),
        (
            CheckChanged(
                check="api.ready",
                service="api",
                group=CheckGroup.READY,
                before=CheckState.DOWN,
                after=CheckState.DOWN,
                reason="database is locked",
                began_at=NOW,
            ),
            "api.ready is still DOWN: database is locked",
        ),
        (OperatorRequested(verb=Verb.STOP, who="ann"), "ann asked for stop of everything"),
        (
            PlanDecided(
                plan_id="p",
                fault_id="f",
                playbook="restart",
                attempt=2,
                steps=(
                    Step(action=ActionKind.KILL, target="service/api"),
                    Step(action=ActionKind.START, target="service/api"),
                ),
                verify_s=1,
                stable_s=1,
            ),
            "plan restart (attempt 2): kill api, then start api",
        ),
        (
            PlanDecided(
                plan_id="p",
                fault_id="f",
                playbook="ours",
                attempt=1,
                steps=(Step(action=ActionKind.RUN, target="service/api", command=("mend", "-f")),),
                verify_s=1,
                stable_s=1,
                is_undo=True,
            ),
            "plan ours is undone: run mend",
        ),
        (
            PlanProposed(
                plan_id="pln_1",
                fault_id="f",
                playbook="ours",
                attempt=1,
                steps=(Step(action=ActionKind.KILL, target="service/api"),),
                verify_s=1,
                stable_s=1,
                target="service/api",
            ),
            "plan ours waits for a person: kill api; `resile playbooks approve pln_1` lets it be done",
        ),
        (
            ProposalAnswered(
                plan_id="pln_1", fault_id="f", target="service/api", is_approved=False, who="ann"
            ),
            "ann refused the plan for api",
        ),
        (
            ActionStarted(
                action_id="a", action=ActionKind.RUN, target="service/api", command=("mend",)
            ),
            "resile runs mend for api",
        ),
        (
            FaultClosed(
                fault_id="f",
                fault=FaultKind.CRASH,
                target="service/api",
                outcome=Outcome.RECOVERED,
                restored_at=NOW,
                recovery_s=1.3,
                rto_s=120,
                is_within_rto=True,
            ),
            "api: crash recovered after 1.3s, within the objective of 2m",
        ),
        (
            FaultClosed(
                fault_id="f",
                fault=FaultKind.CRASH,
                target="service/api",
                outcome=Outcome.WITHDRAWN,
                restored_at=NOW,
                recovery_s=1.3,
                rto_s=120,
                is_within_rto=True,
            ),
            "api: crash withdrawn after 1.3s",
        ),
    ],
)
def test_sentence_tells_the_facts(payload: Payload, text: str) -> None:
    assert told(payload) == text


def test_long_sentence_is_cut() -> None:
    payload = OperatorRequested(verb=Verb.STOP, services=tuple(f"service-{i}" for i in range(99)))

    assert len(told(payload)) == TEXT_LENGTH_MAX


@pytest.mark.parametrize(("kind", "body"), [("brain.dreamt", {}), ("process.exited", {"pid": "x"})])
def test_what_this_version_does_not_know_has_no_sentence(
    kind: str, body: dict[str, object]
) -> None:
    event = Event(id="e", at=NOW, kind=kind, subject="s", actor="a", body=body)

    assert sentence(event) == ""
