"""Faults that the daemon makes: a service that is stopped, a guard that is forced."""

import pytest
from tests.support.chaotic import FakeSystem, NoCarriers, host_of, injector_of

from resile.chaos import Wish, find_fault
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault
from resile.chaos.model import Proof
from resile.chaos.works import beginning_of, work_of
from resile.errors import ConfigError, DaemonUnreachableError, RejectedError
from resile.testing import FakeClock


@pytest.fixture
def system():
    system = FakeSystem()
    system.add("db")
    system.modes["payments"] = "automatic"
    return system


@pytest.fixture
def host(tmp_path, system):
    return host_of(tmp_path, system=system)


def down(target="service/db"):
    return Wish(fault="dependency.down", target=target)


def order(word="force-open", target="guard/payments"):
    return Wish(fault="policy.order", target=target, arguments={"order": word}, ttl_s=9.0)


@pytest.mark.parametrize("name", ["dependency.down", "policy.order"])
def test_without_a_daemon_nothing_can_be_done(host, system, name):
    system.is_away = True

    assert "no daemon answers" in find_fault(name).obstacle(host)
    with pytest.raises(RejectedError, match="cannot be applied here"):
        injector_of(host).inject(down() if name.startswith("dep") else order())


@pytest.mark.parametrize("target", ["db", "service/none", "service/"])
def test_a_service_that_is_none_is_wrong_input(host, target):
    with pytest.raises(ConfigError):
        injector_of(host).inject(down(target))


def test_a_service_that_does_not_run_is_not_stopped(host, system):
    system.add("db", pid=None, phase="stopped")

    with pytest.raises(RejectedError, match="does not run"):
        injector_of(host).inject(down())


def test_a_service_is_stopped_and_started_again(host, system):
    injector = injector_of(host)
    fault = find_fault("dependency.down")

    record = injector.inject(down())
    assert fault.verify_active(record, host) == Proof(holds=True, detail="it is stopped")
    assert injector.end(record, why="over").is_gone
    assert system.table["db"].phase == "running"


def test_a_service_that_somebody_started_meanwhile_is_left_alone(host, system):
    injector = injector_of(host)
    record = injector.inject(down())
    system.add("db", pid=7, phase="starting")

    assert injector.end(record, why="over").is_gone
    assert system.table["db"].pid == 7


def test_a_daemon_that_is_away_is_tried_again(host, system):
    injector = injector_of(host)
    record = injector.inject(down())
    system.is_away = True

    assert not injector.end(record, why="over", timeout_s=0.1).is_gone
    assert host.ledger.is_active(record.fault_id)


def test_a_service_that_is_not_declared_any_more_needs_nothing(host, system):
    injector = injector_of(host)
    record = injector.inject(down())
    del system.table["db"]

    assert injector.end(record, why="over").is_gone


@pytest.mark.parametrize("word", ["force-open", "disable"])
def test_a_guard_is_forced_for_the_fault_s_time_and_let_go(host, system, word):
    injector = injector_of(host)
    fault = find_fault("policy.order")

    record = injector.inject(order(word))
    assert system.orders == [("payments", word, 9.0)]
    assert fault.verify_active(record, host).holds
    assert injector.end(record, why="over").is_gone
    assert system.orders[-1] == ("payments", "automatic", None)


def test_a_guard_that_is_forced_already_or_is_none_is_left_alone(host, system):
    with pytest.raises(ConfigError) as caught:
        injector_of(host).inject(order(target="guard/none"))
    assert "there is payments" in caught.value.hint
    system.modes["payments"] = "disabled"
    with pytest.raises(ConfigError, match="disabled already"):
        injector_of(host).inject(order())
    assert system.orders == []


def test_a_guard_whose_processes_are_gone_needs_nothing(host, system):
    injector = injector_of(host)
    record = injector.inject(order())
    system.modes.clear()

    assert not find_fault("policy.order").verify_active(record, host).holds
    assert injector.end(record, why="over").is_gone


def test_the_brain_is_a_process_that_may_be_hit(host, system):
    system.brain_pid = lambda: (_ for _ in ()).throw(DaemonUnreachableError("no daemon answers"))

    with pytest.raises(DaemonUnreachableError):
        injector_of(host).inject(Wish(fault="process.kill", target="brain"))


def test_every_carried_fault_has_its_work(host):
    carried = [name for name, fault in host.faults.items() if isinstance(fault, CarriedFault)]

    assert "cpu.burn" in carried
    assert all(callable(work_of(name)) for name in carried)
    assert beginning_of("cpu.burn") is None
    with pytest.raises(AssertionError):
        work_of("process.kill")


def test_a_carrier_is_over_with_its_time_its_record_its_engine_or_by_order(tmp_path):
    clock = FakeClock()
    host = host_of(tmp_path, clock=clock, carriers=NoCarriers())
    record = injector_of(host).inject(
        Wish(fault="table.break", target="cup", arguments={}, ttl_s=5.0)
    )
    carrying = Carrying(record=record, ledger=host.ledger, number=0, clock=clock)
    other = Carrying(record=record, ledger=host.ledger, number=1, clock=clock)

    assert not carrying.is_over()
    carrying.say({"burns": True})
    other.say({"burns": False})
    assert host.ledger.said(record.fault_id) == {"burns": True}
    (host.ledger.folder / "stop").touch()
    assert carrying.is_over()
    (host.ledger.folder / "stop").unlink()
    clock.advance(5)
    assert carrying.is_over()
    clock = FakeClock()
    host.ledger.forget(record.fault_id)
    assert Carrying(record=record, ledger=host.ledger, number=0, clock=clock).is_over()
