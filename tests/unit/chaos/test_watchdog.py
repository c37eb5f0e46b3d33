"""The watchdog ends what is due, tries again what does not go, and forgets what nobody can apply any more."""

import os
from pathlib import Path

import pytest
from tests.support.chaotic import World, host_of, injector_of, wish

from resile.chaos.model import EndedBy, Ending
from resile.chaos.story import Story
from resile.chaos.watchdog import VAIN_S, Watchdog
from resile.core.process import Identity, boot_id, identity_of
from resile.testing import FakeClock

DEAD = Identity(boot_id=boot_id(), pid=2**22 - 1, start_ticks=1)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def host(tmp_path, world, clock):
    return host_of(tmp_path, world=world, clock=clock)


def watchdog_of(host):
    return Watchdog(host, Story(Path("/nowhere"), clock=host.clock, actor="watchdog"))


def test_a_fault_whose_engine_lives_is_left_alone(host, world):
    injector_of(host, owner=identity_of(os.getpid())).inject(wish())

    assert watchdog_of(host).look()
    assert world.broken == {"cup"}


def test_a_fault_whose_engine_died_ends_at_once(host, world):
    injector_of(host, owner=DEAD).inject(wish())
    watchdog = watchdog_of(host)

    watchdog.look()

    assert world.broken == set()
    assert host.ledger.records() == ()
    assert not watchdog.look()


def test_a_fault_without_an_engine_ends_with_its_time(host, world, clock):
    injector_of(host).inject(wish(ttl_s=5.0))
    watchdog = watchdog_of(host)

    clock.advance(4.9)
    watchdog.look()
    assert world.broken == {"cup"}
    clock.advance(0.1)
    watchdog.look()
    assert world.broken == set()


def test_a_fault_whose_time_is_over_ends_though_its_engine_hangs_and_its_record_waits(
    host, world, clock
):
    me = identity_of(os.getpid())
    record = injector_of(host, owner=me).inject(wish(ttl_s=5.0))

    clock.advance(6)
    watchdog = watchdog_of(host)
    watchdog.look()

    assert world.broken == set()
    assert host.ledger.records() == (record,)
    assert host.ledger.ending(record.fault_id).by is EndedBy.WATCHDOG


def test_what_an_engine_applied_late_is_ended_when_it_dies(host, world):
    """The watchdog had ended it, the engine went on and applied it, and was killed before it looked."""
    record = injector_of(host, owner=DEAD).inject(wish())
    host.ledger.end(Ending(fault_id=record.fault_id, by=EndedBy.WATCHDOG, why="over", is_gone=True))

    watchdog_of(host).look()

    assert world.broken == set()
    assert host.ledger.records() == ()


def test_a_forbidden_fault_ends_at_once(host, world):
    injector_of(host, owner=identity_of(os.getpid())).inject(wish())
    (host.ledger.folder / "stop").touch()

    watchdog_of(host).look()

    assert world.broken == set()


def test_a_fault_that_does_not_go_hinders_no_other_and_is_tried_again(host, world):
    world.sticky.add("cup")
    injector_of(host, owner=DEAD).inject(wish("cup"))
    injector_of(host, owner=DEAD).inject(wish("jug"))
    watchdog = watchdog_of(host)

    assert watchdog.look()
    assert world.broken == {"cup"}

    world.sticky.clear()
    watchdog.look()
    assert world.broken == set()


def test_what_never_goes_is_left_to_a_person_after_a_while(host, world, clock):
    world.sticky.add("cup")
    injector_of(host, owner=DEAD).inject(wish("cup"))
    watchdog = watchdog_of(host)
    watchdog.look()

    clock.advance(VAIN_S + 1)

    assert not watchdog.look()
    assert len(host.ledger.records()) == 1


def test_a_fault_of_another_boot_ends(host, world, monkeypatch):
    injector_of(host).inject(wish())
    monkeypatch.setattr("resile.chaos.watchdog.boot_id", lambda: "another")

    watchdog_of(host).look()

    assert world.broken == set()


def test_a_mistake_of_ours_in_one_fault_hinders_no_other(host, world):
    injector_of(host, owner=DEAD).inject(wish("cup"))
    injector_of(host, owner=DEAD).inject(wish("jug"))
    fault = host.faults["table.break"]
    plain = fault.undo

    def undo(record, host):
        if record.target == "cup":
            raise RuntimeError("a mistake")
        plain(record, host)

    fault.undo = undo

    watchdog_of(host).look()

    assert world.broken == {"cup"}
