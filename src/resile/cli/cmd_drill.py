"""`resile drill`: break what is declared for real, and prove with a stopwatch that it mends itself."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from resile.cli.drill_home import DrillHome, interruptible, one_at_a_time, opened_drill
from resile.cli.drill_past import check_report, read_past, report_data, report_lines, write_report
from resile.cli.drill_tables import (
    MATRIX_HEADS,
    RESULT_HEADS,
    bars_problems,
    drill_data,
    drill_lines,
    exit_code,
    matrix_data,
    matrix_row,
    result_line,
    result_row,
)
from resile.cli.options import config_option, json_option
from resile.cli.output import clean, print_json, print_table, say
from resile.cli.who import operator
from resile.core.clock import SYSTEM_CLOCK
from resile.core.switch_file import check_switch
from resile.core.vocabulary import Part
from resile.drill import Cell, Drill, Report
from resile.drill.matrix import chosen, problems_of, shuffled
from resile.drill.running import Runner
from resile.drill.scenarios import SCENARIOS
from resile.errors import ConfigError, RejectedError

_REPEAT_MAX = 100
html_option = click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the drill as one HTML page that needs nothing else.",
)


@click.group(invoke_without_command=True)
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Only this one.")
@click.option("--target", "targets", multiple=True, help="Only what hits this; * is anything.")
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out a scenario, target or cell."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Show the matrix, and break nothing.")
@click.option("--seed", type=int, help="Shuffle the cells in the order that this number gives.")
@click.option(
    "--repeat",
    type=click.IntRange(1, _REPEAT_MAX),
    default=1,
    show_default=True,
    help="Do each cell so often.",
)
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before something is broken.")
@click.option(
    "--fail-on-regression",
    "is_strict",
    is_flag=True,
    help="Exit code 1 also if something got worse than in the drills before.",
)
@html_option
@config_option
@json_option
@click.pass_context
def command(  # noqa: PLR0917 - click gives them by name
    context: click.Context,
    scenarios: tuple[str, ...],
    targets: tuple[str, ...],
    exclude: tuple[str, ...],
    seed: int | None,
    repeat: int,
    html: Path | None,
    config: Path | None,
    *,
    is_dry: bool,
    is_sure: bool,
    is_strict: bool,
    as_json: bool,
) -> int:
    """Break what resile.toml declares, and prove with a stopwatch that it mends itself.

    Each scenario begins on a well system, is really done, and is measured: when it was noticed, when
    all was well again, and whether a write that was acknowledged meanwhile (`[drill.load]`) is lost.
    Whatever ends the drill, a signal or its own death, everything is undone.

    Exit code 0 if all that this machine can do has passed, 1 if something has not, 3 if nothing was
    done: the system is not well, recovery or chaos is switched off, or nothing can be done here.
    """
    if context.invoked_subcommand is not None:
        context.obj = config
        return 0
    if html is not None:
        check_report(html)
    with opened_drill(config) as home:
        cells = _cells(home, scenarios, targets, exclude)
        if is_dry:
            _show_matrix(cells, as_json=as_json)
            return 0
        for part in (Part.CHAOS, Part.RECOVERY):
            check_switch(home.places.state, part, now=SYSTEM_CLOCK.now())
        _confirm(cells, is_sure=is_sure, as_json=as_json)
        cells = [cell for cell in cells for _ in range(repeat)]
        if seed is not None:
            cells = shuffled(cells, seed)
        drill = _run(home, cells)
    past = read_past(config)
    report = past.report(drill)
    _show(report, as_json=as_json)
    if html is not None:
        write_report(html, past.report(past.tell(past.find(drill.id))))
    return 1 if is_strict and report.comparison.is_worse else exit_code(drill)


@command.command("report")
@click.argument("drill_id", metavar="[ID]", default="")
@html_option
@config_option
@json_option
@click.pass_obj
def show_report(
    above: Path | None, drill_id: str, html: Path | None, config: Path | None, *, as_json: bool
) -> None:
    """Tell a drill again from the journal: the last one, or the one with this ID.

    Works without a daemon, too. The beginning or the end of an ID is enough.
    """
    if html is not None:
        check_report(html)
    past = read_past(config or above)
    report = past.report(past.tell(past.find(drill_id)))
    if html is None or as_json:
        _show(report, as_json=as_json)
    if html is not None:
        write_report(html, report)
        say(f"{html} holds the drill {report.drill.id}")


def _cells(
    home: DrillHome, scenarios: Sequence[str], targets: Sequence[str], exclude: Sequence[str]
) -> list[Cell]:
    """Choose the cells.

    Raises:
        ConfigError: If a name names nothing; all of them are told.
    """
    every = home.cells()
    problems = problems_of(every, scenarios=scenarios, targets=targets, exclude=exclude)
    problems += tuple(bars_problems(home.declared.bars, tuple(SCENARIOS)))
    if problems:
        raise ConfigError(
            "the drill is not known so",
            hint="`resile drill --dry-run` lists what there is",
            problems=problems,
        )
    unwanted = (*home.declared.exclude, *exclude)
    found = chosen(every, scenarios=scenarios, targets=targets, exclude=unwanted)
    if not found:
        raise ConfigError("nothing is left to do", hint="leave out less, or declare a service")
    return list(found)


def _confirm(cells: Sequence[Cell], *, is_sure: bool, as_json: bool) -> None:
    """Ask whether all of it shall really be broken.

    Raises:
        RejectedError: If not, or nobody can be asked.
    """
    count = sum(not cell.obstacle for cell in cells)
    if is_sure or count == 0:
        return
    targets = ", ".join(sorted({cell.target for cell in cells if not cell.obstacle}))
    what = f"{count} scenarios on {targets}"
    if as_json or not sys.stdin.isatty():
        raise RejectedError(f"this breaks something on purpose: {what}", hint="say --yes")
    if not click.confirm(f"Break on purpose: {what}?", err=True):
        raise RejectedError("nothing was broken", hint="say --yes to break it")


def _run(home: DrillHome, cells: Sequence[Cell]) -> Drill:
    drill_id = home.new_id()
    with one_at_a_time(home.places):
        parts, world = home.parts(drill_id, lambda result: say(result_line(result)))
        runner = Runner(parts, who=operator())
        try:
            with interruptible(runner):
                return runner.run(cells, drill_id=drill_id)
        finally:
            world.close()


def _show_matrix(cells: Sequence[Cell], *, as_json: bool) -> None:
    if as_json:
        print_json(matrix_data(cells))
    else:
        print_table(MATRIX_HEADS, [matrix_row(cell) for cell in cells])


def _show(report: Report, *, as_json: bool) -> None:
    drill = report.drill
    if as_json:
        print_json(drill_data(drill) | {"score": report_data(report)})
        return
    print_table(RESULT_HEADS, [result_row(result) for result in drill.results])
    print()
    for line in (*drill_lines(drill), *report_lines(report)):
        print(clean(line))
