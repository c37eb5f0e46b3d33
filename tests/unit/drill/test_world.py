"""The real system as its daemon tells of it, and what a drill tells of its journal."""

from tests.support.drilling import opened

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import CheckChanged, ProcessExited, announce
from resile.core.journal import open_journal
from resile.core.vocabulary import CheckGroup, CheckState
from resile.drill.measuring import moments_of
from resile.drill.world import DaemonWorld, look_of
from resile.errors import DaemonUnreachableError
from resile.testing import FakeClock

STATUS = {
    "brain": {"pid": 7},
    "services": [
        {"name": "api", "pid": 1, "generation": 3, "phase": "running", "state": "UP"},
    ],
    "checks": [
        {"id": "api.ready", "service": "api", "state": "DOWN", "reason": "its service tells"},
        {"id": "disk", "service": "", "state": "DOWN", "reason": "no room"},
        {"id": "slow", "service": "", "state": "DEGRADED", "reason": "slow"},
    ],
}


def lacking(state, service="api"):
    return {"service": service, "program": "app.py", "dependency": "db", "state": state}


def test_a_look_tells_of_services_checks_and_what_is_lacking():
    look = look_of(STATUS, [lacking("FAILED"), lacking("HEALTHY"), lacking("DEGRADED", "")], at_s=2)

    assert (look.at_s, look.brain_pid) == (2, 7)
    assert look.services["api"].generation == 3
    assert look.reasons == ("disk is DOWN: no room",)
    assert look.lacks == ("api works without db", "app.py works without db")


def test_a_daemon_that_does_not_answer_is_told_in_the_look(tmp_path):
    def get(_):
        raise DaemonUnreachableError("no daemon runs")

    assert DaemonWorld(get, tmp_path, clock=FakeClock()).look().trouble == "no daemon runs"


def test_events_begin_behind_the_mark_and_come_once(tmp_path):
    journal = open_journal(tmp_path / "journal", clock=SYSTEM_CLOCK)
    try:
        journal.append(announce(opened("service/old"), at=FakeClock().now(), actor="brain"))
        world = DaemonWorld(lambda _: {}, tmp_path / "journal", clock=FakeClock())
        world.mark()
        assert world.events() == []
        journal.append(announce(opened("service/new"), at=FakeClock().now(), actor="brain"))

        assert [one.subject for one in world.events()] == ["service/new"]
        assert world.events() == []
        world.close()
    finally:
        journal.close()


def test_ends_of_processes_are_told_with_their_age(tmp_path):
    clock = FakeClock()
    journal = open_journal(tmp_path / "journal", clock=SYSTEM_CLOCK)
    try:
        for name in ("old", "api"):
            end = ProcessExited(service=name, generation=1, pid=7, signal="SIGKILL")
            journal.append(announce(end, at=clock.now(), actor="brain"))
            clock.advance(40.0)
        world = DaemonWorld(lambda _: {}, tmp_path / "journal", clock=clock)

        assert world.ends(60.0) == [("service/api", 40.0)]
        world.close()
    finally:
        journal.close()


def test_a_journal_that_cannot_be_read_now_tells_nothing(tmp_path):
    (tmp_path / "journal").mkdir()
    assert list(DaemonWorld(lambda _: {}, tmp_path / "journal", clock=FakeClock()).events()) == []


def test_the_story_leaves_out_what_happens_all_the_time():
    noise = CheckChanged(
        check="disk",
        service="",
        group=CheckGroup.SYSTEM,
        before=CheckState.UP,
        after=CheckState.DOWN,
        reason="x",
        began_at=FakeClock().now(),
    )
    events = [announce(one, at=FakeClock().now(), actor="b") for one in (noise, opened("a/b"))]

    (moment,) = moments_of(events)
    assert "it ended" in moment.text
