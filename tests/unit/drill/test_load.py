"""Requests under load, and what is read back of them."""

import threading

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.drill.declared import LoadSpec
from resile.drill.ledger import Ledger
from resile.drill.load import Load
from resile.errors import OperationError
from resile.testing import FakeClock

SPEC = LoadSpec(
    url="http://127.0.0.1:1/x",
    body="write {id}",
    acked="done",
    read_back="list",
    clean_up="clear",
    rate=1000.0,
)


class Server:
    """Keeps what is written, as long as it is asked to."""

    def __init__(self):
        self.kept = []
        self.is_away = self.is_forgetful = self.is_unsure = False
        self.asked = threading.Semaphore(0)

    def send(self, spec, body, timeout_s):
        self.asked.release()
        if self.is_away:
            raise ConnectionRefusedError
        if body == "list":
            return 200, " ".join(self.kept)
        if body == "clear":
            self.kept.clear()
            return 200, "done"
        if not self.is_forgetful:
            self.kept.append(body.removeprefix("write "))
        return (200, "queued") if self.is_unsure else (200, "done")


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def ledger():
    return Ledger()


def driven(server, ledger, requests=5):
    load = Load(SPEC, ledger, prefix="d-", clock=SYSTEM_CLOCK, send=server.send)
    load.start()
    for _ in range(requests):
        assert server.asked.acquire(timeout=10)
    load.stop()
    return load


def test_nothing_is_lost_where_all_that_was_acknowledged_is_there(server, ledger):
    load = driven(server, ledger)

    acked, lost = load.settle()
    assert acked >= 5
    assert lost == ()


def test_what_was_acknowledged_and_not_kept_is_lost(server, ledger):
    server.is_forgetful = True

    load = driven(server, ledger)

    acked, lost = load.settle()
    assert len(lost) == acked >= 5


def test_what_was_not_acknowledged_is_not_missed_and_has_failed(server, ledger):
    server.is_unsure = server.is_forgetful = True

    load = driven(server, ledger)

    assert load.settle() == (0, ())
    assert ledger.tally(0).failed >= 5


def test_a_server_that_is_away_fails_requests_and_nothing_else(server, ledger):
    server.is_away = True

    driven(server, ledger)

    assert ledger.tally(0).failed >= 5


def test_what_cannot_be_read_back_is_told(server, ledger):
    load = Load(SPEC, ledger, prefix="d-", clock=FakeClock(), send=server.send)
    from resile.drill.ledger import Sample

    ledger.note(Sample(began_s=0, ended_s=1, is_ok=True), acked="d-1")
    server.is_away = True

    with pytest.raises(OperationError, match="cannot be read back or removed"):
        load.settle()


def test_what_the_writes_left_is_removed_only_where_somebody_says_how(server, ledger):
    server.kept.append("x")
    Load(SPEC, ledger, prefix="d-", clock=FakeClock(), send=server.send).settle()
    assert server.kept == []

    without = LoadSpec(url=SPEC.url, body=SPEC.body)
    server.is_away = True
    bare = Load(without, ledger, prefix="d-", clock=FakeClock(), send=server.send)
    assert bare.settle() == (0, ())
    assert not bare.is_read_back


def test_no_write_comes_between_the_look_and_the_removal(server, ledger):
    load = Load(SPEC, ledger, prefix="d-", clock=SYSTEM_CLOCK, send=server.send)
    load.start()
    lost = []
    for _ in range(20):
        assert server.asked.acquire(timeout=10)
        lost += load.settle()[1]
    load.stop()

    assert lost == []
