"""Which cells a system has, and which of them somebody wants."""

from dataclasses import replace
from pathlib import Path

import pytest

from resile.drill.declared import Bars, Declared, DeclaredService, LoadSpec
from resile.drill.matrix import cells_of, chosen, problems_of, shuffled

DECLARED = Declared(
    services=(
        DeclaredService(name="api", memory_bytes=1 << 20, address="127.0.0.1:80"),
        DeclaredService(name="db", is_probed=False),
    ),
    folders={"data": Path("data")},
    protected=(Path("data"),),
    databases=(Path("data/db"),),
    packs=Path("store/packs"),
    secrets=("db/password",),
    load=LoadSpec(url="http://127.0.0.1:1/", body="{id}", service="api"),
    bars={"crash": Bars(recovery_s_max=7.0)},
)


def names(cells):
    return {cell.name for cell in cells}


def test_every_scenario_meets_what_it_can_hit():
    found = names(cells_of(DECLARED))

    assert {"crash:service/api", "crash:service/db", "hang:service/api"} <= found
    assert {"oom:service/api", "dependency_down:service/db", "disk_full:data"} <= found
    assert {"corruption:data", "database_lock:data/db", "port_taken:service/api"} <= found
    assert {"store_corruption:store/packs", "rotation:secret/db/password"} <= found
    assert {"brain_killed:brain", "run_time:run"} <= found


def test_what_passes_is_hit_where_the_loaded_service_reaches_another_over_tcp():
    web = DeclaredService(name="web", address="127.0.0.1:81")
    declared = replace(DECLARED, services=(*DECLARED.services, web))

    hit = {one.target for one in cells_of(declared) if one.scenario.name == "partition"}

    assert hit == {"service/web"}
    assert DECLARED.load is not None
    unnamed = replace(declared, load=replace(DECLARED.load, service=""))
    assert not [one for one in cells_of(unnamed) if one.scenario.name == "partition"]


def test_only_who_is_restarted_before_the_kernel_kills_leaks():
    safe = DeclaredService(name="safe", memory_bytes=1 << 20, is_restarted_before_oom=True)
    unlimited = DeclaredService(name="unlimited", is_restarted_before_oom=True)
    declared = replace(DECLARED, services=(*DECLARED.services, safe, unlimited))

    hit = {one.target for one in cells_of(declared) if one.scenario.name == "memory_leak"}

    assert hit == {"service/safe"}


def test_what_is_not_declared_has_no_cell():
    found = names(cells_of(DECLARED))

    assert not {"hang:service/db", "oom:service/db", "dependency_down:service/api"} & found
    assert names(cells_of(Declared())) == {
        "brain_killed:brain",
        "run_time:run",
        "run_memory:run",
        "run_escape:run",
    }


def test_a_system_may_have_bars_of_its_own():
    bars = {cell.name: cell.scenario for cell in cells_of(DECLARED)}

    assert bars["crash:service/api"].recovery_s_max == 7.0
    assert bars["crash:service/api"].detection_s_max == 5.0


def test_nobody_waits_for_days_until_a_rotten_file_is_found():
    cells = {one.name: one for one in cells_of(replace(DECLARED, scrub_every_s=7 * 86_400.0))}

    assert "every 7d only" in cells["corruption:data"].obstacle
    assert not cells["crash:service/api"].obstacle
    assert not any(one.obstacle for one in cells_of(DECLARED))


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"scenarios": ["crash"]}, {"crash:service/api", "crash:service/db"}),
        ({"scenarios": ["crash"], "targets": ["*/db"]}, {"crash:service/db"}),
        ({"scenarios": ["crash"], "exclude": ["service/db"]}, {"crash:service/api"}),
        ({"scenarios": ["crash"], "exclude": ["crash:*db"]}, {"crash:service/api"}),
        ({"scenarios": ["crash"], "exclude": ["crash"]}, set()),
    ],
)
def test_cells_are_chosen_by_name(wish, found):
    assert names(chosen(cells_of(DECLARED), **wish)) == found


def test_every_name_that_names_nothing_is_told_with_the_nearest_that_does():
    problems = problems_of(
        cells_of(DECLARED),
        scenarios=["crsh", "crash"],
        targets=["service/ap", "*"],
        exclude=["hagn", "zzzzzz", "crash:*"],
    )

    assert problems[0] == "there is no scenario 'crsh'; did you mean crash?"
    assert problems[1] == "there is no target 'service/ap'; did you mean service/api?"
    assert "'hagn'; did you mean hang?" in problems[2]
    assert "'zzzzzz'; there is " in problems[3]
    assert len(problems) == 4


def test_a_number_gives_an_order_that_is_always_the_same():
    cells = [cell for cell in cells_of(DECLARED) for _ in range(2)]

    one = shuffled(cells, 7)

    assert one == shuffled(cells, 7)
    assert one != cells
    assert one != shuffled(cells, 8)
    assert sorted(cell.name for cell in one) == sorted(cell.name for cell in cells)
