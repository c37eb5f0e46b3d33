"""An incident that goes on when the clock is set is resolved when it was meant to be."""

from datetime import timedelta

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import ClockJumped, IncidentResolved


def test_clock_that_is_set_back_holds_no_incident_open() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(20)
    shell.crash("a")
    shell.run(5)
    (before,) = shell.book.active()

    shell.now -= timedelta(hours=1)
    shell.tell(ClockJumped(by_s=-3600, seen_at=shell.now - timedelta(seconds=1)))

    (after,) = shell.book.active()
    assert after.began_at == before.began_at - timedelta(hours=1)
    shell.run(600)
    (resolved,) = shell.payloads(IncidentResolved)
    assert resolved.duration_s < 60


def test_what_is_over_keeps_its_times() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(20)
    shell.crash("a")
    shell.run(600)
    before = dict(shell.book.incidents)

    shell.now += timedelta(hours=5)
    shell.tell(ClockJumped(by_s=18_000, seen_at=shell.now - timedelta(seconds=1)))

    assert shell.book.incidents == before
