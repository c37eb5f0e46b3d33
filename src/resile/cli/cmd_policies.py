"""`resile policies`: the guards of every process, and an operator's hand on their breakers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, duration, json_option
from resile.cli.output import print_json, print_table
from resile.cli.places import find_places
from resile.cli.who import operator
from resile.core.clock import SYSTEM_CLOCK
from resile.core.units import format_duration
from resile.errors import OperationError

_HEADS = (
    *("guard", "process", "state", "success", "failures", "rejected"),
    *("last failure", "mode"),
)
_TIMED = {
    "trip": "Open the breaker NAME, as too many failures would; it probes when the time is over.",
    "force-open": "Reject all calls under NAME.",
    "disable": "Let all calls under NAME through, and count none.",
    "metrics-only": "Let all calls under NAME through, and count them.",
}
_TIMELESS = {
    "reset": "Forget the counts of the guard NAME, refill its budget of retries, close its breaker.",
    "automatic": "End what was forced; the breaker NAME keeps its counts.",
}
_HOLDS = """

It is done in every process that has NAME, and in those that come while it holds. Exit code 1 if a
process could not do it or did not answer."""

_WHY_LENGTH_MAX = 200
_FOR_S_MAX = 30 * 86_400
"""As the daemon has them; told here in the words of the command line."""

Row = Mapping[str, Any]


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def command(context: click.Context, config: Path | None, *, as_json: bool) -> None:
    """List the guards of every process of this system: state, failures, success rate.

    A process is listed if the daemon started it, or if it said `resile.connect()`. With a
    subcommand, steer the breaker of a guard: `resile policies trip payments --for 5m --why "..."`.
    """
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    found = Api(find_places(config)).get("/api/policies")
    if as_json:
        print_json({name: found[name] for name in ("policies", "processes", "orders")})
    elif found["policies"]:
        print_table(_HEADS, [_row(row) for row in found["policies"]])
    elif found["processes"]:
        print("no guard has a name yet: resile.guard(NAME, ...)")
    else:
        print("no process with a guard is connected; `resile.connect()` lets one be seen")


def _within_for(_: click.Context, __: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds <= _FOR_S_MAX:
        raise click.BadParameter(f"{format_duration(seconds)} is not above 0 and at most 30d")
    return seconds


def _within_why(_: click.Context, __: click.Parameter, text: str) -> str:
    if len(text) > _WHY_LENGTH_MAX:
        raise click.BadParameter(f"{len(text)} characters; write {_WHY_LENGTH_MAX} at most")
    return text


def _order_command(order: str, text: str, *, is_timed: bool) -> None:
    """Add the subcommand that gives an order."""

    @command.command(name=order, help=text + _HOLDS)
    @click.argument("name")
    @click.option(
        "--why",
        callback=_within_why,
        default="",
        help="The reason: shown with the guard, and in its errors.",
    )
    @config_option
    @json_option
    @click.pass_obj
    def give(
        above: Path | None,
        name: str,
        config: Path | None,
        *,
        why: str,
        as_json: bool,
        for_s: float | None = None,
    ) -> int:
        wish: dict[str, object] = {"guard": name, "order": order, "why": why, "who": operator()}
        if for_s is not None:
            wish["for_s"] = for_s
        answer = Api(find_places(config or above)).post("/api/policies/orders", wish)
        if as_json:
            print_json(answer)
            return 1 if _missing(answer) else 0
        print(_told(answer, for_s))
        if missing := _missing(answer):
            raise OperationError(
                f"not every process did it: {'; '.join(missing)}", hint=_advice(answer)
            )
        return 0

    if is_timed:
        what = "It probes after so long: 5m." if order == "trip" else "It ends by itself: 5m, 2h."
        click.option("--for", "for_s", type=duration, callback=_within_for, help=what)(give)


for _name, _text in _TIMED.items():
    _order_command(_name, _text, is_timed=True)
for _name, _text in _TIMELESS.items():
    _order_command(_name, _text, is_timed=False)


def _told(answer: Row, for_s: float | None) -> str:
    count = answer["done"] + len(answer["failed"]) + answer["silent"]
    held = "" if for_s is None else f" for {format_duration(for_s)}"
    where = f"in {answer['done']} of {count} processes" if count else "no process has it now"
    return f"{answer['guard']}: {answer['order']}{held}, {where}"


def _missing(answer: Row) -> list[str]:
    """Tell of each process that did not do it."""
    failed: Sequence[str] = answer["failed"]
    return [*failed, *([f"{answer['silent']} did not answer"] if answer["silent"] else [])]


def _advice(answer: Row) -> str:
    if answer["silent"]:
        return "who did not answer gets it on connecting again; see `resile policies`"
    return "who could not do it said why; `resile policies` shows what each has"


def _row(row: Row) -> tuple[str, ...]:
    rate = row["success_rate"]
    return (
        row["guard"],
        f"{row['service'] or row['program']} ({row['pid']})",
        _state(row),
        "-" if rate is None else f"{rate:.1%}",
        str(row["failures"]),
        str(row["rejected"]),
        _failure(row),
        _mode(row),
    )


def _state(row: Row) -> str:
    left = row["left_s"]
    word = str(row["state"]).upper() or "-"
    is_open = row["mode"] == "automatic" and row["state"] == "open" and left is not None
    return f"{word} {format_duration(left)}" if is_open else word


def _mode(row: Row) -> str:
    shared = f", {row['shared']}" if row["shared"] else ""
    if row["mode"] == "automatic":
        return f"automatic{shared}"
    left = "" if row["left_s"] is None else f" for {format_duration(row['left_s'])}"
    why = f": {row['reason']}" if row["reason"] else ""
    return f"{row['mode']}{left}{shared}{why}"


def _failure(row: Row) -> str:
    if not row["last_failed_at"]:
        return "-"
    passed = SYSTEM_CLOCK.now() - datetime.fromisoformat(row["last_failed_at"])
    return f"{format_duration(max(0.0, passed.total_seconds()))} ago: {row['last_failure']}"
