"""What scenarios do: faults that are begun and ended, rotations that are waited for, and what is hit."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.chaotic import FakeSystem, OnceFault, TableFault, no_watchdog
from tests.support.drilling import CRASH, cell

from resile.chaos import FAULTS, Injector, Wish, open_host
from resile.chaos.model import TTL_S_MAX
from resile.core.events import FaultInjected, FaultUndone
from resile.drill import Aim, Scenario
from resile.drill.acting import FaultAct, RotateAct, largest_file, wish_of, wishes_of
from resile.drill.decide import give_up_s
from resile.drill.declared import Declared, DeclaredService, LoadSpec
from resile.drill.scenarios import SCENARIOS
from resile.errors import ConfigError, RejectedError, SecretError
from resile.testing import FakeClock

DECLARED = Declared(
    services=(DeclaredService(name="api", memory_bytes=5 << 20, address="127.0.0.1:80"),),
    load=LoadSpec(url="http://127.0.0.1:1/", body="{id}", service="web"),
)


@pytest.fixture
def host(tmp_path):
    return replace(open_host(tmp_path / "state", tmp_path), system=FakeSystem(), clock=FakeClock())


def test_a_fault_is_begun_proven_and_taken_back(host, tmp_path):
    from tests.support.chaotic import World

    world = World()
    faults = {fault.name: fault for fault in (TableFault(world), OnceFault(world))}
    host = replace(host, faults=faults)
    told = []

    def injector_of(tell):
        return Injector(host, tell=tell, who="ann", gate=no_watchdog)

    wish = replace(
        wish_of(cell(), DECLARED, open_host(tmp_path / "x", tmp_path)),
        fault="table.break",
        target="a",
    )
    act = FaultAct([wish], host, injector_of, tell=told.append)

    assert act.proof() == (False, "it was not begun")
    host.clock.advance(5)
    begun = act.begin()

    assert begun.at_s == 5
    assert act.proof()[0]
    assert not act.is_over()
    assert not act.failure()
    assert act.end("over") == act.end("again") == ""
    assert "a" not in world.broken
    assert [type(one) for one in told] == [FaultInjected, FaultUndone]


def test_a_fault_that_cannot_be_taken_back_is_told(host):
    from tests.support.chaotic import World

    world = World()
    world.sticky.add("a")
    host = replace(host, faults={"table.break": TableFault(world)})
    wish = replace(wish_of(cell(), DECLARED, open_host(host.state, host.root)), target="a")
    act = FaultAct(
        [replace(wish, fault="table.break")],
        host,
        lambda tell: Injector(host, tell=tell, who="ann", gate=no_watchdog),
        tell=lambda _: None,
    )
    act.begin()

    assert act.end("over")


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS.values() if one.fault in FAULTS],
    ids=lambda one: one.name,
)
def test_every_scenario_with_a_fault_of_the_catalogue_is_a_wish_that_it_takes(host, scenario):
    (host.root / "data").mkdir()
    (host.root / "data" / "file").write_text("content")
    at = "data" if scenario.aim in (Aim.STORE, Aim.PROTECTED) else "service/api"

    wish = wish_of(cell(scenario, at), DECLARED, host)

    assert wish.fault == scenario.fault
    assert scenario.hold_s < wish.ttl_s <= TTL_S_MAX


def test_several_faults_are_planned_before_the_first_begins(host):
    from tests.support.chaotic import World

    world = World()
    host = replace(host, faults={"table.break": TableFault(world)})
    wish = Wish(fault="table.break", arguments={"how": "badly", "size": 1})
    act = FaultAct(
        [replace(wish, target="a"), replace(wish, target="nowhere")],
        host,
        lambda tell: Injector(host, tell=tell, who="ann", gate=no_watchdog),
        tell=lambda _: None,
    )

    with pytest.raises(ConfigError, match="nowhere"):
        act.begin()
    assert world.broken == set()


def test_the_brain_is_killed_before_what_nobody_watches(host):
    brain, crash = wishes_of(cell(SCENARIOS["crash_unwatched"]), DECLARED, host)

    assert (brain.fault, brain.target) == ("process.kill", "brain")
    assert (crash.fault, crash.target) == ("process.kill", "service/api")


def test_a_service_runs_out_of_all_the_memory_that_it_has(host):
    wish = wish_of(cell(SCENARIOS["oom"]), DECLARED, host)

    assert wish.arguments["size"] == 5 << 20


@pytest.mark.parametrize("name", ["partition", "packet_loss", "latency"])
def test_what_passes_from_the_loaded_service_to_another_is_hit(host, name):
    wish = wish_of(cell(SCENARIOS[name]), DECLARED, host)

    assert (wish.arguments["client"], wish.target) == ("web", "127.0.0.1:80")


def test_what_passes_to_a_service_that_is_declared_by_name_is_told_by_its_address(host):
    declared = replace(DECLARED, services=(DeclaredService(name="api", address="localhost:80"),))

    assert wish_of(cell(SCENARIOS["partition"]), declared, host).target == "127.0.0.1:80"


@pytest.mark.parametrize(
    "name", [name for name, one in SCENARIOS.items() if one.aim is Aim.REACHED]
)
def test_what_is_to_be_borne_does_not_end_by_itself_before_it_is_given_up(host, name):
    wish = wish_of(cell(SCENARIOS[name]), DECLARED, host)

    assert wish.ttl_s > give_up_s(SCENARIOS[name])


def test_data_is_read_only_where_the_loaded_service_sees_it(host):
    readonly = SCENARIOS["disk_readonly"]
    folder = replace(cell(readonly), target="data")

    assert wish_of(folder, DECLARED, host).arguments["seen_by"] == "service/web"
    assert not wish_of(folder, Declared(), host).arguments["seen_by"]


def test_a_port_is_taken_from_the_service_that_listens_there(host):
    wish = wish_of(cell(SCENARIOS["port_taken"]), DECLARED, host)

    assert (wish.target, wish.arguments["holder"]) == ("127.0.0.1:80", "service/api")


def test_a_scenario_with_wrong_options_is_refused(host):
    wrong = replace(CRASH, fault="cpu.burn", arguments={"cores": 0})

    with pytest.raises(ConfigError, match="cannot be done so"):
        wish_of(cell(wrong), DECLARED, host)


def test_the_largest_file_is_hit(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        largest_file(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no file with content"):
        largest_file(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "small").write_text("a")
    (tmp_path / "large").write_text("aaa")

    assert Path(largest_file(tmp_path)).name == "large"


def rotation(report):
    def rotate(name):
        assert name == "db"
        if isinstance(report, Exception):
            raise report
        return report

    act = RotateAct("db", rotate, clock=FakeClock())
    act.begin()
    act.end("over")
    return act


def test_a_rotation_that_came_to_its_end_is_proven():
    act = rotation({"outcome": "rotated"})

    assert act.is_over()
    assert act.proof() == (True, "it rotated")
    assert not act.failure()


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ({"outcome": "rolled_back"}, "the rotation rolled_back"),
        ({"outcome": None}, "the rotation has not ended"),
        (RejectedError("it is frozen"), "it is frozen"),
        (SecretError("the target is away"), "the target is away"),
    ],
)
def test_a_rotation_that_did_not_is_told(report, why):
    assert rotation(report).failure() == why


def test_a_rotation_that_never_began_is_no_proof():
    act = RotateAct("db", lambda _: {}, clock=FakeClock())

    assert act.end("over") == ""
    assert act.proof() == (False, "it goes on")


def test_scenarios_have_names_of_their_own_and_bars():
    assert all(isinstance(one, Scenario) and one.recovery_s_max > 0 for one in SCENARIOS.values())
