"""`resile incidents`: what went wrong, what was done about it, and who has taken it on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import clean, local_time, print_json, print_table
from resile.cli.places import find_places
from resile.cli.who import operator
from resile.core.units import format_duration

_WITHDRAWN = "an operator took its target out; it did not recover"
_HEADS = ("id", "severity", "state", "opened", "duration", "rto", "title")

Incident = Mapping[str, Any]


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def command(context: click.Context, config: Path | None, *, as_json: bool) -> None:
    """List incidents, newest first."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    incidents = Api(find_places(config)).get("/api/incidents")["incidents"]
    if as_json:
        print_json({"incidents": incidents})
    elif incidents:
        print_table(_HEADS, [_row(incident) for incident in incidents])
    else:
        print("no incident has been recorded")


@command.command()
@click.argument("incident_id", metavar="ID")
@config_option
@json_option
@click.pass_obj
def show(above: Path | None, incident_id: str, config: Path | None, *, as_json: bool) -> None:
    """Show the incident ID with its timeline."""
    incident = Api(find_places(config or above)).get(
        f"/api/incidents/{quote(incident_id, safe='')}"
    )
    if as_json:
        print_json(incident)
        return
    print(clean(f"{incident['id']}  {incident['severity']} {incident['state']}"))
    print(clean(str(incident["title"])))
    for label, text in _facts(incident):
        if text:
            print(clean(f"  {label:<14}{text}"))
    print()
    rows = [
        (local_time(entry["at"]), entry["kind"], entry.get("subject", ""), entry.get("text", ""))
        for entry in incident.get("timeline", ())
    ]
    print_table(("at", "kind", "subject", "what"), rows)


@command.command()
@click.argument("incident_id", metavar="ID")
@config_option
@json_option
@click.pass_obj
def ack(above: Path | None, incident_id: str, config: Path | None, *, as_json: bool) -> None:
    """Take the incident ID on: the journal keeps your name with it."""
    who = operator()
    path = f"/api/incidents/{quote(incident_id, safe='')}/acknowledge"
    Api(find_places(config or above)).post(path, {"who": who})
    if as_json:
        print_json({"id": incident_id, "acknowledged_by": who})
    else:
        print(f"{incident_id} is taken on by {who}")


def _row(incident: Incident) -> tuple[str, ...]:
    return (
        str(incident["id"]),
        str(incident["severity"]),
        str(incident["state"]),
        local_time(incident["opened_at"]),
        _duration(incident.get("duration_s")),
        _objective(incident.get("is_within_rto")),
        str(incident["title"])
        + (" (flapping)" if incident.get("flapping") else "")
        + (" (withdrawn)" if incident.get("is_withdrawn") else ""),
    )


def _objective(is_within: bool | None) -> str:
    return "-" if is_within is None else "within" if is_within else "missed"


def _facts(incident: Incident) -> tuple[tuple[str, str], ...]:
    return (
        ("target", str(incident.get("target", ""))),
        ("members", ", ".join(incident.get("members", ()))),
        ("began", local_time(incident.get("began_at"))),
        ("opened", local_time(incident.get("opened_at"))),
        ("restored", local_time(incident.get("restored_at"))),
        ("resolved", local_time(incident.get("resolved_at"))),
        ("withdrawn", _WITHDRAWN if incident.get("is_withdrawn") else ""),
        ("duration", _duration(incident.get("duration_s"))),
        ("objective", _duration(incident.get("rto_s"))),
        ("taken on by", str(incident.get("acknowledged_by") or "")),
        ("waits for", _waits_for(incident)),
        ("absorbed into", str(incident.get("absorbed_into") or "")),
        *(fact for crash in incident.get("crashes", ()) for fact in _crash_facts(crash)),
    )


def _crash_facts(crash: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Tell of equal crashes: why, how many of them there were, and where the evidence is."""
    place = f", in {crash['place']}" if crash.get("place") else ""
    count = f"{crash['fingerprint']}, crash {crash['count']} since {local_time(crash['first_at'])}"
    return (
        ("crash", f"{crash['service']}: {crash['text']}"),
        ("problem", f"{count}{place}"),
        ("bundle", str(crash.get("bundle") or "")),
    )


def _waits_for(incident: Incident) -> str:
    is_contained = incident.get("is_security") and incident["state"] == "monitoring"
    if not is_contained or incident.get("acknowledged_by"):
        return ""
    return f"a person: `resile incidents ack {incident['id']}`"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds)
