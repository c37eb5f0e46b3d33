"""`resile recovery`: what is done about every open fault, in what order, and when it will be over."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import (
    clean,
    local_time,
    print_json,
    print_json_line,
    print_styled,
    print_table,
)
from resile.cli.places import find_places
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.units import format_duration

WATCH_S = 1.0
"""Between two looks."""
_HEADS = ("#", "fault", "urgency", "steps", "now", "over in", "RTO left", "why")
_STANDINGS = {
    "acting": "",
    "starting": "",
    "verifying": "",
    "settling": "",
    "cause": "waits: ",
    "place": "waits for ",
    "time": "waits for ",
    "person": "waits: ",
}
_STATES = {"done": "[x]", "doing": "[>]", "due": "[ ]"}

Row = Mapping[str, Any]


@click.command()
@click.option("--watch", is_flag=True, help="Show it again each second, until Ctrl-C.")
@config_option
@json_option
def command(config: Path | None, *, watch: bool, as_json: bool) -> None:
    """Show the coordinated plan: every open fault in its turn, and how far the work on it is.

    Tells what each waits for, when it will be over as far as remedies before tell, and what is left of its
    recovery time objective. With --json it prints what the daemon answers to GET /api/recovery; with --watch,
    one line of it each second.
    """
    api = Api(find_places(config))
    if watch:
        _watch(api, as_json=as_json, clock=SYSTEM_CLOCK)
        return
    answer = api.get("/api/recovery")
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _watch(api: Api, *, as_json: bool, clock: Clock) -> None:
    while True:
        answer = api.get("/api/recovery")
        if as_json:
            print_json_line(answer)
        else:
            click.clear()
            _show(answer)
        clock.sleep(WATCH_S)


def _show(answer: Row) -> None:
    print_styled(_headline(answer), "bold yellow" if answer["faults"] else "bold green")
    if answer["faults"]:
        print_table(_HEADS, [_row(place, one) for place, one in enumerate(answer["faults"], 1)])
        for line in _steps(answer["faults"]):
            print(clean(line))
    if answer["points"]:
        print()
        heads = ("folder", "newest copy", "RPO", "RPO left")
        print_table(heads, [_point(one) for one in answer["points"]])
    if answer["record"]["count"]:
        print()
        print(_record(answer["record"]))


def _headline(answer: Row) -> str:
    count = answer["faults_count"]
    if not count:
        return "no open fault: nothing has to be mended"
    places = answer["places"]
    parts = [
        "1 open fault" if count == 1 else f"{count} open faults",
        f"{answer['done']} of {answer['total']} steps done",
        f"{places['taken']} of {places['at_once']} places taken",
    ]
    expected = answer["expected"]
    if expected is not None:
        parts.append(f"all over in about {_left(expected)}")
    elif answer["unknown"]:
        parts.append(f"the end of {answer['unknown']} is unknown")
    return ", ".join(parts)


def _row(place: int, one: Row) -> tuple[str, ...]:
    urgency = one["priority"]
    if one["urgency"] != urgency:
        urgency = f"{one['urgency']} (own: {urgency})"
    return (
        str(place),
        f"{one['fault']} of {_name(one['target'])}",
        urgency,
        f"{one['done']}/{one['total']}",
        _now(one),
        _left(one["expected"]) if one["expected"] else "unknown",
        _rto(one),
        one["why"],
    )


def _now(one: Row) -> str:
    return f"{_STANDINGS.get(one['standing'], '')}{one['waits_for']}"


def _steps(faults: list[Row]) -> Iterator[str]:
    for one in faults:
        if one["steps"]:
            steps = " ".join(f"{_STATES[step['state']]} {step['text']}" for step in one["steps"])
            basis = f"; {one['expected']['basis']}" if one["expected"] else ""
            attempt = f" (attempt {one['attempt']})" if one["attempt"] else ""
            yield f"  {_name(one['target'])}: {one['playbook']}{attempt}: {steps}{basis}"


def _left(expected: Row) -> str:
    """Tell an expected end with its range."""
    likely = format_duration(max(0.0, expected["left_s"]))
    if not expected["samples"]:
        return likely
    earliest = format_duration(max(0.0, expected["earliest_s"]))
    latest = format_duration(max(0.0, expected["latest_s"]))
    return f"{likely} ({earliest} to {latest})"


def _rto(one: Row) -> str:
    left_s = one["rto_left_s"]
    if left_s <= 0:
        return f"missed by {format_duration(-left_s)}"
    return f"{format_duration(left_s)}{' (at risk)' if one['is_at_risk'] else ''}"


def _point(one: Row) -> tuple[str, ...]:
    left_s = one["left_s"]
    left = "-"
    if left_s is not None:
        left = format_duration(left_s) if left_s > 0 else f"missed by {format_duration(-left_s)}"
    return one["folder"], local_time(one["taken_at"]) or "none", format_duration(one["rpo_s"]), left


def _record(record: Row) -> str:
    shares = {
        "mended without a person": record.get("success"),
        "within RTO": record.get("rto_compliance"),
        "within 2 min": record.get("within_2min"),
        "within 5 min": record.get("within_5min"),
    }
    told = [f"{share:.1%} {what}" for what, share in shares.items() if share is not None]
    if record.get("median_s") is not None:
        p95 = format_duration(record["p95_s"])
        told.append(f"median {format_duration(record['median_s'])}, p95 {p95}")
    return f"of the last {record['count']} faults: {', '.join(told)}"


def _name(target: str) -> str:
    return target.partition("/")[2] or target
