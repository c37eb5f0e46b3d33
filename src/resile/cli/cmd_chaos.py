"""`resile chaos`: break things on purpose, prove that they broke, and take it back."""

from pathlib import Path
from typing import Any

import click

from resile.chaos import (
    FAULTS,
    EndedBy,
    Engine,
    Injector,
    UndoRecord,
    Wish,
    find_fault,
    load_experiment,
    preflight,
    read_arguments,
    take_back,
)
from resile.chaos.model import TTL_S_MAX, TTL_S_MIN
from resile.cli.chaos_home import Home, confirm, given_arguments, interruptible, opened_home
from resile.cli.chaos_tables import (
    FAULT_HEADS,
    LIST_HEADS,
    PREFLIGHT_HEADS,
    STATUS_HEADS,
    STEP_HEADS,
    fault_data,
    fault_rows,
    list_row,
    report_lines,
    status_data,
    status_lines,
    status_row,
    step_rows,
)
from resile.cli.options import Decorator, config_option, duration, json_option
from resile.cli.output import print_json, print_table
from resile.cli.who import operator
from resile.core.units import format_duration
from resile.core.verdicts import ExperimentVerdict
from resile.errors import ConfigError, OperationError

_CODES = {
    ExperimentVerdict.PASSED: 0,
    ExperimentVerdict.SKIPPED: 3,
    ExperimentVerdict.UNSTEADY: 3,
}
"""Of all others it is 1."""
_PROVE_S = 3.0
_PROVE_EVERY_S = 0.05

_outside_option: Decorator = click.option(
    "--outside",
    "is_outside_allowed",
    is_flag=True,
    help="Allow targets that belong neither to this system nor to the loopback.",
)
_yes_option: Decorator = click.option(
    "--yes", "is_sure", is_flag=True, help="Do not ask before something is broken."
)


@click.group()
def command() -> None:
    """Break things on purpose, prove that they broke, and take it back.

    Every fault ends by itself, even if this command is killed. While there is a file `chaos/stop` in
    the state folder, or /run/resile/no-chaos, no fault begins, and those that are active end.
    """


@command.command(name="list")
@json_option
def list_faults(*, as_json: bool) -> None:
    """List the faults that there are, with their options."""
    if as_json:
        print_json({"faults": [fault_data(fault) for fault in FAULTS.values()]})
    else:
        print_table(LIST_HEADS, [list_row(fault) for fault in FAULTS.values()])


@command.command(name="preflight")
@config_option
@json_option
def show_preflight(config: Path | None, *, as_json: bool) -> None:
    """Tell which faults this machine and user can apply. Nothing is broken."""
    with opened_home(config) as home:
        found = preflight(home.host)
    if as_json:
        print_json(
            {
                "faults": [
                    {"name": one.fault, "able": one.is_able, "why": one.obstacle} for one in found
                ]
            }
        )
        return
    rows = [(one.fault, "ok" if one.is_able else "missing", one.obstacle) for one in found]
    print_table(PREFLIGHT_HEADS, rows)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_yes_option
@_outside_option
@config_option
@json_option
def run(
    file: Path,
    config: Path | None,
    *,
    is_sure: bool,
    is_outside_allowed: bool,
    as_json: bool,
) -> int:
    """Run the experiment in FILE: .toml, or the Chaos Toolkit's .json and .yaml.

    Steady state before, faults under guard, everything taken back, steady state after. Exit code 0
    if it passed, 3 if nothing was done because a fault cannot be applied here or the system is not
    well, 1 if the system did not bear it or that was not proven.
    """
    experiment = load_experiment(file)
    wishes = [step.wish for step in experiment.injections]
    confirm(wishes, is_sure=is_sure, as_json=as_json)
    with opened_home(config, is_outside_allowed=is_outside_allowed) as home:
        engine = Engine(home.host, tell=home.tell, who=operator(), folder=Path.cwd())
        with interruptible(engine):
            report = engine.run(experiment)
    if as_json:
        print_json(report.as_data())
    else:
        for heads, rows in ((FAULT_HEADS, fault_rows(report)), (STEP_HEADS, step_rows(report))):
            if rows:
                print_table(heads, rows)
                print()
        for line in report_lines(report):
            print(line)
    return _CODES.get(report.verdict, 1)


