"""`resile status`: every service and check, as the daemon sees them now."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_styled, print_table
from resile.cli.places import find_places
from resile.core.switches import emergency_hint
from resile.core.units import format_duration, format_size

_HEADS = (
    *("service", "state", "score", "phase", "pid", "uptime", "restarts", "memory", "cpu"),
    "reason",
)


@click.command()
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> None:
    """Show every service and check.

    With --json it prints what the daemon answers to GET /api/status.
    """
    answer = Api(find_places(config)).get("/api/status")
    if as_json:
        print_json(answer)
        return
    _print_verdict(answer)
    _print_switched(answer)
    if answer["services"]:
        print_table(_HEADS, [_service_row(service) for service in answer["services"]])
    else:
        print("No service is declared. Add a [service.NAME] table to resile.toml.")
    system = [check for check in answer.get("checks", ()) if not check.get("service")]
    if system:
        print()
        print_table(("check", "state", "reason"), [_check_row(check) for check in system])
    _print_ahead(answer)


def _print_verdict(answer: Mapping[str, Any]) -> None:
    state, count = answer.get("state", "UNKNOWN"), answer.get("incidents_open", 0)
    incidents = {0: "no open incident", 1: "1 open incident"}.get(count, f"{count} open incidents")
    score = f", score {_score(answer)}" if answer.get("health") else ""
    style = {"UP": "bold green", "DOWN": "bold red"}.get(state, "bold yellow")
    print_styled(f"{answer.get('name', '')}: {state}{score}, {incidents}", style)
    if sys.stdout.isatty():
        print()


def _print_switched(answer: Mapping[str, Any]) -> None:
    """Print an emergency stop, and what is switched off."""
    stop, offs = answer.get("emergency"), answer.get("switches")
    if stop:
        who = stop["who"] or "somebody"
        hint = emergency_hint(is_stopping_services=stop.get("is_stopping_services", False))
        print_styled(f"EMERGENCY STOP by {who}: {stop['why']}; {hint}", "bold red")
    if offs:
        words = ", ".join(off["word"] for off in offs)
        print_styled(f"switched off: {words}; `resile switches` tells why", "bold yellow")


def _print_ahead(answer: Mapping[str, Any]) -> None:
    """Print what is expected to run out, and what was taken off the system's score."""
    if predictions := answer.get("predictions"):
        print()
        heads = ("runs out", "of", "in about", "confidence")
        print_table(heads, [_prediction_row(one) for one in predictions])
    if deductions := (answer.get("health") or {}).get("deductions"):
        print()
        whys = ("points", "taken off for", "because")
        print_table(whys, [_deduction_row(one) for one in deductions])


def _prediction_row(prediction: Mapping[str, Any]) -> tuple[str, ...]:
    detail = prediction.get("detail")
    return (
        str(prediction["target"]),
        f"{prediction['resource']} {detail}" if detail else str(prediction["resource"]),
        format_duration(prediction["left_s"]),
        f"{prediction['confidence']:.0%}",
    )


def _deduction_row(deduction: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"-{deduction['points']:g}", str(deduction["what"]), str(deduction["why"]))


def _score(of: Mapping[str, Any]) -> str:
    health = of.get("health")
    if not health:
        return "-"
    change = round(health.get("change") or 0)
    return f"{health['score']} ({change:+})" if change else str(health["score"])


def _service_row(service: Mapping[str, Any]) -> tuple[str, ...]:
    uptime, memory, cpu = (service.get(key) for key in ("uptime_s", "memory_bytes", "cpu_share"))
    return (
        str(service["name"]),
        str(service["state"]),
        _score(service),
        str(service.get("phase", "")),
        str(service.get("pid") or "-"),
        "-" if uptime is None else format_duration(uptime),
        str(service.get("restarts", 0)),
        "-" if not memory else format_size(memory),
        "-" if cpu is None else f"{cpu * 100:.0f}%",
        str(service.get("reason", "")),
    )


def _check_row(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(check["id"]), str(check["state"]), str(check.get("reason", "")))
