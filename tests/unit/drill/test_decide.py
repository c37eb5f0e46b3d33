"""What shows that a fault was noticed, and what a scenario has shown."""

from dataclasses import replace

import pytest
from tests.support.drilling import CRASH, cell, opened, service

from resile.core.events import ProcessExited, announce
from resile.core.vocabulary import DrillVerdict
from resile.drill import Aim, Proof
from resile.drill.decide import (
    Look,
    Seen,
    escalation,
    first_sign,
    give_up_s,
    is_proven_by,
    is_replaced,
    stopped_services,
    verdict_of,
    wait_s,
    why_unwell,
)
from resile.testing import FakeClock

GOOD = Seen(is_proven=True, detected_s=0.1, recovered_s=1.0, failed=0, acked=5, lost=0)


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"left": "process 3 stands still"}, DrillVerdict.NOT_MENDED, "may still be active"),
        ({"interrupted": "SIGINT came"}, DrillVerdict.INTERRUPTED, "SIGINT came"),
        ({"lost": 2}, DrillVerdict.LOST, "2 of 5 acknowledged writes are lost"),
        ({"error": "no watchdog"}, DrillVerdict.INCONCLUSIVE, "no watchdog"),
        ({"is_proven": False, "proof": "it lives"}, DrillVerdict.INCONCLUSIVE, "it lives"),
        ({"is_proven": False}, DrillVerdict.INCONCLUSIVE, "nobody could look"),
        ({"detected_s": -1.0}, DrillVerdict.UNSEEN, "nobody noticed it"),
        ({"recovered_s": -1.0, "unwell": "api is DOWN"}, DrillVerdict.NOT_MENDED, "api is DOWN"),
        (
            {"recovered_s": -1.0, "escalation": "the budget is used up"},
            DrillVerdict.NOT_MENDED,
            "it was not mended; a person was called: the budget is used up",
        ),
        ({"unread": "status 503"}, DrillVerdict.INCONCLUSIVE, "status 503"),
        ({"detected_s": 1.5}, DrillVerdict.SLOW, "noticed after 1.5s, and 1s are allowed"),
        ({"recovered_s": 2.5}, DrillVerdict.SLOW, "well after 2.5s, and 2s are allowed"),
    ],
)
def test_what_is_worst_is_the_verdict(changes, verdict, why):
    found, told = verdict_of(CRASH, replace(GOOD, **changes))

    assert found is verdict
    assert why in told


def test_what_is_noticed_and_mended_in_time_has_passed():
    assert verdict_of(CRASH, GOOD) == (DrillVerdict.PASSED, "")


def test_nobody_needs_to_notice_where_no_bar_says_so():
    quiet = replace(CRASH, detection_s_max=0.0)

    assert verdict_of(quiet, replace(GOOD, detected_s=-1.0))[0] is DrillVerdict.PASSED


def test_no_request_may_fail_where_there_must_be_no_seam():
    seamless = replace(CRASH, is_seamless=True)

    assert verdict_of(seamless, GOOD)[0] is DrillVerdict.PASSED
    assert verdict_of(seamless, replace(GOOD, failed=1, failure="status 503")) == (
        DrillVerdict.NOT_MENDED,
        "1 requests failed meanwhile: status 503",
    )


def test_recovery_counts_from_detection_where_nobody_can_notice_at_once():
    rare = replace(CRASH, detection_s_max=60.0, counts_from_detection=True)

    assert verdict_of(rare, replace(GOOD, detected_s=40.0, recovered_s=41.0))[0] is (
        DrillVerdict.PASSED
    )
    assert verdict_of(rare, replace(GOOD, detected_s=40.0, recovered_s=45.0))[0] is (
        DrillVerdict.SLOW
    )


def events_of(*payloads):
    return [announce(one, at=FakeClock().now(), actor="brain") for one in payloads]


@pytest.mark.parametrize(
    ("target", "is_seen"),
    [
        ("service/api", True),
        ("check/api.live", True),
        ("service/web", False),
        ("check/apis.live", False),
    ],
)
def test_a_sign_is_about_what_was_hit(target, is_seen):
    found = first_sign(cell(), "service/api", events_of(opened(target)))

    assert (found is not None) == is_seen


