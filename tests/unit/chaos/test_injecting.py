"""A fault begins only when its end is sure: record first, and an end for whatever was begun."""

from datetime import timedelta

import pytest
from tests.support.chaotic import World, host_of, injector_of, wish

from resile.chaos.model import EndedBy, Ending
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import FaultInjected, FaultUndone, SwitchSet
from resile.core.switch_file import switches_file, write_switches
from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.errors import ConfigError, OperationError, RejectedError
from resile.testing.files import Crash, FaultyFiles


@pytest.fixture
def world():
    return World()


def test_no_fault_begins_while_faults_are_forbidden(tmp_path, world):
    host = host_of(tmp_path, world=world)
    host.ledger.folder.mkdir(parents=True)
    (host.ledger.folder / "stop").touch()

    with pytest.raises(RejectedError, match="no fault may begin"):
        injector_of(host).inject(wish())
    assert world.history == []


def test_what_this_machine_cannot_do_is_refused_with_its_reason(tmp_path, world):
    host = host_of(tmp_path, world=world)
    host.faults["table.break"].hindrance = "no table here"

    with pytest.raises(RejectedError, match="no table here"):
        injector_of(host).inject(wish())
    assert host.ledger.records() == ()


def test_a_target_that_does_not_exist_leaves_no_record(tmp_path, world):
    host = host_of(tmp_path, world=world)

    with pytest.raises(ConfigError, match="nowhere does not exist"):
        injector_of(host).inject(wish("nowhere"))
    assert host.ledger.records() == ()


def test_nothing_is_done_without_a_record(tmp_path, world):
    host = host_of(tmp_path, world=world, files=FaultyFiles(fail_at=1))

    with pytest.raises(OperationError, match="could not be written"):
        injector_of(host).inject(wish())
    assert ("apply", "cup") not in world.history


def test_the_record_is_there_when_the_fault_is_applied(tmp_path, world):
    host = host_of(tmp_path, world=world)
    told = []

    record = injector_of(host, told).inject(wish(ttl_s=5.0))

    assert host.ledger.records() == (record,)
    assert record.facts == {"was": False}
    assert record.until_s == 5.0
    assert "cup" in world.broken
    assert [type(payload) for payload in told] == [FaultInjected]


def test_a_fault_that_fails_half_way_is_undone(tmp_path, world):
    world.failing.add("cup")
    host = host_of(tmp_path, world=world)
    told = []

    with pytest.raises(OperationError, match="it broke while"):
        injector_of(host, told).inject(wish())

    assert world.broken == set()
    assert host.ledger.records() == ()
    assert [type(payload) for payload in told] == [FaultInjected, FaultUndone]


def test_the_end_proves_that_it_is_gone_and_forgets_it(tmp_path, world):
    host = host_of(tmp_path, world=world)
    told = []
    injector = injector_of(host, told)
    record = injector.inject(wish())

    ending = injector.end(record, why="seen enough")

    assert ending == Ending(
        fault_id=record.fault_id,
        by=EndedBy.ENGINE,
        why="seen enough",
        is_gone=True,
        detail="whole",
    )
    assert host.ledger.records() == injector.active == ()
    assert told[-1].is_gone


def test_a_fault_that_does_not_go_keeps_its_record(tmp_path, world):
    world.sticky.add("cup")
    host = host_of(tmp_path, world=world)
    injector = injector_of(host)
    record = injector.inject(wish())

    ending = injector.end(record, why="seen enough", timeout_s=0.2)

    assert not ending.is_gone
    assert ending.detail == "broken"
    assert host.ledger.is_active(record.fault_id)


def test_a_fault_that_was_ended_before_it_was_applied_is_not_left(tmp_path, world):
    """The watchdog may end it while its engine stands still between the record and the fault."""
    host = host_of(tmp_path, world=world)
    injector = injector_of(host)
    plain = host.ledger.begin

    def begin_and_be_late(record):
        plain(record)
        host.ledger.end(
            Ending(fault_id=record.fault_id, by=EndedBy.WATCHDOG, why="over", is_gone=True)
        )

    host.ledger.begin = begin_and_be_late

    with pytest.raises(RejectedError, match="ended before it began"):
        injector.inject(wish())
    assert world.broken == set()
    assert host.ledger.records() == ()


def test_a_fault_that_was_ended_while_it_was_applied_is_ended_again(tmp_path, world):
    host = host_of(tmp_path, world=world)
    injector = injector_of(host)
    fault = host.faults["table.break"]
    plain = fault.apply

    def apply_late(record, host):
        host.ledger.end(
            Ending(fault_id=record.fault_id, by=EndedBy.WATCHDOG, why="over", is_gone=True)
        )
        plain(record, host)

    fault.apply = apply_late

    with pytest.raises(RejectedError):
        injector.inject(wish())
    assert world.broken == set()


def test_every_crash_of_the_record_leaves_either_no_fault_or_a_record(tmp_path, world):
    for step in range(1, 12):
        files = FaultyFiles(crash_at=step)
        host = host_of(tmp_path / str(step), world=world, files=files)
        world.broken.clear()
        try:
            injector_of(host).inject(wish())
        except Crash:
            assert not world.broken or host.ledger.records()
        else:
            break
    assert world.broken == {"cup"}


def test_a_fault_of_a_moment_is_told_once(tmp_path, world):
    host = host_of(tmp_path, world=world)
    told = []
    injector = injector_of(host, told)
    once = wish()

    record = injector.inject(type(once)(fault="table.bang", target="cup"))
    injector.end(record, why="over")

    assert [type(payload) for payload in told] == [FaultInjected]
    assert host.ledger.records() == ()


def test_no_fault_begins_while_chaos_is_switched_off_or_nobody_knows(tmp_path, world):
    host = host_of(tmp_path, world=world)
    now = SYSTEM_CLOCK.now()
    off = SwitchSet(part=Part.CHAOS, is_on=False, until=now + timedelta(hours=1), why="a fair")

    write_switches(host.ledger.folder.parent, Switches().apply(off, now))
    with pytest.raises(RejectedError, match=r"chaos is switched off until .*: a fair"):
        injector_of(host).inject(wish())
    switches_file(host.ledger.folder.parent).write_bytes(b"{")
    with pytest.raises(RejectedError, match="nobody knows what is switched off"):
        injector_of(host).inject(wish())
    assert world.history == []