@command.command()
@click.argument("fault")
@click.argument("options", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--target", default="", help="What it hits: service/NAME, a file, HOST:PORT...")
@click.option(
    "--ttl", "ttl_s", type=duration, default="30s", show_default=True, help="It ends after so long."
)
@_yes_option
@_outside_option
@config_option
@json_option
def apply(
    fault: str,
    options: tuple[str, ...],
    target: str,
    ttl_s: float,
    config: Path | None,
    *,
    is_sure: bool,
    is_outside_allowed: bool,
    as_json: bool,
) -> None:
    """Begin one FAULT, and return. It ends by itself, or with `resile chaos undo`."""
    wish = _wish(fault, options, target, ttl_s)
    confirm([wish], is_sure=is_sure, as_json=as_json)
    with opened_home(config, is_outside_allowed=is_outside_allowed) as home:
        injector = Injector(home.host, tell=home.tell, who=operator())
        record = injector.inject(wish)
        is_proven, detail = _prove(home, record)
        if find_fault(fault).is_momentary:
            injector.end(record, why="it was over at once")
    facts = {"fault_id": record.fault_id, "is_proven": is_proven, "detail": detail}
    if as_json:
        print_json(facts)
        return
    word = "active" if is_proven else "not proven to be active yet"
    print(f"{record.fault_id}: {fault} is {word}: {detail}")


@command.command()
@config_option
@json_option
def status(config: Path | None, *, as_json: bool) -> None:
    """Show the faults that are active."""
    with opened_home(config) as home:
        facts = status_data(home.host)
    if as_json:
        print_json(facts)
        return
    if facts["faults"]:
        print_table(STATUS_HEADS, [status_row(one) for one in facts["faults"]])
    else:
        print("no fault is active")
    for line in status_lines(facts):
        print(line)


@command.command(name="undo")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "is_all", is_flag=True, help="Every fault that is active.")
@config_option
@json_option
def undo_faults(ids: tuple[str, ...], config: Path | None, *, is_all: bool, as_json: bool) -> None:
    """Take faults back, and prove that they are gone."""
    if is_all == bool(ids):
        raise ConfigError("name the faults, or say --all", hint="`resile chaos status` lists them")
    with opened_home(config) as home:
        records = home.host.ledger.records() if is_all else [_record(home, one) for one in ids]
        endings = [_end(home, record) for record in records]
    if as_json:
        print_json({"undone": endings})
    else:
        for one in endings:
            print(f"{one['fault_id']}: {'gone' if one['is_gone'] else 'NOT gone'}: {one['detail']}")
        if not endings:
            print("no fault is active")
    if left := [one for one in endings if not one["is_gone"]]:
        raise OperationError(
            f"{len(left)} faults could not be taken back: {left[0]['detail']}",
            hint="look at what they hit, then try again",
        )


def _wish(fault: str, options: tuple[str, ...], target: str, ttl_s: float) -> Wish:
    """Read what is wanted.

    Raises:
        ConfigError: If anything of it is wrong; all of it is told.
    """
    arguments, problems = read_arguments(find_fault(fault).parameters, given_arguments(options))
    if not TTL_S_MIN <= ttl_s <= TTL_S_MAX:
        low, high = format_duration(TTL_S_MIN), format_duration(TTL_S_MAX)
        problems.append(f"--ttl is not within {low} to {high}")
    if problems:
        raise ConfigError(
            f"{fault} cannot be wanted so", hint="resile chaos list", problems=tuple(problems)
        )
    return Wish(fault=fault, target=target, arguments=arguments, ttl_s=ttl_s)


def _prove(home: Home, record: UndoRecord) -> tuple[bool, str]:
    """Look for a while whether it is active."""
    clock = home.host.clock
    deadline_s = clock.monotonic() + min(_PROVE_S, record.ttl_s)
    while True:
        proof = find_fault(record.fault).verify_active(record, home.host)
        if proof.holds or clock.monotonic() >= deadline_s:
            return proof.holds, proof.detail
        clock.sleep(_PROVE_EVERY_S)


def _record(home: Home, fault_id: str) -> UndoRecord:
    record = home.host.ledger.get(fault_id)
    if record is None:
        raise ConfigError(f"no fault {fault_id!r} is active", hint="see resile chaos status")
    return record


def _end(home: Home, record: UndoRecord) -> dict[str, Any]:
    """Take one back; its engine, if it lives, forgets it."""
    why = f"{operator()} asked for it"
    ending = take_back(record, home.host, by=EndedBy.OPERATOR, why=why, tell=home.tell)
    return {
        "fault_id": record.fault_id,
        "fault": record.fault,
        "is_gone": ending.is_gone,
        "detail": ending.detail,
    }