def test_a_sign_may_be_about_anything_where_the_trouble_shows_elsewhere():
    assert first_sign(cell(), "", events_of(opened("check/disk"))) is not None
    assert first_sign(cell(replace(CRASH, signs=("x.y",))), "", events_of(opened("a"))) is None


def test_a_person_who_was_called_is_told_why():
    from resile.core.events import FaultEscalated
    from resile.core.vocabulary import Priority

    called = FaultEscalated(
        fault_id="f", target="service/api", priority=Priority.P1, reason="it was tried 3 times"
    )

    assert escalation(events_of(opened("service/api"), called)) == "it was tried 3 times"
    assert not escalation(events_of(opened("service/api")))


@pytest.mark.parametrize(
    ("aim", "name", "kills", "is_proven"),
    [
        (Aim.LIMITED, "api", 1, True),
        (Aim.LIMITED, "api", 0, False),
        (Aim.LIMITED, "web", 1, False),
        (Aim.SERVICE, "api", 1, False),
    ],
)
def test_a_kill_for_want_of_memory_is_proven_by_the_journal(aim, name, kills, is_proven):
    exited = ProcessExited(service=name, generation=1, pid=7, signal="SIGKILL", oom_kills=kills)

    assert is_proven_by(cell(replace(CRASH, aim=aim)), events_of(exited)) == is_proven


def look(**changes):
    return Look(at_s=0.0, brain_pid=1, services={"api": service("api")}, **changes)


def test_a_system_is_well_when_all_that_should_run_is_up():
    down = Look(at_s=0.0, services={"api": replace(service("api"), state="DOWN")})

    assert not why_unwell(look())
    assert why_unwell(down) == "api is DOWN (running)"
    assert not why_unwell(down, stopped={"api"})
    assert why_unwell(look(trouble="no daemon")) == "no daemon"
    assert why_unwell(look(reasons=("disk is DOWN",))) == "disk is DOWN"


def test_what_works_with_less_is_well_only_while_that_is_allowed():
    assert why_unwell(look(lacks=("api works without db",))) == "api works without db"
    assert not why_unwell(look(lacks=("api works without db",)), is_less_allowed=True)


def test_what_an_operator_has_stopped_is_known():
    stopped = Look(at_s=0.0, services={"api": replace(service("api"), phase="stopped")})

    assert stopped_services(stopped) == {"api"}
    assert not stopped_services(look())


def test_another_process_is_told_by_its_generation_and_another_brain_by_its_pid():
    newer = Look(at_s=1.0, services={"api": replace(service("api"), generation=2)})
    brain = cell(replace(CRASH, aim=Aim.BRAIN), "brain")

    assert is_replaced(cell(), look(), newer)
    assert not is_replaced(cell(), look(), look())
    assert not is_replaced(cell(target="service/gone"), look(), newer)
    assert is_replaced(brain, look(), replace(look(), brain_pid=2))
    assert not is_replaced(brain, look(), look())


def test_who_is_late_is_waited_for_a_while():
    assert give_up_s(CRASH) == 31.0
    assert give_up_s(replace(CRASH, proof=Proof.BORNE, recovery_s_max=60.0)) == 120.0


@pytest.mark.parametrize(
    ("kills_s", "times", "wait"),
    [
        ([], 1, 0.0),
        ([50.0, 60.0, 70.0], 1, 0.0),
        ([50.0, 60.0, 70.0, 80.0], 1, 10.0),
        ([10.0, 60.0, 70.0, 80.0], 1, 0.0),
        ([60.0, 80.0], 3, 20.0),
        ([], 9, 0.0),
        ([90.0], 9, 50.0),
    ],
)
def test_nobody_is_hit_so_often_that_it_would_be_quarantined(kills_s, times, wait):
    many = replace(CRASH, restarts=times)

    assert wait_s(many, kills_s, intensity=5, period_s=60.0, now_s=100.0) == wait


def test_what_replaces_nothing_waits_for_nothing():
    calm = replace(CRASH, restarts=0)

    assert wait_s(calm, [99.0] * 9, intensity=5, period_s=60.0, now_s=100.0) == 0.0
