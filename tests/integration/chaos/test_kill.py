"""An engine that is killed at any point leaves nothing: the watchdog ends what it began."""

import os
import random
import signal
import time

import pytest
from tests.support.chaos_engine import TTL_S, carriers, programs, scene

from resile.chaos import open_host, watch_again
from resile.chaos.ledger import Ledger
from resile.chaos.model import LATE_S

KILLS = 4
SPAN_S = 2.5
"""A round of the engine takes about so long; bench/bench_chaos.py kills it far more often."""


@pytest.fixture
def stage(tmp_path):
    with scene(tmp_path) as found:
        yield found


@pytest.mark.slow
def test_whenever_the_engine_is_killed_nothing_is_left(stage):
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(KILLS):
        engine = stage.start()
        time.sleep(chance.uniform(0.2, SPAN_S))
        engine.send_signal(signal.SIGKILL)
        engine.wait()

        stage.wait_whole(TTL_S + LATE_S, f"seed {seed}")


def test_an_engine_that_is_stopped_loses_its_faults_with_their_time(stage):
    """It lives, so nothing of it is orphaned; but nobody ends what it began."""
    engine = stage.start()
    ledger = Ledger(stage.folder / "state" / "chaos")
    deadline_s = time.monotonic() + 30
    while len(ledger.records()) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    engine.send_signal(signal.SIGSTOP)
    try:
        deadline_s = time.monotonic() + TTL_S + LATE_S
        while carriers(stage.folder) or any(
            ledger.is_active(record.fault_id) for record in ledger.records()
        ):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    stage.wait_whole(LATE_S)


def test_the_kill_switch_ends_everything_while_the_engine_works(stage):
    engine = stage.start()
    ledger = Ledger(stage.folder / "state" / "chaos")
    deadline_s = time.monotonic() + 30
    while len(ledger.records()) < 3:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)

    (ledger.folder / "stop").touch()
    try:
        stage.wait_whole(LATE_S)
    finally:
        engine.kill()
        engine.wait()


def test_the_watchdog_ends_when_there_is_nothing_left(stage):
    engine = stage.start()
    ledger = Ledger(stage.folder / "state" / "chaos")
    deadline_s = time.monotonic() + 30
    while not ledger.records():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    engine.kill()
    engine.wait()

    deadline_s = time.monotonic() + 30
    while programs("watchdog", stage.folder):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_faults_whose_engine_and_watchdog_were_both_killed_are_ended_by_who_looks(stage):
    engine = stage.start()
    host = open_host(stage.folder / "state", stage.folder)
    deadline_s = time.monotonic() + 30
    while len(host.ledger.records()) < 3:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    for pid in (*programs("watchdog", stage.folder), engine.pid):
        os.kill(pid, signal.SIGKILL)
    engine.wait()
    assert stage.left()

    assert watch_again(host)

    stage.wait_whole(LATE_S)
    assert not watch_again(host)
