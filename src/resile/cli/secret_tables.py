"""What `resile secrets` prints: rows and lines for people, from plain data. Pure; no value is ever in it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from resile.cli.stores import local_time
from resile.core.events import SecretAccessed
from resile.core.units import format_duration
from resile.secrets import Version

LIST_HEADS = ("secret", "version", "age", "next rotation", "rotator", "given to", "used by")
HISTORY_HEADS = ("version", "stage", "created", "age")
ROTATION_HEADS = ("ended", "secret", "outcome", "reason", "took", "cut off")
ACCESS_HEADS = ("at", "secret", "version", "client", "pid", "outcome", "times")
FINDING_HEADS = ("level", "about", "finding")

Facts = Mapping[str, Any]


def list_row(secret: Facts, now: datetime, *, is_well: bool = True) -> tuple[str, ...]:
    """Tell of one secret in a row.

    Args:
        secret: As the overview has it.
        now: The time.
        is_well: The provider answers, and a version that is missing is not there.
    """
    return (
        secret["name"] + (" (canary)" if secret["is_canary"] else ""),
        secret["version"] or _no_version(secret, is_well=is_well),
        "-" if secret["age_s"] is None else format_duration(secret["age_s"]),
        _next(secret["next_rotation_at"], now),
        secret["rotator"] or "-",
        _given(secret),
        _used(secret["holders"], secret["version"]),
    )


def _no_version(secret: Facts, *, is_well: bool) -> str:
    if secret["is_made_when_read"]:
        return "made when read"
    return "none yet" if is_well else "unknown"


def standing_lines(overview: Facts) -> Iterator[str]:
    """Tell what is not at rest: a provider that is away, rotations that are open, clients that are cut off."""
    provider = overview["provider"]
    if not provider["is_well"]:
        yield f"the provider {provider['kind']} does not answer: {provider['reason']}"
    for secret in overview["secrets"]:
        if secret["rotation"] is not None:
            yield _open_line(secret["name"], secret["rotation"])
    for one in overview["quarantined"]:
        yield f"{one['client']} gets no secrets: {one['why']}; resile secrets release {one['client']}"
    if more := overview.get("quarantined_more"):
        yield f"{more} more clients get no secrets: resile events --kind client.quarantined"


def history_row(version: Version, now: datetime) -> tuple[str, ...]:
    """Tell of one version in a row."""
    at = version.created_at
    age = "-" if at is None else format_duration(max(0.0, (now - at).total_seconds()))
    return version.number, version.stage.value, "-" if at is None else local_time(at), age


def version_data(name: str, version: Version) -> dict[str, Any]:
    """Write a version for `--json`."""
    return {
        "name": name,
        "version": version.number,
        "stage": version.stage.value,
        "created_at": version.created_at and version.created_at.isoformat(),
    }


def rotation_row(rotation: Facts) -> tuple[str, ...]:
    """Tell of one rotation that is over in a row."""
    ended_at = rotation["ended_at"]
    return (
        "-" if ended_at is None else local_time(datetime.fromisoformat(ended_at)),
        rotation["name"],
        str(rotation["outcome"]),
        rotation["reason"],
        format_duration(rotation["duration_s"]),
        ", ".join(rotation["cut"]) or "-",
    )


def access_row(at: datetime, access: SecretAccessed) -> tuple[str, ...]:
    """Tell of one access in a row."""
    return (
        local_time(at),
        access.name,
        access.number or "-",
        access.client,
        str(access.pid),
        access.outcome.value,
        str(access.count),
    )


def step_line(step: str, after_s: float) -> str:
    """Tell of a step that a rotation has reached."""
    return f"  {step:<9} after {format_duration(after_s)}"


def plan_lines(report: Facts) -> Iterator[str]:
    """Tell what a rotation would do, and what may go wrong."""
    for number, step in enumerate(report["plan"], start=1):
        yield f"{number}. {step}"
    for warning in report["warnings"]:
        yield f"warning: {warning}"


def report_lines(report: Facts) -> Iterator[str]:
    """Tell what came of a rotation."""
    name, outcome = report["name"], report["outcome"]
    took = format_duration(report["duration_s"])
    if outcome is None:
        yield f"{name}: the rotation is under way, for {took}{_held(report)}"
    elif outcome == "rotated":
        yield f"{name}: version {report['number']} is current; rotated in {took}"
    else:
        yield f"{name}: {str(outcome).replace('_', ' ')} after {took}: {report['why']}"
    for consumer in report["cut"]:
        yield f"cut off, as it had not taken the new one in time: {consumer}"


def hold_text(rotation: Facts) -> str:
    """Tell what holds a rotation up; empty if nothing does."""
    waits_for: Sequence[str] = rotation["waits_for"]
    whom = f"it waits for {', '.join(waits_for)}" if waits_for else ""
    return ": ".join(filter(None, (whom, rotation["why"])))


def ended_hint(report: Facts) -> str:
    """Tell what to do after a rotation that did not come to its end; empty after one that did."""
    if report["outcome"] in (None, "rotated"):
        return ""
    return (
        "the credential before it is valid as it was; when the cause is mended: "
        f"resile secrets rotate {report['name']}"
    )


def _held(rotation: Facts) -> str:
    text = hold_text(rotation)
    return f"; {text}" if text else ""


def _open_line(name: str, rotation: Facts) -> str:
    return f"{name}: a rotation ({rotation['reason']}) is {rotation['step']}{_held(rotation)}"


def _next(at: str | None, now: datetime) -> str:
    if at is None:
        return "-"
    left_s = (datetime.fromisoformat(at) - now).total_seconds()
    return f"in {format_duration(left_s)}" if left_s > 0 else f"due {format_duration(-left_s)} ago"


def _given(secret: Facts) -> str:
    services: Sequence[str] = secret["services"]
    how = "" if secret["deliver"] in ("", "api") else f" ({secret['deliver']})"
    return ", ".join(services) + how if services else "-"


def _used(holders: Sequence[Facts], version: str) -> str:
    if not holders:
        return "-"
    behind = sum(one["version"] not in ("", version) for one in holders) if version else 0
    count = "1 process" if len(holders) == 1 else f"{len(holders)} processes"
    return count + (f", {behind} behind" if behind else "")
