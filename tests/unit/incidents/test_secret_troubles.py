"""What goes wrong with secrets is an incident, and is over when it is well or a person knows of it."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.desk import Kept

from resile.core.codec import decode, encode
from resile.core.events import (
    BrainStarted,
    ClientReleased,
    IncidentAcknowledged,
    IncidentRaised,
    Payload,
    ProviderFound,
    ProviderLost,
    RotationAdvanced,
    RotationBegun,
    RotationEnded,
    RotationWaits,
    SecretAnomaly,
    SecretWritten,
    TroubleEnded,
    TroubleNoticed,
    announce,
)
from resile.core.sentences import sentence
from resile.core.vocabulary import (
    FaultKind,
    Priority,
    RotationOutcome,
    RotationReason,
    RotationStep,
    SecretResponse,
)
from resile.incidents import IncidentState, incident_view, lasting_in, troubles_in
from resile.incidents.model import MONITORING_S
from resile.incidents.secret_troubles import (
    LOST_S,
    QUIET_S,
    REMEMBERED_MAX,
    WAITS_COMPROMISE_S,
    WAITS_S,
    SecretWaiting,
)
from resile.incidents.troubles import TARGETS_MAX

NAME, CLIENT = "db/password", "service/scanner"
URGENT = RotationReason.COMPROMISE


def begun(id_: str = "rot_1", reason: RotationReason = RotationReason.SCHEDULED) -> RotationBegun:
    return RotationBegun(rotation_id=id_, name=NAME, rotator="postgres", reason=reason, who="it")


def waits(id_: str = "rot_1", *consumers: str) -> RotationWaits:
    return RotationWaits(
        rotation_id=id_,
        name=NAME,
        step=RotationStep.PROMOTED,
        consumers=consumers,
        why="no answer",
    )


def advanced(id_: str = "rot_1") -> RotationAdvanced:
    return RotationAdvanced(rotation_id=id_, name=NAME, step=RotationStep.DRAINED)


def ended(
    id_: str = "rot_1", outcome: RotationOutcome = RotationOutcome.ROTATED, why: str = ""
) -> RotationEnded:
    return RotationEnded(
        rotation_id=id_, name=NAME, outcome=outcome, number="8", duration_s=4.0, why=why
    )


def aborted(id_: str = "rot_1") -> RotationEnded:
    return ended(id_, RotationOutcome.ABORTED, "the new role cannot log in")


def anomaly(
    response: SecretResponse = SecretResponse.ALERT, *signals: str, client: str = CLIENT
) -> SecretAnomaly:
    return SecretAnomaly(
        anomaly_id="ano_1",
        client=client,
        names=(NAME,),
        signals=signals or ("denials",),
        score=60.0,
        response=response,
        why="it asked 12 times for what it may not have",
    )


def lost(desk: Kept) -> ProviderLost:
    return ProviderLost(provider="vault", reason="it is sealed", began_at=desk.now)


def released() -> ClientReleased:
    return ClientReleased(client=CLIENT, who="ann")


def written() -> SecretWritten:
    return SecretWritten(name=NAME, number="9", who="ann")


def acknowledge(desk: Kept) -> tuple[TroubleNoticed | TroubleEnded, ...]:
    """Take the only incident on, as the command does, and let the daemon read that."""
    ack = IncidentAcknowledged(incident_id=desk.only().incident_id, who="ann")
    desk.tell(ack)
    return desk.read(ack)


def one(told: tuple[Any, ...]) -> TroubleNoticed:
    (noticed,) = told
    assert isinstance(noticed, TroubleNoticed)
    return noticed


@pytest.mark.parametrize(
    ("reason", "limit_s", "priority"),
    [
        (RotationReason.SCHEDULED, WAITS_S, Priority.P2),
        (RotationReason.ANOMALY, WAITS_S, Priority.P2),
        (URGENT, WAITS_COMPROMISE_S, Priority.P1),
    ],
)
def test_rotation_that_waits_too_long_is_trouble_until_it_goes_on(
    reason: RotationReason, limit_s: float, priority: Priority
) -> None:
    desk = Kept()
    desk.read(begun(reason=reason), waits("rot_1", "reasoner (pid 7)"))
    desk.run(limit_s - 1)
    desk.read(waits("rot_1", "reasoner (pid 7)"))
    assert desk.look() == ()

    desk.run(1)
    told = one(desk.look())

    assert (told.fault, told.target) == (FaultKind.ROTATION_STUCK, f"secret/{NAME}")
    assert (told.priority, told.began_at) == (priority, desk.now - timedelta(seconds=limit_s))
    title = "db/password is not rotated: it waits for reasoner (pid 7): no answer"
    assert desk.only().title == title
    assert desk.look() == ()
    assert [type(one) for one in desk.read(advanced(), ended())] == [TroubleEnded]
    assert desk.only().state is IncidentState.MONITORING
    desk.run(WAITS_S * 2)
    assert desk.look() == ()


def test_wait_whose_beginning_is_not_known_any_more_is_told_nevertheless() -> None:
    desk = Kept()
    desk.read(waits())
    desk.run(WAITS_S)

    told = one(desk.look())

    assert (told.priority, told.reason) == (Priority.P2, "no answer")
    assert told.began_at == desk.now - timedelta(seconds=WAITS_S)


def test_rotation_that_failed_is_trouble_until_one_succeeds() -> None:
    desk = Kept()
    desk.read(begun())
    began_at = desk.now
    desk.run(4)

    told = one(desk.read(aborted()))
    assert (told.priority, told.began_at) == (Priority.P2, began_at)
    assert told.reason == "the new role cannot log in"
    assert desk.read(begun("rot_2"), aborted("rot_2")) == ()
    desk.read(begun("rot_3"), advanced("rot_3"))
    assert desk.only().state is IncidentState.OPEN
    desk.read(ended("rot_3"))

    assert desk.only().state is IncidentState.MONITORING


@pytest.mark.parametrize("end", [written(), ended("rot_2", RotationOutcome.ROLLED_BACK)])
def test_what_a_person_does_about_a_failed_rotation_ends_it(end: Payload) -> None:
    desk = Kept()
    desk.read(begun(reason=URGENT), aborted())
    assert desk.only().severity is Priority.P1

    assert [type(one) for one in desk.read(end)] == [TroubleEnded]


def test_wait_that_ends_as_a_failure_is_the_same_incident() -> None:
    desk = Kept()
    desk.read(begun(), waits())
    desk.run(WAITS_S)
    desk.look()

    told = desk.read(aborted())

    assert [type(one) for one in told] == [TroubleEnded, TroubleNoticed]
    assert desk.only().state is IncidentState.OPEN


def test_compromise_that_waits_raises_what_was_only_late() -> None:
    desk = Kept()
    desk.read(begun(), aborted())

    desk.read(begun("rot_2", URGENT), waits("rot_2"))
    desk.run(WAITS_COMPROMISE_S)
    desk.look()

    (raised,) = desk.of(IncidentRaised)
    assert raised.severity is Priority.P1
    assert len(desk.read(ended("rot_2"))) == 2
    assert desk.only().state is IncidentState.MONITORING


def test_acknowledgement_ends_a_failed_rotation_but_not_what_somebody_else_can_use() -> None:
    late, known = Kept(), Kept()
    late.read(begun(), aborted())
    known.read(begun(reason=URGENT), aborted())

    assert [type(one) for one in acknowledge(late)] == [TroubleEnded]
    assert acknowledge(known) == ()


def test_access_that_is_only_logged_is_no_trouble() -> None:
    desk = Kept()

    assert desk.read(anomaly(SecretResponse.LOG, "rate")) == ()


@pytest.mark.parametrize(
    "response", [SecretResponse.ALERT, SecretResponse.STEP_UP, SecretResponse.ROTATE]
)
def test_odd_client_is_trouble_until_it_has_been_quiet(response: SecretResponse) -> None:
    desk = Kept()
    told = one(desk.read(anomaly(response)))
    assert (told.fault, told.priority) == (FaultKind.MISUSE, Priority.P2)
    assert told.target == f"client/{CLIENT}"
    title = "service/scanner looks odd: it asked 12 times for what it may not have"
    assert desk.only().title == title

    desk.run(QUIET_S - 1)
    assert desk.read(anomaly(response)) == ()
    last_at = desk.now
    desk.run(QUIET_S - 1)
    assert desk.look() == ()
    desk.run(1)
    (quiet,) = desk.look()

    assert isinstance(quiet, TroubleEnded)
    assert (quiet.ended_at, quiet.reason) == (last_at, "nothing odd for 15m")
    assert desk.only().state is IncidentState.MONITORING


def test_what_was_quiet_is_not_told_again_by_a_new_daemon() -> None:
    desk = Kept()
    records = [desk.records(anomaly()), desk.records(anomaly())]
    for page in records:
        desk.tell(*troubles_in(page, desk.book, desk.waiting))
    desk.run(QUIET_S)
    desk.look()

    assert desk.book.trouble_seq == 2


@pytest.mark.parametrize(
    "seen",
    [
        anomaly(SecretResponse.QUARANTINE, "retired_version"),
        anomaly(SecretResponse.LOG, "rate", "canary"),
    ],
)
def test_intruder_is_a_p1_until_it_is_released(seen: SecretAnomaly) -> None:
    desk = Kept()
    told = one(desk.read(seen))
    assert (told.fault, told.priority) == (FaultKind.COMPROMISE, Priority.P1)
    desk.run(QUIET_S * 2)
    assert desk.look() == ()
    assert desk.only().state is IncidentState.OPEN

    (over,) = desk.read(released())

    assert isinstance(over, TroubleEnded)
    assert over.reason == "ann gave it its secrets again"


def test_client_that_gets_worse_is_one_incident_which_an_acknowledgement_ends() -> None:
    desk = Kept()
    desk.read(anomaly(), anomaly(SecretResponse.QUARANTINE))
    assert desk.only().severity is Priority.P1

    assert [type(one) for one in acknowledge(desk)] == [TroubleEnded, TroubleEnded]
    desk.run(MONITORING_S)
    assert desk.only().state is IncidentState.RESOLVED


def test_acknowledgement_does_not_end_what_came_after_it() -> None:
    desk = Kept()
    desk.read(anomaly())
    ack = IncidentAcknowledged(incident_id=desk.only().incident_id, who="ann")
    read_late = desk.records(ack)
    desk.run(1)
    desk.read(anomaly(SecretResponse.QUARANTINE))

    told = troubles_in(read_late, desk.book, desk.waiting)

    (over,) = told
    assert isinstance(over, TroubleEnded)
    assert desk.book.faults[over.trouble_id].kind is FaultKind.MISUSE


def test_acknowledgement_of_another_incident_ends_nothing() -> None:
    desk = Kept()
    desk.read(anomaly())

    assert desk.read(IncidentAcknowledged(incident_id="inc_other", who="ann")) == ()


@pytest.mark.parametrize(
    "end",
    [
        ProviderFound(provider="vault", away_s=31.0),
        BrainStarted(pid=1, guard_pid=2, release="1", config_digest="x"),
    ],
)
def test_provider_that_stays_away_is_trouble_until_it_answers_or_is_asked_anew(
    end: Payload,
) -> None:
    desk = Kept()
    desk.read(lost(desk))
    desk.run(LOST_S - 1)
    desk.read(lost(desk))
    assert desk.look() == ()

    desk.run(1)
    told = one(desk.look())

    assert (told.fault, told.priority) == (FaultKind.PROVIDER_DOWN, Priority.P2)
    assert (told.target, told.reason) == ("secrets", "vault: it is sealed")
    title = "secrets cannot be had from their provider: vault: it is sealed"
    assert desk.only().title == title
    assert acknowledge(desk) == ()
    assert [type(one) for one in desk.read(end)] == [TroubleEnded]
    assert desk.look() == ()


def test_provider_that_comes_back_at_once_is_no_trouble() -> None:
    desk = Kept()
    desk.read(lost(desk), ProviderFound(provider="vault", away_s=1.0))
    desk.run(LOST_S * 2)

    assert desk.look() == ()


def test_same_records_read_again_tell_nothing() -> None:
    desk = Kept()
    records = desk.records(begun(), aborted(), anomaly(), anomaly(SecretResponse.QUARANTINE))
    desk.tell(*troubles_in(records, desk.book, desk.waiting))

    assert troubles_in(records, desk.book, desk.waiting) == ()


def test_ends_of_what_was_never_told_are_nothing() -> None:
    desk = Kept()

    found = ProviderFound(provider="vault", away_s=1.0)
    assert desk.read(advanced(), ended(), written(), released(), found) == ()


def test_client_with_many_names_tells_no_endless_story_and_hides_no_intruder() -> None:
    desk = Kept()
    odd = [anomaly(client=f"user/0/{n}") for n in range(TARGETS_MAX + 1)]

    told = desk.read(*odd, anomaly(SecretResponse.QUARANTINE, client="user/0/last"))

    assert len(told) == TARGETS_MAX + 1
    assert told[-1].target == "client/user/0/last"


def test_what_is_remembered_is_bounded() -> None:
    desk = Kept()
    waiting = SecretWaiting()
    for n in range(REMEMBERED_MAX * 2):
        found = (begun(f"rot_{n}"), waits(f"rot_{n}"), anomaly(client=f"user/0/{n}"))
        for record in desk.records(*found):
            waiting.take(record)

    sizes = [len(waiting.begun), len(waiting.held), len(waiting.odd)]
    assert sizes == [REMEMBERED_MAX] * 3
    assert f"rot_{REMEMBERED_MAX * 2 - 1}" in waiting.held


def test_story_of_a_rotation_is_told_in_words() -> None:
    desk = Kept()
    steps = desk.records(begun(), waits("rot_1", "reasoner (pid 7)"))
    desk.tell(*troubles_in(steps, desk.book, desk.waiting))
    desk.run(WAITS_S)
    told = desk.look()
    more = desk.records(*told, ended())

    view = incident_view(desk.only(), [*steps, *more], desk.now)

    assert [line["text"] for line in view["timeline"]] == [
        "rotation of db/password begun (scheduled) by it",
        "rotation of db/password waits for reasoner (pid 7) at promoted: no answer",
        "db/password: rotation_stuck (P2), it waits for reasoner (pid 7): no answer",
        "rotation of db/password rotated in 4s",
    ]


@pytest.mark.parametrize(
    "payloads",
    [(begun(), aborted()), (anomaly(),), (anomaly(SecretResponse.QUARANTINE), released())],
)
def test_what_is_told_survives_the_journal(payloads: tuple[Payload, ...]) -> None:
    desk = Kept()
    for told in desk.read(*payloads):
        assert decode(type(told), encode(told)) == told
        assert sentence(announce(told, at=desk.now, actor="brain"))


def test_trouble_of_all_secrets_has_a_name_in_sentences() -> None:
    desk = Kept()
    desk.read(lost(desk))
    desk.run(LOST_S)
    (told,) = lasting_in(desk.waiting, desk.book, desk.now)

    said = sentence(announce(told, at=desk.now, actor="brain"))

    assert said == "secrets: provider_down (P2), vault: it is sealed"
