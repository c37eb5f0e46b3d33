"""`resile recovery`: what it prints of the coordinated plan."""

import json

import pytest

from resile.cli import cmd_recovery
from resile.testing.clock import FakeClock
from resile.testing.recovery_view import FakeRecovery

PATH = ("GET", "/api/recovery")


@pytest.fixture
def recovery(daemon):
    fake = FakeRecovery()

    def answer():
        daemon.routes[PATH] = (200, fake.overview())
        return fake

    fake.serve = answer
    answer()
    return fake


def test_without_a_daemon_it_says_so(resile):
    done = resile("recovery")

    assert done.code == 6


def test_nothing_open_is_told(resile, recovery):
    assert resile("recovery").out == "no open fault: nothing has to be mended\n"


def test_faults_are_told_in_their_turn_with_what_they_wait_for(resile, recovery):
    recovery.put_fault(
        "service/db", urgency="P0", why="P1, as urgent as shop (P0), which it explains"
    )
    recovery.put_fault(
        "service/shop",
        priority="P0",
        urgency="P0",
        standing="cause",
        waits_for="db must work first",
        expected=None,
        rto_left_s=-2.0,
    )
    recovery.serve()

    lines = resile("recovery").out.splitlines()

    assert lines[0].startswith("2 open faults, 0 of 4 steps done, 0 of 8 places taken")
    assert lines[0].endswith("the end of 1 is unknown")
    assert "P0 (own: P1)" in lines[2]
    assert "3s (1.5s to 6s)" in lines[2]
    assert "waits: db must work first" in lines[3]
    assert "missed by 2s" in lines[3]
    assert "  db: restart (attempt 1): [>] start db; restart took 3 s (median of 5)" in lines


def test_a_risk_and_the_age_of_copies_are_told(resile, recovery):
    recovery.put_fault("service/a", is_at_risk=True, rto_left_s=20.0)
    recovery.points = [
        {"folder": "/data", "taken_at": None, "rpo_s": 600.0, "left_s": -60.0},
        {"folder": "/kb", "taken_at": "2025-01-01T12:00:00+00:00", "rpo_s": 600.0, "left_s": 300.0},
    ]
    recovery.record = {
        "count": 200,
        "success": 0.985,
        "rto_compliance": 0.99,
        "median_s": 1.2,
        "p95_s": 9.0,
    }
    recovery.serve()

    out = resile("recovery").out

    assert "20s (at risk)" in out
    assert "missed by 1m" in out
    assert "of the last 200 faults: 98.5% mended without a person, 99.0% within RTO" in out


def test_json_is_what_the_daemon_answers(resile, recovery):
    recovery.put_fault("service/a")
    recovery.serve()

    assert json.loads(resile("recovery", "--json").out) == recovery.overview()


def test_watching_shows_it_again_each_second_until_it_is_interrupted(capsys):
    class Clock(FakeClock):
        looks = 0

        def sleep(self, seconds):
            assert seconds == cmd_recovery.WATCH_S
            self.looks += 1
            if self.looks == 3:
                raise KeyboardInterrupt

    class Api:
        def get(self, path):
            assert path == PATH[1]
            return FakeRecovery().overview()

    with pytest.raises(KeyboardInterrupt):
        cmd_recovery._watch(Api(), as_json=True, clock=Clock())

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["faults"] == [] for line in lines)
