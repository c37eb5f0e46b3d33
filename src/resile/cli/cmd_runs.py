"""`resile runs`: contained runs that are open, or closed, or the story of one of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.contained import count_of, open_host
from resile.cli.options import config_option, json_option
from resile.cli.output import clean, local_time, print_json, print_table, say
from resile.contain import held
from resile.core.clock import SYSTEM_CLOCK
from resile.core.codec import encode
from resile.core.units import format_duration
from resile.core.vocabulary import RunState

_COMMAND_LENGTH_MAX = 80


@click.command()
@click.argument("run_id", metavar="[ID]", required=False)
@click.option("-a", "--all", "is_all", is_flag=True, help="The latest closed ones, too.")
@config_option
@json_option
def command(run_id: str | None, config: Path | None, *, is_all: bool, as_json: bool) -> None:
    """List open runs: those that run, and those whose changes wait for a commit or a discard.

    With an ID, which may be shortened, show that run, open or closed: what it used of its limits,
    what it tried, what became of it. `last` is the newest. With --json both are as the HTTP API
    gives them. All that the journal has of runs: `resile events --kind "run.*"`.
    """
    # It reads the journal, which a list of commands should not have to load.
    from resile.cli.run_story import all_runs, one_run, open_runs

    host = open_host(config)
    if run_id is not None:
        run = one_run(host, run_id)
        print_json(run) if as_json else _show(run)
        return
    runs = all_runs(host) if is_all else open_runs(host)
    hold = held(host.runs)
    if hold is not None and not as_json:
        why = f": {hold.why}" if hold.why else ""
        say(f"new runs are held by {hold.who}{why}; `resile resume` lets them begin again")
    if as_json:
        print_json({"runs": runs, "held": None if hold is None else encode(hold)})
    elif not runs:
        print("no run is known" if is_all else "no run is open; `resile runs --all` lists others")
    else:
        _list(runs)


def _list(runs: Sequence[Mapping[str, Any]]) -> None:
    now = SYSTEM_CLOCK.now()
    print_table(
        ("run", "state", "reason", "since", "changes", "command"),
        [
            (
                run["id"],
                "lost: see `resile recover`" if run["is_orphan"] else run["state"],
                run["reason"] or "",
                format_duration((now - _at(run["began_at"])).total_seconds()),
                str(run["changes"] or ""),
                " ".join(run["command"])[:_COMMAND_LENGTH_MAX],
            )
            for run in runs
        ],
    )


def _show(run: Mapping[str, Any]) -> None:
    from resile.cli.run_story import meters

    print(clean(f"{run['id']}  {', '.join(filter(None, (run['state'], run['reason'])))}"))
    print(clean(" ".join(run["command"])))
    for label, text in _facts(run):
        if text:
            print(clean(f"  {label:<14}{text}"))
    print()
    found = meters(run, SYSTEM_CLOCK.now())
    if found:
        rows = [(meter.label, meter.used, meter.most or "-", meter.bar) for meter in found]
        print_table(("used", "measured", "allowed", ""), rows)
        print()
    if run["tried"]:
        heads = ("tried", "what", "by", "decision")
        print_table(heads, [_tried(one) for one in run["tried"]])
        print()
    print_table(
        ("at", "what"), [(local_time(step["at"]), step["text"]) for step in run["timeline"]]
    )
    if run["state"] == RunState.READY:
        print(f"\n`resile diff {run['id']}` shows what it would change")


def _facts(run: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    exit_code = run["exit_code"]
    return (
        ("why", run["message"]),
        ("workspace", ", ".join(run["workspaces"])),
        ("commit", run["commit"]),
        ("profile", run["profile"]),
        ("network", str((run["limits"] or {}).get("network", ""))),
        ("exit code", "" if exit_code is None else str(exit_code)),
        ("signal", run["signal"]),
        ("changes", count_of(run["changes"]) if run["changes"] else ""),
        ("began", local_time(run["began_at"])),
        ("decided by", run["settled_by"]),
    )


def _tried(one: Mapping[str, Any]) -> tuple[str, ...]:
    by = f"{one['command']} ({one['pid']})" if one["pid"] else ""
    return one["kind"], one["detail"], by, one["decision"]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
