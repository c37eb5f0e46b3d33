"""Makes the cells of a drill: the scenarios times what is declared, less what nobody wants. Pure."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from resile.core.units import format_duration
from resile.drill.declared import Declared
from resile.drill.model import Aim, Cell, Scenario
from resile.drill.scenarios import SCENARIOS

BRAIN, RUN = "brain", "run"


def cells_of(declared: Declared, scenarios: Mapping[str, Scenario] = SCENARIOS) -> tuple[Cell, ...]:
    """Make every cell that fits the system, scenario by scenario, with the bars of the system."""
    every = [_with_bars(scenario, declared) for scenario in scenarios.values()]
    return tuple(
        Cell(scenario=scenario, target=target, obstacle=_obstacle(scenario, declared))
        for scenario in every
        for target in _targets(scenario.aim, declared)
    )


def chosen(
    cells: Sequence[Cell],
    *,
    scenarios: Sequence[str] = (),
    targets: Sequence[str] = (),
    exclude: Iterable[str] = (),
) -> tuple[Cell, ...]:
    """Choose cells. No names mean all; what is excluded is left out even if it is named.

    Args:
        cells: To choose from.
        scenarios: Names of scenarios.
        targets: What they hit; `*` stands for anything.
        exclude: Scenarios, targets or cells; `*` stands for anything.
    """
    unwanted = tuple(exclude)
    return tuple(
        cell
        for cell in cells
        if (not scenarios or cell.scenario.name in scenarios)
        and (not targets or any(fnmatchcase(cell.target, one) for one in targets))
        and not any(_is_meant(cell, one) for one in unwanted)
    )


def shuffled(cells: Sequence[Cell], seed: int) -> list[Cell]:
    """Give the cells in the order that a number gives: the same one for the same cells."""

    def place(index: int) -> bytes:
        return hashlib.sha256(f"{seed} {index} {cells[index].name}".encode()).digest()

    return [cells[index] for index in sorted(range(len(cells)), key=place)]


def problems_of(
    cells: Sequence[Cell],
    *,
    scenarios: Sequence[str] = (),
    targets: Sequence[str] = (),
    exclude: Sequence[str] = (),
    known: Iterable[str] = SCENARIOS,
) -> tuple[str, ...]:
    """List every name that names nothing, each with the nearest one that does."""
    names, places = sorted(known), sorted({cell.target for cell in cells})
    found = [_unknown("scenario", one, names) for one in scenarios if one not in names]
    found += [
        _unknown("target", one, places)
        for one in targets
        if not any(fnmatchcase(place, one) for place in places)
    ]
    every = sorted({*names, *places, *(cell.name for cell in cells)})
    found += [
        _unknown("scenario, target or cell", one, every)
        for one in exclude
        if one not in names and not any(_is_meant(cell, one) for cell in cells)
    ]
    return tuple(found)


def _targets(aim: Aim, declared: Declared) -> tuple[str, ...]:
    load = declared.load
    others = [one for one in declared.services if load and one.name != load.service]
    services = {
        Aim.SERVICE: declared.services,
        Aim.LOADED: [one for one in declared.services if load and one.name == load.service],
        Aim.LIMITED: [one for one in declared.services if one.memory_bytes],
        Aim.LEAKING: [
            one for one in declared.services if one.memory_bytes and one.is_restarted_before_oom
        ],
        Aim.PROBED: [one for one in declared.services if one.is_probed],
        Aim.LISTENING: [one for one in declared.services if one.address],
        Aim.DEPENDENCY: others,
        Aim.REACHED: [one for one in others if load and load.service and one.address],
    }
    if aim in services:
        return tuple(f"service/{one.name}" for one in services[aim])
    places = {
        Aim.DATA: tuple(map(str, declared.folders.values())),
        Aim.PROTECTED: tuple(map(str, declared.protected)),
        Aim.DATABASE: tuple(map(str, declared.databases)),
        Aim.STORE: (str(declared.packs),) if declared.packs else (),
        Aim.SECRET: tuple(f"secret/{name}" for name in declared.secrets),
        Aim.BRAIN: (BRAIN,),
        Aim.RUN: (RUN,),
    }
    return places[aim]


def _obstacle(scenario: Scenario, declared: Declared) -> str:
    """Tell why a drill cannot wait until somebody looks; empty if it can."""
    if not scenario.counts_from_detection or declared.scrub_every_s <= scenario.detection_s_max:
        return ""
    every, most = map(format_duration, (declared.scrub_every_s, scenario.detection_s_max))
    return f"everything is read again every {every} only ([store] scrub_every), and a drill waits {most}"


def _with_bars(scenario: Scenario, declared: Declared) -> Scenario:
    bars = declared.bars.get(scenario.name)
    if bars is None:
        return scenario
    given = {
        name: value
        for name in ("detection_s_max", "recovery_s_max")
        if (value := getattr(bars, name)) is not None
    }
    return replace(scenario, **given)


def _is_meant(cell: Cell, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (cell.scenario.name, cell.target, cell.name))


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
